"""Canonical text of a condition: the same for every way of writing it."""

from __future__ import annotations

from guard.engine.syntax import (
    And,
    Check,
    Expr,
    Field,
    MacroRef,
    Not,
    Operand,
    OperandList,
    Text,
    TextList,
    Transformer,
    Value,
)

_ESCAPES = {
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\\": "\\\\",
    '"': '\\"',
}
_NEEDS_QUOTES = frozenset(" ='\0") | frozenset(_ESCAPES)


def to_text(expr: Expr) -> str:
    """The condition as Falco prints it; works on trees of any depth."""
    parts: list[str] = []
    # What is still to be printed, last first; texts are printed as they are.
    pending: list[Expr | str] = [expr]
    while pending:
        node = pending.pop()
        if isinstance(node, str):
            parts.append(node)
        elif isinstance(node, Check):
            parts.append(check_text(node))
        elif isinstance(node, MacroRef):
            parts.append(node.name)
        elif isinstance(node, Not):
            parts.append("not ")
            pending.append(node.child)
        else:
            joiner = " and " if isinstance(node, And) else " or "
            pending.append(")")
            for child in reversed(node.children[1:]):
                pending += (child, joiner)
            pending += (node.children[0], "(")
    return "".join(parts)


def check_text(check: Check) -> str:
    """One comparison."""
    words = [operand_text(check.left), check.operator]
    if check.modifier is not None:
        words.append(check.modifier)
    if check.right is not None:
        words.append(operand_text(check.right))
    return " ".join(words)


def operand_text(operand: Operand | Value) -> str:
    """A field, value, list or transformer."""
    if isinstance(operand, Field):
        return operand.name + _argument_text(operand.argument)
    if isinstance(operand, Text):
        return value_text(operand.value)
    if isinstance(operand, TextList):
        return f"({', '.join(value_text(item.value) for item in operand.items)})"
    if isinstance(operand, OperandList):
        return f"({', '.join(_inner_text(item) for item in operand.items)})"
    return _transformer_text(operand)


def value_text(value: str) -> str:
    """A value, in double quotes when it could not be read back without."""
    if value and not any(char in _NEEDS_QUOTES for char in value):
        return value
    return _quoted(value)


def _quoted(value: str) -> str:
    return '"' + "".join(_ESCAPES.get(char, char) for char in value) + '"'


def _inner_text(operand: Operand) -> str:
    # Transformers take bare numbers but no other bare text.
    if isinstance(operand, Text) and operand.quoted:
        return _quoted(operand.value)
    return operand_text(operand)


def _argument_text(argument: str | None) -> str:
    return "" if argument is None else f"[{argument}]"


def _transformer_text(transformer: Transformer) -> str:
    # Nested calls first, so that a thousand of them need no recursion.
    heads: list[str] = []
    tails: list[str] = []
    node: Operand = transformer
    while isinstance(node, Transformer) and node.arguments:
        heads.append(node.name + "(")
        rest = "".join("," + _inner_text(argument) for argument in node.arguments[1:])
        tails.append(rest + ")" + _argument_text(node.argument))
        node = node.arguments[0]
    return "".join(heads) + _inner_text(node) + "".join(reversed(tails))
