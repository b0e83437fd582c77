/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The policy contract: map data that guard/enforce/kernel.py writes and the
 * kernel programs read. The programs never change with the policy.
 *
 * A loaded policy is a set of predicates and terms. Each atomic comparison the
 * kernel can decide owns one bit. At a hook the kernel computes the bits of the
 * operation and scans the terms of its kind; the first that fits decides.
 *
 *   word 0..2  the operation: fixed attributes (enum operation_bit), then
 *              predicates on the call, the file, the name, the address, the port
 *   word 3     the program the process runs, from its executable file
 *   word 4     the program of its parent
 *   word 5     the programs of all its ancestors, parent included
 *
 * Program predicates own the same bit in words 3, 4 and 5.
 *
 * Every key carries a generation: a new policy is written beside the one in
 * force and becomes active by one store to policy_config.generation.
 */
#ifndef GUARD_POLICY_H
#define GUARD_POLICY_H

enum policy_limit {
	POLICY_WORDS = 6,
	POLICY_OBJECT_WORDS = 3, /* words 0..2: 192 bits */
	POLICY_PROGRAM_WORD = 3,
	POLICY_PARENT_WORD = 4,
	POLICY_ANCESTOR_WORD = 5,
	POLICY_FIRST_BIT = 32,	/* first bit of word 0 that a predicate may own */
	POLICY_MAX_TERMS = 512, /* per event kind */
	POLICY_MAX_EDGES = 6,	/* components below a tag that need not exist */
	POLICY_NAME_MAX = 255,	/* bytes of a file name */
	POLICY_PREFIX_MAX = 64, /* bytes of a name prefix below a known directory */
	POLICY_WALK_MAX = 8192, /* levels after which the walk fails closed */
	SCRATCH_PER_CPU = 4,	/* entries of the map `scratch` for each CPU */
};

/* Fixed attributes of an operation: bits 0..31 of word 0. */
enum operation_bit {
	BIT_SUCCEEDED,	/* res >= 0 */
	BIT_FAILED,
	BIT_OPEN_READ,
	BIT_OPEN_WRITE,
	BIT_OPEN_CREATED, /* the open made the file */
	BIT_DIRECTORY,
	BIT_REGULAR,	/* anything opened but a directory */
	BIT_UNLINKED,	/* no name in any directory: memfd, deleted */
	BIT_IPV4,
	BIT_IPV6,
	BIT_UNIX,
	BIT_TCP,
	BIT_UDP,
	BIT_EXEC_MEMFD,
	BIT_EXEC_SECURE,
	BIT_TARGET_GUARDED,
	BIT_PATH_UNKNOWN, /* path predicates could not be decided: they are ignored */
};

enum policy_action {
	ACTION_OBSERVE, /* candidate: user space decides */
	ACTION_KILL,
	ACTION_DENY,
	ACTION_WAKE,	/* candidate that user space must see at once */
};

struct bits {
	__u64 word[POLICY_WORDS];
};

struct term {
	struct bits must;
	struct bits must_not;
	__u32 rule; /* index in the loaded policy */
	__u32 action;
};

struct term_list {
	__u32 count;
	__u32 pad;
	struct term terms[POLICY_MAX_TERMS];
};

/* Bits a path gives to an operation on it (object) and to a program run from it. */
struct path_bits {
	__u64 object[POLICY_OBJECT_WORDS];
	__u64 program;
};

/* A place in the tree of all paths the policy names. The deepest place above or
 * at a file decides, and carries the bits of the places above it. */
struct path_tag {
	struct path_bits self;	/* the place itself */
	struct path_bits child; /* its direct entries */
	struct path_bits below; /* anything deeper */
	__u64 prefix_lengths;	/* bit n-1: some edge matches names by n leading bytes */
	__u32 node;
	__u32 has_edges; /* some place below is known by name only */
};

struct inode_key { /* inode of an existing place, pinned by guard's O_PATH fd */
	__u64 inode; /* kernel address */
	__u32 generation;
	__u32 pad;
};

struct edge_key { /* place below a node, known by name; name_hash as hash_name() */
	__u64 name_hash;
	__u32 node;
	__u16 generation;
	__u16 is_prefix; /* 1: the name starts with this */
};

struct text_key { /* place by the text of its path: for calls seen only as text */
	__u64 path_hash; /* of the path without trailing slash; the root is empty */
	__u32 length;
	__u32 generation;
};

enum name_match {
	NAME_EXACT,
	NAME_SUFFIX,
	NAME_PROGRAM, /* base name given to execve, cut to 15 bytes as comm is */
};

struct name_key {
	__u64 name_hash;
	__u16 length;
	__u16 match; /* enum name_match */
	__u32 generation;
};

struct address_key { /* longest-prefix match: generation and family are always part */
	__u32 prefix_bits; /* 64 + significant bits of the address */
	__u32 generation;
	__u32 family;
	__u8 address[16];
};

/* What sys_exit does with a system call: value of the map `calls`, which is
 * indexed by abi * CALLS_PER_ABI + number. */
enum call_abi {
	ABI_NATIVE,
	ABI_COMPAT,
	ABI_SOCKETCALL, /* number is the first argument of socketcall */
	ABI_COUNT,
	CALLS_PER_ABI = 512,
};

enum handler { /* the function handle_NAME */
	HANDLER_NONE,
	HANDLER_OPEN,
	HANDLER_PATH,
	HANDLER_NETWORK,
	HANDLER_PROCESS,
	HANDLER_SYSTEM,
	HANDLER_COUNT,
};

struct call_entry {
	__u8 handler; /* HANDLER_NONE: not observed */
	__u8 call;
	__u8 kind;
	__u8 pad;
};

struct port_key {
	__u32 generation;
	__u16 port;
	__u16 pad;
};

struct call_key {
	__u32 generation;
	__u32 call;
};

struct object_bits {
	__u64 word[POLICY_OBJECT_WORDS];
};

struct policy_config {
	__u32 generation;
	__u32 record_level; /* enum record_level */
	__u32 wake_bytes;   /* fill of a buffer that wakes its reader */
	__u32 capture_env;
	__u64 wake_interval_ns;
	struct object_bits path_mask; /* bits decided from a file's path or name */
	struct object_bits name_excuses; /* bits that a known inode does not get from a new name */
	__u64 name_lengths[4];	 /* bit n-1: some NAME_EXACT predicate has n bytes */
	__u64 suffix_lengths[4]; /* bit n-1: some NAME_SUFFIX predicate has n bytes */
	__u64 kinds_fail_closed; /* bit KIND: a deny or kill term needs a path */
};

enum record_level {
	RECORD_MATCHED,
	RECORD_UNIQUE,
	RECORD_ALL,
};

/* State of a guarded task, inherited at fork. */
struct task_state {
	__u64 program; /* word 3 for this process */
	__u64 parent;
	__u64 ancestors;
	__u64 program_inode; /* identity of the executable, for RECORD_UNIQUE */
	__u32 pending; /* launched, not yet running the agent: nothing is reported */
	__u32 refused; /* thread whose current call a cgroup hook refused and reported */
};

#endif
