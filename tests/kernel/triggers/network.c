// SPDX-License-Identifier: Apache-2.0
/*
 * Calls on sockets, loopback only. The KIND is a call and an address: connect_tcp4,
 * sendto_udp6, bind_abstract. Servers are made before the counted call.
 */
#include "trigger.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

struct address {
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	};
	socklen_t length;
};

static int family, type = SOCK_STREAM;
static bool is_mapped, is_abstract;
static struct address server;
static int listener = -1;

static void fill_unix(struct address *a, const char *name)
{
	a->un.sun_family = AF_UNIX;
	a->length = offsetof(struct sockaddr_un, sun_path) + strlen(name) + 1;
	if (is_abstract) {
		strncpy(a->un.sun_path + 1, name, sizeof(a->un.sun_path) - 1);
	} else {
		strncpy(a->un.sun_path, name, sizeof(a->un.sun_path) - 1);
		unlink(name);
	}
}

/* Loopback with a port of the kernel's choice, or a unix name made from `name`. */
static struct address fresh(const char *name, bool as_client)
{
	struct address a = { 0 };

	if (family == AF_INET) {
		a.in = (struct sockaddr_in){ AF_INET, 0, { htonl(INADDR_LOOPBACK) }, { 0 } };
		a.length = sizeof(a.in);
	} else if (family == AF_INET6) {
		a.in6.sin6_family = AF_INET6;
		a.in6.sin6_addr = in6addr_loopback;
		if (is_mapped)
			inet_pton(AF_INET6, as_client ? "::ffff:127.0.0.1" : "::", &a.in6.sin6_addr);
		a.length = sizeof(a.in6);
	} else {
		fill_unix(&a, name);
	}
	return a;
}

static int new_socket(void)
{
	int fd = socket(family, type | SOCK_CLOEXEC, 0);
	int off = 0;

	if (fd < 0)
		fail("socket");
	if (is_mapped)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	return fd;
}

static void start_server(void)
{
	struct address a = fresh("server.sock", false);

	listener = new_socket();
	if (bind(listener, &a.any, a.length))
		fail("bind");
	if (type == SOCK_STREAM && listen(listener, 64))
		fail("listen");
	server = fresh("server.sock.none", true);
	if (family == AF_UNIX) {
		server = a;
		return;
	}
	a.length = sizeof(a.in6);
	getsockname(listener, &a.any, &a.length);
	server.in.sin_port = a.in.sin_port;
}

static void describe(const struct address *a)
{
	char text[INET6_ADDRSTRLEN] = "";

	add_number("family", a->any.sa_family);
	add_number("type", type);
	if (a->any.sa_family == AF_UNIX) {
		size_t length = a->length - offsetof(struct sockaddr_un, sun_path);

		/* As bound: an abstract name starts with NUL and has the length of the address. */
		add_bytes("path", a->un.sun_path, is_abstract ? length : strlen(a->un.sun_path));
		return;
	}
	if (a->any.sa_family == AF_INET)
		inet_ntop(AF_INET, &a->in.sin_addr, text, sizeof(text));
	else
		inet_ntop(AF_INET6, &a->in6.sin6_addr, text, sizeof(text));
	add_text("address", text);
	add_number("port", ntohs(a->in.sin_port));
}

static void report(const char *name, int fd, const struct address *a, long res)
{
	begin(name);
	add_number("fd", fd);
	describe(a);
	end(res);
}

/* An argument of the user's instead of the server made here: ADDRESS PORT, or a PATH. */
static struct address target(void)
{
	struct address a = server;

	if (!argument(0, NULL))
		return a;
	if (family == AF_UNIX) {
		a.length = offsetof(struct sockaddr_un, sun_path) + strlen(argument(0, "")) + 1;
		strncpy(a.un.sun_path + is_abstract, argument(0, ""), sizeof(a.un.sun_path) - 1 - is_abstract);
		return a;
	}
	if (family == AF_INET)
		inet_pton(AF_INET, argument(0, ""), &a.in.sin_addr);
	else
		inet_pton(AF_INET6, argument(0, ""), &a.in6.sin6_addr);
	a.in.sin_port = htons(number_argument(1, ntohs(a.in.sin_port)));
	return a;
}

static void do_connect(int index)
{
	struct address a = target();
	int fd = new_socket();

	report("connect", fd, &a, call(SYS_connect, fd, &a.any, a.length));
	close(fd);
	if (type == SOCK_STREAM && !argument(0, NULL)) {
		/* Empties the queue, so that any COUNT fits: one accept for each connect. */
		fcntl(listener, F_SETFL, O_NONBLOCK);
		close(accept(listener, NULL, NULL));
	}
}

static void do_bind(int index)
{
	struct address a = fresh(name_for("bound", index), false), bound;
	int fd = new_socket();
	long res = call(SYS_bind, fd, &a.any, a.length);

	bound = a;
	bound.length = sizeof(bound.un);
	getsockname(fd, &bound.any, &bound.length);
	report("bind", fd, family == AF_UNIX ? &a : &bound, res);
	close(fd);
}

static void do_listen(int index)
{
	struct address a = fresh(name_for("bound", index), false);
	int fd = new_socket();

	if (bind(fd, &a.any, a.length))
		fail("bind");
	if (family != AF_UNIX) {
		a.length = sizeof(a.in6);
		getsockname(fd, &a.any, &a.length);
	}
	begin("listen");
	add_number("fd", fd);
	describe(&a);
	add_number("backlog", 7);
	end(call(SYS_listen, fd, 7));
	close(fd);
}

static void accept_one(const char *name, bool with_flags)
{
	struct address a = { .length = sizeof(a.un) };
	int client = new_socket();
	long res;

	if (connect(client, &server.any, server.length))
		fail("connect");
	res = with_flags ? call(SYS_accept4, listener, &a.any, &a.length, SOCK_CLOEXEC)
			 : call(SYS_accept, listener, &a.any, &a.length);
	report(name, listener, family == AF_UNIX ? &server : &a, res);
	close(res);
	close(client);
}

static void do_accept(int index)
{
	accept_one("accept", false);
}

static void do_accept4(int index)
{
	accept_one("accept4", true);
}

static void drain(void)
{
	char byte[16];

	recv(listener, byte, sizeof(byte), MSG_DONTWAIT);
}

static void sent(const char *name, int fd, const struct address *a, long length, long res)
{
	begin(name);
	add_number("fd", fd);
	describe(a);
	add_number("length", length);
	end(res);
	close(fd);
	drain();
}

static void do_sendto(int index)
{
	struct address a = target();
	int fd = new_socket();

	sent("sendto", fd, &a, 5, call(SYS_sendto, fd, "hello", 5L, 0, &a.any, a.length));
}

static void do_sendmsg(int index)
{
	struct address a = target();
	struct iovec parts[] = { { "hel", 3 }, { "lo", 2 } };
	struct msghdr message = { .msg_name = &a.any, .msg_namelen = a.length, .msg_iov = parts, .msg_iovlen = 2 };
	int fd = new_socket();

	sent("sendmsg", fd, &a, 5, call(SYS_sendmsg, fd, &message, 0));
}

static void do_sendmmsg(int index)
{
	struct address a = target();
	struct iovec part = { "hello", 5 };
	struct mmsghdr messages[2] = { 0 };
	int fd = new_socket();

	for (int i = 0; i < 2; i++)
		messages[i].msg_hdr = (struct msghdr){ .msg_name = &a.any, .msg_namelen = a.length, .msg_iov = &part, .msg_iovlen = 1 };
	sent("sendmmsg", fd, &a, 5, call(SYS_sendmmsg, fd, messages, 2, 0));
	drain();
}

/* A TCP connection made by sending (MSG_FASTOPEN), without connect. */
static void do_fastopen(int index)
{
	struct address a = target();
	int fd = new_socket();

	begin("sendto");
	add_number("fd", fd);
	describe(&a);
	end(call(SYS_sendto, fd, "hello", 5L, MSG_FASTOPEN, &a.any, a.length));
	close(fd);
	fcntl(listener, F_SETFL, O_NONBLOCK);
	close(accept(listener, NULL, NULL));
}

/* Descriptors 0, 1 and 2 of a child become a connected socket. */
static void dup_child(int index)
{
	static const char *const names[] = { "dup2", "dup3", "fcntl", "dup" };
	const char *how = argument(0, names[index % 4]);
	int fd = new_socket(), new_fd = index % 3;
	long res;

	if (connect(fd, &server.any, server.length))
		fail("connect");
	close(accept(listener, NULL, NULL));
	fflush(stdout);
	int out = fcntl(1, F_DUPFD_CLOEXEC, 10);

	for (int i = 0; i < 3; i++)
		close(i);
	if (!strcmp(how, "dup2"))
		res = call(SYS_dup2, fd, new_fd);
	else if (!strcmp(how, "dup3"))
		res = call(SYS_dup3, fd, new_fd, 0);
	else if (!strcmp(how, "fcntl"))
		res = call(SYS_fcntl, fd, F_DUPFD, 0L);
	else
		res = call(SYS_dup, fd);
	begin(how);
	add_number("fd", fd);
	add_number("new_fd", res);
	describe(&server);
	end(res);
	close(1);
	fcntl(out, F_DUPFD, 1);
}

static void do_dup(int index)
{
	in_child(dup_child, index);
}

static void tcp4(void) { family = AF_INET; start_server(); }
static void tcp6(void) { family = AF_INET6; start_server(); }
static void mapped(void) { family = AF_INET6; is_mapped = true; start_server(); }
static void udp4(void) { type = SOCK_DGRAM; tcp4(); }
static void udp6(void) { type = SOCK_DGRAM; tcp6(); }
static void udp_mapped(void) { type = SOCK_DGRAM; mapped(); }
static void unix_path(void) { family = AF_UNIX; start_server(); }
static void unix_abstract(void)
{
	family = AF_UNIX;
	is_abstract = true;
	start_server();
}
static void unix_datagram(void) { type = SOCK_DGRAM; unix_path(); }
static void only_tcp4(void) { family = AF_INET; }
static void only_tcp6(void) { family = AF_INET6; }
static void only_unix(void) { family = AF_UNIX; }
static void only_abstract(void) { family = AF_UNIX; is_abstract = true; }

#define IP "[ADDRESS PORT]"

const struct operation network_operations[] = {
	{ "connect_tcp4", IP, tcp4, do_connect },
	{ "connect_tcp6", IP, tcp6, do_connect },
	{ "connect_mapped", IP, mapped, do_connect },
	{ "connect_udp4", IP, udp4, do_connect },
	{ "connect_udp6", IP, udp6, do_connect },
	{ "connect_unix", "[PATH]", unix_path, do_connect },
	{ "connect_abstract", "[NAME]", unix_abstract, do_connect },
	{ "bind_tcp4", "", only_tcp4, do_bind },
	{ "bind_tcp6", "", only_tcp6, do_bind },
	{ "bind_unix", "", only_unix, do_bind },
	{ "bind_abstract", "", only_abstract, do_bind },
	{ "listen_tcp4", "", only_tcp4, do_listen },
	{ "listen_tcp6", "", only_tcp6, do_listen },
	{ "listen_unix", "", only_unix, do_listen },
	{ "listen_abstract", "", only_abstract, do_listen },
	{ "accept_tcp4", "", tcp4, do_accept },
	{ "accept_tcp6", "", tcp6, do_accept },
	{ "accept4_tcp4", "", tcp4, do_accept4 },
	{ "accept4_unix", "", unix_path, do_accept4 },
	{ "accept4_abstract", "", unix_abstract, do_accept4 },
	{ "sendto_udp4", IP, udp4, do_sendto },
	{ "sendto_udp6", IP, udp6, do_sendto },
	{ "sendto_mapped", IP, udp_mapped, do_sendto },
	{ "sendto_unix", "[PATH]", unix_datagram, do_sendto },
	{ "sendmsg_udp4", IP, udp4, do_sendmsg },
	{ "sendmsg_udp6", IP, udp6, do_sendmsg },
	{ "sendmmsg_udp4", IP, udp4, do_sendmmsg },
	{ "fastopen_tcp4", IP, tcp4, do_fastopen },
	{ "dup_tcp4", "[dup2|dup3|fcntl|dup]", tcp4, do_dup },
	{ "dup_tcp6", "[dup2|dup3|fcntl|dup]", tcp6, do_dup },
	{ "dup_unix", "[dup2|dup3|fcntl|dup]", unix_path, do_dup },
	{ 0 },
};
