/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Reading what an event reports: full paths and joined texts. */
#ifndef GUARD_READ_H
#define GUARD_READ_H

#include "maps.h"

/* Puts a slash and a name in front of the path; returns 1 when there is no room,
 * so that the path stays incomplete at its beginning. */
static __always_inline int path_prepend(struct scratch *s, struct dentry *dentry)
{
	const unsigned char *name;
	__u32 length = dentry_name(dentry, &name) & 0xff, start = s->path_start;

	if (start < length + 1 || start > PATH_END)
		return 1;
	start -= length + 1;
	s->path[start & PATH_MASK] = '/';
	bpf_probe_read_kernel(&s->path[(start & PATH_MASK) + 1], length, name);
	s->path_start = start;
	return 0;
}

/* One step of the walk to the root: put a component in front of the path, or
 * cross to the mount below. Components are read without locks, so a concurrent
 * rename can yield a path that never existed; decisions never use this text. */
static long path_step(__u32 index, struct scratch_loop *loop)
{
	struct scratch *s = loop->s;
	struct dentry *dentry = s->path_dentry;
	struct mount *mount = s->path_mount;
	struct dentry *parent, *mount_root;

	mount_root = s->mount_root;
	parent = BPF_CORE_READ(dentry, d_parent);
	if (dentry == s->root_dentry && mount == s->root_mount) {
		s->path_complete = 1;
		return 1;
	}
	if (dentry == mount_root || dentry == parent) {
		struct mount *below = BPF_CORE_READ(mount, mnt_parent);

		if (dentry != mount_root) {
			path_prepend(s, dentry); /* in no directory: a memfd has a name all the same */
			s->path_complete = 1;
			return 1;
		}
		if (below == mount) {
			s->path_complete = 1; /* the global root */
			return 1;
		}
		s->path_dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		s->path_mount = below;
		s->mount_root = BPF_CORE_READ(below, mnt.mnt_root);
		return 0;
	}
	s->path_dentry = parent;
	return path_prepend(s, dentry);
}

/* Writes the path of `path` as its task's root sees it to s->path[path_start..PATH_END). */
SUBPROGRAM int path_read(struct scratch *s, __u64 dentry, __u64 mnt)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct vfsmount *root = task->fs->root.mnt;
	struct scratch_loop loop = { .s = s };

	if (!s)
		return -1;
	s->path_start = PATH_END;
	s->path_complete = 0;
	s->path_dentry = (void *)dentry;
	s->path_mount = (void *)mnt - bpf_core_field_offset(struct mount, mnt);
	s->mount_root = BPF_CORE_READ((struct vfsmount *)mnt, mnt_root);
	s->root_dentry = task->fs->root.dentry;
	s->root_mount = (void *)root - bpf_core_field_offset(struct mount, mnt);
	bpf_loop(2 * EVENT_PATH_MAX, path_step, &loop, 0);
	if (s->path_start == PATH_END && s->path_complete) {
		s->path_start = PATH_END - 1;
		s->path[PATH_END - 1] = '/';
	}
	return 0;
}

/* Appends `size` kernel bytes to the event; returns what was appended. */
static __always_inline __u32 append_bytes(struct scratch *s, const void *from, __u32 size)
{
	__u32 at = s->length;

	if (at > DATA_MASK || size > EVENT_PATH_MAX)
		return 0;
	if (bpf_probe_read_kernel(&s->data[at & DATA_MASK], size, from))
		return 0;
	s->length = at + size;
	return size;
}

static __always_inline struct event_header *event_header(struct scratch *s)
{
	return (struct event_header *)s->data;
}

/* Appends the path of an object, with " (deleted)" left to user space (nlink). */
SUBPROGRAM __u32 append_path(struct scratch *s, __u64 dentry, __u64 mnt)
{
	__u32 start;

	if (!s)
		return 0;
	path_read(s, dentry, mnt);
	if (!s->path_complete)
		event_header(s)->flags |= FLAG_TRUNCATED;
	start = s->path_start;
	if (start > PATH_END)
		return 0;
	return append_bytes(s, &s->path[start], PATH_END - start);
}

/* Appends a NUL-terminated user string without its NUL. */
SUBPROGRAM __u32 append_user_string(struct scratch *s, __u64 from)
{
	__u32 at;
	long size;

	if (!s)
		return 0;
	at = s->length;
	if (at > DATA_MASK || !from)
		return 0;
	size = bpf_probe_read_user_str(&s->data[at & DATA_MASK], EVENT_PATH_MAX, (void *)from);
	if (size <= 0) {
		event_header(s)->flags |= FLAG_TRUNCATED;
		return 0;
	}
	if (size == EVENT_PATH_MAX)
		event_header(s)->flags |= FLAG_TRUNCATED;
	s->length = at + size - 1;
	return size - 1;
}

/* Appends a NUL-terminated kernel string without its NUL. */
SUBPROGRAM __u32 append_kernel_string(struct scratch *s, __u64 from)
{
	__u32 at;
	long size;

	if (!s)
		return 0;
	at = s->length;
	if (at > DATA_MASK)
		return 0;
	size = bpf_probe_read_kernel_str(&s->data[at & DATA_MASK], EVENT_PATH_MAX, (void *)from);
	if (size <= 0)
		return 0;
	s->length = at + size - 1;
	return size - 1;
}

/* Appends a range of user memory, for argv and the environment. */
SUBPROGRAM __u32 append_user_range(struct scratch *s, __u64 from, __u32 size)
{
	__u32 at;

	if (!s)
		return 0;
	at = s->length;
	if (at > DATA_MASK || !size)
		return 0;
	if (size > EVENT_ARGV_MAX) {
		size = EVENT_ARGV_MAX;
		event_header(s)->flags |= FLAG_TRUNCATED;
	}
	if (bpf_probe_read_user(&s->data[at & DATA_MASK], size, (void *)from)) {
		event_header(s)->flags |= FLAG_TRUNCATED;
		return 0;
	}
	s->length = at + size;
	return size;
}

/*
 * Joins a path argument to what it is relative to, in s->text: the task's root,
 * its working directory or the directory behind `dirfd`. Symbolic links are not
 * followed and `.` and `..` stay as they are.
 */
SUBPROGRAM int text_join(struct scratch *s, int dirfd, __u64 argument)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct dentry *dentry;
	struct vfsmount *mnt;
	__u32 base, start;
	long size;
	char first = 0;

	if (!s)
		return -1;
	s->text_length = 0;
	bpf_probe_read_user(&first, 1, (void *)argument);
	if (first == '/') {
		dentry = BPF_CORE_READ(task, fs, root.dentry);
		mnt = BPF_CORE_READ(task, fs, root.mnt);
	} else if (dirfd == AT_FDCWD) {
		dentry = BPF_CORE_READ(task, fs, pwd.dentry);
		mnt = BPF_CORE_READ(task, fs, pwd.mnt);
	} else {
		struct file *file = task_file(task, dirfd);

		if (!file)
			return -1;
		dentry = BPF_CORE_READ(file, f_path.dentry);
		mnt = BPF_CORE_READ(file, f_path.mnt);
	}
	base = 0;
	if (first != '/') {
		path_read(s, (__u64)dentry, (__u64)mnt);
		start = s->path_start;
		if (start > PATH_END)
			return -1;
		base = PATH_END - start;
		if (base > PATH_END || bpf_probe_read_kernel(s->text, base, &s->path[start]))
			return -1;
		if (!s->path_complete)
			event_header(s)->flags |= FLAG_TRUNCATED;
		if (base == 1)
			base = 0; /* the root: avoid a double slash */
		if (first) {
			s->text[base & TEXT_MASK] = '/';
			base = (base & TEXT_MASK) + 1;
		}
	}
	size = bpf_probe_read_user_str(&s->text[base & TEXT_MASK], PATH_END, (void *)argument);
	if (size < 0)
		return -1;
	if (size == PATH_END)
		event_header(s)->flags |= FLAG_TRUNCATED;
	s->text_length = base + size - 1;
	event_header(s)->flags |= FLAG_TEXT_PATH;
	return 0;
}

/* Appends the joined text; longer ones lose their beginning. */
SUBPROGRAM __u32 append_text(struct scratch *s)
{
	__u32 length, skip = 0;

	if (!s)
		return 0;
	length = s->text_length;
	if (length > EVENT_PATH_MAX) {
		skip = length - EVENT_PATH_MAX;
		length = EVENT_PATH_MAX;
		event_header(s)->flags |= FLAG_TRUNCATED;
	}
	return append_bytes(s, &s->text[skip & TEXT_MASK], length);
}

#endif
