// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Calls that reach for the kernel itself: memfd, mounts, bpf, modules, io_uring. */
#include "emit.h"

static __always_inline void mount_members(struct scratch *s)
{
	struct event_mount_change *event = (void *)s->data;
	struct call *call = &s->call;
	__u64 source = 0, target = 0, type = 0;
	__s32 dirfd = AT_FDCWD;

	switch (call->call) {
	case CALL_MOUNT:
		source = call->arg[0];
		target = call->arg[1];
		type = call->arg[2];
		event->mount_flags = call->arg[3];
		break;
	case CALL_PIVOT_ROOT:
		source = call->arg[1];
		target = call->arg[0];
		break;
	case CALL_MOVE_MOUNT:
		source = call->arg[1];
		dirfd = call->arg[2];
		target = call->arg[3];
		event->mount_flags = call->arg[4];
		break;
	case CALL_FSOPEN:
		type = call->arg[0];
		event->mount_flags = call->arg[1];
		break;
	case CALL_FSMOUNT:
		event->mount_flags = call->arg[2];
		break;
	case CALL_OPEN_TREE:
	case CALL_MOUNT_SETATTR:
		dirfd = call->arg[0];
		target = call->arg[1];
		event->mount_flags = call->arg[2];
		break;
	default: /* umount, umount2, chroot */
		target = call->arg[0];
		event->mount_flags = call->call == CALL_CHROOT ? 0 : call->arg[1];
	}
	event->source_len = append_user_string(s, source);
	if (target && !text_join(s, dirfd, target))
		event->path_len = append_text(s);
	event->fstype_len = append_user_string(s, type);
}

static __always_inline void module_members(struct scratch *s, struct task_struct *task)
{
	struct event_kernel_module *event = (void *)s->data;
	struct call *call = &s->call;
	struct file *file = NULL;

	event->fd = -1;
	if (call->call == CALL_FINIT_MODULE) {
		event->fd = call->arg[0];
		file = task_file(task, event->fd);
	}
	if (file)
		event->path_len = append_path(s, (__u64)BPF_CORE_READ(file, f_path.dentry),
					      (__u64)BPF_CORE_READ(file, f_path.mnt));
	event->args_len = append_user_string(s, (call->call == CALL_DELETE_MODULE ? call->arg[0] :
							 call->call == CALL_FINIT_MODULE  ? call->arg[1] :
											    call->arg[2]));
}

static __always_inline __u32 system_size(__u32 kind)
{
	switch (kind) {
	case EVENT_MEMFD_CREATE:
		return sizeof(struct event_memfd_create);
	case EVENT_MOUNT_CHANGE:
		return sizeof(struct event_mount_change);
	case EVENT_KERNEL_BPF:
		return sizeof(struct event_kernel_bpf);
	case EVENT_KERNEL_MODULE:
		return sizeof(struct event_kernel_module);
	}
	return sizeof(struct event_io_uring_setup);
}

SUBPROGRAM int handle_system(struct scratch *s, struct policy_config *cfg, struct task_state *me)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 attributes;
	struct call *call;

	if (!s || !cfg || !me)
		return 0;
	call = &s->call;
	event_begin(s, call->kind, call->call, 0, call->ret);
	s->length = system_size(call->kind);
	attributes = result_attributes(call->ret);
	bits_begin(s, cfg, attributes, call->call, me);
	if (!event_decide(s, cfg, me, attributes, 0))
		return 0;
	if (call->kind == EVENT_MEMFD_CREATE) {
		struct event_memfd_create *event = (void *)s->data;

		event->memfd_flags = call->arg[1];
		event->name_len = append_user_string(s, call->arg[0]);
	} else if (call->kind == EVENT_MOUNT_CHANGE) {
		mount_members(s);
	} else if (call->kind == EVENT_KERNEL_BPF) {
		((struct event_kernel_bpf *)s->data)->cmd = call->arg[0];
	} else if (call->kind == EVENT_KERNEL_MODULE) {
		module_members(s, task);
	} else {
		((struct event_io_uring_setup *)s->data)->entries = call->arg[0];
		bpf_probe_read_user(&((struct event_io_uring_setup *)s->data)->setup_flags, 4,
				    (void *)call->arg[1] + 8);
	}
	return event_send(s, cfg);
}
