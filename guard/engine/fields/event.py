"""evt.*: the event itself, its result and its parameters."""

from __future__ import annotations

import time
from operator import attrgetter

from guard.engine.fields.definition import (
    Argument,
    Context,
    FieldDef,
    FieldType,
    Flag,
    Getter,
    Value,
    field,
    unavailable,
)
from guard.engine.fields.parameter_table import BY_NAME, OTHER_NAMES, PARAMETERS
from guard.engine.fields.parameters import (
    Parameter,
    error_name,
)
from guard.event import FileOpen, NetworkSend, ProcessExit

_SECOND = 1_000_000_000
_READ, _WRITE = 0, 1  # O_RDONLY and O_WRONLY; O_RDWR has both accesses
_O_ACCMODE, _O_PATH = 3, 0o10000000
_O_CREAT, _O_TMPFILE_BIT = 0o100, 0o20000000
_CATEGORIES = {
    "process": "process", "file": "file", "network": "net", "fd": "IO-other",
    "memfd": "memory", "mount": "file", "kernel": "other", "io": "IO-other",
}  # fmt: skip
# Falco's, and the call that takes a descriptor from another process: docs/decisions/0007.
_OPEN_CALLS = frozenset({"open", "openat", "openat2", "open_by_handle_at", "pidfd_getfd"})


def _has_result(context: Context) -> bool:
    return not isinstance(context.event, ProcessExit)


def _raw_result(context: Context) -> int | None:
    return context.event.res if _has_result(context) else None


def _result(context: Context) -> str | None:
    if not _has_result(context):
        return None
    res = context.event.res
    return "SUCCESS" if res >= 0 else error_name(res)


def _failed(context: Context) -> bool | None:
    return context.event.res < 0 if _has_result(context) else None


def _is_open_read(context: Context) -> bool:
    event = context.event
    return (
        type(event) is FileOpen
        and event.call in _OPEN_CALLS
        and event.open_flags & _O_ACCMODE != _WRITE
        and not event.open_flags & _O_PATH
    )


def _is_open_write(context: Context) -> bool:
    event = context.event
    return (
        type(event) is FileOpen
        and event.call in _OPEN_CALLS
        and event.open_flags & _O_ACCMODE != _READ
        and not event.open_flags & _O_PATH
    )


def _is_open_create(context: Context) -> bool:
    event = context.event
    return isinstance(event, FileOpen) and (
        event.created != 0 or (event.open_flags & _O_TMPFILE_BIT != 0 and event.res >= 0)
    )


def _is_open_exec(context: Context) -> bool:
    event = context.event
    if not isinstance(event, FileOpen) or not event.mode & 0o111:
        return False
    if event.call == "creat":
        return True
    makes_file = event.open_flags & (_O_CREAT | _O_TMPFILE_BIT) != 0
    return makes_file and event.call != "open_by_handle_at"


def _category(context: Context) -> str:
    if isinstance(context.event, NetworkSend):
        return "IO-write"
    return _CATEGORIES[context.event.kind.partition("_")[0]]


def _is_write(context: Context) -> bool:
    return isinstance(context.event, NetworkSend)


def _io_direction(context: Context) -> str | None:
    return "write" if _is_write(context) else None


def _never(_: Context) -> bool:
    return False


def _local_time(time_ns: int, pattern: str) -> str:
    return time.strftime(pattern, time.localtime(time_ns // _SECOND))


def _time(context: Context) -> str:
    time_ns = context.event.time_ns
    return f"{_local_time(time_ns, '%H:%M:%S')}.{time_ns % _SECOND:09}"


def _date_time(context: Context) -> str:
    time_ns = context.event.time_ns
    return f"{_local_time(time_ns, '%Y-%m-%d %H:%M:%S')}.{time_ns % _SECOND:09}"


def _iso_time(context: Context) -> str:
    time_ns = context.event.time_ns
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time_ns // _SECOND))
    return f"{seconds}.{time_ns % _SECOND:09}+0000"


def _arguments(context: Context) -> str:
    parameters = PARAMETERS.get(context.event.call, ())
    return " ".join(parameter.both(context) for parameter in parameters)


def _bind_position(argument: str | None) -> Getter:
    assert argument is not None  # INVARIANT: check demands it
    if not (argument.isascii() and argument.isdigit()):
        raise ValueError(f"`{argument}` is neither a parameter nor its position")
    position = int(argument)

    def value(context: Context) -> str | None:
        parameters = PARAMETERS.get(context.event.call, ())
        return parameters[position].text(context) if position < len(parameters) else None

    return value


def _text_of(table: dict[str, Parameter]) -> Getter:
    def value(context: Context) -> str | None:
        parameter = table.get(context.event.call)
        return None if parameter is None else parameter.text(context)

    return value


def _raw_of(table: dict[str, Parameter]) -> Getter:
    def value(context: Context) -> Value | None:
        parameter = table.get(context.event.call)
        # INVARIANT: no parameter is one of the many-valued fields
        return None if parameter is None else parameter.raw(context)  # type: ignore[return-value]

    return value


def parameter_names() -> frozenset[str]:
    """Every name that may follow `evt.arg.`."""
    return frozenset(BY_NAME) | OTHER_NAMES


def parameter_text_field(name: str) -> FieldDef:
    """evt.arg.NAME; `name` is one of `parameter_names`."""
    doc = f"parameter {name} of the call as text"
    if name not in BY_NAME:
        return unavailable(f"evt.arg.{name}", FieldType.TEXT, doc)
    return field(f"evt.arg.{name}", FieldType.TEXT, doc, _text_of(BY_NAME[name]), cost=6)


def parameter_raw_field(name: str) -> FieldDef | None:
    """evt.rawarg.NAME, None when calls disagree about its type."""
    doc = f"parameter {name} of the call as it was passed"
    if name not in BY_NAME:
        return unavailable(f"evt.rawarg.{name}", FieldType.UINT64, doc)
    types = {parameter.type for parameter in BY_NAME[name].values()}
    if len(types) > 1:
        return None
    return field(
        f"evt.rawarg.{name}", types.pop(), doc, _raw_of(BY_NAME[name]),
        flags=frozenset({Flag.NO_RHS, Flag.NO_TRANSFORMER}), cost=4,
    )  # fmt: skip


def _abs_path(attribute: str) -> Getter:
    return lambda context: getattr(context.event, attribute, None) or None


_get_time = attrgetter("event.time_ns")

FIELDS: list[FieldDef] = [
    field("evt.type", FieldType.TEXT, "name of the system call", attrgetter("event.call")),
    field(
        "syscall.type", FieldType.TEXT, "evt.type, no value for what is not a system call",
        lambda context: context.event.call if _has_result(context) else None,
    ),
    field("evt.num", FieldType.UINT64, "number of the event, from 1", attrgetter("number")),
    field("evt.res", FieldType.TEXT, "`SUCCESS` or the name of the error", _result, cost=3),
    field("evt.rawres", FieldType.INT64, "return value, negative for an error", _raw_result,
          cost=2),
    field("evt.failed", FieldType.BOOL, "the call returned an error", _failed, cost=2),
    field("evt.is_open_read", FieldType.BOOL, "opened for reading, not by O_PATH", _is_open_read,
          cost=2),
    field("evt.is_open_write", FieldType.BOOL, "opened for writing, not by O_PATH", _is_open_write,
          cost=2),
    field("evt.is_open_create", FieldType.BOOL, "the call made a new file", _is_open_create,
          cost=2),
    field("evt.is_open_exec", FieldType.BOOL, "a file was made executable as it was created",
          _is_open_exec, cost=2),
    FieldDef("evt.arg", FieldType.TEXT, "a parameter by name or position, as text",
             _bind_position, Argument.REQUIRED, cost=6),
    field("evt.args", FieldType.TEXT, "all parameters, `name=value` joined by blanks", _arguments,
          cost=30),
    field("evt.info", FieldType.TEXT, "the same as evt.args", _arguments, cost=30),
    field("evt.abspath", FieldType.TEXT, "absolute path the call works on", _abs_path("path"),
          cost=2),
    field("evt.abspath.src", FieldType.TEXT, "absolute path a rename or link starts from",
          lambda context: getattr(context.event, "path", None)
          if hasattr(context.event, "new_path") else None, cost=2),
    field("evt.abspath.dst", FieldType.TEXT, "absolute path a rename or link makes",
          _abs_path("new_path"), cost=2),
    field("evt.category", FieldType.TEXT, "class of the call", _category, cost=3),
    field("evt.count", FieldType.UINT32, "always 1", lambda _: 1),
    field("evt.cpu", FieldType.INT16, "processor the event was made on",
          attrgetter("event.cpu")),
    field("evt.dir", FieldType.TEXT, "always `<`: events are made when a call ends",
          lambda _: "<", flags=frozenset({Flag.DEPRECATED})),
    field("evt.source", FieldType.TEXT, "always `syscall`", lambda _: "syscall"),
    field("evt.hostname", FieldType.TEXT, "name of the machine",
          lambda context: context.constants.hostname or None),
    field("evt.is_async", FieldType.BOOL, "always false", _never),
    field("evt.is_wait", FieldType.BOOL, "always false", _never),
    field("evt.is_io", FieldType.BOOL, "data is sent or received", _is_write),
    field("evt.is_io_read", FieldType.BOOL, "data is received", _never),
    field("evt.is_io_write", FieldType.BOOL, "data is sent", _is_write),
    field("evt.io_dir", FieldType.TEXT, "`write` for a send", _io_direction),
    field("evt.rawtime", FieldType.ABSTIME, "time, epoch ns", _get_time),
    field("evt.rawtime.s", FieldType.ABSTIME, "its seconds",
          lambda context: context.event.time_ns // _SECOND),
    field("evt.rawtime.ns", FieldType.ABSTIME, "its nanoseconds within the second",
          lambda context: context.event.time_ns % _SECOND),
    field("evt.time", FieldType.TEXT, "local time of day with nanoseconds", _time, cost=9,
          json=_get_time),
    field("evt.time.s", FieldType.TEXT, "local time of day",
          lambda context: _local_time(context.event.time_ns, "%H:%M:%S"), cost=9, json=_get_time),
    field("evt.time.iso8601", FieldType.TEXT, "UTC date and time with nanoseconds", _iso_time,
          cost=9, json=_get_time),
    field("evt.datetime", FieldType.TEXT, "local date and time with nanoseconds", _date_time,
          cost=9, json=_get_time),
    field("evt.datetime.s", FieldType.TEXT, "local date and time",
          lambda context: _local_time(context.event.time_ns, "%Y-%m-%d %H:%M:%S"), cost=9,
          json=_get_time),
    unavailable("evt.buffer", FieldType.BYTES, "data is not captured"),
    unavailable("evt.buflen", FieldType.UINT64, "data is not captured"),
    unavailable("evt.reltime", FieldType.RELTIME, "the start of the stream is not known"),
]  # fmt: skip
