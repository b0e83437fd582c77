"""For which calls can a condition be true: the sets behind the detector's index."""

from __future__ import annotations

from guard.engine import ir
from guard.engine.event_names import CAPTURED
from guard.engine.fold import names_of

NOTHING: frozenset[str] = frozenset()


def calls_of(condition: ir.Expr) -> frozenset[str]:
    """The captured calls whose events may satisfy `condition`.

    `and` intersects, `or` unites. Only comparisons of `evt.type` and of
    `evt.num` tell anything; every other one may be true or false for any call,
    under `not` as well.
    """
    return _calls(condition, negated=False)


def _calls(node: ir.Expr, *, negated: bool) -> frozenset[str]:
    match node:
        case ir.Constant():
            return CAPTURED if node.value is not negated else NOTHING
        case ir.Not():
            return _calls(node.child, negated=not negated)
        case ir.And() | ir.Or():
            sets = [_calls(child, negated=negated) for child in node.children]
            if isinstance(node, ir.Or) is not negated:
                return NOTHING.union(*sets)
            return CAPTURED.intersection(*sets)
        case ir.Test():
            return _of_test(node, negated=negated)


def _of_test(test: ir.Test, *, negated: bool) -> frozenset[str]:
    names = names_of(test)
    if names is not None:
        return frozenset(call for call in CAPTURED if (call in names) is not negated)
    always = _on_number(test)
    if always is not None:
        return CAPTURED if always is not negated else NOTHING
    return CAPTURED


def _on_number(test: ir.Test) -> bool | None:
    """Whether a comparison of `evt.num` holds for every event; None when that depends."""
    left = test.left
    if not isinstance(left, ir.FieldRef) or left.definition.name != "evt.num":
        return None
    if test.operand is not None or test.modifier is not None:
        return None
    # Events are numbered from 1.
    match test.operator, tuple(test.values):
        case ("=" | "<=", (0,)) | ("<", (0 | 1,)):
            return False
        case "in" | "intersects", values if not set(values) - {0}:
            return False
        case ("!=" | ">", (0,)) | (">=", (0 | 1,)):
            return True
        case "exists", _:
            return True
    return None
