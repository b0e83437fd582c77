// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Network refusal at the session's cgroup: connect and send fail with EPERM
 * before a packet leaves, in every tier. */
#include "emit.h"

/* Returns 1 to allow, 0 to refuse. */
static __always_inline int address_judge(struct scratch *s, struct policy_config *cfg, struct task_state *me,
					 struct event_counters *count, struct bpf_sock_addr *ctx, __u32 kind,
					 __u32 call, __u16 family)
{
	struct event_network_connect *event = (void *)s->data;
	__u16 port = bpf_ntohs(ctx->user_port);
	__u32 *address = (__u32 *)s->address;

	__builtin_memset(s->address, 0, sizeof(s->address));
	if (family == AF_INET) {
		address[0] = ctx->user_ip4;
	} else {
		address[0] = ctx->user_ip6[0];
		address[1] = ctx->user_ip6[1];
		address[2] = ctx->user_ip6[2];
		address[3] = ctx->user_ip6[3];
		address_fold(s->address, &family);
	}
	event_begin(s, kind, call, network_size(kind), -EPERM);
	event->socket.family = family;
	event->socket.type = ctx->type;
	event->socket.protocol = ctx->protocol;
	event->socket.remote_port = port;
	event->socket.fd = -1;
	__builtin_memcpy(event->socket.remote_addr, s->address, 16);
	bits_begin(s, cfg, socket_attributes(&event->socket, 0), call, me);
	match_address(s, cfg, family, port);
	decide(s, cfg, kind);
	if (!s->term_found || (s->term_action != ACTION_DENY && s->term_action != ACTION_KILL))
		return 1;
	if (s->term_action == ACTION_KILL)
		return 0; /* sys_exit kills the process and reports it */
	count->denied++;
	event->header.verdict = VERDICT_DENIED;
	event->header.rule = s->term_rule + 1;
	event->header.seq = ++count->seen;
	me->refused = (__u32)bpf_get_current_pid_tgid();
	event_send(s, cfg);
	return 0;
}

static __always_inline int address_allowed(struct bpf_sock_addr *ctx, __u32 kind, __u32 call, __u32 family)
{
	struct policy_config *cfg = config_get();
	struct event_counters *count = counters_get();
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct task_state *me = bpf_map_lookup_elem(&programs_by_tgid, &tgid);
	struct scratch *s;
	int allowed;

	if (!me || me->pending || !cfg || !count)
		return 1;
	s = scratch_take();
	if (!s) {
		count->errors++;
		return 0; /* cannot be judged: refused */
	}
	allowed = address_judge(s, cfg, me, count, ctx, kind, call, family);
	scratch_release(s);
	return allowed;
}

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *ctx)
{
	return address_allowed(ctx, EVENT_NETWORK_CONNECT, CALL_CONNECT, AF_INET);
}

SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr *ctx)
{
	return address_allowed(ctx, EVENT_NETWORK_CONNECT, CALL_CONNECT, AF_INET6);
}

SEC("cgroup/sendmsg4")
int sendmsg4(struct bpf_sock_addr *ctx)
{
	return address_allowed(ctx, EVENT_NETWORK_SEND, CALL_SENDTO, AF_INET);
}

SEC("cgroup/sendmsg6")
int sendmsg6(struct bpf_sock_addr *ctx)
{
	return address_allowed(ctx, EVENT_NETWORK_SEND, CALL_SENDTO, AF_INET6);
}
