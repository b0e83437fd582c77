"""Fields as the kernel sees them, for each kind of event.

A field is a list of *cases*: in which part of the events it has which value, or
shows which part of a path. Where no case applies it has no value, and every
comparison with it is false.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from math import inf

from guard.data import dataclass
from guard.engine.constants import Constants
from guard.engine.fields.parameters import error_name
from guard.engine.kernel_plan import OperationBit, Subject
from guard.engine.lower_formula import TRUE, Formula, all_of, bit, calls, negate
from guard.engine.lower_paths import PathView, Presence, View
from guard.event import CALLS

SUCCEEDED = bit(OperationBit.SUCCEEDED)
FAILED = bit(OperationBit.FAILED)
IPV4, IPV6, UNIX = bit(OperationBit.IPV4), bit(OperationBit.IPV6), bit(OperationBit.UNIX)
_DIRECTORY, _REGULAR = bit(OperationBit.DIRECTORY), bit(OperationBit.REGULAR)
_OTHER_SOCKET = all_of(negate(IPV4), negate(IPV6), negate(UNIX))
_LAST_ERROR = -4095
_ERROR_NAMES = tuple(sorted({error_name(-number) for number in range(1, -_LAST_ERROR)}))

_SOCKET_KINDS = frozenset(kind for kind in CALLS if kind.startswith("network_")) | {"fd_dup"}
_FILE_KINDS = frozenset(kind for kind in CALLS if kind.startswith("file_"))
# Kinds whose path the kernel looks up before it decides.
_LOCATED = _FILE_KINDS | _SOCKET_KINDS - {"network_send"} | {"process_exec", "process_chdir"}
_WITH_PATH = _LOCATED - {"fd_dup"} | {"network_send", "mount_change", "kernel_module"}
# The end of a connection whose address the kernel compares.
_REMOTE_KINDS = frozenset({"network_connect", "network_send", "network_accept", "fd_dup"})
_LOCAL_KINDS = frozenset({"network_bind", "network_listen"})
_NO_DESCRIPTOR = frozenset({
    "process_fork", "process_exec", "process_exit", "process_setuid", "process_ptrace",
    "process_vm_write", "process_signal", "file_rename", "file_rmdir", "file_link",
    "mount_change",
})  # fmt: skip

_NAME_CALLS = frozenset({
    "open", "openat", "openat2", "creat", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat",
    "chmod", "fchmodat", "fchmodat2", "chown", "lchown", "fchownat", "fchmod", "fchown",
})  # fmt: skip
_MOUNT_NAME_CALLS = frozenset({"umount", "umount2"})
_OPEN_CALLS = frozenset({"open", "openat", "openat2", "open_by_handle_at", "pidfd_getfd"})
_DIRECTORY_CALLS = frozenset({"unlinkat", "mkdirat", "symlinkat", "fchownat"})
_DESCRIPTOR_CALLS = frozenset({"fchmod", "fchown", "ftruncate"})


@dataclass(frozen=True, slots=True)
class Undecided:
    """There may be a value; the kernel does not know it when it decides."""

    reason: str


@dataclass(frozen=True, slots=True)
class Numbers:
    """Some integer from `low` to `high`."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Choice:
    """One of these values, or with `or_missing` perhaps none."""

    values: tuple[str | bool, ...]
    or_missing: bool = False


class End(enum.Enum):
    """What the kernel compares of the far end of a socket (bind, listen: the near one)."""

    ADDRESS = "address"
    PORT = "port"


@dataclass(frozen=True, slots=True)
class Case:
    when: Formula
    value: str | bool | PathView | Numbers | Choice | End | Undecided


@dataclass(frozen=True, slots=True)
class Setting:
    """What is fixed while a rule is lowered for one kind of event."""

    kind: str
    constants: Constants

    def calls(self, allowed: Iterable[str]) -> Formula:
        """The call is one of `allowed`."""
        return calls(allowed, CALLS[self.kind])


def cases_of(name: str, argument: str | None, setting: Setting) -> list[Case] | None:
    """The cases of a field, None when the kernel knows nothing of it."""
    if argument is not None:
        name = _INDEXED.get((name, argument), "")
    make = _FIELDS.get(name)
    return None if make is None else make(setting)


_Maker = Callable[[Setting], list[Case]]


def _unseen(what: str, setting: Setting) -> Undecided:
    return Undecided(f"the kernel cannot decide {what} of {setting.kind} events")


def _call(setting: Setting) -> list[Case]:
    return [Case(setting.calls((call,)), call) for call in CALLS[setting.kind]]


def _system_call(setting: Setting) -> list[Case]:
    return [] if setting.kind == "process_exit" else _call(setting)


def _raw_result(setting: Setting) -> list[Case]:
    if setting.kind == "process_exit":
        return []
    if setting.kind in _SOCKET_KINDS:
        # A connection under way has not failed for the kernel, but its result is negative.
        return [
            Case(FAILED, Numbers(_LAST_ERROR, -1)),
            Case(SUCCEEDED, _unseen("the exact result", setting)),
        ]
    return [Case(SUCCEEDED, Numbers(0, inf)), Case(FAILED, Numbers(_LAST_ERROR, -1))]


def _result(setting: Setting) -> list[Case]:
    if setting.kind == "process_exit":
        return []
    good = Choice(("SUCCESS", "EINPROGRESS")) if setting.kind in _SOCKET_KINDS else "SUCCESS"
    return [Case(SUCCEEDED, good), Case(FAILED, Choice(_ERROR_NAMES))]


def _failed(setting: Setting) -> list[Case]:
    if setting.kind == "process_exit":
        return []
    good = Choice((False, True)) if setting.kind in _SOCKET_KINDS else False
    return [Case(SUCCEEDED, good), Case(FAILED, True)]


def _flag(operation_bit: OperationBit, allowed: Iterable[str]) -> _Maker:
    """A bool that is false, and not missing, for every other call."""
    named = frozenset(allowed)

    def make(setting: Setting) -> list[Case]:
        is_set = all_of(setting.calls(named), bit(operation_bit))
        return [Case(is_set, True), Case(negate(is_set), False)]

    return make


def _constant(value: str) -> _Maker:
    return lambda _: [Case(TRUE, value)]


def _event_number(_: Setting) -> list[Case]:
    return [Case(TRUE, Numbers(1, inf))]


def _descriptor_number(setting: Setting) -> list[Case]:
    if setting.kind == "file_open":
        return [Case(SUCCEEDED, Numbers(0, inf)), Case(FAILED, Numbers(-1, -1))]
    return _no_descriptor(setting)


def _no_descriptor(setting: Setting) -> list[Case]:
    if setting.kind in _NO_DESCRIPTOR:
        return []
    return [Case(TRUE, _unseen("the descriptor", setting))]


def _descriptor_path(setting: Setting) -> list[Case]:
    """fd.name: "" where there is a descriptor but nothing known about it."""
    path = PathView(View.PATH)
    if setting.kind == "file_open":
        return [Case(TRUE, path)]
    if setting.kind == "process_chdir":
        return [Case(setting.calls(("fchdir",)), path)]
    if setting.kind in _FILE_KINDS:
        by_number = setting.calls(_DESCRIPTOR_CALLS)
        return [
            Case(setting.calls(_DIRECTORY_CALLS), ""),
            Case(all_of(by_number, SUCCEEDED), path),
            Case(all_of(by_number, FAILED), ""),
        ]
    if setting.kind in _SOCKET_KINDS & _LOCATED:
        return [Case(TRUE, PathView(View.PATH, presence=Presence.OR_TEXT))]
    return _no_descriptor(setting)


def _descriptor_part(view: View) -> _Maker:
    """fd.directory and fd.filename."""
    shown = PathView(view)

    def make(setting: Setting) -> list[Case]:
        if setting.kind in _SOCKET_KINDS:
            return []
        if setting.kind == "file_open" and view is View.NAME:
            return [Case(_REGULAR, shown)]
        if setting.kind == "file_open":
            return [Case(_DIRECTORY, PathView(View.PATH)), Case(negate(_DIRECTORY), shown)]
        if setting.kind == "process_chdir":
            fchdir = setting.calls(("fchdir",))
            return [] if view is View.NAME else [Case(fchdir, PathView(View.PATH))]
        if setting.kind in _FILE_KINDS:
            return [Case(all_of(setting.calls(_DESCRIPTOR_CALLS), SUCCEEDED), shown)]
        return _no_descriptor(setting)

    return make


def _typechar(setting: Setting) -> list[Case]:
    if setting.kind == "file_open":
        return [Case(_DIRECTORY, "d"), Case(negate(_DIRECTORY), "f")]
    if setting.kind in _SOCKET_KINDS:
        return [Case(IPV4, "4"), Case(IPV6, "6"), Case(UNIX, "u"), Case(_OTHER_SOCKET, "o")]
    return _no_descriptor(setting)


def _type(setting: Setting) -> list[Case]:
    if setting.kind == "file_open":
        return [Case(_DIRECTORY, "directory"), Case(_REGULAR, "file")]
    if setting.kind in _SOCKET_KINDS:
        return [Case(IPV4, "ipv4"), Case(IPV6, "ipv6"), Case(UNIX, "unix")]
    return _no_descriptor(setting)


def _socket_family(setting: Setting) -> list[Case]:
    if setting.kind not in _SOCKET_KINDS:
        return []
    return [Case(IPV4, "ip"), Case(IPV6, "ip"), Case(UNIX, "unix")]


def _protocol(setting: Setting) -> list[Case]:
    if setting.kind not in _SOCKET_KINDS:
        return []
    tcp, udp = bit(OperationBit.TCP), bit(OperationBit.UDP)
    rest = all_of(negate(tcp), negate(udp), negate(UNIX))
    other = Choice(("icmp", "raw"), or_missing=True)
    return [Case(tcp, "tcp"), Case(udp, "udp"), Case(rest, other)]


def _ends(decidable: frozenset[str], other: frozenset[str], end: End) -> _Maker:
    """An end that the kernel compares for some kinds and only knows later for `other`."""

    def make(setting: Setting) -> list[Case]:
        if setting.kind in decidable:
            return [Case(TRUE, end)]
        return [Case(TRUE, _unseen("this end", setting))] if setting.kind in other else []

    return make


def _acting_path(root: Callable[[Constants], str] | None) -> _Maker:
    """guard.path, or the path as seen from a directory of the session."""

    def make(setting: Setting) -> list[Case]:
        seen_from = "" if root is None else root(setting.constants)
        if setting.kind not in _WITH_PATH or (root is not None and not seen_from):
            return []
        if setting.kind not in _LOCATED:
            return [Case(TRUE, _unseen("the path", setting))]
        if setting.kind in _SOCKET_KINDS:
            # Sockets may have no name, or one that is not in the file tree.
            view = PathView(View.PATH, root=seen_from, presence=Presence.SOMETIMES)
            return [Case(UNIX, view)]
        return [Case(TRUE, PathView(View.PATH, root=seen_from))]

    return make


def _source_path(setting: Setting) -> list[Case]:
    if setting.kind not in {"file_rename", "file_link"}:
        return []
    return [Case(TRUE, _unseen("the old path", setting))]


def _result_path(setting: Setting) -> list[Case]:
    """fs.path.name."""
    if setting.kind == "mount_change":
        unmounts = all_of(setting.calls(_MOUNT_NAME_CALLS), SUCCEEDED)
        return [Case(unmounts, _unseen("the path", setting))]
    if setting.kind not in _FILE_KINDS:
        return []
    return [Case(all_of(setting.calls(_NAME_CALLS), SUCCEEDED), PathView(View.PATH))]


def _result_end(located: frozenset[str], other: frozenset[str]) -> _Maker:
    """fs.path.source and fs.path.target."""

    def make(setting: Setting) -> list[Case]:
        if setting.kind in located:
            return [Case(SUCCEEDED, PathView(View.PATH))]
        if setting.kind == "mount_change":
            mounts = all_of(setting.calls(("mount",)), SUCCEEDED)
            return [Case(mounts, _unseen("the path", setting))]
        return [Case(SUCCEEDED, _unseen("this path", setting))] if setting.kind in other else []

    return make


def _of_program(view: View, subject: Subject) -> _Maker:
    presence = Presence.ALWAYS if subject is Subject.PROGRAM else Presence.SOMETIMES
    return lambda _: [Case(TRUE, PathView(view, subject, presence=presence))]


def _from_memfd(setting: Setting) -> list[Case]:
    if setting.kind != "process_exec":
        return [Case(TRUE, _unseen("the program's origin", setting))]
    is_set = bit(OperationBit.EXEC_MEMFD)
    return [Case(is_set, True), Case(negate(is_set), False)]


def _target_guarded(setting: Setting) -> list[Case]:
    if setting.kind not in {"process_ptrace", "process_vm_write"}:
        return []
    is_set = bit(OperationBit.TARGET_GUARDED)
    return [Case(is_set, True), Case(negate(is_set), False)]


def _end_fields(letter: str, decidable: frozenset[str], other: frozenset[str]) -> dict[str, _Maker]:
    return {
        f"fd.{letter}ip": _ends(decidable, other, End.ADDRESS),
        f"fd.{letter}net": _ends(decidable, other, End.ADDRESS),
        f"fd.{letter}port": _ends(decidable, other, End.PORT),
    }


_ASKING = frozenset({"network_connect", "network_send"})
_ACCEPT = frozenset({"network_accept"})

_FIELDS: dict[str, _Maker] = {
    "evt.type": _call,
    "syscall.type": _system_call,
    "evt.num": _event_number,
    "evt.dir": _constant("<"),
    "evt.source": _constant("syscall"),
    "evt.rawres": _raw_result,
    "evt.res": _result,
    "evt.failed": _failed,
    "evt.is_open_read": _flag(OperationBit.OPEN_READ, _OPEN_CALLS),
    "evt.is_open_write": _flag(OperationBit.OPEN_WRITE, _OPEN_CALLS),
    "fd.num": _descriptor_number,
    "fd.name": _descriptor_path,
    "fd.directory": _descriptor_part(View.FOLDER),
    "fd.filename": _descriptor_part(View.NAME),
    "fd.typechar": _typechar,
    "fd.type": _type,
    "fd.sockfamily": _socket_family,
    "fd.l4proto": _protocol,
    **_end_fields("s", _ASKING | _LOCAL_KINDS, _ACCEPT),
    **_end_fields("c", _ACCEPT, _ASKING),
    **_end_fields("r", _REMOTE_KINDS, frozenset()),
    **_end_fields("l", _LOCAL_KINDS, _REMOTE_KINDS),
    "guard.path": _acting_path(None),
    "guard.home_path": _acting_path(lambda constants: constants.home),
    "guard.workspace_path": _acting_path(lambda constants: constants.workspace),
    "guard.source_path": _source_path,
    "guard.source_home_path": _source_path,
    "guard.source_workspace_path": _source_path,
    "guard.target_guarded": _target_guarded,
    "fs.path.name": _result_path,
    "fs.path.source": _result_end(
        frozenset({"file_link", "file_symlink"}), frozenset({"file_rename"})
    ),
    "fs.path.target": _result_end(
        frozenset({"file_rename"}), frozenset({"file_link", "file_symlink"})
    ),
    "proc.name": _of_program(View.PROGRAM, Subject.PROGRAM),
    "proc.pname": _of_program(View.PROGRAM, Subject.PARENT),
    "proc.aname": _of_program(View.PROGRAM, Subject.ANCESTORS),
    "proc.exepath": _of_program(View.PATH, Subject.PROGRAM),
    "proc.pexepath": _of_program(View.PATH, Subject.PARENT),
    "proc.aexepath": _of_program(View.PATH, Subject.ANCESTORS),
    "proc.is_exe_from_memfd": _from_memfd,
}

# Ancestors 0 and 1 are the process itself and its parent.
_INDEXED = {
    ("proc.aname", "0"): "proc.name",
    ("proc.aname", "1"): "proc.pname",
    ("proc.aexepath", "0"): "proc.exepath",
    ("proc.aexepath", "1"): "proc.pexepath",
}
