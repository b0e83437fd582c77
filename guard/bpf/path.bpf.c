// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * Calls that change names or metadata. By the time they return the object may be
 * gone, so those that take a path are judged by the text of it, made absolute;
 * those that take a descriptor by the object.
 */
#include "emit.h"

static __always_inline void path_arguments(struct call *call, struct path_call *p)
{
	p->fd = -1;
	p->dirfd = p->new_dirfd = AT_FDCWD;
	p->name = call->arg[0];
	p->new_name = 0;
	switch (call->call) {
	case CALL_UNLINKAT:
	case CALL_MKDIRAT:
	case CALL_FCHMODAT:
	case CALL_FCHMODAT2:
	case CALL_FCHOWNAT:
		p->dirfd = call->arg[0];
		p->name = call->arg[1];
		break;
	case CALL_RENAME:
	case CALL_LINK:
		p->new_name = call->arg[1];
		break;
	case CALL_RENAMEAT:
	case CALL_RENAMEAT2:
	case CALL_LINKAT:
		p->dirfd = call->arg[0];
		p->name = call->arg[1];
		p->new_dirfd = call->arg[2];
		p->new_name = call->arg[3];
		break;
	case CALL_SYMLINK:
		p->name = call->arg[1];
		break;
	case CALL_SYMLINKAT:
		p->dirfd = call->arg[1];
		p->name = call->arg[2];
		break;
	case CALL_FTRUNCATE:
	case CALL_FCHMOD:
	case CALL_FCHOWN:
		p->fd = call->arg[0];
		p->name = 0;
		break;
	}
}

/* The members before the paths; returns where the struct ends. */
static __always_inline __u32 path_members(struct scratch *s, struct path_call *p)
{
	struct call *call = &s->call;
	bool at;

	switch (call->kind) {
	case EVENT_FILE_UNLINK: {
		struct event_file_unlink *event = (void *)s->data;

		event->dirfd = p->dirfd;
		event->unlink_flags = call->call == CALL_UNLINKAT ? call->arg[2] : 0;
		return sizeof(*event);
	}
	case EVENT_FILE_RENAME: {
		struct event_file_rename *event = (void *)s->data;

		event->old_dirfd = p->dirfd;
		event->new_dirfd = p->new_dirfd;
		event->rename_flags = call->call == CALL_RENAMEAT2 ? call->arg[4] : 0;
		return sizeof(*event);
	}
	case EVENT_FILE_LINK: {
		struct event_file_link *event = (void *)s->data;

		event->old_dirfd = p->dirfd;
		event->new_dirfd = p->new_dirfd;
		event->link_flags = call->call == CALL_LINKAT ? call->arg[4] : 0;
		return sizeof(*event);
	}
	case EVENT_FILE_MKDIR: {
		struct event_file_mkdir *event = (void *)s->data;

		event->dirfd = p->dirfd;
		event->mode = call->arg[1 + (call->call == CALL_MKDIRAT)];
		return sizeof(*event);
	}
	case EVENT_FILE_SYMLINK: {
		struct event_file_symlink *event = (void *)s->data;

		event->dirfd = p->dirfd;
		return sizeof(*event);
	}
	case EVENT_FILE_TRUNCATE: {
		struct event_file_truncate *event = (void *)s->data;

		event->fd = p->fd;
		event->length = call->arg[1];
		return sizeof(*event);
	}
	case EVENT_FILE_CHMOD: {
		struct event_file_chmod *event = (void *)s->data;

		at = call->call == CALL_FCHMODAT || call->call == CALL_FCHMODAT2;
		event->fd = p->fd;
		event->dirfd = p->dirfd;
		event->mode = at ? call->arg[2] : call->arg[1];
		return sizeof(*event);
	}
	case EVENT_FILE_CHOWN: {
		struct event_file_chown *event = (void *)s->data;

		at = call->call == CALL_FCHOWNAT;
		event->fd = p->fd;
		event->dirfd = p->dirfd;
		event->owner = at ? call->arg[2] : call->arg[1];
		event->group = at ? call->arg[3] : call->arg[2];
		return sizeof(*event);
	}
	}
	return sizeof(struct event_file_rmdir);
}

struct path_lengths {
	__u16 path, new_path, name, new_name, target;
};

static __always_inline void path_store(struct scratch *s, struct path_lengths *l)
{
#define STORE_ONE(KIND, type)                                 \
	case KIND: {                                          \
		struct event_##type *event = (void *)s->data; \
		event->path_len = l->path;                    \
		event->name_len = l->name;                    \
		return;                                       \
	}
#define STORE_TWO(KIND, type)                                 \
	case KIND: {                                          \
		struct event_##type *event = (void *)s->data; \
		event->path_len = l->path;                    \
		event->new_path_len = l->new_path;            \
		event->name_len = l->name;                    \
		event->new_name_len = l->new_name;            \
		return;                                       \
	}
	switch (s->call.kind) {
	STORE_ONE(EVENT_FILE_UNLINK, file_unlink)
	STORE_ONE(EVENT_FILE_MKDIR, file_mkdir)
	STORE_ONE(EVENT_FILE_RMDIR, file_rmdir)
	STORE_ONE(EVENT_FILE_TRUNCATE, file_truncate)
	STORE_ONE(EVENT_FILE_CHMOD, file_chmod)
	STORE_ONE(EVENT_FILE_CHOWN, file_chown)
	STORE_TWO(EVENT_FILE_RENAME, file_rename)
	STORE_TWO(EVENT_FILE_LINK, file_link)
	case EVENT_FILE_SYMLINK: {
		struct event_file_symlink *event = (void *)s->data;

		event->target_len = l->target;
		event->path_len = l->path;
		event->name_len = l->name;
	}
	}
#undef STORE_ONE
#undef STORE_TWO
}

/* The object or the text of the primary path, and its bits. */
SUBPROGRAM int path_gather(struct scratch *s, struct policy_config *cfg, struct task_state *me)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct path_call *p;
	struct file *file;
	int joined;

	if (!s || !cfg || !me)
		return 0;
	p = &s->path_call;
	path_arguments(&s->call, p);
	event_begin(s, s->call.kind, s->call.call, 0, s->call.ret);
	s->length = path_members(s, p);
	bits_begin(s, cfg, result_attributes(s->call.ret), s->call.call, me);
	file = p->fd >= 0 ? task_file(task, p->fd) : NULL;
	p->file = file;
	if (file) {
		p->dentry = BPF_CORE_READ(file, f_path.dentry);
		return match_file(s, cfg, (__u64)file);
	}
	if (p->new_name)
		joined = text_join(s, p->new_dirfd, p->new_name);
	else
		joined = text_join(s, p->dirfd, p->name);
	if (joined)
		s->bits.word[0] |= 1ULL << BIT_PATH_UNKNOWN;
	else
		match_text(s, cfg);
	return 0;
}

SUBPROGRAM int path_report(struct scratch *s, struct policy_config *cfg)
{
	struct path_lengths lengths = {};
	struct path_call *p;
	struct file *file;

	if (!s || !cfg)
		return 0;
	p = &s->path_call;
	if (s->call.kind == EVENT_FILE_SYMLINK)
		lengths.target = append_user_string(s, s->call.arg[0]);
	file = p->file;
	if (file) {
		lengths.path = append_path(s, (__u64)p->dentry, (__u64)BPF_CORE_READ(file, f_path.mnt));
	} else {
		text_join(s, p->dirfd, p->name);
		lengths.path = append_text(s);
	}
	if (p->new_name) {
		text_join(s, p->new_dirfd, p->new_name);
		lengths.new_path = append_text(s);
	}
	if (s->term_found) {
		if (p->name)
			lengths.name = append_user_string(s, p->name);
		if (p->new_name)
			lengths.new_name = append_user_string(s, p->new_name);
	}
	path_store(s, &lengths);
	return event_send(s, cfg);
}

SUBPROGRAM int handle_path(struct scratch *s, struct policy_config *cfg, struct task_state *me)
{
	int walked;

	if (!s || !cfg || !me)
		return 0;
	walked = path_gather(s, cfg, me);
	if (!event_decide(s, cfg, me, result_attributes(s->call.ret), walked))
		return 0;
	return path_report(s, cfg);
}
