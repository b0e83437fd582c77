/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Every map, and how programs find what is theirs in them. */
#ifndef GUARD_MAPS_H
#define GUARD_MAPS_H

#include "scratch.h"

/* Events that a loaded rule may match, and process life cycle. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} candidates SEC(".maps");

/* Everything else that goes on record, read in bulk. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} records SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct event_counters);
} counters SEC(".maps");

/* Presence is membership of the session. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_state);
} tasks SEC(".maps");

/* The same by process id: for cgroup hooks, which have no task storage before
 * Linux 6.12, and to ask whether another process is guarded. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536); /* more live processes than pids.max allows */
	__type(key, __u32);
	__type(value, struct task_state);
} programs_by_tgid SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ABI_COUNT *CALLS_PER_ABI);
	__type(key, __u32);
	__type(value, struct call_entry);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct policy_config);
} config SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * EVENT_KIND_COUNT); /* generation & 1, kind */
	__type(key, __u32);
	__type(value, struct term_list);
} terms SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct inode_key);
	__type(value, struct path_tag);
} inode_tags SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct edge_key);
	__type(value, struct path_tag);
} edges SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct text_key);
	__type(value, struct path_tag);
} text_tags SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 8192);
	__type(key, struct name_key);
	__type(value, struct path_bits);
} names SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct address_key);
	__type(value, struct object_bits);
} addresses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 8192);
	__type(key, struct port_key);
	__type(value, struct object_bits);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 2 * CALL_COUNT);
	__type(key, struct call_key);
	__type(value, struct object_bits);
} call_bits SEC(".maps");

/* One entry for each (program, object, operation) already on record. */
struct unique_key {
	__u64 program;
	__u64 object;
	__u64 attributes;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct unique_key);
	__type(value, __u8);
} unique SEC(".maps");

/* Questions of the loader to the iterator learn_inodes: descriptor -> inode. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, __u64);
} inode_requests SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} inode_reader SEC(".maps");

/* Per CPU one for programs on tracepoints, which run with preemption off, one for
 * those that may interrupt them, and two for cgroup hooks, which may preempt each
 * other. Sized by the loader. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SCRATCH_PER_CPU);
	__type(key, __u32);
	__type(value, struct scratch);
} scratch SEC(".maps");

/*
 * A function that is not static is verified once, by itself, instead of at every
 * call with all that the caller knows: most of guard's start-up time. Such a
 * function takes kernel and user addresses as numbers and checks its pointers.
 */
#define SUBPROGRAM __noinline

/* What the callbacks of bpf_loop get: it accepts only stack memory. */
struct scratch_loop {
	struct scratch *s;
};

enum scratch_level {
	SCRATCH_TASK,
	SCRATCH_INTERRUPT,
	SCRATCH_PREEMPTIBLE, /* and the next */
};

static __always_inline struct scratch *scratch_get(__u32 level)
{
	__u32 index = bpf_get_smp_processor_id() * SCRATCH_PER_CPU + level;

	return bpf_map_lookup_elem(&scratch, &index);
}

/* For a program that may be preempted; give it back with scratch_release. */
static __always_inline struct scratch *scratch_take(void)
{
	struct scratch *s;
	__u32 i;

	for (i = SCRATCH_PREEMPTIBLE; i < SCRATCH_PER_CPU; i++) {
		s = scratch_get(i);
		if (s && !__sync_lock_test_and_set(&s->busy, 1))
			return s;
	}
	return NULL;
}

static __always_inline void scratch_release(struct scratch *s)
{
	s->busy = 0;
}

static __always_inline struct event_counters *counters_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&counters, &zero);
}

static __always_inline struct policy_config *config_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&config, &zero);
}

/* The state of the current task if it belongs to the session and runs the agent.
 * An io_uring worker is made without sched_process_fork and acts for its process. */
static __always_inline struct task_state *guarded_task(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *state = bpf_task_storage_get(&tasks, task, 0, 0);

	if (!state && (task->flags & PF_IO_WORKER))
		state = bpf_task_storage_get(&tasks, task->group_leader, 0, 0);
	return state && !state->pending ? state : NULL;
}

static __always_inline bool is_guarded(__u32 pid)
{
	return bpf_map_lookup_elem(&programs_by_tgid, &pid) != NULL;
}

#endif
