"""Boolean formulas over kernel predicates, and their disjunctive normal form.

A formula may hold unknowns: comparisons the kernel cannot decide. Its normal
form is then a superset, and each conjunction names the residue that user space
still has to check.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

from guard.data import dataclass, replace
from guard.engine.kernel_plan import (
    Family,
    OperationBit,
    Predicate,
    Residue,
    Source,
    Subject,
)

TOO_MANY_ALTERNATIVES = "the condition has too many alternatives"


@dataclass(frozen=True, slots=True)
class Atom:
    subject: Subject
    predicate: Predicate | OperationBit


@dataclass(frozen=True, slots=True)
class Literal:
    atom: Atom
    is_negated: bool = False


@dataclass(frozen=True, slots=True)
class Calls:
    """The call is one of these; the calls of a kind are known, so `not` is a set too."""

    allowed: frozenset[str]
    all: frozenset[str]


@dataclass(frozen=True, slots=True)
class Unknown:
    """Not decidable. `implies` holds whenever it is true, `denies` whenever it is false."""

    residue: Residue
    implies: Formula
    denies: Formula


@dataclass(frozen=True, slots=True)
class All:
    children: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Any:
    children: tuple[Formula, ...]


Formula = Literal | Calls | Unknown | All | Any
TRUE = All(())
FALSE = Any(())


@dataclass(frozen=True, slots=True)
class Conjunction:
    """One alternative of a rule for one kind of event."""

    must: frozenset[Atom]
    must_not: frozenset[Atom]
    calls: frozenset[str]
    residue: frozenset[Residue] = frozenset()

    def covers(self, other: Conjunction) -> bool:
        """True when whatever fits `other` fits this one."""
        return (
            self.must <= other.must
            and self.must_not <= other.must_not
            and self.calls >= other.calls
            and self.residue <= other.residue
        )


def holds(subject: Subject, sources: Iterable[Source]) -> Formula:
    """Any of `sources` holds for `subject`; all sources are of one family."""
    found = frozenset(sources)
    return Literal(Atom(subject, Predicate(found))) if found else FALSE


def bit(operation_bit: OperationBit) -> Formula:
    return Literal(Atom(Subject.OPERATION, operation_bit))


def unknown(text: str, reason: str, *, implies: Formula = TRUE) -> Formula:
    return implies if implies == FALSE else Unknown(Residue(text, reason), implies, TRUE)


def all_of(*children: Formula) -> Formula:
    if len(children) == 1:
        return children[0]
    flat: dict[Formula, None] = {}
    for child in children:
        if child == FALSE:
            return FALSE
        flat.update(dict.fromkeys(child.children if isinstance(child, All) else (child,)))
    merged = _merge(flat, is_negated=True)
    return merged[0] if len(merged) == 1 else All(merged)


def any_of(*children: Formula) -> Formula:
    if len(children) == 1:
        return children[0]
    flat: dict[Formula, None] = {}
    for child in children:
        if child == TRUE:
            return TRUE
        flat.update(dict.fromkeys(child.children if isinstance(child, Any) else (child,)))
    merged = _merge(flat, is_negated=False)
    return merged[0] if len(merged) == 1 else Any(merged)


def negate(formula: Formula) -> Formula:
    """Negation pushed down to the leaves."""
    match formula:
        case Literal(atom, is_negated):
            return Literal(atom, not is_negated)
        case Calls(allowed, every):
            return _calls(every - allowed, every)
        case Unknown(residue, implies, denies):
            text = residue.text.removeprefix("not ")
            text = text if text != residue.text else f"not {text}"
            return Unknown(replace(residue, text=text), denies, implies)
        case All(children):
            return any_of(*map(negate, children))
        case Any(children):
            return all_of(*map(negate, children))


def calls(allowed: Iterable[str], every: Iterable[str]) -> Formula:
    """The call is in `allowed`, where `every` are the calls the event can come from."""
    everything = frozenset(every)
    return _calls(everything & frozenset(allowed), everything)


def normal_form(
    formula: Formula, every_call: frozenset[str], limit: int
) -> tuple[Conjunction, ...]:
    """Alternatives of `formula`, at most `limit`; none is covered by another.

    What would exceed `limit` is widened and leaves a residue that says so.
    """
    return _expand(formula, every_call, limit)


def intersection(alternatives: Iterable[Conjunction]) -> Conjunction:
    """The narrowest single conjunction that covers all `alternatives` (at least one)."""
    return reduce(
        lambda a, b: Conjunction(
            a.must & b.must, a.must_not & b.must_not, a.calls | b.calls, a.residue | b.residue
        ),
        alternatives,
    )


def _expand(formula: Formula, every: frozenset[str], limit: int) -> tuple[Conjunction, ...]:
    nothing = frozenset[Atom]()
    match formula:
        case Literal(atom, is_negated):
            one, none = frozenset((atom,)), frozenset[Atom]()
            return (Conjunction(none, one, every) if is_negated else Conjunction(one, none, every),)
        case Calls(allowed, _):
            return (Conjunction(nothing, nothing, allowed),) if allowed else ()
        case Unknown(residue, implies, _):
            return tuple(
                replace(item, residue=item.residue | {residue})
                for item in _expand(implies, every, limit)
            )
        case Any(children):
            found = _reduce(item for child in children for item in _expand(child, every, limit))
            return found if len(found) <= limit else (_widened(intersection(found)),)
        case All(children):
            product: tuple[Conjunction, ...] = (Conjunction(nothing, nothing, every),)
            # Small factors first, so that a limit drops the widest alternative only.
            for factor in sorted((_expand(c, every, limit) for c in children), key=len):
                found = _reduce(_join(a, b) for a in product for b in factor)
                if len(found) <= limit:
                    product = found
                else:
                    wide = _widened(intersection(factor))
                    product = _reduce(_join(item, wide) for item in product)
            return product


def _join(a: Conjunction, b: Conjunction) -> Conjunction:
    return Conjunction(
        a.must | b.must, a.must_not | b.must_not, a.calls & b.calls, a.residue | b.residue
    )


def _widened(item: Conjunction) -> Conjunction:
    return replace(item, residue=item.residue | {Residue("", TOO_MANY_ALTERNATIVES)})


def _reduce(items: Iterable[Conjunction]) -> tuple[Conjunction, ...]:
    """Contradictions dropped, calls of otherwise equal items united, covered items dropped."""
    united: dict[tuple[frozenset[Atom], frozenset[Atom], frozenset[Residue]], frozenset[str]] = {}
    for item in items:
        if item.calls and not item.must & item.must_not:
            key = (item.must, item.must_not, item.residue)
            united[key] = united.get(key, frozenset()) | item.calls
    kept: list[Conjunction] = []
    for (must, must_not, residue), named in united.items():
        item = Conjunction(must, must_not, named, residue)
        if any(other.covers(item) for other in kept):
            continue
        kept = [other for other in kept if not item.covers(other)]
        kept.append(item)
    return tuple(kept)


def _merge(children: Iterable[Formula], *, is_negated: bool) -> tuple[Formula, ...]:
    """One predicate in place of several that are only told apart by their sources.

    In a disjunction these are positive literals: a or b. In a conjunction they
    are negated: not a and not b is not (a or b).
    """
    groups: dict[tuple[Subject, Family], set[Source]] = {}
    rest: list[Formula] = []
    for child in children:
        match child:
            case Literal(Atom(subject, Predicate() as predicate), negated) if negated == is_negated:
                groups.setdefault((subject, predicate.family), set()).update(predicate.sources)
            case _:
                rest.append(child)
    merged: list[Formula] = [
        Literal(Atom(subject, Predicate(frozenset(sources))), is_negated)
        for (subject, _), sources in groups.items()
    ]
    return tuple(rest + merged)


def _calls(allowed: frozenset[str], every: frozenset[str]) -> Formula:
    if not allowed:
        return FALSE
    return TRUE if allowed == every else Calls(allowed, every)
