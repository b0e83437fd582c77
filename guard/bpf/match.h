/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * From what an operation touches to the bits of the loaded predicates.
 * Objects are recognised by inode and place in the directory tree, never by the
 * text of a path, except where a call is seen only as text.
 */
#ifndef GUARD_MATCH_H
#define GUARD_MATCH_H

#include "maps.h"

#define HASH_SEED 0xcbf29ce484222325ULL /* FNV-1a, 64 bits */
#define HASH_PRIME 0x100000001b3ULL

static __always_inline __u64 hash_byte(__u64 hash, __u8 byte)
{
	return (hash ^ byte) * HASH_PRIME;
}

static __always_inline bool length_in(const __u64 *lengths, __u32 length)
{
	return length && length <= 256 && (lengths[(length - 1) / 64 & 3] >> ((length - 1) & 63) & 1);
}

static __always_inline void bits_add_path(struct scratch *s, const struct path_bits *from)
{
	s->bits.word[0] |= from->object[0];
	s->bits.word[1] |= from->object[1];
	s->bits.word[2] |= from->object[2];
	s->program |= from->program;
}

static __always_inline void bits_add_object(struct scratch *s, const struct object_bits *from)
{
	s->bits.word[0] |= from->word[0];
	s->bits.word[1] |= from->word[1];
	s->bits.word[2] |= from->word[2];
}

/* Adds the predicates on a call by name. */
static __always_inline void bits_add_call(struct scratch *s, struct policy_config *cfg, __u32 call)
{
	struct call_key key = { .generation = cfg->generation, .call = call };
	struct object_bits *found = bpf_map_lookup_elem(&call_bits, &key);

	if (found)
		bits_add_object(s, found);
}

/* Starts the bits of an operation: fixed attributes, its call, and the programs
 * of the task. A new program passes `me` without its own program bits. */
SUBPROGRAM int bits_begin(struct scratch *s, struct policy_config *cfg, __u64 attributes, __u32 call,
			  struct task_state *me)
{
	if (!s || !cfg || !me)
		return 0;
	s->program = 0;
	s->bits.word[0] = attributes;
	s->bits.word[1] = 0;
	s->bits.word[2] = 0;
	s->bits.word[POLICY_PROGRAM_WORD] = me->program;
	s->bits.word[POLICY_PARENT_WORD] = me->parent;
	s->bits.word[POLICY_ANCESTOR_WORD] = me->ancestors;
	bits_add_call(s, cfg, call);
	return 0;
}

/* Puts a file name into s->name. */
static __always_inline void name_read(struct scratch *s, struct dentry *dentry)
{
	const unsigned char *name;
	__u32 length = dentry_name(dentry, &name);

	if (length > POLICY_NAME_MAX)
		length = POLICY_NAME_MAX;
	s->name_length = length;
	bpf_probe_read_kernel(s->name, length & 0xff, name);
}

struct name_scan {
	struct scratch *s;
	__u64 hash;
	__u32 generation;
	__u32 node;
	__u64 prefix_lengths;
	const __u64 *suffix_lengths;
	struct path_tag *found;
};

static long name_hash_step(__u32 index, struct name_scan *scan)
{
	scan->hash = hash_byte(scan->hash, scan->s->name[index & 0xff]);
	return 0;
}

static __always_inline __u64 name_hash(struct scratch *s)
{
	struct name_scan scan = { .s = s, .hash = HASH_SEED };

	bpf_loop(s->name_length & 0xff, name_hash_step, &scan, 0);
	return scan.hash;
}

static long name_suffix_step(__u32 index, struct name_scan *scan)
{
	struct scratch *s = scan->s;
	struct name_key key = { .match = NAME_SUFFIX };
	struct path_bits *found;

	scan->hash = hash_byte(scan->hash, s->name[(s->name_length - 1 - index) & 0xff]);
	if (!length_in(scan->suffix_lengths, index + 1))
		return 0;
	key.name_hash = scan->hash;
	key.length = index + 1;
	key.generation = scan->generation;
	found = bpf_map_lookup_elem(&names, &key);
	if (found)
		bits_add_path(s, found);
	return 0;
}

/* Adds the predicates on the last component of a path, in s->name. */
SUBPROGRAM int match_name(struct scratch *s, struct policy_config *cfg)
{
	if (!s || !cfg)
		return -1;
	if (length_in(cfg->name_lengths, s->name_length)) {
		struct name_key key = {
			.name_hash = name_hash(s),
			.length = s->name_length,
			.match = NAME_EXACT,
			.generation = cfg->generation,
		};
		struct path_bits *found = bpf_map_lookup_elem(&names, &key);

		if (found)
			bits_add_path(s, found);
	}
	if (cfg->suffix_lengths[0] | cfg->suffix_lengths[1] | cfg->suffix_lengths[2] |
	    cfg->suffix_lengths[3]) {
		struct name_scan scan = {
			.s = s,
			.hash = HASH_SEED,
			.generation = cfg->generation,
			.suffix_lengths = cfg->suffix_lengths,
		};

		bpf_loop(s->name_length & 0xff, name_suffix_step, &scan, 0);
	}
	return 0;
}

static long edge_prefix_step(__u32 index, struct name_scan *scan)
{
	struct edge_key key = { .is_prefix = 1 };
	struct path_tag *tag;

	scan->hash = hash_byte(scan->hash, scan->s->name[index & 0xff]);
	if (!(scan->prefix_lengths >> (index & 63) & 1))
		return 0;
	key.name_hash = scan->hash;
	key.node = scan->node;
	key.generation = scan->generation;
	tag = bpf_map_lookup_elem(&edges, &key);
	if (tag)
		scan->found = tag;
	return 0;
}

/* The place that the name in s->name leads to from `tag`, NULL for none. */
static __always_inline struct path_tag *edge_find(struct scratch *s, struct path_tag *tag, __u32 generation)
{
	struct edge_key key = { .node = tag->node, .generation = generation };
	struct name_scan scan = {
		.s = s,
		.hash = HASH_SEED,
		.generation = generation,
		.node = tag->node,
		.prefix_lengths = tag->prefix_lengths,
	};
	struct path_tag *next;
	__u32 length;

	key.name_hash = name_hash(s);
	next = bpf_map_lookup_elem(&edges, &key);
	if (next)
		return next;
	if (!tag->prefix_lengths)
		return NULL;
	length = s->name_length;
	if (length > POLICY_PREFIX_MAX)
		length = POLICY_PREFIX_MAX;
	bpf_loop(length, edge_prefix_step, &scan, 0);
	return scan.found;
}

static __always_inline void bits_add_tag(struct scratch *s, const struct path_tag *tag, __u32 depth)
{
	if (!depth)
		bits_add_path(s, &tag->self);
	else if (depth == 1)
		bits_add_path(s, &tag->child);
	else
		bits_add_path(s, &tag->below);
}

/* One level up: stop at the first inode that carries a tag. */
static long walk_step(__u32 index, struct scratch_loop *loop)
{
	struct scratch *s = loop->s;
	struct walk *walk = &s->walk;
	struct dentry *dentry = walk->dentry, *parent;
	struct inode_key key = { .generation = walk->generation };
	int i;

	key.inode = (__u64)BPF_CORE_READ(dentry, d_inode);
	if (key.inode && bpf_map_lookup_elem(&inode_tags, &key)) {
		walk->tagged = key.inode;
		return 1;
	}
	parent = BPF_CORE_READ(dentry, d_parent);
	if (parent == dentry) {
		walk->depth = (__u32)-1;
		return 1;
	}
	for (i = 7; i > 0; i--)
		walk->children[i] = walk->children[i - 1];
	walk->children[0] = dentry;
	walk->dentry = parent;
	walk->depth++;
	return 0;
}

/*
 * Adds the predicates on the place of an object: walks up to the nearest tagged
 * inode, then down again by name where a place below it is known by name only.
 * Returns -1 if the walk did not reach the root of the file system.
 */
SUBPROGRAM int match_object(struct scratch *s, struct policy_config *cfg, __u64 dentry)
{
	struct scratch_loop loop = { .s = s };
	struct inode_key key = {};
	struct walk *walk;
	struct path_tag *tag, *next;
	__u32 depth, i;

	if (!s || !cfg)
		return -1;
	key.generation = cfg->generation;
	walk = &s->walk;
	name_read(s, (void *)dentry);
	match_name(s, cfg);
	walk->dentry = (void *)dentry;
	walk->tagged = 0;
	walk->depth = 0;
	walk->generation = cfg->generation;
	bpf_loop(POLICY_WALK_MAX, walk_step, &loop, 0);
	if (!walk->tagged)
		return walk->depth == (__u32)-1 ? 0 : -1;
	key.inode = walk->tagged;
	tag = bpf_map_lookup_elem(&inode_tags, &key);
	if (!tag)
		return 0; /* the policy was replaced meanwhile */
	depth = walk->depth;
	/* A known object may have got another name since: one that would excuse it
	 * counts only if it had it then, and its tag says so. */
	for (i = 0; !depth && i < POLICY_OBJECT_WORDS; i++)
		s->bits.word[i] &= ~cfg->name_excuses.word[i];
	for (i = 0; i < POLICY_MAX_EDGES; i++) {
		if (i >= depth || !tag->has_edges)
			break;
		name_read(s, walk->children[i & 7]);
		next = edge_find(s, tag, cfg->generation);
		if (!next)
			break;
		tag = next;
		walk->depth--;
	}
	bits_add_tag(s, tag, walk->depth);
	return 0;
}

/* Adds the predicates on an opened file. Through an overlay it has another inode
 * and another place: those of the file behind it count as well. */
SUBPROGRAM int match_file(struct scratch *s, struct policy_config *cfg, __u64 opened)
{
	struct file *file = (void *)opened;
	struct dentry *real;
	int walked;

	if (!s || !cfg)
		return -1;
	walked = match_object(s, cfg, (__u64)BPF_CORE_READ(file, f_path.dentry));
	real = overlay_real_dentry(file);
	if (real && match_object(s, cfg, (__u64)real))
		walked = -1;
	return walked;
}

/* One byte of a joined path: remember the longest prefix that is a known place. */
static long text_step(__u32 index, struct scratch_loop *loop)
{
	struct scratch *s = loop->s;
	struct text_scan *scan = &s->text_scan;
	__u8 byte = s->text[index & TEXT_MASK], next, after;
	bool end = index == scan->length;
	struct text_key key = { .length = index };

	if (byte != '/' && !end) {
		scan->hash = hash_byte(scan->hash, byte);
		return 0;
	}
	if (!end) {
		next = s->text[(index + 1) & TEXT_MASK];
		after = s->text[(index + 2) & TEXT_MASK];
		if (next == '/' || next == 0 || (next == '.' && (after == '/' || after == 0)) ||
		    (next == '.' && after == '.'))
			scan->irregular = 1;
	}
	key.path_hash = scan->hash;
	key.generation = s->walk.generation;
	scan->depth++;
	if (bpf_map_lookup_elem(&text_tags, &key)) {
		scan->tag_hash = scan->hash;
		scan->tag_length = index;
		scan->tag_found = 1;
		scan->depth = 0;
	}
	if (!end)
		scan->hash = hash_byte(scan->hash, '/');
	return 0;
}

/* Copies up to `limit` bytes of s->text from `start` to s->name. */
static __always_inline void text_name(struct scratch *s, __u32 start, __u32 limit)
{
	__u32 length = s->text_length;

	length = start < length ? length - start : 0;
	if (length > limit)
		length = limit;
	s->name_length = length;
	bpf_probe_read_kernel(s->name, length & 0xff, &s->text[start & TEXT_MASK]);
}

static long text_last_slash(__u32 index, struct scratch_loop *loop)
{
	struct scratch *s = loop->s;
	__u32 at = s->text_length - 1 - index;

	if (s->text[at & TEXT_MASK] != '/')
		return 0;
	s->walk.depth = at + 1;
	return 1;
}

/* Adds the predicates on the place that s->text names. An irregular text leaves
 * BIT_PATH_UNKNOWN: user space, which normalises it, decides. */
SUBPROGRAM int match_text(struct scratch *s, struct policy_config *cfg)
{
	struct scratch_loop loop = { .s = s };
	struct text_scan *scan;
	struct text_key key = {};
	struct path_tag *tag, *next;
	__u32 length;

	if (!s || !cfg)
		return -1;
	key.generation = cfg->generation;
	scan = &s->text_scan;
	length = s->text_length;
	if (!length || length > 2 * EVENT_PATH_MAX) {
		s->bits.word[0] |= 1ULL << BIT_PATH_UNKNOWN;
		return 0;
	}
	__builtin_memset(scan, 0, sizeof(*scan));
	scan->hash = HASH_SEED;
	scan->length = length;
	s->text[length & TEXT_MASK] = 0;
	s->text[(length + 1) & TEXT_MASK] = 0;
	s->walk.generation = cfg->generation;
	bpf_loop(length + 1, text_step, &loop, 0);
	if (scan->irregular) {
		s->bits.word[0] |= 1ULL << BIT_PATH_UNKNOWN;
		return 0;
	}
	s->walk.depth = 0;
	bpf_loop(length, text_last_slash, &loop, 0);
	text_name(s, s->walk.depth, POLICY_NAME_MAX);
	match_name(s, cfg);
	if (!scan->tag_found)
		return 0;
	key.path_hash = scan->tag_hash;
	key.length = scan->tag_length;
	tag = bpf_map_lookup_elem(&text_tags, &key);
	if (!tag)
		return 0;
	/* Places by full name are all in text_tags; what is left are name prefixes,
	 * and these hold no slash, so bytes of further components do no harm. */
	if (scan->depth && tag->prefix_lengths) {
		text_name(s, scan->tag_length + 1, POLICY_PREFIX_MAX);
		next = edge_find(s, tag, cfg->generation);
		if (next) {
			bits_add_tag(s, next, scan->depth - 1);
			return 0;
		}
	}
	bits_add_tag(s, tag, scan->depth);
	return 0;
}

/* Adds the predicates on the address in s->address and a port, host byte order. */
SUBPROGRAM int match_address(struct scratch *s, struct policy_config *cfg, __u32 family, __u32 port)
{
	struct address_key key = { .family = family };
	struct port_key port_key = { .port = port };
	struct object_bits *found;

	if (!s || !cfg)
		return -1;
	key.generation = port_key.generation = cfg->generation;
	key.prefix_bits = 64 + (family == AF_INET ? 32 : 128);
	__builtin_memcpy(key.address, s->address, sizeof(key.address));
	found = bpf_map_lookup_elem(&addresses, &key);
	if (found)
		bits_add_object(s, found);
	found = bpf_map_lookup_elem(&ports, &port_key);
	if (found)
		bits_add_object(s, found);
	return 0;
}

#endif
