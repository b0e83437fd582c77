/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The kernel structures guard reads, each with only the members it reads, and
 * the accessors that hide differences between kernels. CO-RE relocates every
 * access to the running kernel's layout, so no vmlinux.h is kept here and no
 * program tests a kernel version.
 */
#ifndef GUARD_KERNEL_H
#define GUARD_KERNEL_H

#include <linux/types.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#define AT_FDCWD (-100)
#define EPERM 1
#define SIGKILL 9
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define SOCK_RAW 3
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_UDPLITE 136
#define IPPROTO_MPTCP 262
#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define S_IFDIR 0040000
#define O_ACCMODE 3
#define O_WRONLY 1
#define O_PATH 010000000
#define FMODE_CREATED 0x100000	 /* include/linux/fs.h */
#define PF_IO_WORKER 0x00000010	 /* include/linux/sched.h */
#define TS_COMPAT 0x0002	 /* arch/x86/include/asm/thread_info.h */
#define X32_SYSCALL_BIT 0x40000000
#define F_DUPFD 0
#define F_DUPFD_CLOEXEC 1030
#define OVERLAYFS_SUPER_MAGIC 0x794c7630
#define I_CTIME_QUERIED (1U << 31)  /* include/linux/fs.h, since v6.13 */
#define IORING_OP_OPENAT 18
#define IORING_OP_OPENAT2 28

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct qstr {
	const unsigned char *name;
};

struct super_block {
	__u32 s_dev;
	unsigned long s_magic;
	struct dentry *s_root;
};

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

struct inode {
	struct hlist_head i_dentry;
	__u16 i_mode;
	struct super_block *i_sb;
	unsigned long i_ino;
	unsigned int i_nlink;
	__u32 i_generation;
	__s64 i_mtime_sec;
	__s64 i_ctime_sec;
	__u32 i_mtime_nsec;
	__u32 i_ctime_nsec;
};

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
	struct {
		struct hlist_node d_alias;
	} d_u;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct file {
	unsigned int f_mode;
	void *private_data;
	struct inode *f_inode;
	unsigned int f_flags;
	struct path f_path;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct fs_struct {
	struct path root;
	struct path pwd;
};

struct kernel_caps { /* 64 bits, as one number or as two halves */
};

struct kernel_id {
	__u32 val;
};

struct cred {
	struct kernel_id uid;
	struct kernel_id gid;
	struct kernel_id euid;
	struct kernel_caps cap_permitted;
	struct kernel_caps cap_effective;
};

struct upid {
	int nr;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

struct tty_driver {
	int major;
	int minor_start;
};

struct tty_struct {
	struct tty_driver *driver;
	int index;
};

struct atomic {
	int counter;
};

struct signal_struct {
	struct atomic live;
	int group_exit_code;
	struct pid *pids[4];
	struct tty_struct *tty;
};

struct mm_struct {
	unsigned long arg_start, arg_end, env_start, env_end;
};

struct thread_info {
	__u32 status;
};

struct task_struct {
	struct thread_info thread_info;
	unsigned int flags;
	struct mm_struct *mm;
	int exit_code;
	int pid;
	int tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	__u64 start_boottime;
	const struct cred *cred;
	char comm[16];
	struct fs_struct *fs;
	struct files_struct *files;
	struct signal_struct *signal;
	struct kernel_id loginuid;
};

struct linux_binprm {
	unsigned int secureexec : 1;
	struct file *file;
	const char *filename;
	const char *fdpath;
};

struct in6_address {
	__u8 bytes[16];
};

struct sock_common {
	__u32 skc_daddr;
	__u32 skc_rcv_saddr;
	__u16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	struct in6_address skc_v6_daddr;
	struct in6_address skc_v6_rcv_saddr;
};

struct sock {
	struct sock_common __sk_common;
	__u16 sk_type;
	__u16 sk_protocol;
};

struct socket {
	struct sock *sk;
};

struct sockaddr_un {
	__u16 sun_family;
	char sun_path[108];
};

struct unix_address {
	int len;
	struct sockaddr_un name[1];
};

struct unix_sock {
	struct unix_address *addr;
	struct path path;
	struct sock *peer;
};

struct io_cqe {
	__s32 res;
};

struct io_kiocb {
	__u8 opcode;
	struct io_cqe cqe;
};

struct io_open {
	__u32 file_slot;
};

struct kernel_siginfo {
	int si_code;
};

struct pt_regs {
	unsigned long bx, cx, dx, si, di, bp, r8, r9, r10, orig_ax;
};

struct bpf_iter_meta {
	void *seq;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

/* Before Linux commit 3aa63a569c64 ("fs: switch timespec64 fields in inode to
 * discrete integers") (v6.11) times were one struct; its name changed in v6.6. */
struct timespec64 {
	__s64 tv_sec;
	long tv_nsec;
};

struct inode___timespec {
	struct timespec64 i_mtime;
	struct timespec64 i_ctime;
};

struct inode___hidden_ctime {
	struct timespec64 __i_ctime;
};

#pragma clang attribute pop

static __always_inline __u64 inode_mtime_ns(struct inode *inode)
{
	struct inode___timespec *old = (void *)inode;

	if (bpf_core_field_exists(inode->i_mtime_sec))
		return BPF_CORE_READ(inode, i_mtime_sec) * 1000000000ULL +
		       BPF_CORE_READ(inode, i_mtime_nsec);
	return BPF_CORE_READ(old, i_mtime.tv_sec) * 1000000000ULL +
	       BPF_CORE_READ(old, i_mtime.tv_nsec);
}

/* Tells one file from another that later lives at the same address. */
static __always_inline __u64 inode_identity(struct inode *inode)
{
	return (__u64)inode ^ BPF_CORE_READ(inode, i_ino) * 0x100000001b3ULL ^
	       (__u64)BPF_CORE_READ(inode, i_generation) << 32;
}

static __always_inline __u64 inode_ctime_ns(struct inode *inode)
{
	struct inode___timespec *old = (void *)inode;
	struct inode___hidden_ctime *hidden = (void *)inode;

	if (bpf_core_field_exists(inode->i_ctime_sec))
		return BPF_CORE_READ(inode, i_ctime_sec) * 1000000000ULL +
		       (BPF_CORE_READ(inode, i_ctime_nsec) & ~I_CTIME_QUERIED);
	if (bpf_core_field_exists(hidden->__i_ctime))
		return BPF_CORE_READ(hidden, __i_ctime.tv_sec) * 1000000000ULL +
		       BPF_CORE_READ(hidden, __i_ctime.tv_nsec);
	return BPF_CORE_READ(old, i_ctime.tv_sec) * 1000000000ULL +
	       BPF_CORE_READ(old, i_ctime.tv_nsec);
}

/* A capability set of a task; its inner layout has changed, its size has not. */
#define task_caps(task, set)                                                            \
	({                                                                              \
		__u64 caps_ = 0;                                                        \
		bpf_probe_read_kernel(&caps_, sizeof(caps_),                            \
				      (void *)BPF_CORE_READ(task, cred) +               \
					      bpf_core_field_offset(struct cred, set)); \
		caps_;                                                                  \
	})

/* The audit login uid exists only with CONFIG_AUDIT. */
static __always_inline __u32 task_loginuid(struct task_struct *task)
{
	if (bpf_core_field_exists(task->loginuid))
		return BPF_CORE_READ(task, loginuid.val);
	return (__u32)-1;
}

/* The number of a pid in its own, innermost namespace. */
static __always_inline __u32 pid_innermost(struct pid *pid)
{
	unsigned int level = BPF_CORE_READ(pid, level) & 31; /* MAX_PID_NS_LEVEL is 32 */
	int nr = 0;

	bpf_probe_read_kernel(&nr, sizeof(nr), (void *)pid +
			      bpf_core_field_offset(struct pid, numbers) +
			      level * bpf_core_type_size(struct upid) +
			      bpf_core_field_offset(struct upid, nr));
	return nr;
}

static __always_inline __u32 task_tty(struct task_struct *task)
{
	struct tty_struct *tty = BPF_CORE_READ(task, signal, tty);

	if (!tty)
		return 0;
	return BPF_CORE_READ(tty, driver, major) << 8 |
	       (BPF_CORE_READ(tty, driver, minor_start) + BPF_CORE_READ(tty, index));
}

/* A name's length and address, read at once: its hash, length and pointer are
 * one block in every kernel. */
static __always_inline __u32 dentry_name(struct dentry *dentry, const unsigned char **name)
{
	struct {
		__u32 hash, length;
		const unsigned char *name;
	} raw = {};

	bpf_probe_read_kernel(&raw, sizeof(raw), (void *)dentry + bpf_core_field_offset(struct dentry, d_name));
	*name = raw.name;
	return raw.length;
}

static __always_inline struct file *task_file(struct task_struct *task, __u32 fd)
{
	struct fdtable *table;
	struct file *file = NULL;

	if (!task->files)
		return NULL;
	table = task->files->fdt;
	if (fd >= table->max_fds)
		return NULL;
	bpf_probe_read_kernel(&file, sizeof(file), table->fd + fd);
	return file;
}

struct file___counted { /* before v6.13 */
	struct {
		long counter;
	} f_count;
} __attribute__((preserve_access_index));

/* A directory entry of the file behind one opened through an overlay, NULL for
 * others. Before Linux commit def3ae83da02 ("fs: store real path instead of fake
 * path in backing file f_path") (v6.7) only the inode of the inner file is the
 * real one, so the way leads over it. Since 18e48d0e2c7b ("ovl: store upper real
 * file in ovl_file struct") (v6.13) one more struct lies between; overlay may be a
 * module without types here, so the member that v6.13 renamed tells. */
static __always_inline struct dentry *overlay_real_dentry(struct file *file)
{
	struct file___counted *old = (void *)file;
	struct hlist_node *alias;
	struct file *real;

	if (BPF_CORE_READ(file, f_inode, i_sb, s_magic) != OVERLAYFS_SUPER_MAGIC)
		return NULL;
	real = BPF_CORE_READ(file, private_data);
	if (!bpf_core_field_exists(old->f_count)) /* first member of struct ovl_file */
		bpf_probe_read_kernel(&real, sizeof(real), real);
	alias = BPF_CORE_READ(real, f_inode, i_dentry.first);
	if (!alias)
		return NULL;
	return (void *)alias - bpf_core_field_offset(struct dentry, d_u.d_alias);
}

static __always_inline struct sock *file_sock(struct file *file)
{
	struct socket *socket;

	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(socket, sk);
}

#endif
