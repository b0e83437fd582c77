// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Process life cycle: membership of the session, program bits, and the events
 * from which user space keeps its process table. */
#include "emit.h"

/* The call behind a life-cycle event, from the registers of the current task. */
static __always_inline __u16 current_call(__u16 fallback)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	struct call_entry *entry;
	__u32 index = (__u32)BPF_CORE_READ(regs, orig_ax) & ~X32_SYSCALL_BIT;

	if (index >= CALLS_PER_ABI)
		return fallback;
	if (task->thread_info.status & TS_COMPAT)
		index += ABI_COMPAT * CALLS_PER_ABI;
	entry = bpf_map_lookup_elem(&calls, &index);
	return entry && entry->call ? entry->call : fallback;
}

/* The flags that the current call passes to the new process. */
static __always_inline __u64 clone_flags(__u16 call)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	bool compat = task->thread_info.status & TS_COMPAT;
	__u64 first = compat ? (__u32)BPF_CORE_READ(regs, bx) : BPF_CORE_READ(regs, di);
	__u64 flags = 0;

	if (call == CALL_CLONE)
		return first;
	if (call == CALL_CLONE3) /* first member of struct clone_args */
		bpf_probe_read_user(&flags, sizeof(flags), (void *)first);
	return flags;
}

/* Before the child can run: the same session, one generation further. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	struct task_state *me = bpf_task_storage_get(&tasks, parent, 0, 0);
	struct event_process_fork *event;
	struct event_counters *count = counters_get();
	struct policy_config *cfg = config_get();
	struct task_state state;
	struct scratch *s;
	__u32 child_pid = child->tgid;
	bool thread = child->pid != child->tgid;
	bool shares_files = child->files == parent->files;

	if (!me || !cfg || !count)
		return 0;
	state = *me;
	if (!thread) {
		state.parent = me->program;
		state.ancestors |= me->program;
	}
	if (!bpf_task_storage_get(&tasks, child, &state, BPF_LOCAL_STORAGE_GET_F_CREATE) ||
	    (!thread && bpf_map_update_elem(&programs_by_tgid, &child_pid, &state, BPF_ANY))) {
		count->errors++;
		bpf_send_signal(SIGKILL); /* a child outside the session must not be */
		return 0;
	}
	if (thread || me->pending)
		return 0;
	s = scratch_get(SCRATCH_TASK);
	if (!s)
		return 0;
	EVENT_BEGIN(event, EVENT_PROCESS_FORK, current_call(CALL_CLONE), child_pid);
	event->child_pid = child_pid;
	event->clone_flags = clone_flags(event->header.call);
	event->child_start_ns = child->start_boottime;
	event->child_vpid = pid_innermost(BPF_CORE_READ(child, thread_pid));
	bits_begin(s, cfg, 1ULL << BIT_SUCCEEDED, event->header.call, me);
	decide(s, cfg, EVENT_PROCESS_FORK);
	/* A process that shares its parent's descriptors could hand over what it is
	 * killed for opening; threads die together, other programs do not do this. */
	event_react(s, cfg, shares_files ? EVENT_FILE_OPEN : EVENT_PROCESS_FORK, shares_files);
	s->lifecycle = 1;
	event_wanted(s, cfg, me, 0, EVENT_PROCESS_FORK);
	event_send(s, cfg);
	return 0;
}

/* The bits of the program that the current task now runs, in the program word. */
static __always_inline int program_bits(struct scratch *s, struct policy_config *cfg,
					struct task_state *me, struct file *file,
					struct task_struct *task, __u64 attributes, __u32 call)
{
	struct name_key key = { .match = NAME_PROGRAM, .generation = cfg->generation };
	struct path_bits *found;
	int walked;

	me->program = 0;
	bits_begin(s, cfg, attributes, call, me);
	walked = match_file(s, cfg, (__u64)file);
	/* The name is set by execve from the file's name; the task has not run since. */
	s->name_length = bpf_probe_read_kernel_str(s->name, EVENT_COMM_MAX, task->comm) - 1;
	key.name_hash = name_hash(s);
	key.length = s->name_length;
	found = bpf_map_lookup_elem(&names, &key);
	if (found)
		bits_add_path(s, found);
	me->program = s->bits.word[POLICY_PROGRAM_WORD] = s->program;
	return walked;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	struct task_state *me = bpf_task_storage_get(&tasks, task, 0, 0);
	struct policy_config *cfg = config_get();
	struct event_process_exec *event;
	struct scratch *s = scratch_get(SCRATCH_TASK);
	struct task_struct *parent;
	struct dentry *dentry;
	struct vfsmount *mnt;
	struct inode *inode;
	struct mm_struct *mm;
	unsigned long start, end;
	__u64 attributes = 1ULL << BIT_SUCCEEDED;
	__u32 pid = task->tgid;
	int walked;

	if (!me || !s || !cfg)
		return 0;
	me->pending = 0;
	/* The call number is already overwritten; a path below a descriptor tells execveat. */
	EVENT_BEGIN(event, EVENT_PROCESS_EXEC, BPF_CORE_READ(bprm, fdpath) ? CALL_EXECVEAT : CALL_EXECVE, 0);
	inode = BPF_CORE_READ(bprm, file, f_inode);
	dentry = BPF_CORE_READ(bprm, file, f_path.dentry);
	mnt = BPF_CORE_READ(bprm, file, f_path.mnt);
	event->inode = BPF_CORE_READ(inode, i_ino);
	event->dev = BPF_CORE_READ(inode, i_sb, s_dev);
	event->nlink = BPF_CORE_READ(inode, i_nlink);
	event->exe_mtime_ns = inode_mtime_ns(inode);
	event->exe_ctime_ns = inode_ctime_ns(inode);
	event->cap_permitted = task_caps(task, cap_permitted);
	event->cap_effective = task_caps(task, cap_effective);
	event->euid = BPF_CORE_READ(task, cred, euid.val);
	parent = task->real_parent;
	event->parent_pid = BPF_CORE_READ(parent, tgid);
	event->parent_start_ns = BPF_CORE_READ(parent, group_leader, start_boottime);
	event->vpid = pid_innermost(BPF_CORE_READ(task, thread_pid));
	event->pgid = BPF_CORE_READ(task, signal, pids[2], numbers[0].nr);
	event->vpgid = pid_innermost(BPF_CORE_READ(task, signal, pids[2]));
	event->sid = BPF_CORE_READ(task, signal, pids[3], numbers[0].nr);
	event->tty = task_tty(task);
	event->loginuid = task_loginuid(task);
	if (!event->nlink) {
		event->exec_flags |= EXEC_MEMFD;
		attributes |= 1ULL << BIT_EXEC_MEMFD | 1ULL << BIT_UNLINKED;
	}
	if (BPF_CORE_READ_BITFIELD_PROBED(bprm, secureexec)) {
		event->exec_flags |= EXEC_SECURE;
		attributes |= 1ULL << BIT_EXEC_SECURE;
	}
	me->program_inode = inode_identity(inode);
	walked = program_bits(s, cfg, me, BPF_CORE_READ(bprm, file), task, attributes, event->header.call);
	bpf_map_update_elem(&programs_by_tgid, &pid, me, BPF_ANY);

	decide(s, cfg, EVENT_PROCESS_EXEC);
	event_react(s, cfg, EVENT_PROCESS_EXEC, walked < 0);
	s->lifecycle = 1;
	event_wanted(s, cfg, me, 0, EVENT_PROCESS_EXEC);

	event->path_len = append_path(s, (__u64)dentry, (__u64)mnt);
	event->filename_len = append_kernel_string(s, (__u64)BPF_CORE_READ(bprm, filename));
	mm = task->mm;
	start = BPF_CORE_READ(mm, arg_start);
	end = BPF_CORE_READ(mm, arg_end);
	event->argv_size = end - start;
	event->argv_len = append_user_range(s, start, end - start);
	if (cfg->capture_env) {
		start = BPF_CORE_READ(mm, env_start);
		end = BPF_CORE_READ(mm, env_end);
		event->env_len = append_user_range(s, start, end - start);
	}
	event->cwd_len = append_path(s, (__u64)BPF_CORE_READ(task, fs, pwd.dentry),
				     (__u64)BPF_CORE_READ(task, fs, pwd.mnt));
	event->comm_len = append_bytes(s, task->comm, EVENT_COMM_MAX);
	event_send(s, cfg);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	struct task_state *me = bpf_task_storage_get(&tasks, task, 0, 0);
	struct policy_config *cfg = config_get();
	struct event_process_exit *event;
	struct scratch *s;
	__u32 pid = task->tgid;

	if (!me) /* the last thread may be a worker of io_uring, no longer marked as one */
		me = bpf_task_storage_get(&tasks, task->group_leader, 0, 0);
	if (!me || !cfg || BPF_CORE_READ(task, signal, live.counter))
		return 0;
	/* Threads that end together all see no one left: the first to delete is the last. */
	if (bpf_map_delete_elem(&programs_by_tgid, &pid))
		return 0;
	s = scratch_get(SCRATCH_TASK);
	if (!s || me->pending)
		return 0;
	EVENT_BEGIN(event, EVENT_PROCESS_EXIT, CALL_PROCEXIT, 0);
	event->exit_code = BPF_CORE_READ(task, signal, group_exit_code);
	if (!event->exit_code)
		event->exit_code = BPF_CORE_READ(task, exit_code);
	bits_begin(s, cfg, 1ULL << BIT_SUCCEEDED, CALL_PROCEXIT, me);
	decide(s, cfg, EVENT_PROCESS_EXIT);
	s->lifecycle = 1;
	event_wanted(s, cfg, me, 0, EVENT_PROCESS_EXIT);
	event_send(s, cfg);
	return 0;
}

static __always_inline __u32 target_pid(struct call *call)
{
	return call->kind == EVENT_PROCESS_PTRACE ? call->arg[1] : call->arg[0];
}

/* chdir, setuid, ptrace, process_vm_writev, unshare and their families. */
SUBPROGRAM int handle_process(struct scratch *s, struct policy_config *cfg, struct task_state *me)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 attributes;
	struct call *call;

	if (!s || !cfg || !me)
		return 0;
	call = &s->call;
	attributes = result_attributes(call->ret);
	if (call->kind == EVENT_PROCESS_CHDIR) {
		struct event_process_chdir *event;

		if (call->ret)
			return 0;
		EVENT_BEGIN(event, call->kind, call->call, call->ret);
		s->lifecycle = 1;
		bits_begin(s, cfg, attributes, call->call, me);
		event_decide(s, cfg, me, attributes,
			     match_object(s, cfg, (__u64)BPF_CORE_READ(task, fs, pwd.dentry)));
		event->path_len = append_path(s, (__u64)BPF_CORE_READ(task, fs, pwd.dentry),
					      (__u64)BPF_CORE_READ(task, fs, pwd.mnt));
	} else if (call->kind == EVENT_PROCESS_SETUID) {
		struct event_process_setuid *event;

		EVENT_BEGIN(event, call->kind, call->call, call->ret);
		event->cap_permitted = task_caps(task, cap_permitted);
		event->cap_effective = task_caps(task, cap_effective);
		event->euid = BPF_CORE_READ(task, cred, euid.val);
		event->arg_id = call->arg[0];
		s->lifecycle = 1;
		bits_begin(s, cfg, attributes, call->call, me);
		event_decide(s, cfg, me, attributes, 0);
	} else if (call->kind == EVENT_PROCESS_NAMESPACE) {
		struct event_process_namespace *event;
		bool setns = call->call == CALL_SETNS;

		EVENT_BEGIN(event, call->kind, call->call, call->ret);
		event->ns_flags = call->arg[setns];
		event->fd = setns ? (__s32)call->arg[0] : -1;
		bits_begin(s, cfg, attributes, call->call, me);
		if (!event_decide(s, cfg, me, attributes, 0))
			return 0;
	} else { /* ptrace, process_vm_*: the same members for both */
		struct event_process_ptrace *trace;
		struct event_process_vm_write *access;
		__u32 pid = target_pid(call);
		bool guarded = !pid || is_guarded(pid);

		if (call->kind == EVENT_PROCESS_PTRACE) {
			EVENT_BEGIN(trace, call->kind, call->call, call->ret);
			trace->request = call->arg[0];
			trace->target_pid = pid;
			trace->target_guarded = guarded;
		} else {
			EVENT_BEGIN(access, call->kind, call->call, call->ret);
			access->target_pid = pid;
			access->target_guarded = guarded;
		}
		if (guarded)
			attributes |= 1ULL << BIT_TARGET_GUARDED;
		bits_begin(s, cfg, attributes, call->call, me);
		if (!event_decide(s, cfg, me, attributes, 0))
			return 0;
	}
	return event_send(s, cfg);
}

/* A signal sent by a guarded task to one outside the session. Signals of the
 * kernel and of timers have a positive code or SI_TIMER and may interrupt. */
SEC("tp_btf/signal_generate")
int BPF_PROG(process_signal, int signal, struct kernel_siginfo *info, struct task_struct *target)
{
	struct policy_config *cfg = config_get();
	struct event_process_signal *event;
	struct task_state *me;
	struct scratch *s;
	int code;

	if ((unsigned long)info <= 1) { /* SEND_SIG_NOINFO, SEND_SIG_PRIV */
		if (info)
			return 0;
	} else {
		code = BPF_CORE_READ(info, si_code);
		if (code != 0 && code != -1 && code != -6) /* SI_USER, SI_QUEUE, SI_TKILL */
			return 0;
	}
	me = guarded_task();
	if (!me || !cfg || bpf_task_storage_get(&tasks, target, 0, 0))
		return 0;
	s = scratch_get(SCRATCH_INTERRUPT);
	if (!s)
		return 0;
	EVENT_BEGIN(event, EVENT_PROCESS_SIGNAL, current_call(CALL_KILL), 0);
	event->target_pid = target->tgid;
	event->target_uid = BPF_CORE_READ(target, cred, uid.val);
	event->signal = signal;
	bits_begin(s, cfg, 1ULL << BIT_SUCCEEDED, event->header.call, me);
	if (!event_decide(s, cfg, me, 0, 0))
		return 0;
	event->target_comm_len = append_bytes(s, target->comm, EVENT_COMM_MAX);
	return event_send(s, cfg);
}
