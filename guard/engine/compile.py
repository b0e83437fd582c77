"""From typed conditions to closures.

A closure never looks at the condition again. Inside `and` and `or` the cheap
tests come first, which nothing can notice because tests have no effects. A
subtree that several rules of a `Compiler` share is computed once per event.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from guard.engine import ir, transformers
from guard.engine.comparisons import between, predicate
from guard.engine.fields import Context, FieldType, Getter, Many

Test: TypeAlias = Callable[[Context], bool]

# A memo costs more than two plain comparisons.
_WORTH_A_MEMO = 10
_EXCEPTION = 20
_OPERATOR_COST = {
    "=": 0, "!=": 0, "in": 0, "exists": 0, "startswith": 1, "endswith": 1, "contains": 1,
    "icontains": 3, "pmatch": 4, "glob": 5, "iglob": 5, "regex": 20,
}  # fmt: skip


def compile_condition(condition: ir.Expr) -> Test:
    """The closure of one condition that stands alone."""
    return Compiler([condition]).compile(condition)


def cost(node: ir.Expr) -> int:
    """Rough price of a test, in attribute reads."""
    match node:
        case ir.Test():
            right = 0 if node.operand is None else _operand_cost(node.operand)
            each = _OPERATOR_COST.get(node.operator, 1) * (len(node.values) if node.modifier else 1)
            return 1 + _operand_cost(node.left) + right + each
        case ir.Not():
            return cost(node.child)
        case ir.And() | ir.Or():
            return 1 + sum(map(cost, node.children))
    return 0


_FAMILIES = {
    "=": "in", "in": "in", "intersects": "in", "startswith": "startswith",
    "endswith": "endswith", "pmatch": "pmatch",
}  # fmt: skip


class Compiler:
    """Compiles the conditions of one policy; equal subtrees become the same closure."""

    def __init__(self, conditions: Iterable[ir.Expr]) -> None:
        self._made: dict[ir.Expr, Test] = {}
        self._uses: Counter[ir.Expr] = Counter()
        for condition in conditions:
            self._count(condition)

    def compile(self, condition: ir.Expr) -> Test:
        """The closure: true when the rule matches the event of the context."""
        made = self._made.get(condition)
        if made is None:
            made = self._make(condition)
            if self._uses[condition] > 1 and cost(condition) >= _WORTH_A_MEMO:
                made = _memo(len(self._made), made)
            self._made[condition] = made
        return made

    def _count(self, node: ir.Expr) -> None:
        self._uses[node] += 1
        if self._uses[node] > 1:
            return
        match node:
            case ir.Not():
                self._count(node.child)
            case ir.And() | ir.Or():
                for child in node.children:
                    self._count(child)

    def _make(self, node: ir.Expr) -> Test:
        match node:
            case ir.Constant():
                return _always if node.value else _never
            case ir.Test():
                return _test(node)
            case ir.Not():
                child = self.compile(node.child)
                return lambda context: not child(context)
            case ir.And():
                return _all([self.compile(child) for child in sorted(node.children, key=_rank)])
            case ir.Or():
                children = sorted(merged(node.children), key=cost)
                return _any([self.compile(child) for child in children])


def getter(operand: ir.Operand) -> Getter:
    """The function that gets the value of a field or transformer."""
    if isinstance(operand, ir.FieldRef):
        return operand.definition.bind(operand.argument)
    inputs = [_input(item) for item in operand.operands]
    function = transformers.apply(operand.name, operand.argument)
    return lambda context: function([get(context) for get in inputs])


def value_type(operand: ir.Operand) -> FieldType:
    """Type of the value of a checked operand."""
    if isinstance(operand, ir.FieldRef):
        return operand.definition.type
    kinds = []
    for item in operand.operands:
        if isinstance(item, ir.FieldRef | ir.Call):
            kinds.append(value_type(item))
        else:
            kinds.append(FieldType.LIST if isinstance(item, tuple) else FieldType.TEXT)
    return transformers.result_type(operand, kinds)


def merged(alternatives: Iterable[ir.Expr]) -> list[ir.Expr]:
    """Fewer tests that hold when one of `alternatives` does.

    `=` and `in` on one field become one `in`, its `pmatch`es one `pmatch`, its
    `startswith`es and `endswith`es one with the modifier `anyof`.
    """
    found: dict[object, ir.Expr] = {}
    for test in alternatives:
        key = merge_key(test)
        if key is None or not isinstance(test, ir.Test):
            found[test] = test
            continue
        left, family = key
        known = found.get(key)
        values = known.values if isinstance(known, ir.Test) else ()
        modifier = "anyof" if family in {"startswith", "endswith"} else None
        found[key] = ir.Test(left, family, tuple(dict.fromkeys((*values, *test.values))), modifier)
    return list(found.values())


def merge_key(test: ir.Expr) -> tuple[ir.Operand, str] | None:
    """What tests have in common that `merged` makes one; None for other tests."""
    if (
        not isinstance(test, ir.Test)
        or test.operator not in _FAMILIES
        or test.operand is not None
        or test.modifier not in {None, "anyof"}
        or value_type(test.left) is not FieldType.TEXT
    ):
        return None
    return test.left, _FAMILIES[test.operator]


def _rank(part: ir.Expr) -> int:
    # What is excepted by `not` seldom applies, so it decides little.
    return cost(part) + (_EXCEPTION if isinstance(part, ir.Not) else 0)


def _always(_: Context) -> bool:
    return True


def _never(_: Context) -> bool:
    return False


def _memo(key: int, test: Test) -> Test:
    def remembered(context: Context) -> bool:
        cache = context.cache
        found = cache.get(key)
        if found is None:
            found = cache[key] = test(context)
        return found  # type: ignore[return-value]  # keys that are numbers hold bools

    return remembered


def _all(tests: list[Test]) -> Test:
    if not tests:
        return _always
    if len(tests) == 1:
        return tests[0]
    first, second = tests[0], tests[1]
    if len(tests) == 2:
        return lambda context: first(context) and second(context)
    rest = tuple(tests[2:])

    def every(context: Context) -> bool:
        if not first(context) or not second(context):
            return False
        for test in rest:  # noqa: SIM110  # all() with a generator takes twice as long
            if not test(context):
                return False
        return True

    return every


def _any(tests: list[Test]) -> Test:
    if not tests:
        return _never
    if len(tests) == 1:
        return tests[0]
    first, second = tests[0], tests[1]
    if len(tests) == 2:
        return lambda context: first(context) or second(context)
    rest = tuple(tests[2:])

    def some(context: Context) -> bool:
        if first(context) or second(context):
            return True
        for test in rest:  # noqa: SIM110  # any() with a generator takes twice as long
            if test(context):
                return True
        return False

    return some


def _test(test: ir.Test) -> Test:
    get = getter(test.left)
    many = _many(test.left)
    if test.operator == "exists":
        if many is Many.ANCESTORS:
            return lambda context: bool(get(context))
        return lambda context: get(context) is not None
    kind = value_type(test.left)
    if test.operand is not None:
        return _dynamic(test, get, getter(test.operand), many, kind)
    if many is Many.ONE:
        return _single(test, get, kind)
    holds = predicate(test.operator, test.values, test.modifier, kind)
    if many is Many.ENDS and test.operator == "!=":
        return _every_end(get, holds)
    return _some_value(get, holds)


def _single(test: ir.Test, get: Getter, kind: FieldType) -> Test:
    """The usual comparisons without a call in between; None equals nothing."""
    values, operator, modifier = test.values, test.operator, test.modifier
    if kind not in {FieldType.NETWORK, FieldType.LIST}:
        if operator == "=" and modifier is None:
            expected = values[0]
            return lambda context: get(context) == expected
        if operator in {"in", "intersects"} or (operator == "=" and modifier == "anyof"):
            items = frozenset(values)
            return lambda context: get(context) in items
    if operator in {"startswith", "endswith"} and modifier in {None, "anyof"}:
        return _affix(get, operator, values)
    holds = predicate(operator, values, modifier, kind)

    def satisfied(context: Context) -> bool:
        value = get(context)
        return value is not None and holds(value)

    return satisfied


def _affix(get: Getter, operator: str, values: tuple[ir.Scalar, ...]) -> Test:
    def starts(context: Context) -> bool:
        value: Any = get(context)  # text or bytes, as the values are
        return value is not None and value.startswith(values)

    def ends(context: Context) -> bool:
        value: Any = get(context)  # text or bytes, as the values are
        return value is not None and value.endswith(values)

    return starts if operator == "startswith" else ends


def _some_value(get: Getter, holds: Callable[[Any], bool]) -> Test:
    def some(context: Context) -> bool:
        values: Any = get(context)  # a tuple, by Many
        return values is not None and any(map(holds, values))

    return some


def _every_end(get: Getter, holds: Callable[[Any], bool]) -> Test:
    def every(context: Context) -> bool:
        values: Any = get(context)  # a tuple, by Many
        return bool(values) and all(map(holds, values))

    return every


def _dynamic(test: ir.Test, get: Getter, get_right: Getter, many: Many, kind: FieldType) -> Test:
    compare = between(test.operator, kind)

    def holds_for(value: Any, right: Any) -> bool:  # types by check
        return compare(value, right)

    def satisfied(context: Context) -> bool:
        value: Any = get(context)
        right = get_right(context)
        if value is None or right is None:
            return False
        if many is Many.ONE:
            return holds_for(value, right)
        results = [holds_for(item, right) for item in value]
        if many is Many.ENDS and test.operator == "!=":
            return bool(results) and all(results)
        return any(results)

    return satisfied


def _input(item: object) -> Callable[[Context], Any]:
    if isinstance(item, ir.FieldRef | ir.Call):
        return getter(item)
    if isinstance(item, tuple):
        parts = [_input(part) for part in item]

        def collect(context: Context) -> tuple[Any, ...] | None:
            values = tuple(part(context) for part in parts)
            return None if None in values else values

        return collect
    return lambda _: item


def _many(operand: ir.Operand) -> Many:
    if isinstance(operand, ir.FieldRef) and operand.definition.has_many(operand.argument):
        return operand.definition.many
    return Many.ONE


def _operand_cost(operand: ir.Operand) -> int:
    if isinstance(operand, ir.FieldRef):
        return operand.definition.cost
    inner = [item for item in operand.operands if isinstance(item, ir.FieldRef | ir.Call)]
    return 3 + sum(map(_operand_cost, inner))
