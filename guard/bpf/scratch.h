/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* The memory in which a program gathers one operation and builds its event. */
#ifndef GUARD_SCRATCH_H
#define GUARD_SCRATCH_H

#include "kernel.h"
#include "event.h"
#include "policy.h"

/* A decoded system call, handed from sys_exit to its handler. */
struct call {
	__u64 arg[6];
	__s64 ret;
	__u16 call;
	__u16 kind;
	__u32 compat;
};

/* What each family of handlers keeps between its steps. */
struct open_call {
	__s32 dirfd;
	__u32 flags;
	__u32 mode;
	__u32 event_flags;
	__u32 direct; /* io_uring: into its own table, not to a descriptor */
	__u32 pad;
	__u64 name; /* address of the path in user memory, 0 when unknown */
	struct file *file;
	struct dentry *dentry;
};

struct path_call {
	__s32 fd; /* object itself, -1 for none */
	__s32 dirfd;
	__s32 new_dirfd;
	__u32 pad;
	__u64 name; /* addresses in user memory */
	__u64 new_name; /* 0 for calls with one path */
	struct file *file;
	struct dentry *dentry;
};

struct address {
	__u8 bytes[16];
	__u16 family;
	__u16 port;
	__u16 path_length; /* unix */
	__u16 pad;
	char path[128];
};

struct network_call {
	struct address address;
	struct sock *sk;
	struct dentry *place; /* file of a unix socket */
	struct vfsmount *mnt;
	__s32 fd;
	__u32 pad;
};

struct walk {
	struct dentry *dentry;
	struct dentry *children[8]; /* the last levels below `dentry`, nearest first */
	__u64 tagged;		    /* inode of the tag found, 0 for none */
	__u32 depth;
	__u32 generation; /* of the policy in force when it began */
};

struct text_scan {
	__u64 hash;
	__u64 tag_hash; /* longest tagged prefix so far */
	__u32 tag_length;
	__u32 tag_found;
	__u32 depth; /* components after that prefix */
	__u32 length;
	__u32 irregular; /* holds empty, `.` or `..` components */
	__u32 pad;
};

#define DATA_MASK 0x7fff /* offset of a part; 32 KiB hold the largest event twice */

/* Path text grows to the left from PATH_END. */
#define PATH_END 4096
#define PATH_MASK 0xfff
#define TEXT_MASK 0x1fff /* a joined path: base and argument */

struct scratch {
	__u32 busy; /* taken by a program that may be preempted */
	struct call call;
	union {
		struct open_call open;
		struct path_call path_call;
		struct network_call network;
	};
	struct bits bits;
	__u64 program; /* what the file is as a program; only exec uses it */
	struct walk walk;
	struct text_scan text_scan;
	struct dentry *path_dentry;
	struct mount *path_mount;
	struct dentry *mount_root;
	struct dentry *root_dentry;
	struct mount *root_mount;
	__u32 path_start;
	__u32 path_complete;
	__u32 name_length;
	__u32 text_length;
	__u32 term_rule;
	__u32 term_action;
	__u32 term_found;
	__u32 lifecycle; /* event that user space needs to know the processes */
	__u32 length; /* of the event built so far */
	__u64 unique_object;
	__u8 address[16];
	char name[256 + 8];
	char path[PATH_END + 512];
	char text[TEXT_MASK + 1 + PATH_END];
	char data[DATA_MASK + 1 + 4096 * 2];
};

#endif
