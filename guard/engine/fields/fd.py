"""fd.*: the descriptor the event made or used."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

from guard.engine.fields import descriptor
from guard.engine.fields.definition import (
    Argument,
    Context,
    FieldDef,
    FieldType,
    Flag,
    Getter,
    Many,
    Value,
    Values,
    field,
    memoised,
    unavailable,
)
from guard.engine.fields.descriptor import End
from guard.engine.fields.services import service_name
from guard.event import Event, FdDup, FileOpen, NetworkAccept, NetworkConnect, NetworkSend

_EINPROGRESS = -115
_SOCK_STREAM = 1
_TEST_ONLY = frozenset({Flag.FILTER_ONLY, Flag.NO_RHS, Flag.NO_TRANSFORMER})


def _of_event(get: Callable[[Event], Value | None]) -> Getter:
    return lambda context: get(context.event)


def _name(context: Context) -> str | None:
    event = context.event
    return event.path if type(event) is FileOpen else descriptor.name(event)


def _name_raw(context: Context) -> str | None:
    kind = descriptor.typechar(context.event)
    return getattr(context.event, "name", None) if kind in {"f", "d"} else None


def _directory(context: Context) -> str | None:
    event = context.event
    kind = descriptor.typechar(event)
    # A failed open has the directory of what was asked for.
    if kind not in {"f", "d"} and type(event) is not FileOpen:
        return None
    path = _name(context) or ""
    if kind == "d" or path[-1:] == "/" or not path:
        return path
    return path[: path.rfind("/")] or "/"


def _file_name(context: Context) -> str | None:
    if descriptor.typechar(context.event) != "f":
        return None
    path = _name(context) or ""
    return path[path.rfind("/") + 1 :]


def _typechar(context: Context) -> str | None:
    event = context.event
    kind = descriptor.typechar(event)
    if kind is None and descriptor.uses_descriptor(event):
        # What Falco guesses for a failed call; its `o` for plain open is a slip there.
        return {"file_open": "f", "network_accept": "4"}.get(event.kind, "o")
    return kind


def _type(context: Context) -> str | None:
    kind = descriptor.typechar(context.event)
    return descriptor.TYPE_NAMES.get(kind) if kind else None


def _connected(context: Context) -> bool | None:
    event = context.event
    if descriptor.typechar(event) is None:
        return None
    match event:
        case NetworkConnect():
            return event.res >= 0 or event.res == _EINPROGRESS
        case NetworkAccept():
            return True
        case NetworkSend():
            return event.type == _SOCK_STREAM
        case FdDup():
            return event.remote_port != 0
    return False


def _name_changed(context: Context) -> bool | None:
    # Sends are seen only when they name a destination, so each may be a new peer.
    event = context.event
    if descriptor.typechar(event) is None:
        return None
    return isinstance(event, NetworkSend) and event.type != _SOCK_STREAM


def _is_server(event: Event) -> bool | None:
    if descriptor.client_end(event) is not None and not isinstance(event, NetworkAccept):
        return False
    return True if descriptor.server_end(event) is not None else None


def _address(get_end: Callable[[Event], End | None]) -> Getter:
    def get(context: Context) -> Value | None:
        end = get_end(context.event)
        return None if end is None else end[0]

    return get


def _port(get_end: Callable[[Event], End | None]) -> Getter:
    def get(context: Context) -> Value | None:
        end = get_end(context.event)
        return None if end is None else end[1]

    return get


def _service(get_end: Callable[[Event], End | None]) -> Getter:
    def get(context: Context) -> Value | None:
        end = get_end(context.event)
        return None if end is None else service_name(end[1])

    return get


def _addresses(context: Context) -> Values | None:
    event = context.event
    if descriptor.typechar(event) is None:
        return None
    return tuple(address for address, _ in descriptor.both_ends(event))


def _ports(context: Context) -> Values | None:
    event = context.event
    if descriptor.typechar(event) is None:
        return None
    return tuple(port for _, port in descriptor.both_ends(event))


def _file_attribute(attribute: str, convert: Callable[[int], int] = int) -> Getter:
    get = attrgetter(attribute)

    def value(context: Context) -> int | None:
        event = context.event
        if not isinstance(event, FileOpen) or not descriptor.is_done(event):
            return None
        return convert(get(event))

    return value


def _descriptor_id(context: Context) -> str | None:
    number = descriptor.number(context.event)
    return None if number is None else f"{context.event.tid}{number}"


def _with_container(get: Getter) -> Getter:
    def labelled(context: Context) -> str | None:
        value = get(context)
        return f"{context.constants.session}:{value}" if isinstance(value, str) else None

    return labelled


def _either(name: str, type: FieldType, doc: str, get: Getter) -> FieldDef:
    return field(name, type, doc, get, flags=_TEST_ONLY, many=Many.ENDS, cost=5)


def _end_fields(letter: str, whose: str, get_end: Callable[[Event], End | None]) -> list[FieldDef]:
    address, port = _address(get_end), _port(get_end)
    return [
        field(f"fd.{letter}ip", FieldType.ADDRESS, f"IP of the {whose}", address, cost=4),
        field(
            f"fd.{letter}net", FieldType.NETWORK, f"CIDR test of the IP of the {whose}", address,
            flags=_TEST_ONLY, cost=4,
        ),
        field(f"fd.{letter}port", FieldType.PORT, f"port of the {whose}", port, cost=4),
        field(
            f"fd.{letter}proto", FieldType.TEXT, f"service name of the port of the {whose}",
            _service(get_end), cost=5,
        ),
        unavailable(f"fd.{letter}ip.name", FieldType.TEXT, f"host name of the {whose}"),
    ]  # fmt: skip


_get_directory = memoised("fd.directory", _directory)
_get_file_name = memoised("fd.filename", _file_name)

FIELDS: list[FieldDef] = [
    field(
        "fd.num", FieldType.INT64, "number of the descriptor, -1 after a failed open",
        _of_event(descriptor.number), cost=3,
    ),
    field(
        "fd.name", FieldType.TEXT,
        "absolute path of a file, `address:port->address:port` of a connection, path of a unix "
        "socket; what was asked for when the call failed",
        _name, cost=2,
    ),
    field("fd.nameraw", FieldType.TEXT, "path as passed by the caller", _name_raw, cost=3),
    field("fd.directory", FieldType.TEXT, "fd.name before the last slash", _get_directory, cost=4),
    field("fd.filename", FieldType.TEXT, "fd.name after the last slash", _get_file_name, cost=4),
    field(
        "fd.typechar", FieldType.TEXT,
        "kind of descriptor as a letter: f file, d directory, 4 IPv4, 6 IPv6, u unix, m memfd, "
        "b bpf, r io_uring, o other",
        _typechar, cost=3,
    ),
    field("fd.type", FieldType.TEXT, "kind of descriptor as a word", _type, cost=3),
    field(
        "fd.l4proto", FieldType.TEXT, "tcp, udp, icmp or raw",
        _of_event(descriptor.transport), cost=3,
    ),
    field(
        "fd.sockfamily", FieldType.TEXT, "`ip` or `unix`",
        _of_event(descriptor.socket_family), cost=3,
    ),
    field(
        "fd.connected", FieldType.BOOL, "the socket is connected or is connecting",
        _connected, cost=3,
    ),
    field(
        "fd.name_changed", FieldType.BOOL,
        "the event may have changed fd.name: a datagram sent to a named destination",
        _name_changed, cost=3,
    ),
    field(
        "fd.is_server", FieldType.BOOL, "the process has the server end",
        _of_event(_is_server), cost=3,
    ),
    _either("fd.ip", FieldType.ADDRESS, "test of either IP", _addresses),
    _either("fd.net", FieldType.NETWORK, "CIDR test of either IP", _addresses),
    _either("fd.port", FieldType.PORT, "test of either port", _ports),
    _either("fd.proto", FieldType.PORT, "test of either port by service name", _ports),
    *_end_fields("c", "client", descriptor.client_end),
    *_end_fields("s", "server", descriptor.server_end),
    *_end_fields("l", "local end", descriptor.local_end),
    *_end_fields("r", "remote end", descriptor.remote_end),
    field("fd.ino", FieldType.INT64, "inode of the opened file", _file_attribute("inode")),
    field("fd.dev", FieldType.INT32, "device number of the opened file", _file_attribute("dev")),
    field(
        "fd.dev.major", FieldType.INT32, "its major number",
        _file_attribute("dev", lambda dev: dev >> 20),
    ),
    field(
        "fd.dev.minor", FieldType.INT32, "its minor number",
        _file_attribute("dev", lambda dev: dev & 0xFFFFF),
    ),
    field("fd.uid", FieldType.TEXT, "thread id and descriptor, written together", _descriptor_id),
    field(
        "fd.containername", FieldType.TEXT, "session, colon, fd.name",
        _with_container(_name), cost=4,
    ),
    field(
        "fd.containerdirectory", FieldType.TEXT, "session, colon, fd.directory",
        _with_container(_get_directory), cost=4,
    ),
    unavailable("fd.types", FieldType.LIST, "kinds of all descriptors", Argument.OPTIONAL),
    unavailable("fd.is_upper_layer", FieldType.BOOL, "file in the overlayfs upper layer"),
    unavailable("fd.is_lower_layer", FieldType.BOOL, "file in an overlayfs lower layer"),
]  # fmt: skip
