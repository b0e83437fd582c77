"""Which rules to try on an event: by its call, then by one test that many rules need.

Most events match nothing, and most rules say no because of a path or a name.
Rules that require a comparison of the same kind on the same field form a group;
its *gate* is all their comparisons in one. A closed gate answers for the group.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from guard.alert import Action
from guard.engine import ir
from guard.engine.compile import Compiler, cost, merge_key, merged
from guard.engine.compile import Test as Matcher
from guard.engine.constants import Constants
from guard.engine.fields import Context
from guard.engine.fold import FALSE, TRUE, fold_call, fold_constants, names_in

# Order of evaluation, closure, rule.
Entry = tuple[int, Matcher, ir.Rule]
Group = tuple[Matcher | None, tuple[Entry, ...]]


def groups_by_call(policy: ir.Policy, constants: Constants) -> dict[str, tuple[Group, ...]]:
    """For each call the rules that may match its events, compiled for that call."""
    rules = sorted(policy.rules, key=evaluation_order)
    conditions: dict[str, list[tuple[int, ir.Expr, ir.Rule]]] = {}
    uses: list[ir.Expr] = []
    for order, rule in enumerate(rules):
        folded = _by_call(rule, fold_constants(rule.condition, constants))
        uses += {id(condition): condition for condition in folded.values()}.values()
        for call, condition in folded.items():
            if condition != FALSE:
                conditions.setdefault(call, []).append((order, condition, rule))
    compiler = Compiler(uses)
    # Calls tried with the same conditions share their groups: building them takes time.
    made: dict[tuple[tuple[int, int], ...], tuple[Group, ...]] = {}
    result = {}
    for call, found in conditions.items():
        key = tuple((order, id(condition)) for order, condition, _ in found)
        if key not in made:
            made[key] = tuple(_groups(found, compiler))
        result[call] = made[key]
    return result


def evaluation_order(rule: ir.Rule) -> tuple[bool, int]:
    """Sort key: rules that enforce first, table order within each class."""
    return rule.action is Action.ALERT, rule.index


def first_match(groups: Iterable[Group], context: Context) -> ir.Rule | None:
    """The first rule in evaluation order that matches, from whatever group."""
    found: ir.Rule | None = None
    limit = 0
    for gate, entries in groups:
        if gate is not None and not gate(context):
            continue
        for order, matches, rule in entries:
            if found is not None and order > limit:
                break
            if matches(context):
                found, limit = rule, order
                break
    return found


@dataclass(slots=True)
class _Gate:
    alternatives: list[ir.Expr] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)


def _groups(found: Sequence[tuple[int, ir.Expr, ir.Rule]], compiler: Compiler) -> Iterable[Group]:
    gates: dict[object, _Gate] = {}
    for order, condition, rule in found:
        key, alternatives = _required(condition)
        gate = gates.setdefault(key, _Gate())
        gate.alternatives += alternatives
        gate.entries.append((order, compiler.compile(condition), rule))
    for gate in gates.values():
        # A rule alone is as quick as its gate.
        is_alone = len(gate.entries) == 1
        test = None if is_alone else compiler.compile(_union(gate.alternatives))
        yield test, tuple(gate.entries)


def _union(alternatives: Iterable[ir.Expr]) -> ir.Expr:
    tests = merged(alternatives)
    return tests[0] if len(tests) == 1 else ir.Or(tuple(tests))


def _required(condition: ir.Expr) -> tuple[object, list[ir.Expr]]:
    """A part of the condition that must hold, as alternatives, and what to group it by."""
    parts = condition.children if isinstance(condition, ir.And) else (condition,)
    candidates = []
    for part in parts:
        alternatives = list(part.children if isinstance(part, ir.Or) else (part,))
        keys = [merge_key(alternative) for alternative in alternatives]
        if None not in keys:
            candidates.append((cost(part), frozenset(keys), alternatives))
    if candidates:
        _, key, alternatives = max(candidates, key=lambda candidate: candidate[0])
        return key, alternatives
    plain = [part for part in parts if isinstance(part, ir.Test)]
    if plain:
        cheapest = min(plain, key=cost)
        return cheapest, [cheapest]
    return None, [TRUE]


def _by_call(rule: ir.Rule, condition: ir.Expr) -> dict[str, ir.Expr]:
    # Calls that no test of the rule tells apart share one folded condition.
    named = names_in(condition)
    folded: dict[tuple[bool, ...], ir.Expr] = {}
    result: dict[str, ir.Expr] = {}
    for call in sorted(rule.calls):
        signature = tuple(call in names for names in named)
        if signature not in folded:
            folded[signature] = fold_call(condition, call)
        result[call] = folded[signature]
    return result
