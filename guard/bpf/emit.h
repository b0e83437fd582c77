/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* From a decided operation to a record in one of the two buffers, all counted. */
#ifndef GUARD_EMIT_H
#define GUARD_EMIT_H

#include "read.h"
#include "decide.h"

/* When each buffer's reader was last woken; races only cost a wake-up. */
static __u64 candidates_woken_ns, records_woken_ns;

/* Starts an event of `size` bytes in the scratch memory, header filled. */
SUBPROGRAM int event_begin(struct scratch *s, __u32 kind, __u32 call, __u32 size, __s64 res)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 ids = bpf_get_current_pid_tgid();
	__u64 owner = bpf_get_current_uid_gid();
	struct event_header *header;

	if (!s)
		return 0;
	header = event_header(s);
	__builtin_memset(s->data, 0, 256); /* longer than any event struct */
	header->kind = kind;
	header->call = call;
	header->flags = task->thread_info.status & TS_COMPAT ? FLAG_COMPAT : 0;
	header->time_ns = bpf_ktime_get_boot_ns();
	header->cpu = bpf_get_smp_processor_id();
	header->pid = ids >> 32;
	header->tid = (__u32)ids;
	header->uid = (__u32)owner;
	header->gid = owner >> 32;
	header->start_ns = task->group_leader->start_boottime;
	header->res = res;
	s->length = size;
	s->unique_object = 0;
	s->lifecycle = 0;
	return 0;
}

/* Begins an event of the struct `event` points to. */
#define EVENT_BEGIN(event, kind, call, res)                       \
	({                                                        \
		event_begin(s, kind, call, sizeof(*(event)), res); \
		(event) = (void *)s->data;                        \
	})

static __always_inline __u64 wake_flag(void *buffer, __u64 *woken_ns, struct policy_config *cfg,
				       __u64 now, bool urgent)
{
	__u64 quiet = now - *woken_ns;

	/* A wake-up costs an interrupt: past the fill mark one in a sixteenth of the
	 * interval is enough for a reader that is already on its way. */
	if (urgent || quiet > cfg->wake_interval_ns ||
	    (quiet > cfg->wake_interval_ns / 16 &&
	     bpf_ringbuf_query(buffer, BPF_RB_AVAIL_DATA) > cfg->wake_bytes)) {
		*woken_ns = now;
		return BPF_RB_FORCE_WAKEUP;
	}
	return BPF_RB_NO_WAKEUP;
}

/* Whether an event nobody asked for goes on record. */
static __always_inline bool on_record(struct scratch *s, struct policy_config *cfg, struct task_state *me,
				      __u64 attributes, __u32 kind)
{
	struct unique_key key = {
		.program = me->program_inode,
		.object = s->unique_object,
		.attributes = attributes << 8 | kind,
	};
	__u8 one = 1;

	if (cfg->record_level == RECORD_MATCHED)
		return false;
	if (cfg->record_level == RECORD_ALL || !s->unique_object)
		return true;
	/* Asking first: an update of an LRU map allocates before it looks. */
	return !bpf_map_lookup_elem(&unique, &key) &&
	       !bpf_map_update_elem(&unique, &key, &one, BPF_NOEXIST);
}

/* Counts the event; false if it is neither a candidate nor to be recorded. */
static __always_inline int event_wanted(struct scratch *s, struct policy_config *cfg, struct task_state *me,
				   __u64 attributes, __u32 kind)
{
	struct event_counters *count = counters_get();

	if (!count)
		return 0;
	event_header(s)->seq = ++count->seen;
	if (s->term_found || s->lifecycle || on_record(s, cfg, me, attributes, kind))
		return 1;
	count->suppressed++;
	return 0;
}

/* Stops the task before it runs another instruction, if the decision says so. */
static __always_inline void event_react(struct scratch *s, struct policy_config *cfg, __u32 kind,
					bool walk_failed)
{
	struct event_header *header = event_header(s);
	struct event_counters *count = counters_get();

	if (walk_failed) {
		header->flags |= FLAG_WALK_FAILED;
		s->term_found = 1;
		if (!(cfg->kinds_fail_closed >> (kind & 63) & 1))
			return;
	} else if (s->term_found &&
		   (s->term_action == ACTION_KILL || s->term_action == ACTION_DENY)) {
		header->rule = s->term_rule + 1;
	} else {
		return;
	}
	if (!bpf_send_signal(SIGKILL)) {
		header->verdict = VERDICT_KILLED;
		if (count)
			count->killed++;
	} else if (count) {
		count->errors++;
	}
}

/* Sends the event built in `s`. */
SUBPROGRAM int event_send(struct scratch *s, struct policy_config *cfg)
{
	struct event_counters *count = counters_get();
	struct event_header *header;
	__u32 size;
	bool urgent;
	__u64 flag;

	if (!s || !cfg)
		return 0;
	header = event_header(s);
	size = s->length;
	urgent = header->verdict || (s->term_found && s->term_action != ACTION_OBSERVE);
	if (!count || size > DATA_MASK)
		return 0;
	header->size = size;
	if (header->flags & FLAG_TRUNCATED)
		count->truncated++;
	if (s->term_found)
		header->flags |= FLAG_CANDIDATE;
	if (s->term_found || s->lifecycle) {
		flag = wake_flag(&candidates, &candidates_woken_ns, cfg, header->time_ns, urgent);
		if (bpf_ringbuf_output(&candidates, s->data, size, flag))
			count->dropped_candidate++;
		else
			count->candidate++;
	} else {
		flag = wake_flag(&records, &records_woken_ns, cfg, header->time_ns, false);
		if (bpf_ringbuf_output(&records, s->data, size, flag))
			count->dropped_record++;
		else
			count->record++;
	}
	return 0;
}

static __always_inline __u64 result_attributes(__s64 res)
{
	return 1ULL << (res < 0 ? BIT_FAILED : BIT_SUCCEEDED);
}

/* Decides on an operation whose bits are complete, acts, and reports it if
 * anybody wants to know. `walked` is what match_object returned. */
SUBPROGRAM int event_decide(struct scratch *s, struct policy_config *cfg, struct task_state *me,
			    __u64 attributes, int walked)
{
	__u32 kind;

	if (!s || !cfg || !me)
		return 0;
	kind = event_header(s)->kind;
	decide(s, cfg, kind);
	event_react(s, cfg, kind, walked < 0);
	return event_wanted(s, cfg, me, attributes, kind);
}

#endif
