// SPDX-License-Identifier: Apache-2.0
#include "trigger.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const struct operation *const groups[] = {
	file_operations, network_operations, process_operations, system_operations, name_operations,
};

static int argument_count;
static char **arguments;
static int count;

static const struct operation *find(const char *name)
{
	for (size_t group = 0; group < sizeof(groups) / sizeof(*groups); group++)
		for (const struct operation *o = groups[group]; o->name; o++)
			if (!strcmp(o->name, name))
				return o;
	return NULL;
}

static void usage(void)
{
	fprintf(stderr, "usage: trigger KIND COUNT [ARGUMENT...]\n");
	for (size_t group = 0; group < sizeof(groups) / sizeof(*groups); group++)
		for (const struct operation *o = groups[group]; o->name; o++)
			fprintf(stderr, "  %s %s\n", o->name, o->arguments ? o->arguments : "");
	exit(2);
}

int main(int argc, char **argv)
{
	static char output[1 << 16];
	const struct operation *operation;

	if (argc < 3 || !(operation = find(argv[1])))
		usage();
	count = atoi(argv[2]);
	argument_count = argc - 3;
	arguments = argv + 3;
	setvbuf(stdout, output, _IOFBF, sizeof(output));
	if (operation->prepare)
		operation->prepare();
	for (int index = 0; index < count; index++)
		operation->once(index);
	fflush(stdout);
	return 0;
}

long result_of(long value)
{
	return value == -1 ? -errno : value;
}

const char *argument(int index, const char *fallback)
{
	return index < argument_count ? arguments[index] : fallback;
}

long number_argument(int index, long fallback)
{
	return index < argument_count ? strtol(arguments[index], NULL, 0) : fallback;
}

int repetitions(void)
{
	return count;
}

char *name_for(const char *prefix, int index)
{
	static char names[8][PATH_MAX];
	static int next;
	char *name = names[next++ % 8];

	snprintf(name, PATH_MAX, "%s-%d", prefix, index);
	return name;
}

void make_file(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

	if (fd < 0)
		fail(path);
	close(fd);
}

void make_directory(const char *path)
{
	if (mkdir(path, 0755) && errno != EEXIST)
		fail(path);
}

void fail(const char *what)
{
	fprintf(stderr, "trigger: %s: %s\n", what, strerror(errno));
	exit(1);
}

void in_child(void (*body)(int index), int index)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (!pid) {
		body(index);
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

void begin(const char *call_name)
{
	printf("{\"call\": \"%s\", \"pid\": %d, \"tid\": %ld", call_name, getpid(), syscall(SYS_gettid));
}

void add_number(const char *key, long long value)
{
	printf(", \"%s\": %lld", key, value);
}

void add_text(const char *key, const char *text)
{
	add_bytes(key, text, strlen(text));
}

/* Length of the UTF-8 sequence at `bytes`, 0 if there is none. Enough for the names used here. */
static size_t sequence(const unsigned char *bytes, size_t left)
{
	size_t length = *bytes < 0x80 ? 1 : *bytes >= 0xc2 && *bytes < 0xe0 ? 2 : *bytes >= 0xe1 && *bytes < 0xed ? 3 : 0;

	if (length > left)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
	return length;
}

void add_bytes(const char *key, const char *text, size_t length)
{
	const unsigned char *bytes = (const unsigned char *)text;

	printf(", \"%s\": \"", key);
	for (size_t i = 0; i < length;) {
		size_t step = sequence(bytes + i, length - i);

		if (!step) {
			printf("\\udc%02x", bytes[i++]);
		} else if (step == 1 && (bytes[i] < 0x20 || bytes[i] == '"' || bytes[i] == '\\' || bytes[i] == 0x7f)) {
			printf("\\u%04x", bytes[i++]);
		} else {
			fwrite(bytes + i, 1, step, stdout);
			i += step;
		}
	}
	putchar('"');
}

void end(long res)
{
	printf(", \"res\": %ld}\n", res);
}
