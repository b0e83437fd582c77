"""Syntax tree of a condition: what was written, and where.

Made by the parser; macros are still references and every value is still text.
`Span` offsets count characters of the expanded condition text, from where the
caller of the parser says that it begins. `resolve` lays all condition texts of
a load end to end, so a node copied from a macro keeps its place, and
`resolve.SourceMap.locate(span)` gives file, line and column.
"""

from __future__ import annotations

from guard.data import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """Half-open range of characters in a source text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Field:
    """`name` or `name[argument]`."""

    span: Span
    name: str
    argument: str | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """A value, escapes already decoded; `quoted` tells how it was written."""

    span: Span
    value: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class TextList:
    """`(a, b, …)`, or a bare word standing for a list of one."""

    span: Span
    items: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class Transformer:
    """`name(arguments)[argument]`; `val(field)` is one, on the right side only."""

    span: Span
    name: str
    arguments: tuple[Operand, ...]
    argument: str | None = None


@dataclass(frozen=True, slots=True)
class OperandList:
    """List inside a transformer's arguments."""

    span: Span
    items: tuple[Operand, ...]


Operand = Field | Transformer | Text | OperandList
Value = Text | TextList | Transformer


@dataclass(frozen=True, slots=True)
class Check:
    """`left operator [modifier] right`; `exists` has no right side."""

    span: Span
    left: Field | Transformer
    operator: str
    operator_span: Span
    modifier: str | None = None
    right: Value | None = None


@dataclass(frozen=True, slots=True)
class MacroRef:
    span: Span
    name: str


@dataclass(frozen=True, slots=True)
class Not:
    span: Span
    child: Expr


@dataclass(frozen=True, slots=True)
class And:
    span: Span
    children: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Or:
    span: Span
    children: tuple[Expr, ...]


Expr = Check | MacroRef | Not | And | Or
