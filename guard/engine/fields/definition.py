"""What a field is, and what its value is computed from."""

from __future__ import annotations

import enum
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import TypeAlias

from guard.data import dataclass
from guard.engine.constants import Constants
from guard.event import Event, Process

Address: TypeAlias = IPv4Address | IPv6Address
Value: TypeAlias = str | int | bool | bytes | Address | tuple[str, ...]
# A field that stands for several values yields a tuple of them, see `Many`.
Values: TypeAlias = tuple[str, ...] | tuple[int, ...] | tuple[Address, ...]


class Context:
    """One event under test: who did it, its number in the stream, and what was computed so far."""

    __slots__ = ("cache", "constants", "event", "number", "process")

    def __init__(
        self, event: Event, process: Process, constants: Constants, number: int = 1
    ) -> None:
        self.event = event
        self.process = process
        self.constants = constants
        self.number = number
        self.cache: dict[object, object] = {}


Getter: TypeAlias = Callable[[Context], "Value | Values | None"]


class FieldType(enum.Enum):
    """Falco's name of the type; it decides which operators and values fit."""

    TEXT = "charbuf"
    BYTES = "bytebuf"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    UINT32 = "uint32"
    UINT64 = "uint64"
    RELTIME = "reltime"
    ABSTIME = "abstime"
    PORT = "port"
    BOOL = "bool"
    ADDRESS = "ipaddr"
    NETWORK = "ipnet"
    LIST = "list"

    @property
    def is_number(self) -> bool:
        """True for what is compared as an integer, ports and times included."""
        return self in INTEGER_RANGES


INTEGER_RANGES: dict[FieldType, tuple[int, int]] = {
    FieldType.INT16: (-(2**15), 2**15 - 1),
    FieldType.INT32: (-(2**31), 2**31 - 1),
    FieldType.INT64: (-(2**63), 2**63 - 1),
    FieldType.UINT32: (0, 2**32 - 1),
    FieldType.UINT64: (0, 2**64 - 1),
    FieldType.RELTIME: (0, 2**64 - 1),
    FieldType.ABSTIME: (0, 2**64 - 1),
    FieldType.PORT: (0, 2**16 - 1),
}


class Argument(enum.Enum):
    """Whether `field[argument]` may, must or must not be written."""

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


class Many(enum.Enum):
    """How many values the field has when no argument picks one."""

    ONE = "one"
    ANCESTORS = "ancestors"  # a comparison holds when it holds for any of them
    ENDS = "ends"  # the same, except that `!=` must hold for all


class Flag(enum.Enum):
    """What must not be done with a field, and what is known about it at load."""

    FILTER_ONLY = "filter-only"  # has no text, so not in outputs
    NO_RHS = "no-rhs"  # not on the right side
    NO_TRANSFORMER = "no-transformer"
    CONSTANT = "constant"  # the same for the whole session: folded at load
    UNAVAILABLE = "unavailable"  # Falco has it, guard has no data for it: never a value
    DEPRECATED = "deprecated"


@dataclass(frozen=True, slots=True, eq=False)
class FieldDef:
    """One field of the rule language; compared by identity.

    `bind` turns an argument into the function that gets the value from an
    event: None when there is no value. `json` gets the value for structured
    output where that differs from the text. `cost` orders comparisons: about
    the number of attribute reads behind a value.
    """

    name: str
    type: FieldType
    doc: str
    bind: Callable[[str | None], Getter]
    argument: Argument = Argument.NONE
    flags: frozenset[Flag] = frozenset()
    many: Many = Many.ONE
    cost: int = 1
    json: Getter | None = None

    def extract(self, context: Context, argument: str | None = None) -> Value | Values | None:
        """The value for one event, None when there is none."""
        return self.bind(argument)(context)

    def has_many(self, argument: str | None) -> bool:
        """True when the value is a tuple of which comparisons look at each item."""
        return argument is None and self.many is not Many.ONE


def field(
    name: str,
    type: FieldType,
    doc: str,
    get: Getter,
    *,
    flags: frozenset[Flag] = frozenset(),
    many: Many = Many.ONE,
    cost: int = 1,
    json: Getter | None = None,
) -> FieldDef:
    """A field without argument."""

    def bind(argument: str | None) -> Getter:
        assert argument is None  # INVARIANT: check refuses an argument here
        return get

    return FieldDef(name, type, doc, bind, flags=flags, many=many, cost=cost, json=json)


def unavailable(
    name: str, type: FieldType, doc: str, argument: Argument = Argument.NONE
) -> FieldDef:
    """A field of Falco's that never has a value here, so that files using it load."""

    def nothing(_: Context) -> None:
        return None

    def bind(_: str | None) -> Getter:
        return nothing

    return FieldDef(name, type, doc, bind, argument, frozenset({Flag.UNAVAILABLE}))


def memoised(name: str, get: Getter) -> Getter:
    """`get`, computed once per event; `name` must be unique among all such getters."""

    def lookup(context: Context) -> Value | Values | None:
        value = context.cache.get(name, context)
        # The context itself stands for "not yet": no field has it as value.
        if value is context:
            value = context.cache[name] = get(context)
        return value  # type: ignore[return-value]  # only `get` writes there

    return lookup
