/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trigger: makes real system calls for the kernel tests, and says what it did.
 *
 *     trigger KIND COUNT [ARGUMENT...]
 *
 * carries out the operation KIND exactly COUNT times in the current directory
 * and prints one JSON object for each: {"call", "pid", "tid", ..., "res"},
 * where "res" is the result as the kernel returned it (a negative errno on
 * failure). Bytes that are not UTF-8 are printed as Python's surrogate escapes.
 * What has to exist before (files, servers) is made first, by other calls
 * than the one that is counted, or by one that the text below says.
 *
 * Built with: gcc -static -no-pie -O1 -pthread -o trigger *.c
 */
#ifndef TRIGGER_H
#define TRIGGER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

struct operation {
	const char *name;
	const char *arguments;	  /* for the usage text */
	void (*prepare)(void);	  /* once, may be NULL */
	void (*once)(int index);  /* COUNT times */
};

/* Each ends with an entry without a name. */
extern const struct operation file_operations[];
extern const struct operation network_operations[];
extern const struct operation process_operations[];
extern const struct operation system_operations[];
extern const struct operation name_operations[];

/* The system call itself: the result or a negative errno. */
#define call(number, ...) result_of(syscall(number, ##__VA_ARGS__))
long result_of(long value);

/* One line of output: begin, any add_*, end. */
void begin(const char *call_name);
void add_text(const char *key, const char *text);
void add_bytes(const char *key, const char *bytes, size_t length);
void add_number(const char *key, long long value);
void end(long res);

/* Arguments after COUNT. */
const char *argument(int index, const char *fallback);
long number_argument(int index, long fallback);
int repetitions(void);

/* "PREFIX-INDEX" in a static buffer below 4 GiB; valid until the eighth next call. */
char *name_for(const char *prefix, int index);
void make_file(const char *path);
void make_directory(const char *path);
void fail(const char *what) __attribute__((noreturn));

/* Runs `body` in a child and waits for it; output of both is kept in order. */
void in_child(void (*body)(int index), int index);

#endif
