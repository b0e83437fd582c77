// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Sockets: connect, bind, listen, accept, sends that name a destination, and a
 * socket put on descriptor 0, 1 or 2. */
#include "emit.h"

/* IPv6 addresses that only wrap an IPv4 one count as IPv4. */
static __always_inline void address_fold(__u8 *bytes, __u16 *family)
{
	__u32 *word = (__u32 *)bytes;

	if (*family != AF_INET6 || word[0] || word[1] || word[2] != bpf_htonl(0xffff))
		return;
	word[0] = word[3];
	word[2] = word[3] = 0;
	*family = AF_INET;
}

SUBPROGRAM int address_read_user(struct address *a, __u64 from, __u32 length)
{
	struct {
		__u16 family;
		__u16 port;
		union {
			__u32 v4;
			struct {
				__u32 flow;
				__u8 v6[16];
			};
		};
	} in = {};

	if (!a)
		return -1;
	__builtin_memset(a, 0, sizeof(*a));
	if (!from || length < 2 || bpf_probe_read_user(&in, sizeof(in.family), (void *)from))
		return -1;
	a->family = in.family;
	if (in.family == AF_UNIX) {
		length -= 2;
		if (length > 108)
			length = 108;
		if (!length)
			return 0;
		bpf_probe_read_user(a->path, length & 127, (void *)from + 2);
		a->path_length = length;
		return 0;
	}
	if (bpf_probe_read_user(&in, in.family == AF_INET ? 8 : 24, (void *)from))
		return -1;
	a->port = bpf_ntohs(in.port);
	if (in.family == AF_INET)
		*(__u32 *)a->bytes = in.v4;
	else if (in.family == AF_INET6)
		__builtin_memcpy(a->bytes, in.v6, 16);
	address_fold(a->bytes, &a->family);
	return 0;
}

/* Fills the socket part of an event from the socket itself. */
SUBPROGRAM int socket_describe(struct event_socket *out, __u64 socket, __s32 fd)
{
	struct sock *sk = (void *)socket;
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family), remote_family = family;

	if (!out)
		return 0;
	out->fd = fd;
	out->type = BPF_CORE_READ(sk, sk_type);
	out->protocol = family == AF_UNIX ? 0 : BPF_CORE_READ(sk, sk_protocol);
	out->family = family;
	if (family == AF_INET) {
		*(__u32 *)out->remote_addr = BPF_CORE_READ(sk, __sk_common.skc_daddr);
		*(__u32 *)out->local_addr = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
	} else if (family == AF_INET6) {
		BPF_CORE_READ_INTO((struct in6_address *)out->remote_addr, sk, __sk_common.skc_v6_daddr);
		BPF_CORE_READ_INTO((struct in6_address *)out->local_addr, sk,
				   __sk_common.skc_v6_rcv_saddr);
		address_fold(out->remote_addr, &remote_family);
		address_fold(out->local_addr, &out->family);
		if (remote_family == AF_INET)
			out->family = AF_INET;
	}
	if (family == AF_INET || family == AF_INET6) {
		out->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
		out->remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	}
	return 0;
}

static __always_inline void socket_set_remote(struct event_socket *out, struct address *a)
{
	__builtin_memcpy(out->remote_addr, a->bytes, 16);
	out->remote_port = a->port;
	out->family = a->family;
}

static __always_inline void socket_set_local(struct event_socket *out, struct address *a)
{
	__builtin_memcpy(out->local_addr, a->bytes, 16);
	out->local_port = a->port;
	out->family = a->family;
}

/* The bound path of a unix socket: its own, or that of the socket it talks to. */
static __always_inline void unix_path(struct address *a, struct sock *sk)
{
	struct unix_address *address = BPF_CORE_READ((struct unix_sock *)sk, addr);
	int length;

	if (!address)
		return;
	length = BPF_CORE_READ(address, len) - 2;
	if (length <= 0 || length > 110)
		return;
	a->path_length = length;
	bpf_probe_read_kernel(a->path, length & 127,
			      (void *)address + bpf_core_field_offset(struct unix_address, name) + 2 /* sun_path */);
}

/* The name of a unix socket: the resolved path of its file, else what was given
 * (abstract names start with NUL, others end at the first). */
static __always_inline __u32 append_socket_name(struct scratch *s, struct address *a, struct dentry *place,
						struct vfsmount *mnt)
{
	__u32 length = a->path_length, i;

	if (place)
		return append_path(s, (__u64)place, (__u64)mnt);
	if (length && a->path[0])
		for (i = 0; i < 108; i++)
			if (i >= length || !a->path[i]) {
				length = i;
				break;
			}
	return append_bytes(s, a->path, length & 127);
}

static __always_inline __u64 socket_attributes(struct event_socket *socket, __s64 res)
{
	/* A connect under way has succeeded as far as a policy is concerned. */
	__u64 attributes = res == -115 /* EINPROGRESS */ ? 1ULL << BIT_SUCCEEDED : result_attributes(res);

	if (socket->family == AF_UNIX)
		return attributes | 1ULL << BIT_UNIX;
	if (socket->family == AF_INET)
		attributes |= 1ULL << BIT_IPV4;
	else if (socket->family == AF_INET6)
		attributes |= 1ULL << BIT_IPV6;
	else
		return attributes;
	if (socket->type == SOCK_RAW)
		return attributes;
	if (socket->protocol == IPPROTO_TCP || socket->protocol == IPPROTO_MPTCP)
		attributes |= 1ULL << BIT_TCP;
	else if (socket->protocol == IPPROTO_UDP || socket->protocol == IPPROTO_UDPLITE)
		attributes |= 1ULL << BIT_UDP;
	return attributes;
}

/* Destination of sendto, sendmsg, or the first message of sendmmsg. */
static __always_inline int send_destination(struct call *call, struct address *a)
{
	struct {
		__u64 name;
		__u32 length;
	} header = {};
	struct {
		__u32 name;
		__u32 length;
	} compat = {};

	if (call->call == CALL_SENDTO)
		return address_read_user(a, call->arg[4], call->arg[5]);
	if (!call->compat) {
		bpf_probe_read_user(&header, 12, (void *)call->arg[1]);
		return address_read_user(a, header.name, header.length);
	}
	bpf_probe_read_user(&compat, sizeof(compat), (void *)call->arg[1]);
	return address_read_user(a, compat.name, compat.length);
}

/* Bytes of that message: asked for with sendto, sent with the others. */
static __always_inline __u64 send_length(struct call *call)
{
	__u32 length = 0;

	if (call->call == CALL_SENDTO)
		return call->arg[2];
	if (call->ret <= 0 || call->call == CALL_SENDMSG)
		return call->ret < 0 ? 0 : call->ret;
	/* msg_len follows struct msghdr in struct mmsghdr */
	bpf_probe_read_user(&length, sizeof(length), (void *)call->arg[1] + (call->compat ? 28 : 56));
	return length;
}

static __always_inline bool dup_onto_stdio(struct call *call)
{
	if (call->ret < 0 || call->ret > 2)
		return false;
	return call->call != CALL_FCNTL || call->arg[1] == F_DUPFD || call->arg[1] == F_DUPFD_CLOEXEC;
}

/* Stores the members that differ and the length of the path. */
static __always_inline void network_members(struct scratch *s, __u16 path_length)
{
	struct call *call = &s->call;

	switch (call->kind) {
	case EVENT_NETWORK_CONNECT:
		((struct event_network_connect *)s->data)->path_len = path_length;
		break;
	case EVENT_NETWORK_BIND:
		((struct event_network_bind *)s->data)->path_len = path_length;
		break;
	case EVENT_NETWORK_LISTEN:
		((struct event_network_listen *)s->data)->backlog = call->arg[1];
		((struct event_network_listen *)s->data)->path_len = path_length;
		break;
	case EVENT_NETWORK_ACCEPT:
		((struct event_network_accept *)s->data)->accept_flags =
			call->call == CALL_ACCEPT4 ? call->arg[3] : 0;
		((struct event_network_accept *)s->data)->path_len = path_length;
		break;
	case EVENT_NETWORK_SEND:
		((struct event_network_send *)s->data)->length = send_length(call);
		((struct event_network_send *)s->data)->path_len = path_length;
		break;
	case EVENT_FD_DUP:
		((struct event_fd_dup *)s->data)->new_fd = call->ret;
		((struct event_fd_dup *)s->data)->path_len = path_length;
		break;
	}
}

static __always_inline __u32 network_size(__u32 kind)
{
	switch (kind) {
	case EVENT_NETWORK_CONNECT:
		return sizeof(struct event_network_connect);
	case EVENT_NETWORK_BIND:
		return sizeof(struct event_network_bind);
	case EVENT_NETWORK_LISTEN:
		return sizeof(struct event_network_listen);
	case EVENT_NETWORK_ACCEPT:
		return sizeof(struct event_network_accept);
	case EVENT_NETWORK_SEND:
		return sizeof(struct event_network_send);
	}
	return sizeof(struct event_fd_dup);
}

/* Whether the cgroup hook has refused and reported this call already. */
static __always_inline bool refused_before(struct call *call, struct task_struct *task)
{
	__u32 tgid = task->tgid;
	struct task_state *state;

	if (call->ret != -EPERM)
		return false;
	state = bpf_map_lookup_elem(&programs_by_tgid, &tgid);
	if (!state || state->refused != (__u32)task->pid)
		return false;
	state->refused = 0;
	return true;
}

/* Finds the socket and the address argument of the call; 0 if there is nothing to report. */
SUBPROGRAM int network_gather(struct scratch *s)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct network_call *n;
	struct call *call;

	if (!s)
		return 0;
	n = &s->network;
	call = &s->call;
	__builtin_memset(n, 0, sizeof(*n));
	n->fd = call->arg[0];
	if (call->kind == EVENT_FD_DUP && !dup_onto_stdio(call))
		return 0;
	if (call->kind == EVENT_NETWORK_ACCEPT) {
		if (call->ret < 0)
			return 0;
		n->fd = call->ret;
	}
	n->sk = file_sock(task_file(task, n->fd));
	if (!n->sk)
		return 0;
	if (call->kind == EVENT_NETWORK_SEND)
		return !send_destination(call, &n->address) && !refused_before(call, task);
	if (call->kind == EVENT_NETWORK_CONNECT) {
		address_read_user(&n->address, call->arg[1], call->arg[2]);
		return !refused_before(call, task);
	}
	if (call->kind == EVENT_NETWORK_BIND && call->ret < 0)
		address_read_user(&n->address, call->arg[1], call->arg[2]);
	return 1;
}

/* Fills the socket part of the event. */
SUBPROGRAM int network_describe(struct scratch *s)
{
	struct event_socket *socket;
	struct network_call *n;
	struct dentry *place;
	struct sock *named;
	__u32 kind;

	if (!s)
		return 0;
	n = &s->network;
	kind = s->call.kind;
	event_begin(s, kind, s->call.call, 0, s->call.ret);
	s->length = network_size(kind);
	socket = (void *)s->data + sizeof(struct event_header);
	socket_describe(socket, (__u64)n->sk, n->fd);
	if (n->address.family && kind == EVENT_NETWORK_BIND)
		socket_set_local(socket, &n->address);
	else if (n->address.family)
		socket_set_remote(socket, &n->address);
	if (socket->family != AF_UNIX)
		return 0;
	named = n->sk;
	if (kind == EVENT_NETWORK_CONNECT || kind == EVENT_FD_DUP)
		named = BPF_CORE_READ((struct unix_sock *)named, peer);
	if (!named)
		return 0;
	place = BPF_CORE_READ((struct unix_sock *)named, path.dentry);
	n->place = place;
	n->mnt = BPF_CORE_READ((struct unix_sock *)named, path.mnt);
	if (!n->address.path_length)
		unix_path(&n->address, named);
	if (place && kind == EVENT_NETWORK_CONNECT)
		((struct event_network_connect *)s->data)->peer_inode = BPF_CORE_READ(place, d_inode, i_ino);
	return 0;
}

/* The address that counts: the other side's, or ours for bind and listen. */
static __always_inline void network_match(struct scratch *s, struct policy_config *cfg)
{
	struct event_socket *socket = (void *)s->data + sizeof(struct event_header);
	bool local = s->call.kind == EVENT_NETWORK_BIND || s->call.kind == EVENT_NETWORK_LISTEN;
	__u16 port = local ? socket->local_port : socket->remote_port;
	__u64 *words = (__u64 *)s->address;

	if (socket->family != AF_INET && socket->family != AF_INET6)
		return;
	__builtin_memcpy(s->address, local ? socket->local_addr : socket->remote_addr, 16);
	match_address(s, cfg, socket->family, port);
	s->unique_object = (words[0] ^ words[1] * 31) * HASH_PRIME + port + 1;
}

SUBPROGRAM int handle_network(struct scratch *s, struct policy_config *cfg, struct task_state *me)
{
	__u64 attributes;
	int walked = 0;

	if (!s || !cfg || !me || !network_gather(s))
		return 0;
	network_describe(s);
	attributes = socket_attributes((void *)s->data + sizeof(struct event_header), s->call.ret);
	bits_begin(s, cfg, attributes, s->call.call, me);
	if (s->network.place) {
		walked = match_object(s, cfg, (__u64)s->network.place);
		s->unique_object = (__u64)s->network.place;
	} else {
		network_match(s, cfg);
	}
	if (!event_decide(s, cfg, me, attributes, walked))
		return 0;
	network_members(s, append_socket_name(s, &s->network.address, s->network.place, s->network.mnt));
	return event_send(s, cfg);
}
