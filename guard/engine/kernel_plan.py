"""What the kernel is told about a policy, before any map is written.

predicate   a comparison the kernel decides; owns one bit. It holds when any of
            its sources holds, so a whole `in (…)` list costs one bit.
source      one place in the file tree, file name, network, port or call
subject     whose bits are compared: the operation, the program that does it,
            the program of its parent, the programs of all its ancestors
term        bits that must be set and must not be set, for one kind of event
residue     a comparison the kernel cannot decide, and why

The numbers are those of ``guard/bpf/policy.h``; a test compares them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TYPE_CHECKING

from guard.data import dataclass

if TYPE_CHECKING:  # a session with a cached policy needs neither
    from guard.engine.diagnostics import Diagnostic
    from guard.engine.ir import Network

WORDS = 6
OBJECT_WORDS = 3
PROGRAM_WORD = 3
PARENT_WORD = 4
ANCESTOR_WORD = 5
FIRST_BIT = 32
WORD_BITS = 64
MAX_TERMS = 512
MAX_EDGES = 6
NAME_MAX = 255  # bytes of a file name
PREFIX_MAX = 64  # bytes of a name prefix below a known directory
COMM_MAX = 15  # bytes of a process name


class OperationBit(enum.IntEnum):
    """Fixed attributes of an operation: enum operation_bit."""

    SUCCEEDED = 0
    FAILED = 1
    OPEN_READ = 2
    OPEN_WRITE = 3
    OPEN_CREATED = 4
    DIRECTORY = 5
    REGULAR = 6
    UNLINKED = 7
    IPV4 = 8
    IPV6 = 9
    UNIX = 10
    TCP = 11
    UDP = 12
    EXEC_MEMFD = 13
    EXEC_SECURE = 14
    TARGET_GUARDED = 15
    PATH_UNKNOWN = 16


class TermAction(enum.IntEnum):
    """What the kernel does when a term fits: enum policy_action."""

    OBSERVE = 0  # user space decides
    KILL = 1
    DENY = 2
    WAKE = 3  # user space decides, and must be woken at once


class Subject(enum.Enum):
    OPERATION = "operation"
    PROGRAM = "program"
    PARENT = "parent"
    ANCESTORS = "ancestors"


class Scope(enum.Flag):
    """Which part of the tree at a place counts."""

    SELF = 1
    CHILD = 2
    BELOW = 4  # deeper than a direct entry
    INSIDE = 6
    TREE = 7


class NameMatch(enum.IntEnum):
    """enum name_match."""

    EXACT = 0
    SUFFIX = 1
    PROGRAM = 2


@dataclass(frozen=True, slots=True)
class Place:
    """A normalised absolute path; with `is_prefix` every path whose last name starts so."""

    path: str
    scope: Scope
    is_prefix: bool = False


@dataclass(frozen=True, slots=True)
class Name:
    """A file name anywhere, or its end, or the name of a program."""

    text: str
    match: NameMatch


@dataclass(frozen=True, slots=True)
class Reach:
    """A remote (bind: local) address inside a network; a host is a network of one."""

    network: Network


@dataclass(frozen=True, slots=True)
class Port:
    number: int


@dataclass(frozen=True, slots=True)
class Call:
    """A value of evt.type."""

    name: str


Source = Place | Name | Reach | Port | Call


class Family(enum.Enum):
    """What a predicate is decided from. Sources of one family may share a bit."""

    PATH = "path"
    ADDRESS = "address"
    PORT = "port"
    CALL = "call"


@dataclass(frozen=True, slots=True)
class Predicate:
    """True when any source holds. All sources are of one family."""

    sources: frozenset[Source]

    @property
    def family(self) -> Family:
        return _FAMILIES[type(next(iter(self.sources)))]


_FAMILIES: dict[type[Source], Family] = {
    Place: Family.PATH,
    Name: Family.PATH,
    Reach: Family.ADDRESS,
    Port: Family.PORT,
    Call: Family.CALL,
}


@dataclass(frozen=True, slots=True)
class PlacedPredicate:
    """A predicate and its bit: 32..191 of words 0..2, or 0..63 of a program word."""

    predicate: Predicate
    bit: int
    is_program: bool


@dataclass(frozen=True, slots=True)
class Residue:
    """A comparison of a rule that only user space can decide."""

    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class Term:
    """Fits when every bit of `must` and none of `must_not` is set; one integer per word."""

    must: tuple[int, ...]
    must_not: tuple[int, ...]
    rule: int
    action: TermAction


@dataclass(frozen=True, slots=True)
class KindLowering:
    """What became of one rule for one kind of event.

    `exact_terms` are decided by the kernel alone, `superset_terms` are wider
    than the rule because `residue` is left to user space.
    """

    kind: str
    exact_terms: int
    superset_terms: int
    residue: tuple[Residue, ...]

    @property
    def is_exact(self) -> bool:
        return not self.superset_terms


@dataclass(frozen=True, slots=True)
class RuleLowering:
    """`kinds` holds only the kinds of event the rule can fire on."""

    rule: int
    name: str
    kinds: tuple[KindLowering, ...]

    @property
    def residue(self) -> tuple[Residue, ...]:
        """Residue of all kinds, each once, in order."""
        return tuple(dict.fromkeys(item for kind in self.kinds for item in kind.residue))


@dataclass(frozen=True, slots=True)
class KernelPlan:
    """A policy for the kernel. Terms of a kind are in the order they are tried."""

    predicates: tuple[PlacedPredicate, ...]
    terms: Mapping[str, tuple[Term, ...]]
    rules: tuple[RuleLowering, ...]
    path_mask: tuple[int, ...]  # words 0..2: bits decided from a path or a name
    fail_closed: frozenset[str]  # kinds with a deny or kill term that needs a path
    diagnostics: tuple[Diagnostic, ...] = ()


def describe(source: Source) -> str:
    """`source` in words, for explanations."""
    match source:
        case Place(path, scope, is_prefix):
            return f"{path}{'*' if is_prefix else ''} ({_SCOPES[scope]})"
        case Name(text, NameMatch.EXACT):
            return f"file name {text}"
        case Name(text, NameMatch.SUFFIX):
            return f"file name ending in {text}"
        case Name(text, _):
            return f"program {text}"
        case Reach(network):
            return f"address in {network}"
        case Port(number):
            return f"port {number}"
        case Call(name):
            return f"call {name}"


_SCOPES = {
    Scope.SELF: "itself",
    Scope.CHILD: "direct entries",
    Scope.BELOW: "deeper entries",
    Scope.INSIDE: "everything below",
    Scope.SELF | Scope.CHILD: "itself and direct entries",
    Scope.SELF | Scope.BELOW: "itself and deeper entries",
    Scope.TREE: "itself and everything below",
}
