// SPDX-License-Identifier: Apache-2.0
/* Calls that make, change, end or reach processes. */
#include "trigger.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>

extern char **environ;

static void made(const char *name, long child)
{
	begin(name);
	add_number("child_pid", child);
	end(child);
}

static void wait_for(long child)
{
	if (child > 0)
		waitpid(child, NULL, 0);
}

static void do_fork(int index)
{
	long child;

	fflush(stdout);
	child = call(SYS_fork);
	if (!child)
		_exit(0);
	made("fork", child);
	wait_for(child);
}

static void do_vfork(int index)
{
	long child = vfork();

	if (!child)
		_exit(0);
	made("vfork", child);
	wait_for(child);
}

static void do_clone(int index)
{
	long child;

	fflush(stdout);
	child = call(SYS_clone, SIGCHLD, 0L, 0L, 0L, 0L);
	if (!child)
		_exit(0);
	made("clone", child);
	wait_for(child);
}

static void do_clone3(int index)
{
	struct {
		uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
	} how = { .exit_signal = SIGCHLD };
	long child;

	fflush(stdout);
	child = call(SYS_clone3, &how, sizeof(how));
	if (!child)
		_exit(0);
	made("clone3", child);
	wait_for(child);
}

static void *thread_body(void *res)
{
	*(long *)res = syscall(SYS_gettid);
	return NULL;
}

static void do_thread(int index)
{
	pthread_t thread;
	long tid = 0;

	if (pthread_create(&thread, NULL, thread_body, &tid))
		fail("pthread_create");
	pthread_join(thread, NULL);
	begin("thread");
	add_number("thread_tid", tid);
	end(0);
}

/* A child exits with CODE, or is killed by signal -CODE. */
static void do_exit(int index)
{
	long code = number_argument(0, 3);
	int status = 0;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (!child) {
		if (code < 0)
			raise(-code);
		_exit(code);
	}
	waitpid(child, &status, 0);
	begin("procexit");
	add_number("child_pid", child);
	add_number("exit_code", status);
	end(0);
}

/* execve of this program as `trigger nothing 0`, or of ARGUMENT 0. */
static char self[PATH_MAX];

static void find_self(void)
{
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (length < 0)
		fail("/proc/self/exe");
}

static void do_nothing(int index)
{
}

static void exec_child(int index)
{
	char *argv[] = { "trigger", "nothing", "0", name_for("argument", index), NULL };
	const char *path = argument(0, self);

	begin("execve");
	add_text("path", path);
	add_text("argument", argv[3]);
	end(0);
	fflush(stdout);
	call(SYS_execve, path, argv, environ);
}

static void do_execve(int index)
{
	in_child(exec_child, index);
}

static void execveat_child(int index)
{
	char *argv[] = { "trigger", "nothing", "0", name_for("argument", index), NULL };
	int fd = open(self, O_PATH | O_CLOEXEC);

	begin("execveat");
	add_text("path", self);
	add_text("argument", argv[3]);
	end(0);
	fflush(stdout);
	call(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH);
}

static void do_execveat(int index)
{
	in_child(execveat_child, index);
}

/* One argument of SIZE bytes (at most 131071, the kernel's limit for one). */
static void huge_argv_child(int index)
{
	long size = number_argument(0, 131071);
	char *huge = malloc(size + 1);
	char *argv[] = { "trigger", "nothing", "0", huge, NULL };

	memset(huge, 'x', size);
	huge[size] = 0;
	begin("execve");
	add_text("path", self);
	add_number("argv_size", size + 1 + sizeof("trigger") + sizeof("nothing") + sizeof("0"));
	end(0);
	fflush(stdout);
	long res = call(SYS_execve, self, argv, environ);

	fprintf(stderr, "trigger: execve: %s\n", strerror(-res));
}

static void do_huge_argv(int index)
{
	in_child(huge_argv_child, index);
}

static void memfd_child(int index)
{
	const char *name = name_for("memory", index);
	char *argv[] = { "trigger", "nothing", "0", NULL };
	int source = open(self, O_RDONLY | O_CLOEXEC);
	int fd = call(SYS_memfd_create, name, 0);
	char block[1 << 16];
	ssize_t length;

	while ((length = read(source, block, sizeof(block))) > 0)
		if (write(fd, block, length) != length)
			fail("write");
	begin("execveat");
	add_text("name", name);
	end(0);
	fflush(stdout);
	call(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH);
}

static void do_memfd_exec(int index)
{
	in_child(memfd_child, index);
}

static void do_memfd_create(int index)
{
	const char *name = argument(0, name_for("memory", index));
	long res = call(SYS_memfd_create, name, MFD_CLOEXEC);

	begin("memfd_create");
	add_text("name", name);
	add_number("memfd_flags", MFD_CLOEXEC);
	end(res);
	close(res);
}

/* Identity: each in a child, so that the next finds the same start. */
static const char *identity;

static void identity_child(int index)
{
	long id = number_argument(0, 65534);
	gid_t groups[] = { id };
	long res;

	if (!strcmp(identity, "setuid"))
		res = call(SYS_setuid, id);
	else if (!strcmp(identity, "setreuid"))
		res = call(SYS_setreuid, id, id);
	else if (!strcmp(identity, "setresuid"))
		res = call(SYS_setresuid, id, id, id);
	else if (!strcmp(identity, "setfsuid"))
		res = call(SYS_setfsuid, id);
	else if (!strcmp(identity, "setgid"))
		res = call(SYS_setgid, id);
	else if (!strcmp(identity, "setregid"))
		res = call(SYS_setregid, id, id);
	else if (!strcmp(identity, "setresgid"))
		res = call(SYS_setresgid, id, id, id);
	else if (!strcmp(identity, "setfsgid"))
		res = call(SYS_setfsgid, id);
	else
		res = call(SYS_setgroups, 1, groups);
	begin(identity);
	add_number("id", id);
	end(res);
}

static void do_identity(int index)
{
	in_child(identity_child, index);
}

static void use_setuid(void) { identity = "setuid"; }
static void use_setreuid(void) { identity = "setreuid"; }
static void use_setresuid(void) { identity = "setresuid"; }
static void use_setfsuid(void) { identity = "setfsuid"; }
static void use_setgid(void) { identity = "setgid"; }
static void use_setregid(void) { identity = "setregid"; }
static void use_setresgid(void) { identity = "setresgid"; }
static void use_setfsgid(void) { identity = "setfsgid"; }
static void use_setgroups(void) { identity = "setgroups"; }

/* Targets: the process PID, or a child made here. */
static pid_t target;
static char target_byte;

static void find_target(void)
{
	target = number_argument(0, 0);
	if (target)
		return;
	target = fork();
	if (!target) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (getppid() != 1)
			pause();
		_exit(0);
	}
}

static void reached(const char *name, long res)
{
	begin(name);
	add_number("target_pid", target);
	end(res);
}

static void do_ptrace(int index)
{
	long res = call(SYS_ptrace, PTRACE_SEIZE, (long)target, 0L, 0L);

	begin("ptrace");
	add_number("request", PTRACE_SEIZE);
	add_number("target_pid", target);
	end(res);
	if (!res) {
		int status;

		/* Detaching needs a stop; SEIZE itself makes none. */
		ptrace(PTRACE_INTERRUPT, target, 0, 0);
		waitpid(target, &status, __WALL);
		ptrace(PTRACE_DETACH, target, 0, 0);
	}
}

/* Reads and writes at ADDRESS of the target (default: a variable that a forked child has too). */
static void vm(const char *name, long number)
{
	char byte = 0;
	struct iovec local = { &byte, 1 };
	struct iovec remote = { (void *)number_argument(1, (long)&target_byte), 1 };

	reached(name, call(number, (long)target, &local, 1L, &remote, 1L, 0L));
}

static void do_vm_readv(int index)
{
	vm("process_vm_readv", SYS_process_vm_readv);
}

static void do_vm_writev(int index)
{
	vm("process_vm_writev", SYS_process_vm_writev);
}

static void signalled(const char *name, long res)
{
	begin(name);
	add_number("target_pid", target);
	add_number("signal", number_argument(1, SIGCONT));
	end(res);
}

static void do_kill(int index)
{
	signalled("kill", call(SYS_kill, target, number_argument(1, SIGCONT)));
}

static void do_tkill(int index)
{
	signalled("tkill", call(SYS_tkill, target, number_argument(1, SIGCONT)));
}

static void do_tgkill(int index)
{
	signalled("tgkill", call(SYS_tgkill, target, target, number_argument(1, SIGCONT)));
}

static siginfo_t queued(void)
{
	siginfo_t info = { .si_signo = number_argument(1, SIGCONT), .si_code = SI_QUEUE };

	info.si_pid = getpid();
	info.si_uid = getuid();
	return info;
}

static void do_sigqueue(int index)
{
	siginfo_t info = queued();

	signalled("rt_sigqueueinfo", call(SYS_rt_sigqueueinfo, target, info.si_signo, &info));
}

static void do_tgsigqueue(int index)
{
	siginfo_t info = queued();

	signalled("rt_tgsigqueueinfo", call(SYS_rt_tgsigqueueinfo, target, target, info.si_signo, &info));
}

static void do_pidfd_signal(int index)
{
	int fd = call(SYS_pidfd_open, target, 0);

	signalled("pidfd_send_signal", call(SYS_pidfd_send_signal, fd, number_argument(1, SIGCONT), NULL, 0));
	close(fd);
}

static void do_chdir(int index)
{
	const char *path = argument(0, "/");
	long res = call(SYS_chdir, path);

	begin("chdir");
	add_text("path", path);
	end(res);
}

static void do_fchdir(int index)
{
	const char *path = argument(0, "/");
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	long res = call(SYS_fchdir, fd);

	begin("fchdir");
	add_text("path", path);
	end(res);
	close(fd);
}

const struct operation process_operations[] = {
	{ "nothing", "", NULL, do_nothing },
	{ "fork", "", NULL, do_fork },
	{ "vfork", "", NULL, do_vfork },
	{ "clone", "", NULL, do_clone },
	{ "clone3", "", NULL, do_clone3 },
	{ "thread", "", NULL, do_thread },
	{ "exit", "[CODE]", NULL, do_exit },
	{ "execve", "[PROGRAM]", find_self, do_execve },
	{ "execveat", "", find_self, do_execveat },
	{ "huge_argv", "[SIZE]", find_self, do_huge_argv },
	{ "memfd_exec", "", find_self, do_memfd_exec },
	{ "memfd_create", "[NAME]", NULL, do_memfd_create },
	{ "setuid", "[UID] (root)", use_setuid, do_identity },
	{ "setreuid", "[UID] (root)", use_setreuid, do_identity },
	{ "setresuid", "[UID] (root)", use_setresuid, do_identity },
	{ "setfsuid", "[UID] (root)", use_setfsuid, do_identity },
	{ "setgid", "[GID] (root)", use_setgid, do_identity },
	{ "setregid", "[GID] (root)", use_setregid, do_identity },
	{ "setresgid", "[GID] (root)", use_setresgid, do_identity },
	{ "setfsgid", "[GID] (root)", use_setfsgid, do_identity },
	{ "setgroups", "[GID] (root)", use_setgroups, do_identity },
	{ "ptrace", "[PID]", find_target, do_ptrace },
	{ "process_vm_readv", "[PID ADDRESS]", find_target, do_vm_readv },
	{ "process_vm_writev", "[PID ADDRESS]", find_target, do_vm_writev },
	{ "kill", "[PID SIGNAL]", find_target, do_kill },
	{ "tkill", "[PID SIGNAL]", find_target, do_tkill },
	{ "tgkill", "[PID SIGNAL]", find_target, do_tgkill },
	{ "rt_sigqueueinfo", "[PID SIGNAL]", find_target, do_sigqueue },
	{ "rt_tgsigqueueinfo", "[PID SIGNAL]", find_target, do_tgsigqueue },
	{ "pidfd_send_signal", "[PID SIGNAL]", find_target, do_pidfd_signal },
	{ "chdir", "[PATH]", NULL, do_chdir },
	{ "fchdir", "[PATH]", NULL, do_fchdir },
	{ 0 },
};
