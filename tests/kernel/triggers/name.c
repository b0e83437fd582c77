// SPDX-License-Identifier: Apache-2.0
/* Names and places that are hard to record: deep, long, not text, or out of reach of system call tracers. */
#include "trigger.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void opened(const char *path, long res)
{
	begin("openat");
	add_text("path", path);
	end(res);
	if (res >= 0)
		close(res);
}

static long open_here(const char *path)
{
	return call(SYS_openat, AT_FDCWD, path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
}

/* One directory per level, entered by chdir: the whole path may exceed PATH_MAX. */
static void enter_deep(void)
{
	long levels = number_argument(0, 4000);
	const char *name = argument(1, "d");

	for (long level = 0; level < levels; level++) {
		make_directory(name);
		if (chdir(name))
			fail("chdir");
	}
}

static void do_deep(int index)
{
	const char *path = name_for("deep", index);

	opened(path, open_here(path));
}

static void do_long_name(int index)
{
	static char path[256];

	memset(path, 'n', 255);
	snprintf(path, sizeof(path), "%d", index);
	path[strlen(path)] = 'n';
	opened(path, open_here(path));
}

/* A path of 4095 bytes, the longest the kernel takes: "./././…/file". */
static void do_long_path(int index)
{
	static char path[4096];
	const char *name = name_for("long", index);
	size_t start = sizeof(path) - 1 - strlen(name);

	for (size_t i = 0; i < start; i++)
		path[i] = (start - 1 - i) % 2 ? '.' : '/';
	if (start % 2)
		memcpy(path, "./", 2);
	memcpy(path + start, name, strlen(name) + 1);
	opened(path, open_here(path));
}

static void do_odd(const char *prefix, int index)
{
	const char *path = name_for(prefix, index);

	opened(path, open_here(path));
}

static void do_bytes_name(int index)
{
	do_odd("not\xff\xfe-utf8\x80", index);
}

static void do_newline_name(int index)
{
	do_odd("two\nlines\t\"quoted\\", index);
}

static void do_escape_name(int index)
{
	do_odd("\x1b[2J\x1b]0;title\x07\x1b[31mred", index);
}

/* 32-bit system calls; the names are in static storage, below 4 GiB without PIE. */
static long call32(long number, long a, long b, long c)
{
	long res;

	asm volatile("int $0x80" : "=a"(res) : "a"(number), "b"(a), "c"(b), "d"(c)
		     : "memory", "r8", "r9", "r10", "r11");
	return (int)res;
}

static void do_open_int80(int index)
{
	char *path = name_for("compat", index);

	strcpy(path, argument(0, path));
	long res = call32(5, (long)path, number_argument(1, O_CREAT | O_WRONLY), 0600);

	begin("open");
	add_text("path", path);
	end(res);
	if (res >= 0)
		close(res);
}

static void make_compat(void)
{
	for (int i = 0; i < repetitions(); i++)
		make_file(name_for("compat", i));
}

static void do_unlink_int80(int index)
{
	char *path = name_for("compat", index);

	long res = call32(10, (long)path, 0, 0);

	begin("unlink");
	add_text("path", path);
	end(res);
}

/* io_uring without liburing: one entry at a time. */
static struct {
	int fd;
	struct io_uring_params params;
	char *rings;
	struct io_uring_sqe *entries;
} ring;

static unsigned *ring_word(unsigned offset)
{
	return (unsigned *)(ring.rings + offset);
}

static void ring_start(void)
{
	size_t size;

	ring.fd = call(SYS_io_uring_setup, 4, &ring.params);
	if (ring.fd < 0) {
		errno = -ring.fd;
		fail("io_uring_setup");
	}
	size = ring.params.cq_off.cqes + ring.params.cq_entries * sizeof(struct io_uring_cqe);
	if (size < ring.params.sq_off.array + ring.params.sq_entries * sizeof(unsigned))
		size = ring.params.sq_off.array + ring.params.sq_entries * sizeof(unsigned);
	ring.rings = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, IORING_OFF_SQ_RING);
	ring.entries = mmap(NULL, ring.params.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
			    MAP_SHARED, ring.fd, IORING_OFF_SQES);
	if (ring.rings == MAP_FAILED || ring.entries == MAP_FAILED)
		fail("mmap of the ring");
}

/* Submits one entry and waits for its result. */
static long ring_run(struct io_uring_sqe entry)
{
	unsigned tail = *ring_word(ring.params.sq_off.tail), slot = tail & (ring.params.sq_entries - 1);
	unsigned head = *ring_word(ring.params.cq_off.head);
	struct io_uring_cqe *done = (struct io_uring_cqe *)(ring.rings + ring.params.cq_off.cqes);

	ring.entries[slot] = entry;
	ring_word(ring.params.sq_off.array)[slot] = slot;
	__atomic_store_n(ring_word(ring.params.sq_off.tail), tail + 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(ring_word(ring.params.cq_off.tail), __ATOMIC_ACQUIRE) == head)
		if (syscall(SYS_io_uring_enter, ring.fd, *ring_word(ring.params.sq_off.tail) -
			    __atomic_load_n(ring_word(ring.params.sq_off.head), __ATOMIC_ACQUIRE), 1,
			    IORING_ENTER_GETEVENTS, NULL, 0) < 0 && errno != EINTR)
			fail("io_uring_enter");
	done += head & (ring.params.cq_entries - 1);
	__atomic_store_n(ring_word(ring.params.cq_off.head), head + 1, __ATOMIC_RELEASE);
	return done->res;
}

static void uring_openat(int index, unsigned flags)
{
	const char *path = argument(0, name_for("ring", index));
	int open_flags = number_argument(1, O_CREAT | O_WRONLY | O_CLOEXEC);

	opened(path, ring_run((struct io_uring_sqe){
			     .opcode = IORING_OP_OPENAT,
			     .flags = flags,
			     .fd = AT_FDCWD,
			     .addr = (uintptr_t)path,
			     .len = 0600,
			     .open_flags = open_flags,
		     }));
}

static void do_uring_openat(int index)
{
	uring_openat(index, 0);
}

static void do_uring_openat_async(int index)
{
	uring_openat(index, IOSQE_ASYNC);
}

static void make_ring_files(void)
{
	for (int i = 0; i < repetitions(); i++)
		make_file(name_for("ring", i));
	ring_start();
}

static void do_uring_unlinkat(int index)
{
	const char *path = name_for("ring", index);
	long res = ring_run((struct io_uring_sqe){
		.opcode = IORING_OP_UNLINKAT,
		.fd = AT_FDCWD,
		.addr = (uintptr_t)path,
	});

	begin("unlinkat");
	add_text("path", path);
	end(res);
}

const struct operation name_operations[] = {
	{ "deep", "[LEVELS NAME]", enter_deep, do_deep },
	{ "long_name", "(at most 1000 times)", NULL, do_long_name },
	{ "long_path", "", NULL, do_long_path },
	{ "bytes_name", "", NULL, do_bytes_name },
	{ "newline_name", "", NULL, do_newline_name },
	{ "escape_name", "", NULL, do_escape_name },
	{ "open_int80", "[PATH FLAGS]", NULL, do_open_int80 },
	{ "unlink_int80", "", make_compat, do_unlink_int80 },
	{ "uring_openat", "[PATH FLAGS]", ring_start, do_uring_openat },
	{ "uring_openat_async", "[PATH FLAGS]", ring_start, do_uring_openat_async },
	{ "uring_unlinkat", "", make_ring_files, do_uring_unlinkat },
	{ 0 },
};
