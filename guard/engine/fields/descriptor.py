"""The descriptor an event made or used: the entry Falco would have in its table.

guard keeps no descriptor table. What an event says about its own descriptor is
what the fd fields see.

Two departures from Falco. A socket has its entry whatever became of the call,
because the kernel decides on a destination before the result is known. And an
operation that guard itself stopped counts as attempted on the object it named,
so that its alert can name it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from os import O_DIRECTORY
from stat import S_IFDIR as _S_IFDIR
from typing import cast

from guard.engine.fields.definition import Address, Context
from guard.event import (
    VERDICT_NONE,
    Event,
    FdDup,
    FileChmod,
    FileChown,
    FileOpen,
    FileTruncate,
    IoUringSetup,
    KernelBpf,
    KernelModule,
    MemfdCreate,
    NetworkAccept,
    NetworkBind,
    NetworkConnect,
    NetworkListen,
    NetworkSend,
    ProcessNamespace,
    SocketEvent,
)

AT_FDCWD = -100
TYPE_NAMES = {
    "f": "file", "d": "directory", "4": "ipv4", "6": "ipv6", "u": "unix",
    "m": "memfd", "b": "bpf", "r": "io_uring",
}  # fmt: skip

_AF_UNIX, _AF_INET, _AF_INET6 = 1, 2, 10
_SOCK_RAW = 3
_S_IFMT = 0o170000
_O_TMPFILE = 0o20000000 | O_DIRECTORY
# MPTCP and UDP-Lite carry what tcp and udp carry: another number must not hide a connection.
_PROTOCOLS = {1: "icmp", 58: "icmp", 6: "tcp", 262: "tcp", 17: "udp", 136: "udp"}
_BPF_COMMANDS_WITH_FD = frozenset({0, 5, 7, 13, 14, 17, 18, 19, 28, 30, 33})
# Calls whose descriptor is the directory a relative name starts from.
_DIRECTORY_CALLS = frozenset({"unlinkat", "mkdirat", "symlinkat", "fchownat"})

End = tuple[Address, int]


def is_done(event: Event) -> bool:
    """True when the call succeeded, or would have without guard."""
    return event.res >= 0 or event.verdict != VERDICT_NONE


def uses_descriptor(event: Event) -> bool:
    """True when the fd fields can have a value at all."""
    if event.call in _DIRECTORY_CALLS or event.call == "fchdir":
        return True
    if isinstance(event, FileTruncate | FileChmod | FileChown | KernelModule | ProcessNamespace):
        return event.fd >= 0
    return type(event) in _ENTRIES


def typechar(event: Event) -> str | None:
    """Kind of the descriptor as one letter, None without an entry."""
    entry = _ENTRIES.get(type(event))
    if entry is not None:
        return entry(event)
    return "d" if event.call == "fchdir" and is_done(event) else None


def number(event: Event) -> int | None:
    """The descriptor's number, -1 when the call did not make one; None when unknown."""
    match event:
        case FileOpen() | SocketEvent() | MemfdCreate() | KernelBpf() | IoUringSetup():
            if isinstance(event, FdDup):
                return event.new_fd if event.res >= 0 else -1
            if isinstance(event, NetworkAccept | MemfdCreate | KernelBpf | IoUringSetup):
                return max(event.res, -1)
            return event.fd if event.fd >= 0 else -1
        case FileTruncate() | FileChmod() | FileChown() | KernelModule() | ProcessNamespace():
            if event.fd >= 0:
                return event.fd
    if event.call in _DIRECTORY_CALLS:
        return cast("int", event.dirfd)  # type: ignore[attr-defined]  # these events have one
    return None


def name(event: Event) -> str | None:
    """Path, socket tuple or label; what was asked for when there is no entry."""
    if isinstance(event, FileOpen):
        return event.path
    if not uses_descriptor(event):
        return None
    kind = typechar(event)
    if kind is None:
        return ""
    if isinstance(event, SocketEvent):
        return socket_name(event)
    if kind == "m":
        return cast("MemfdCreate", event).name
    return getattr(event, "path", "")


def socket_name(event: SocketEvent) -> str:
    """`client->server` for a connection, `address:port` for a listener, a unix socket's path.

    Falco writes two kernel addresses before the path of a unix socket; without
    them `=` and `startswith` work on it. Abstract names start with `@`.
    """
    if event.family == _AF_UNIX:
        return "@" + event.path[1:] if event.path.startswith("\0") else event.path  # type: ignore[attr-defined,no-any-return]  # every socket event has a path
    ends = client_end(event), server_end(event)
    if ends == (None, None):
        ends = local_end(event), remote_end(event)
    return "->".join(f"{end[0]}:{end[1]}" for end in ends if end is not None)


def client_end(event: Event) -> End | None:
    """Who asked for the connection; None when no role is known."""
    if isinstance(event, NetworkConnect | NetworkSend):
        return local_end(event)
    return remote_end(event) if isinstance(event, NetworkAccept) else None


def server_end(event: Event) -> End | None:
    """Who was asked; a listener has only this end."""
    if isinstance(event, NetworkConnect | NetworkSend):
        return remote_end(event)
    if isinstance(event, NetworkAccept | NetworkListen | NetworkBind):
        return local_end(event)
    return None


def local_end(event: Event) -> End | None:
    if not isinstance(event, SocketEvent):
        return None
    found = _address(event.family, event.local_addr)
    return None if found is None else (found, event.local_port)


def remote_end(event: Event) -> End | None:
    if not isinstance(event, SocketEvent) or isinstance(event, NetworkListen | NetworkBind):
        return None
    found = _address(event.family, event.remote_addr)
    return None if found is None else (found, event.remote_port)


def both_ends(event: Event) -> tuple[End, ...]:
    """The ends that are known, none for what is not an IP socket."""
    return tuple(end for end in (local_end(event), remote_end(event)) if end is not None)


def transport(event: Event) -> str | None:
    """tcp, udp, icmp or raw; None for what is not an IP socket."""
    if not isinstance(event, SocketEvent) or event.family not in {_AF_INET, _AF_INET6}:
        return None
    return "raw" if event.type == _SOCK_RAW else _PROTOCOLS.get(event.protocol)


def socket_family(event: Event) -> str | None:
    """`ip` or `unix`."""
    if not isinstance(event, SocketEvent):
        return None
    return {_AF_INET: "ip", _AF_INET6: "ip", _AF_UNIX: "unix"}.get(event.family)


def labelled_name(context: Context) -> str | None:
    """`<typechar>name`, as descriptors look among an event's arguments."""
    event = context.event
    kind = typechar(event)
    if kind is None:
        return None
    letter = {"tcp": "t", "udp": "u"}.get(transport(event) or "", "")
    return f"<{kind}{letter}>{name(event)}"


@lru_cache(maxsize=4096)
def _address(family: int, packed: bytes) -> Address | None:
    if family == _AF_INET:
        return IPv4Address(packed[:4])
    return IPv6Address(packed) if family == _AF_INET6 else None


def _file(event: Event) -> str | None:
    assert isinstance(event, FileOpen)  # INVARIANT: see _ENTRIES
    if event.res < 0 and not is_done(event):
        return None
    if event.res >= 0 or event.file_mode:
        return "d" if event.file_mode & _S_IFMT == _S_IFDIR else "f"
    # Refused: what was asked for. O_TMPFILE, which makes a file, contains O_DIRECTORY.
    return "d" if event.open_flags & _O_TMPFILE == O_DIRECTORY else "f"


def _file_behind(event: Event) -> str | None:
    return "f" if event.fd >= 0 and is_done(event) else None  # type: ignore[attr-defined]  # see _ENTRIES


def _socket(event: Event) -> str | None:
    assert isinstance(event, SocketEvent)  # INVARIANT: see _ENTRIES
    return {_AF_INET: "4", _AF_INET6: "6", _AF_UNIX: "u"}.get(event.family)


def _accepted(event: Event) -> str | None:
    return _socket(event) if is_done(event) else None


def _bpf(event: Event) -> str | None:
    assert isinstance(event, KernelBpf)  # INVARIANT: see _ENTRIES
    return "b" if event.cmd in _BPF_COMMANDS_WITH_FD and is_done(event) else None


_ENTRIES: dict[type[Event], Callable[[Event], str | None]] = {
    FileOpen: _file,
    FileTruncate: _file_behind,
    FileChmod: _file_behind,
    FileChown: _file_behind,
    KernelModule: _file_behind,
    NetworkConnect: _socket,
    NetworkBind: _socket,
    NetworkListen: _socket,
    NetworkAccept: _accepted,
    NetworkSend: _socket,
    FdDup: _socket,
    MemfdCreate: lambda event: "m" if is_done(event) else None,
    KernelBpf: _bpf,
    IoUringSetup: lambda event: "r" if is_done(event) else None,
    ProcessNamespace: lambda _: None,
}
