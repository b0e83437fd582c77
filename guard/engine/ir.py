"""Typed form of rules: fields bound, values converted, nothing left to check.

Both back ends start here: `compile` makes closures, `lower` makes the kernel
plan. The name of a constant of the session (`guard.home`) never appears: such
fields are folded to their value before.
"""

from __future__ import annotations

import ipaddress

from guard.alert import Action, Priority
from guard.data import dataclass
from guard.engine.fields import FieldDef

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Scalar = str | int | bool | float | bytes | Address | Network


@dataclass(frozen=True, slots=True)
class FieldRef:
    definition: FieldDef
    argument: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A transformer applied to operands; `argument` selects as in `getopt(…)[c]`."""

    name: str
    operands: tuple[FieldRef | Call | Scalar | tuple[FieldRef | Call | Scalar, ...], ...]
    argument: str | None = None


Operand = FieldRef | Call


@dataclass(frozen=True, slots=True)
class Test:
    """One comparison.

    `operator` is Falco's word with `==` folded to `=`. `values` holds the right
    side converted to the field's type: one item for a scalar operator, any
    number for `in`, `intersects`, `pmatch` or with a modifier, none for
    `exists`. `operand` is set instead when the right side is `val()` or a call.
    """

    left: Operand
    operator: str
    values: tuple[Scalar, ...] = ()
    modifier: str | None = None
    operand: Operand | None = None
    text: str = ""  # canonical text, for messages and caches


@dataclass(frozen=True, slots=True)
class Constant:
    value: bool


@dataclass(frozen=True, slots=True)
class Not:
    child: Expr


@dataclass(frozen=True, slots=True)
class And:
    children: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Or:
    children: tuple[Expr, ...]


Expr = Test | Constant | Not | And | Or


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule ready to run. `index` is its place in the loaded policy, from 0."""

    index: int
    name: str
    condition: Expr
    output: str  # template as written; parsed by `output`
    priority: Priority
    action: Action
    tags: tuple[str, ...]
    description: str
    remedy: str
    calls: frozenset[str]  # evt.type values for which the condition can be true
    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """All enabled rules in evaluation order, and the sources they came from."""

    rules: tuple[Rule, ...]
    revision: str  # sha256 over the sources and session constants, hex
    sources: tuple[str, ...] = ()
