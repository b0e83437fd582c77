"""What is known before any event: constants of the session, and of the call.

Both back ends rely on it: a comparison with `guard.home` becomes one with a
path, and a rule tested for one call carries no comparison of `evt.type`.
"""

from __future__ import annotations

from collections.abc import Callable

from guard.data import replace
from guard.engine import ir
from guard.engine.compile import compile_condition, getter
from guard.engine.constants import Constants
from guard.engine.fields import Context, Flag
from guard.event import Event, Process

TRUE, FALSE = ir.Constant(value=True), ir.Constant(value=False)

# Constants never look at them.
_NO_EVENT = Event(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, "")
_NO_PROCESS = Process(
    0, 0, None, "", "", "", (), "", 0, 0, 0, -1, "", "", "", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
)


def fold_constants(expr: ir.Expr, constants: Constants) -> ir.Expr:
    """`expr` with every field that is constant in a session replaced by its value."""
    context = Context(_NO_EVENT, _NO_PROCESS, constants)

    def fold(test: ir.Test) -> ir.Expr:
        if test.operand is not None and _is_constant(test.operand):
            value = getter(test.operand)(context)
            if value is None:
                return FALSE
            # A tuple comes from `getopt`, right of a list operator: each item is a value.
            values = value if isinstance(value, tuple) else (value,)
            test = replace(test, operand=None, values=values)
        if test.operand is None and _is_constant(test.left):
            return TRUE if compile_condition(test)(context) else FALSE
        return test

    return rewrite(expr, fold)


def fold_call(expr: ir.Expr, call: str) -> ir.Expr:
    """`expr` as it is for events of one call."""

    def fold(test: ir.Test) -> ir.Expr:
        names = names_of(test)
        return test if names is None else TRUE if call in names else FALSE

    return rewrite(expr, fold)


def names_in(expr: ir.Expr) -> list[AnyCall | frozenset[str]]:
    """What `names_of` says about every test of `evt.type` in `expr`."""
    match expr:
        case ir.Test():
            names = names_of(expr)
            return [] if names is None else [names]
        case ir.Not():
            return names_in(expr.child)
        case ir.And() | ir.Or():
            return [names for child in expr.children for names in names_in(child)]
    return []


def names_of(test: ir.Test) -> AnyCall | frozenset[str] | None:
    """The calls for which a test of `evt.type` holds; None when it is another test."""
    left = test.left
    if not isinstance(left, ir.FieldRef) or test.operand is not None or test.modifier is not None:
        return None
    # syscall.type has no value for what is not a system call.
    excluded: frozenset[str]
    match left.definition.name:
        case "evt.type":
            excluded = frozenset()
        case "syscall.type":
            excluded = frozenset({"procexit"})
        case _:
            return None
    names = frozenset(str(value) for value in test.values)
    match test.operator:
        case "=" | "in" | "intersects":
            return names - excluded
        case "!=":
            return AnyCall(names | excluded)
        case "exists":
            return AnyCall(excluded)
    return None


class AnyCall:
    """All calls but some."""

    def __init__(self, but: frozenset[str]) -> None:
        self.but = but

    def __contains__(self, call: str) -> bool:
        return call not in self.but


def rewrite(expr: ir.Expr, fold: Callable[[ir.Test], ir.Expr]) -> ir.Expr:
    """Every test replaced by `fold` of it, and what became constant taken out.

    Subtrees in which nothing changes stay the same objects.
    """
    match expr:
        case ir.Test():
            return fold(expr)
        case ir.Constant():
            return expr
        case ir.Not():
            child = rewrite(expr.child, fold)
            if isinstance(child, ir.Constant):
                return FALSE if child.value else TRUE
            return expr if child is expr.child else ir.Not(child)
        case ir.And() | ir.Or():
            children = [rewrite(child, fold) for child in expr.children]
            decisive = FALSE if isinstance(expr, ir.And) else TRUE
            if decisive in children:
                return decisive
            kept = tuple(child for child in children if not isinstance(child, ir.Constant))
            if not kept:
                return TRUE if isinstance(expr, ir.And) else FALSE
            if len(kept) == 1:
                return kept[0]
            if len(kept) == len(children) and all(map(_same, kept, expr.children)):
                return expr
            return ir.And(kept) if isinstance(expr, ir.And) else ir.Or(kept)


def _same(left: object, right: object) -> bool:
    return left is right


def _is_constant(operand: object) -> bool:
    if isinstance(operand, ir.FieldRef):
        return Flag.CONSTANT in operand.definition.flags
    if isinstance(operand, ir.Call):
        return all(map(_is_constant, operand.operands))
    return not isinstance(operand, tuple) or all(map(_is_constant, operand))
