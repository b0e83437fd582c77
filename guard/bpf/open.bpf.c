// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Opened files, decided on the object that was really opened. */
#include "emit.h"

static __always_inline void open_arguments(struct call *call, struct open_call *open)
{
	struct {
		__u64 flags, mode, resolve;
	} how = {};

	open->dirfd = AT_FDCWD;
	open->name = 0;
	switch (call->call) {
	case CALL_OPEN:
		open->name = call->arg[0];
		open->flags = call->arg[1];
		open->mode = call->arg[2];
		break;
	case CALL_CREAT:
		open->name = call->arg[0];
		open->flags = 01101; /* O_CREAT | O_WRONLY | O_TRUNC, by definition */
		open->mode = call->arg[1];
		break;
	case CALL_OPENAT:
		open->dirfd = call->arg[0];
		open->name = call->arg[1];
		open->flags = call->arg[2];
		open->mode = call->arg[3];
		break;
	case CALL_OPENAT2:
		open->dirfd = call->arg[0];
		open->name = call->arg[1];
		bpf_probe_read_user(&how, sizeof(how), (void *)call->arg[2]);
		open->flags = how.flags;
		open->mode = how.mode;
		break;
	case CALL_PIDFD_GETFD: /* the flags are those of the file */
		break;
	case CALL_OPEN_BY_HANDLE_AT:
		open->dirfd = call->arg[0];
		open->flags = call->arg[2];
		break;
	}
}

static __always_inline __u64 open_attributes(struct open_call *open, __s64 res)
{
	__u64 attributes = result_attributes(res);
	__u32 access = open->flags & O_ACCMODE;

	if (open->flags & O_PATH)
		return attributes;
	if (access != O_WRONLY)
		attributes |= 1ULL << BIT_OPEN_READ;
	if (access)
		attributes |= 1ULL << BIT_OPEN_WRITE;
	return attributes;
}

/* The object behind the descriptor, and everything the decision needs of it. */
SUBPROGRAM __u64 open_gather(struct scratch *s)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct event_file_open *event;
	struct open_call *open;
	struct inode *inode;
	struct file *file;
	__u64 attributes;

	if (!s)
		return 0;
	open = &s->open;
	EVENT_BEGIN(event, EVENT_FILE_OPEN, s->call.call, s->call.ret);
	event->header.flags |= open->event_flags;
	file = s->call.ret >= 0 && !open->direct ? task_file(task, s->call.ret) : NULL;
	open->file = file;
	if (file && !open->name)
		open->flags |= BPF_CORE_READ(file, f_flags);
	attributes = open_attributes(open, s->call.ret);
	event->open_flags = open->flags;
	event->mode = open->mode;
	event->dirfd = open->dirfd;
	event->fd = s->call.ret < 0 ? -1 : s->call.ret;
	if (!file)
		return attributes;
	inode = BPF_CORE_READ(file, f_inode);
	open->dentry = BPF_CORE_READ(file, f_path.dentry);
	event->inode = BPF_CORE_READ(inode, i_ino);
	event->file_mode = BPF_CORE_READ(inode, i_mode);
	event->nlink = BPF_CORE_READ(inode, i_nlink);
	event->created = !!(BPF_CORE_READ(file, f_mode) & FMODE_CREATED);
	s->unique_object = inode_identity(inode);
	attributes |= 1ULL << ((event->file_mode & S_IFMT) == S_IFDIR ? BIT_DIRECTORY : BIT_REGULAR);
	if (event->created)
		attributes |= 1ULL << BIT_OPEN_CREATED;
	if (!event->nlink)
		attributes |= 1ULL << BIT_UNLINKED;
	return attributes;
}

/* Decides on the open in s->open and s->call, and reports it. */
SUBPROGRAM int open_event(struct scratch *s, struct policy_config *cfg, struct task_state *me)
{
	struct event_file_open *event;
	struct open_call *open;
	struct file *file;
	__u64 attributes;
	int walked = 0;

	if (!s || !cfg || !me)
		return 0;
	open = &s->open;
	event = (void *)s->data;
	s->text_length = 0;
	attributes = open_gather(s);
	bits_begin(s, cfg, attributes, s->call.call, me);
	/* However a descriptor was come by: a rule that stops opens stops it. */
	if (s->call.call == CALL_PIDFD_GETFD || s->call.call == CALL_OPEN_BY_HANDLE_AT)
		bits_add_call(s, cfg, CALL_OPENAT);
	file = open->file;
	if (open->direct) {
		walked = -1; /* no descriptor leads to the file */
	} else if (file) {
		walked = match_file(s, cfg, (__u64)file);
	} else if (open->name && !text_join(s, open->dirfd, open->name)) {
		match_text(s, cfg);
		s->unique_object = s->text_scan.hash;
	} else {
		s->bits.word[0] |= 1ULL << BIT_PATH_UNKNOWN;
	}
	if (!event_decide(s, cfg, me, attributes, walked))
		return 0;
	if (file) {
		event->dev = BPF_CORE_READ(file, f_inode, i_sb, s_dev);
		event->path_len = append_path(s, (__u64)open->dentry,
					      (__u64)BPF_CORE_READ(file, f_path.mnt));
	} else {
		event->path_len = append_text(s);
	}
	if (open->name && s->term_found)
		event->name_len = append_user_string(s, open->name);
	return event_send(s, cfg);
}

SUBPROGRAM int handle_open(struct scratch *s, struct policy_config *cfg, struct task_state *me)
{
	if (!s || !cfg || !me)
		return 0;
	__builtin_memset(&s->open, 0, sizeof(s->open));
	open_arguments(&s->call, &s->open);
	return open_event(s, cfg, me);
}

/* Opens carried out by io_uring pass no system call exit of their own. The
 * request is the second argument in every kernel; what follows it has changed. */
SEC("tp_btf/io_uring_complete")
int BPF_PROG(io_uring_complete, void *ring, struct io_kiocb *request)
{
	struct task_state *me = guarded_task();
	struct policy_config *cfg = config_get();
	struct scratch *s = scratch_get(SCRATCH_INTERRUPT);
	__u8 opcode;

	if (!me || !cfg || !s)
		return 0;
	opcode = BPF_CORE_READ(request, opcode);
	if (opcode != IORING_OP_OPENAT && opcode != IORING_OP_OPENAT2)
		return 0;
	__builtin_memset(&s->open, 0, sizeof(s->open));
	s->open.dirfd = AT_FDCWD;
	s->open.event_flags = FLAG_IO_URING;
	s->call.call = opcode == IORING_OP_OPENAT ? CALL_OPENAT : CALL_OPENAT2;
	s->call.ret = BPF_CORE_READ(request, cqe.res);
	/* The command of the request lies at its beginning. */
	s->open.direct = s->call.ret >= 0 && BPF_CORE_READ((struct io_open *)request, file_slot);
	return open_event(s, cfg, me);
}
