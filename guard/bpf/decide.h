/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* The decision: the first term of the event's kind that fits its bits. */
#ifndef GUARD_DECIDE_H
#define GUARD_DECIDE_H

#include "match.h"

struct decide_loop {
	struct scratch *s;
	struct term_list *list;
};

static long decide_step(__u32 index, struct decide_loop *loop)
{
	struct scratch *s = loop->s;
	struct term *term;
	int i;

	if (index >= POLICY_MAX_TERMS)
		return 1;
	term = &loop->list->terms[index];
	for (i = 0; i < POLICY_WORDS; i++)
		if ((s->bits.word[i] & term->must.word[i]) != term->must.word[i] ||
		    s->bits.word[i] & term->must_not.word[i])
			return 0;
	s->term_found = 1;
	s->term_rule = term->rule;
	s->term_action = term->action;
	return 1;
}

/* The same with every predicate on the path undecided: fits whenever the rest does. */
static long decide_step_path_unknown(__u32 index, struct decide_loop *loop)
{
	struct policy_config *cfg = config_get();
	struct scratch *s = loop->s;
	struct term *term;
	int i;

	if (index >= POLICY_MAX_TERMS || !cfg)
		return 1;
	term = &loop->list->terms[index];
	for (i = 0; i < POLICY_WORDS; i++) {
		__u64 care = i < POLICY_OBJECT_WORDS ? ~cfg->path_mask.word[i] : ~0ULL;

		if ((s->bits.word[i] & term->must.word[i] & care) != (term->must.word[i] & care) ||
		    s->bits.word[i] & term->must_not.word[i] & care)
			return 0;
	}
	s->term_found = 1;
	s->term_action = term->action == ACTION_OBSERVE ? ACTION_OBSERVE : ACTION_WAKE;
	return 1;
}

/* Leaves the outcome in s->term_found, term_action and term_rule. */
SUBPROGRAM int decide(struct scratch *s, struct policy_config *cfg, __u32 kind)
{
	struct decide_loop loop = { .s = s };
	struct term_list *list;
	__u32 key, count;

	if (!s || !cfg)
		return -1;
	s->term_found = 0;
	s->term_action = ACTION_OBSERVE;
	key = (cfg->generation & 1) * EVENT_KIND_COUNT + kind;
	list = loop.list = bpf_map_lookup_elem(&terms, &key);
	if (!list)
		return 0;
	count = list->count;
	if (count > POLICY_MAX_TERMS)
		count = POLICY_MAX_TERMS;
	if (s->bits.word[0] & 1ULL << BIT_PATH_UNKNOWN)
		bpf_loop(count, decide_step_path_unknown, &loop, 0);
	else
		bpf_loop(count, decide_step, &loop, 0);
	return 0;
}

#endif
