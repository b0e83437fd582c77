"""From a policy to the kernel plan.

For every rule and every kind of event it can fire on, the condition becomes
alternatives (`normal_form`), and every alternative a term. An alternative that
leaves residue is wider than the rule: the kernel then only reports, and user
space decides. What the kernel cannot decide at all is an error for `deny`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from guard.alert import Action
from guard.engine import ir
from guard.engine.constants import Constants
from guard.engine.diagnostics import Code, Diagnostic
from guard.engine.kernel_plan import (
    ANCESTOR_WORD,
    FIRST_BIT,
    MAX_TERMS,
    OBJECT_WORDS,
    PARENT_WORD,
    PROGRAM_WORD,
    WORD_BITS,
    WORDS,
    Call,
    Family,
    KernelPlan,
    KindLowering,
    OperationBit,
    PlacedPredicate,
    Predicate,
    Residue,
    RuleLowering,
    Subject,
    Term,
    TermAction,
)
from guard.engine.lower_cases import Setting
from guard.engine.lower_fields import lower_test
from guard.engine.lower_formula import (
    FALSE,
    TOO_MANY_ALTERNATIVES,
    TRUE,
    Atom,
    Conjunction,
    Formula,
    all_of,
    any_of,
    intersection,
    negate,
    normal_form,
)
from guard.event import CALLS

RULE_LIMIT = 64  # alternatives of one rule for one kind of event

_NO_BIT_LEFT = "the policy has more comparisons than the kernel has bits"
_SUBJECT_WORDS = {
    Subject.PROGRAM: PROGRAM_WORD,
    Subject.PARENT: PARENT_WORD,
    Subject.ANCESTORS: ANCESTOR_WORD,
}
# What fits first decides, so no superset may stand before a decision.
_ORDER = (
    frozenset({TermAction.DENY, TermAction.KILL}),
    frozenset({TermAction.WAKE}),
    frozenset({TermAction.OBSERVE}),
)


def lower(policy: ir.Policy, constants: Constants) -> KernelPlan:
    """The kernel plan of a policy.

    The diagnostics hold an error for each clause of a `deny` rule that the
    kernel cannot decide, and for each limit that a rule exceeds.
    """
    bits = _Bits()
    drafts = [
        _Draft(rule, kind, alternatives)
        for rule in policy.rules
        for kind in kinds_of(rule)
        if (alternatives := _alternatives(rule, kind, constants))
    ]
    diagnostics = _refused(drafts)
    terms: dict[str, tuple[Term, ...]] = {}
    for kind in CALLS:
        of_kind = [draft for draft in drafts if draft.kind == kind]
        if of_kind:
            found = _fit(of_kind)
            if found:
                diagnostics.append(found)
    # Rules that act get their bits first.
    for draft in sorted(drafts, key=lambda draft: draft.rule.action is Action.ALERT):
        draft.place(bits)
    for kind in CALLS:
        of_kind = [draft for draft in drafts if draft.kind == kind]
        if of_kind:
            terms[kind] = _in_order(term for draft in of_kind for term in draft.terms)
    diagnostics += _without_bits(drafts, diagnostics)
    path_mask = bits.path_mask
    return KernelPlan(
        predicates=bits.predicates,
        terms=terms,
        rules=tuple(_summary(rule, drafts) for rule in policy.rules),
        path_mask=path_mask,
        fail_closed=frozenset(
            kind for kind, of_kind in terms.items() if _needs_path(of_kind, path_mask)
        ),
        diagnostics=tuple(diagnostics),
    )


def kinds_of(rule: ir.Rule) -> Iterator[str]:
    """Kinds of event that come from a call the rule can fire on."""
    return (kind for kind, calls in CALLS.items() if not rule.calls.isdisjoint(calls))


def _alternatives(rule: ir.Rule, kind: str, constants: Constants) -> tuple[Conjunction, ...]:
    formula = _formula(rule.condition, Setting(kind, constants))
    return normal_form(formula, frozenset(CALLS[kind]), RULE_LIMIT)


def _formula(expr: ir.Expr, setting: Setting) -> Formula:
    match expr:
        case ir.Test():
            return lower_test(expr, setting)
        case ir.Constant(value):
            return TRUE if value else FALSE
        case ir.Not(child):
            return negate(_formula(child, setting))
        case ir.And(children):
            return all_of(*_until(FALSE, children, setting))
        case ir.Or(children):
            return any_of(*_until(TRUE, children, setting))


def _until(end: Formula, children: Iterable[ir.Expr], setting: Setting) -> Iterator[Formula]:
    """The formulas of `children`; after `end` the rest makes no difference."""
    for child in children:
        formula = _formula(child, setting)
        yield formula
        if formula == end:
            return


class _Bits:
    """Bits given out so far; a predicate keeps its bit."""

    def __init__(self) -> None:
        self._operation: dict[Predicate, int] = {}
        self._program: dict[Predicate, int] = {}

    def of(self, atom: Atom) -> tuple[int, int] | None:
        """Word and bit in it, None when none is left."""
        if isinstance(atom.predicate, OperationBit):
            return 0, int(atom.predicate)
        if atom.subject is Subject.OPERATION:
            place = self._place(
                self._operation, atom.predicate, FIRST_BIT, OBJECT_WORDS * WORD_BITS
            )
            return None if place is None else divmod(place, WORD_BITS)
        place = self._place(self._program, atom.predicate, 0, WORD_BITS)
        return None if place is None else (_SUBJECT_WORDS[atom.subject], place)

    @property
    def predicates(self) -> tuple[PlacedPredicate, ...]:
        return (
            *(PlacedPredicate(p, bit, is_program=False) for p, bit in self._operation.items()),
            *(PlacedPredicate(p, bit, is_program=True) for p, bit in self._program.items()),
        )

    @property
    def path_mask(self) -> tuple[int, ...]:
        words = [0] * OBJECT_WORDS
        for predicate, bit in self._operation.items():
            if predicate.family is Family.PATH:
                words[bit // WORD_BITS] |= 1 << bit % WORD_BITS
        return tuple(words)

    @staticmethod
    def _place(
        table: dict[Predicate, int], predicate: Predicate, first: int, end: int
    ) -> int | None:
        if predicate not in table and first + len(table) >= end:
            return None
        return table.setdefault(predicate, first + len(table))


@dataclass(slots=True)
class _Draft:
    """One rule for one kind of event on its way to terms."""

    rule: ir.Rule
    kind: str
    alternatives: tuple[Conjunction, ...]
    terms: list[Term] = field(default_factory=list)
    residue: dict[Residue, None] = field(default_factory=dict)
    exact: int = 0

    def collapse(self) -> None:
        """One alternative that covers all."""
        wide = intersection(self.alternatives)
        residue = wide.residue | {Residue("", TOO_MANY_ALTERNATIVES)}
        self.alternatives = (replace(wide, residue=residue),)

    def place(self, bits: _Bits) -> None:
        for alternative in self.alternatives:
            must, left_out = self._words(alternative.must | self._calls(alternative), bits)
            must_not, also_left_out = self._words(alternative.must_not, bits)
            residue = [*sorted(alternative.residue, key=lambda item: item.text)]
            if left_out or also_left_out:
                residue.append(Residue("", _NO_BIT_LEFT))
            self.residue.update(dict.fromkeys(residue))
            self.exact += not residue
            self.terms.append(Term(must, must_not, self.rule.index, self._action(residue)))

    def _calls(self, alternative: Conjunction) -> frozenset[Atom]:
        if alternative.calls == frozenset(CALLS[self.kind]):
            return frozenset()
        named = Predicate(frozenset(Call(call) for call in alternative.calls))
        return frozenset((Atom(Subject.OPERATION, named),))

    def _words(self, atoms: Iterable[Atom], bits: _Bits) -> tuple[tuple[int, ...], bool]:
        words = [0] * WORDS
        left_out = False
        # In a fixed order, so that a policy always gets the same plan.
        for atom in sorted(atoms, key=_atom_key):
            found = bits.of(atom)
            if found is None:
                left_out = True
            else:
                words[found[0]] |= 1 << found[1]
        return tuple(words), left_out

    def _action(self, residue: Sequence[Residue]) -> TermAction:
        match self.rule.action:
            case Action.ALERT:
                return TermAction.OBSERVE
            case Action.FREEZE:
                return TermAction.WAKE
            case Action.KILL:
                return TermAction.WAKE if residue else TermAction.KILL
            case Action.DENY:
                return TermAction.WAKE if residue else TermAction.DENY


@lru_cache(maxsize=2048)
def _atom_key(atom: Atom) -> tuple[str, str]:
    if isinstance(atom.predicate, OperationBit):
        return atom.subject.value, atom.predicate.name
    return atom.subject.value, repr(sorted(map(repr, atom.predicate.sources)))


def _fit(drafts: list[_Draft]) -> Diagnostic | None:
    """Widen alerts until the terms of one kind fit; a diagnostic when they cannot."""
    total = sum(len(draft.alternatives) for draft in drafts)
    can_widen = [
        draft
        for draft in drafts
        if len(draft.alternatives) > 1 and draft.rule.action in {Action.ALERT, Action.FREEZE}
    ]
    for draft in sorted(can_widen, key=lambda draft: -len(draft.alternatives)):
        if total <= MAX_TERMS:
            break
        total -= len(draft.alternatives) - 1
        draft.collapse()
    if total <= MAX_TERMS:
        return None
    return Diagnostic(
        Code.POLICY_TOO_LARGE,
        f"the rules for `{drafts[0].kind}` events have {total} alternatives, "
        f"the kernel holds {MAX_TERMS}",
        None,
        help="use lists with `in` instead of `or`, or disable rules",
    )


def _in_order(terms: Iterable[Term]) -> tuple[Term, ...]:
    """Terms as the kernel tries them; one that can never be reached is left out."""
    found = list(terms)
    kept: list[Term] = []
    for actions in _ORDER:
        group = [term for term in found if term.action in actions]
        if TermAction.OBSERVE in actions:
            # Which of them fits makes no difference: the widest spare the most.
            group.sort(key=lambda term: sum(map(int.bit_count, term.must + term.must_not)))
        for term in group:
            if not any(_covers(other, term) for other in kept):
                kept.append(term)
    return tuple(kept)


def _covers(wide: Term, narrow: Term) -> bool:
    return all(a & b == a for a, b in zip(wide.must, narrow.must, strict=True)) and all(
        a & b == a for a, b in zip(wide.must_not, narrow.must_not, strict=True)
    )


def _needs_path(terms: Iterable[Term], path_mask: Sequence[int]) -> bool:
    return any(
        (must | must_not) & mask
        for term in terms
        if term.action in {TermAction.KILL, TermAction.DENY}
        for must, must_not, mask in zip(term.must, term.must_not, path_mask, strict=False)
    )


def _summary(rule: ir.Rule, drafts: Iterable[_Draft]) -> RuleLowering:
    return RuleLowering(
        rule.index,
        rule.name,
        tuple(
            KindLowering(
                draft.kind, draft.exact, len(draft.terms) - draft.exact, tuple(draft.residue)
            )
            for draft in drafts
            if draft.rule is rule
        ),
    )


def _refused(drafts: Iterable[_Draft]) -> list[Diagnostic]:
    """An error for each clause of a deny rule that leaves residue, once per rule."""
    clauses: dict[tuple[int, str], tuple[ir.Rule, Residue, dict[str, None]]] = {}
    for draft in drafts:
        if draft.rule.action is Action.DENY:
            for alternative in draft.alternatives:
                for residue in sorted(alternative.residue, key=lambda item: item.text):
                    new = (draft.rule, residue, dict[str, None]())
                    _, _, kinds = clauses.setdefault((draft.rule.index, residue.text), new)
                    kinds[draft.kind] = None
    return [_refusal(rule, residue, list(kinds)) for rule, residue, kinds in clauses.values()]


def _refusal(rule: ir.Rule, residue: Residue, kinds: Sequence[str]) -> Diagnostic:
    clause = f"`{residue.text}`" if residue.text else "the condition"
    more = f" and {len(kinds) - 1} other kinds of event" if len(kinds) > 1 else " events"
    return Diagnostic(
        Code.NOT_ENFORCEABLE,
        f"the kernel cannot decide {clause} for {kinds[0]}{more}: {residue.reason}",
        None,
        help="use `action: kill`, leave the clause out, or name the calls with `evt.type`",
        item=f"rule `{rule.name}`" + (f", {rule.file}:{rule.line}" if rule.file else ""),
    )


def _without_bits(drafts: Iterable[_Draft], known: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Errors for deny rules that got no bit; the first error of a rule is enough."""
    if known:
        return []
    return [
        _refusal(draft.rule, residue, [draft.kind])
        for draft in drafts
        if draft.rule.action is Action.DENY
        for residue in draft.residue
    ]
