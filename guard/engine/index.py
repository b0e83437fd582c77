"""Which rules to try on an event: by its call, then by tests that many rules need.

Most events match nothing, and most rules say no because of a path or a name.
The rules of a call are therefore a tree of *branches*. A branch opens with a
test that all rules in it require: first what they have in common word for word,
then one comparison that is the union of theirs with the same field. A branch
that stays closed answers for all its rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from guard.alert import Action
from guard.data import dataclass
from guard.engine import ir
from guard.engine.compile import Compiler, cost, merge_key, merged
from guard.engine.compile import Test as Matcher
from guard.engine.constants import Constants
from guard.engine.fields import Context
from guard.engine.fold import FALSE, TRUE, fold_call, fold_constants

_CHEAP = 6  # a test that costs more is no good first question
_PATH_FIELDS = ("path", "fd.name", "fs.path.name", "fs.path.source", "fs.path.target")
_WILDCARDS = frozenset("?*[\\")

# Order of evaluation, what is left to test, rule.
Entry = tuple[int, Matcher, ir.Rule]


@dataclass(frozen=True, slots=True)
class Branch:
    """`gate` is None where only `entries` decide; these are in evaluation order."""

    gate: Matcher | None
    entries: tuple[Entry, ...]
    branches: tuple[Branch, ...] = ()


class BranchesByCall(dict[str, tuple[Branch, ...]]):
    """For each call the rules that may match its events, compiled when it is first asked for."""

    def __init__(self, policy: ir.Policy, constants: Constants) -> None:
        super().__init__()
        self._rules = sorted(policy.rules, key=evaluation_order)
        self._constants = constants

    def __missing__(self, call: str) -> tuple[Branch, ...]:
        candidates = []
        for order, rule in enumerate(self._rules):
            if call in rule.calls:
                condition = fold_call(fold_constants(rule.condition, self._constants), call)
                if condition != FALSE:
                    candidates.append(_Candidate(order, tuple(_conjuncts(condition)), rule))
        compiler = Compiler(part for candidate in candidates for part in candidate.parts)
        found = self[call] = tuple(_branches(candidates, compiler))
        return found


def evaluation_order(rule: ir.Rule) -> tuple[bool, int]:
    """Sort key: rules that enforce first, table order within each class."""
    return rule.action is Action.ALERT, rule.index


def first_match(branches: Iterable[Branch], context: Context) -> ir.Rule | None:
    """The first rule in evaluation order that matches, from whatever branch."""
    found = _search(branches, context, None)
    return None if found is None else found[2]


def _search(branches: Iterable[Branch], context: Context, found: Entry | None) -> Entry | None:
    for branch in branches:
        gate = branch.gate
        if gate is not None and not gate(context):
            continue
        for entry in branch.entries:
            if found is not None and entry[0] > found[0]:
                break
            if entry[1](context):
                found = entry
                break
        if branch.branches:
            found = _search(branch.branches, context, found)
    return found


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A rule with the parts of its condition that are still to be tested."""

    order: int
    parts: tuple[ir.Expr, ...]
    rule: ir.Rule

    def without(self, parts: tuple[ir.Expr, ...]) -> _Candidate:
        left = tuple(part for part in self.parts if part not in parts)
        return _Candidate(self.order, left, self.rule)

    def entry(self, compiler: Compiler) -> Entry:
        return self.order, compiler.compile(_all_of(self.parts)), self.rule


class _Gate:
    def __init__(self) -> None:
        self.alternatives: list[ir.Expr] = []
        self.candidates: list[_Candidate] = []


def _branches(candidates: Sequence[_Candidate], compiler: Compiler) -> Iterator[Branch]:
    rest = list(candidates)
    while (common := _most_common(rest)) is not None:
        inside = [candidate for candidate in rest if common in candidate.parts]
        rest = [candidate for candidate in rest if common not in candidate.parts]
        # One gate for everything cheap that all of them require.
        shared = tuple(
            part
            for part in inside[0].parts
            if _is_question(part) and all(part in candidate.parts for candidate in inside)
        )
        gate = compiler.compile(_all_of(shared))
        inside = [candidate.without(shared) for candidate in inside]
        yield Branch(gate, (), tuple(_branches(inside, compiler)))
    yield from _gated(rest, compiler)


def _most_common(candidates: Iterable[_Candidate]) -> ir.Expr | None:
    counts = Counter(part for candidate in candidates for part in candidate.parts)
    shared = [part for part, count in counts.items() if count > 1 and _is_question(part)]
    return max(shared, key=lambda part: (counts[part], -cost(part)), default=None)


def _is_question(part: ir.Expr) -> bool:
    """Cheap, and likely to be false: a list of exceptions hardly ever is."""
    test = part.child if isinstance(part, ir.Not) else part
    is_exception = isinstance(part, ir.Not) and getattr(test, "operator", "") != "exists"
    return isinstance(test, ir.Test) and not is_exception and cost(part) <= _CHEAP


def _gated(candidates: Iterable[_Candidate], compiler: Compiler) -> Iterator[Branch]:
    gates: dict[object, _Gate] = {}
    for candidate in candidates:
        key, alternatives = _required(candidate)
        gate = gates.setdefault(key, _Gate())
        gate.alternatives += alternatives
        gate.candidates.append(candidate)
    for gate in gates.values():
        entries = tuple(candidate.entry(compiler) for candidate in gate.candidates)
        # A rule alone is as quick as its gate.
        test = None if len(entries) == 1 else compiler.compile(_any_of(gate.alternatives))
        yield Branch(test, entries)


def _required(candidate: _Candidate) -> tuple[object, list[ir.Expr]]:
    """A part that must hold, as alternatives, and what to group it by."""
    usable = []
    for part in candidate.parts:
        alternatives = [
            _widened(each) for each in (part.children if isinstance(part, ir.Or) else (part,))
        ]
        keys = [merge_key(alternative) for alternative in alternatives]
        if None not in keys:
            usable.append((cost(part), frozenset(keys), alternatives))
    if usable:
        _, key, alternatives = max(usable, key=lambda each: each[0])
        return key, alternatives
    return candidate.order, [TRUE]


def _widened(test: ir.Expr) -> ir.Expr:
    """Equality with paths as `pmatch`, which holds whenever it does, to share its gate."""
    if (
        isinstance(test, ir.Test)
        and test.operator in {"=", "in"}
        and test.operand is None
        and test.modifier is None
        and isinstance(test.left, ir.FieldRef)
        and test.left.definition.name.endswith(_PATH_FIELDS)
        and not any(_WILDCARDS & set(str(value)) for value in test.values)
    ):
        return ir.Test(test.left, "pmatch", test.values)
    return test


def _conjuncts(condition: ir.Expr) -> Iterator[ir.Expr]:
    if isinstance(condition, ir.And):
        for child in condition.children:
            yield from _conjuncts(child)
    elif condition != TRUE:
        yield condition


def _all_of(parts: tuple[ir.Expr, ...]) -> ir.Expr:
    if not parts:
        return TRUE
    return parts[0] if len(parts) == 1 else ir.And(parts)


def _any_of(alternatives: Iterable[ir.Expr]) -> ir.Expr:
    tests = merged(alternatives)
    return tests[0] if len(tests) == 1 else ir.Or(tuple(tests))
