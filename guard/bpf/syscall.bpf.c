// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * The one program on the way out of every system call. For tasks outside the
 * session it ends after one look at the task; for others it decodes the call and
 * hands it to its family.
 */
#include "emit.h"

/* x86: entry of `calls` and the arguments, for 64-bit, x32 and 32-bit calls. */
static __always_inline struct call_entry *call_decode(struct pt_regs *regs, struct call *call)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 number = regs->orig_ax;
	struct call_entry *entry;
	__u32 index, i;

	call->compat = task->thread_info.status & TS_COMPAT;
	if (!call->compat) {
		index = number & ~X32_SYSCALL_BIT;
		call->arg[0] = regs->di;
		call->arg[1] = regs->si;
		call->arg[2] = regs->dx;
		call->arg[3] = regs->r10;
		call->arg[4] = regs->r8;
		call->arg[5] = regs->r9;
		if (index >= CALLS_PER_ABI)
			return NULL;
		return bpf_map_lookup_elem(&calls, &index);
	}
	index = (__u32)number;
	call->arg[0] = (__u32)regs->bx;
	call->arg[1] = (__u32)regs->cx;
	call->arg[2] = (__u32)regs->dx;
	call->arg[3] = (__u32)regs->si;
	call->arg[4] = (__u32)regs->di;
	call->arg[5] = (__u32)regs->bp;
	if (index == 102) { /* socketcall(number, arguments) */
		__u32 arguments[6] = {};

		index = ABI_SOCKETCALL * CALLS_PER_ABI + (call->arg[0] & 31);
		bpf_probe_read_user(arguments, sizeof(arguments), (void *)call->arg[1]);
		for (i = 0; i < 6; i++)
			call->arg[i] = arguments[i];
	} else if (index < CALLS_PER_ABI) {
		if (index == 193 || index == 194) /* truncate64, ftruncate64: length in halves */
			call->arg[1] |= call->arg[2] << 32;
		index += ABI_COMPAT * CALLS_PER_ABI;
	} else {
		return NULL;
	}
	entry = bpf_map_lookup_elem(&calls, &index);
	return entry;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(sys_exit, struct pt_regs *regs, long ret)
{
	struct task_state *me = guarded_task();
	struct policy_config *cfg;
	struct call_entry *entry;
	struct scratch *s;

	if (!me)
		return 0;
	cfg = config_get();
	s = scratch_get(SCRATCH_TASK);
	if (!s || !cfg)
		return 0;
	entry = call_decode(regs, &s->call);
	if (!entry || entry->handler == HANDLER_NONE)
		return 0;
	s->call.call = entry->call;
	s->call.kind = entry->kind;
	s->call.ret = s->call.compat ? (int)ret : ret;
	switch (entry->handler) {
	case HANDLER_OPEN:
		handle_open(s, cfg, me);
		break;
	case HANDLER_PATH:
		handle_path(s, cfg, me);
		break;
	case HANDLER_NETWORK:
		handle_network(s, cfg, me);
		break;
	case HANDLER_PROCESS:
		handle_process(s, cfg, me);
		break;
	case HANDLER_SYSTEM:
		handle_system(s, cfg, me);
		break;
	}
	return 0;
}
