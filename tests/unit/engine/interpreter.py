"""Falco's rules of evaluation, written down plainly: what the closures must agree with."""

from __future__ import annotations

import fnmatch
import ipaddress

import re2

from guard.engine import ir
from guard.engine.fields import Context, FieldType, Many
from guard.engine.transformers import apply


def evaluate(node: ir.Expr, context: Context) -> bool:
    match node:
        case ir.Constant():
            return node.value
        case ir.Not():
            return not evaluate(node.child, context)
        case ir.And():
            return all(evaluate(child, context) for child in node.children)
        case ir.Or():
            return any(evaluate(child, context) for child in node.children)
        case ir.Test():
            return _test(node, context)


def _test(test: ir.Test, context: Context) -> bool:
    value = _value(test.left, context)
    many = Many.ONE
    if isinstance(test.left, ir.FieldRef) and test.left.argument is None:
        many = test.left.definition.many
    if test.operator == "exists":
        return bool(value) if many is Many.ANCESTORS else value is not None
    if value is None:
        return False
    values = list(test.values)
    if test.operand is not None:
        right = _value(test.operand, context)
        if right is None:
            return False
        values = list(right) if isinstance(right, tuple) else [right]
    is_net = isinstance(test.left, ir.FieldRef) and test.left.definition.type is FieldType.NETWORK
    if many is Many.ONE:
        return _holds(test, value, values, is_net=is_net)
    results = [_holds(test, item, values, is_net=is_net) for item in value]
    if many is Many.ENDS and test.operator == "!=":
        return bool(results) and all(results)
    return any(results)


def _holds(test: ir.Test, value: object, values: list[object], *, is_net: bool) -> bool:
    if isinstance(value, tuple):
        common = [item in values for item in value]
        return any(common) if test.operator == "intersects" else bool(common) and all(common)
    if test.operator in {"in", "intersects", "pmatch"}:
        each = "pmatch" if test.operator == "pmatch" else "="
        return any(_compare(each, value, item, is_net=is_net) for item in values)
    results = [_compare(test.operator, value, item, is_net=is_net) for item in values]
    match test.modifier:
        case None:
            return results[0]
        case "anyof":
            return any(results)
        case "allof":
            return bool(results) and all(results)
        case "oneof":
            return sum(results) == 1
    raise AssertionError(test.modifier)


def _compare(operator: str, left: object, right: object, *, is_net: bool) -> bool:
    match operator:
        case "=":
            return left in right if is_net else left == right
        case "!=":
            return left not in right if is_net else left != right
        case "contains" | "bcontains":
            return right in left
        case "icontains":
            return _lower(right) in _lower(left)
        case "startswith" | "bstartswith":
            return left[: len(right)] == right
        case "endswith":
            return len(left) >= len(right) and left[len(left) - len(right) :] == right
        case "glob":
            return fnmatch.fnmatchcase(left, right)
        case "iglob":
            return fnmatch.fnmatchcase(_lower(left), _lower(right))
        case "regex":
            text = left.encode(errors="surrogateescape").decode(errors="replace")
            return re2.fullmatch(right, text) is not None
        case "pmatch":
            return _below(left, right)
    if isinstance(left, str):
        left, right = left.encode(errors="surrogateescape"), right.encode(errors="surrogateescape")
    return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[
        operator
    ]


def _below(path: str, item: str) -> bool:
    parts, wanted = _parts(path), _parts(item)
    if not wanted:
        return not parts
    pairs = list(zip(parts, wanted, strict=False))
    return len(parts) >= len(wanted) and all(
        fnmatch.fnmatchcase(part, want) for part, want in pairs
    )


def _parts(path: str) -> list[str]:
    return (["/"] if path.startswith("/") else []) + [part for part in path.split("/") if part]


def _lower(text: str) -> str:
    return "".join(char.lower() if char.isascii() else char for char in text)


def _value(operand: object, context: Context) -> object:
    if isinstance(operand, ir.FieldRef):
        return operand.definition.extract(context, operand.argument)
    if isinstance(operand, ir.Call):
        inputs = [_value(item, context) for item in operand.operands]
        return apply(operand.name, operand.argument)(inputs)
    if isinstance(operand, tuple):
        return tuple(_value(item, context) for item in operand)
    assert isinstance(operand, str | int | bytes | ipaddress.IPv4Address)
    return operand
