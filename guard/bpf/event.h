/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The event contract between the kernel programs and guard/bpf/decode.py.
 *
 * A record is one struct event_KIND followed by its variable parts. Each
 * member called NAME_len announces a part of that many bytes; the parts follow
 * the struct in the order of their _len members, without padding and without a
 * terminating NUL. Sizes, offsets and enum values are read from the object's
 * BTF, never restated in Python.
 *
 * pid and tid are what user space calls by these names (task->tgid, task->pid)
 * in the initial pid namespace. Times are CLOCK_BOOTTIME nanoseconds.
 */
#ifndef GUARD_EVENT_H
#define GUARD_EVENT_H

enum event_limit {
	EVENT_PATH_MAX = 4096, /* bytes of one path, longer ones are truncated */
	EVENT_ARGV_MAX = 4096, /* bytes of an argument vector, as in Falco */
	EVENT_ENV_MAX = 4096,
	EVENT_COMM_MAX = 16,
};

enum event_kind {
	EVENT_NONE,
	EVENT_PROCESS_FORK,
	EVENT_PROCESS_EXEC,
	EVENT_PROCESS_EXIT,
	EVENT_PROCESS_CHDIR,
	EVENT_PROCESS_SETUID,
	EVENT_PROCESS_PTRACE,
	EVENT_PROCESS_VM_WRITE,
	EVENT_PROCESS_SIGNAL,
	EVENT_PROCESS_NAMESPACE,
	EVENT_FILE_OPEN,
	EVENT_FILE_UNLINK,
	EVENT_FILE_RENAME,
	EVENT_FILE_MKDIR,
	EVENT_FILE_RMDIR,
	EVENT_FILE_LINK,
	EVENT_FILE_SYMLINK,
	EVENT_FILE_TRUNCATE,
	EVENT_FILE_CHMOD,
	EVENT_FILE_CHOWN,
	EVENT_NETWORK_CONNECT,
	EVENT_NETWORK_BIND,
	EVENT_NETWORK_LISTEN,
	EVENT_NETWORK_ACCEPT,
	EVENT_NETWORK_SEND,
	EVENT_FD_DUP,
	EVENT_MEMFD_CREATE,
	EVENT_MOUNT_CHANGE,
	EVENT_KERNEL_BPF,
	EVENT_KERNEL_MODULE,
	EVENT_IO_URING_SETUP,
	EVENT_KIND_COUNT,
};

/* The system call (or other cause) behind an event; the lower-case name after
 * CALL_ is the value of the rule field evt.type. */
enum event_call {
	CALL_NONE,
	CALL_CLONE, CALL_CLONE3, CALL_FORK, CALL_VFORK,
	CALL_EXECVE, CALL_EXECVEAT,
	CALL_PROCEXIT,
	CALL_CHDIR, CALL_FCHDIR,
	CALL_SETUID, CALL_SETREUID, CALL_SETRESUID, CALL_SETFSUID,
	CALL_SETGID, CALL_SETREGID, CALL_SETRESGID, CALL_SETFSGID, CALL_SETGROUPS,
	CALL_PTRACE,
	CALL_PROCESS_VM_READV, CALL_PROCESS_VM_WRITEV,
	CALL_KILL, CALL_TKILL, CALL_TGKILL, CALL_RT_SIGQUEUEINFO,
	CALL_RT_TGSIGQUEUEINFO, CALL_PIDFD_SEND_SIGNAL,
	CALL_UNSHARE, CALL_SETNS,
	CALL_OPEN, CALL_OPENAT, CALL_OPENAT2, CALL_CREAT, CALL_OPEN_BY_HANDLE_AT,
	CALL_PIDFD_GETFD,
	CALL_UNLINK, CALL_UNLINKAT,
	CALL_RENAME, CALL_RENAMEAT, CALL_RENAMEAT2,
	CALL_MKDIR, CALL_MKDIRAT,
	CALL_RMDIR,
	CALL_LINK, CALL_LINKAT,
	CALL_SYMLINK, CALL_SYMLINKAT,
	CALL_TRUNCATE, CALL_FTRUNCATE,
	CALL_CHMOD, CALL_FCHMOD, CALL_FCHMODAT, CALL_FCHMODAT2,
	CALL_CHOWN, CALL_LCHOWN, CALL_FCHOWN, CALL_FCHOWNAT,
	CALL_CONNECT, CALL_BIND, CALL_LISTEN, CALL_ACCEPT, CALL_ACCEPT4,
	CALL_SENDTO, CALL_SENDMSG, CALL_SENDMMSG,
	CALL_DUP, CALL_DUP2, CALL_DUP3, CALL_FCNTL,
	CALL_MEMFD_CREATE,
	CALL_MOUNT, CALL_UMOUNT, CALL_UMOUNT2, CALL_PIVOT_ROOT, CALL_CHROOT,
	CALL_MOVE_MOUNT, CALL_OPEN_TREE, CALL_FSOPEN, CALL_FSMOUNT,
	CALL_MOUNT_SETATTR,
	CALL_BPF,
	CALL_INIT_MODULE, CALL_FINIT_MODULE, CALL_DELETE_MODULE,
	CALL_IO_URING_SETUP,
	CALL_COUNT,
};

/* What guard did about the operation, decided in the kernel. */
enum event_verdict {
	VERDICT_NONE,	/* no enforcing rule matched in the kernel */
	VERDICT_DENIED, /* the operation failed with an error, nothing happened */
	VERDICT_KILLED, /* SIGKILL before the process ran another instruction */
};

enum event_flag {
	FLAG_CANDIDATE = 1,   /* some loaded rule may match */
	FLAG_TRUNCATED = 2,   /* a variable part is incomplete */
	FLAG_COMPAT = 4,      /* 32-bit system call */
	FLAG_IO_URING = 8,    /* carried out by io_uring */
	FLAG_WALK_FAILED = 16, /* a path could not be walked to its root */
	FLAG_TEXT_PATH = 32,  /* path joined from text, symlinks not followed */
};

struct event_header {
	__u32 size; /* of the whole record, variable parts included */
	__u16 kind;
	__u16 call;
	__u64 time_ns;
	__u64 seq; /* counts all events of this CPU, also lost ones */
	__u32 cpu;
	__u32 pid;
	__u32 tid;
	__u32 uid;
	__u64 start_ns; /* start of the process: (pid, start_ns) is never reused */
	__s64 res;	/* return value of the call */
	__u32 gid;
	__u16 rule; /* 1 + index of the rule behind a verdict, 0 without one */
	__u8 verdict;
	__u8 flags;
};

struct event_process_fork {
	struct event_header header; /* of the parent */
	__u64 child_start_ns;
	__u64 clone_flags; /* 0 when the call was fork or vfork */
	__u32 child_pid;
	__u32 child_vpid; /* pid in the child's innermost pid namespace */
};

struct event_process_exec {
	struct event_header header;
	__u64 parent_start_ns;
	__u64 inode;
	__u64 exe_ctime_ns;
	__u64 exe_mtime_ns;
	__u64 cap_permitted;
	__u64 cap_effective;
	__u32 dev;
	__u32 parent_pid;
	__u32 vpid;
	__u32 pgid;
	__u32 vpgid;
	__u32 sid;
	__u32 tty; /* device number, 0 without a controlling terminal */
	__u32 loginuid;
	__u32 euid;
	__u32 nlink; /* 0: memfd or deleted executable */
	__u32 argv_size; /* of the complete vector, argv_len bytes of it are here */
	__u32 exec_flags;
	__u16 path_len;	    /* resolved path of the executable */
	__u16 filename_len; /* as passed to execve; the script for a script */
	__u16 argv_len;	    /* NUL-separated */
	__u16 env_len;	    /* NUL-separated; 0 unless a loaded rule asks for it */
	__u16 cwd_len;
	__u16 comm_len;
	__u32 pad;
};

enum exec_flag {
	EXEC_MEMFD = 1,
	EXEC_SECURE = 2, /* setuid, setgid or file capabilities took effect */
};

struct event_process_exit {
	struct event_header header;
	__u32 exit_code; /* as in wait(2): status << 8 | signal */
	__u32 pad;
};

struct event_process_chdir {
	struct event_header header;
	__u16 path_len; /* the new working directory */
	__u16 pad[3];
};

struct event_process_setuid {
	struct event_header header; /* uid, gid: after the call */
	__u64 cap_permitted;
	__u64 cap_effective;
	__u32 euid;   /* after the call */
	__u32 arg_id; /* first argument of the call */
};

struct event_process_ptrace {
	struct event_header header;
	__u64 request;
	__u32 target_pid;
	__u32 target_guarded; /* 1: the target belongs to the same session */
};

struct event_process_vm_write {
	struct event_header header;
	__u32 target_pid;
	__u32 target_guarded;
};

struct event_process_signal { /* only to targets outside the session */
	struct event_header header;
	__u32 target_pid;
	__u32 target_uid;
	__u32 signal;
	__u16 target_comm_len;
	__u16 pad;
};

struct event_process_namespace {
	struct event_header header;
	__u64 ns_flags; /* CLONE_NEW* */
	__s32 fd;	/* setns, else -1 */
	__u32 pad;
};

struct event_file_open {
	struct event_header header;
	__u64 inode;
	__u32 dev;
	__u32 open_flags; /* the kernel's O_* */
	__u32 mode;	  /* creation mode */
	__u32 file_mode;  /* type and permissions of the opened object */
	__s32 fd;
	__s32 dirfd;
	__u16 created; /* the call made the file */
	__u16 nlink;
	__u16 path_len;
	__u16 name_len; /* as passed; only in candidates, else 0 */
};

struct event_file_unlink {
	struct event_header header;
	__s32 dirfd;
	__u32 unlink_flags;
	__u16 path_len;
	__u16 name_len;
	__u32 pad;
};

struct event_file_rename {
	struct event_header header;
	__s32 old_dirfd;
	__s32 new_dirfd;
	__u32 rename_flags;
	__u16 path_len; /* old path */
	__u16 new_path_len;
	__u16 name_len;
	__u16 new_name_len;
	__u32 pad;
};

struct event_file_mkdir {
	struct event_header header;
	__s32 dirfd;
	__u32 mode;
	__u16 path_len;
	__u16 name_len;
	__u32 pad;
};

struct event_file_rmdir {
	struct event_header header;
	__u16 path_len;
	__u16 name_len;
	__u32 pad;
};

struct event_file_link {
	struct event_header header;
	__s32 old_dirfd;
	__s32 new_dirfd;
	__u32 link_flags;
	__u16 path_len; /* existing file */
	__u16 new_path_len;
	__u16 name_len;
	__u16 new_name_len;
	__u32 pad;
};

struct event_file_symlink {
	struct event_header header;
	__s32 dirfd;
	__u16 target_len; /* text of the link */
	__u16 path_len;	  /* the link itself */
	__u16 name_len;
	__u16 pad[3];
};

struct event_file_truncate {
	struct event_header header;
	__s64 length;
	__s32 fd; /* -1 for truncate */
	__u16 path_len;
	__u16 name_len;
};

struct event_file_chmod {
	struct event_header header;
	__u32 mode;
	__s32 fd; /* fchmod, else -1 */
	__s32 dirfd;
	__u16 path_len;
	__u16 name_len;
};

struct event_file_chown {
	struct event_header header;
	__u32 owner;
	__u32 group;
	__s32 fd; /* fchown, else -1 */
	__s32 dirfd;
	__u16 path_len;
	__u16 name_len;
	__u32 pad;
};

/* Addresses: 16 bytes, IPv4 in the first four, v4-mapped IPv6 folded to IPv4. */
struct event_socket {
	__u8 local_addr[16];
	__u8 remote_addr[16];
	__u16 local_port;
	__u16 remote_port;
	__u16 family;	/* AF_* of the addresses */
	__u16 type;	/* SOCK_* */
	__u16 protocol; /* IPPROTO_*, 0 for unix */
	__u16 pad;
	__s32 fd;
};

struct event_network_connect {
	struct event_header header;
	struct event_socket socket;
	__u64 peer_inode; /* unix: inode of the peer's file, 0 otherwise */
	__u16 path_len;	  /* unix: path, abstract names start with NUL */
	__u16 pad[3];
};

struct event_network_bind {
	struct event_header header;
	struct event_socket socket;
	__u16 path_len;
	__u16 pad[3];
};

struct event_network_listen {
	struct event_header header;
	struct event_socket socket;
	__u32 backlog;
	__u16 path_len;
	__u16 pad;
};

struct event_network_accept {
	struct event_header header;
	struct event_socket socket; /* the new socket; header.res is its fd */
	__u32 accept_flags;
	__u16 path_len;
	__u16 pad;
};

struct event_network_send { /* only sends that name a destination */
	struct event_header header;
	struct event_socket socket;
	__u64 length;
	__u16 path_len;
	__u16 pad[3];
};

struct event_fd_dup { /* only a socket on descriptor 0, 1 or 2 */
	struct event_header header;
	struct event_socket socket; /* socket.fd: the old descriptor */
	__s32 new_fd;
	__u16 path_len;
	__u16 pad;
};

struct event_memfd_create {
	struct event_header header;
	__u32 memfd_flags;
	__u16 name_len;
	__u16 pad;
};

struct event_mount_change {
	struct event_header header;
	__u64 mount_flags;
	__u16 source_len;
	__u16 path_len; /* target */
	__u16 fstype_len;
	__u16 pad;
};

struct event_kernel_bpf {
	struct event_header header;
	__u32 cmd;
	__u32 pad;
};

struct event_kernel_module {
	struct event_header header;
	__s32 fd; /* finit_module, else -1 */
	__u16 path_len; /* file of finit_module */
	__u16 args_len; /* parameters, or the name for delete_module */
};

struct event_io_uring_setup {
	struct event_header header;
	__u32 entries;
	__u32 setup_flags;
};

/* Per-CPU counters of one session: every event is counted in exactly one of
 * candidate, record, suppressed, dropped_candidate and dropped_record. */
struct event_counters {
	__u64 seen;
	__u64 candidate;
	__u64 record;
	__u64 suppressed;
	__u64 dropped_candidate;
	__u64 dropped_record;
	__u64 truncated;
	__u64 errors; /* helper failures, see FLAG_* of the events */
	__u64 denied;
	__u64 killed;
};

#endif
