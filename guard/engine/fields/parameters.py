"""The parameters of each call, as `evt.arg`, `evt.rawarg` and `evt.args` see them.

Names and positions are Falco's, see `parameter_table`. A parameter that guard
does not capture keeps its place and has no value; its text is then `<NA>`.
"""

from __future__ import annotations

import errno
import signal
from collections.abc import Callable
from operator import attrgetter

from guard.data import dataclass
from guard.engine import flags
from guard.engine.fields import descriptor, process
from guard.engine.fields.definition import Context, FieldType, Getter, Value
from guard.event import Process, SocketEvent
from guard.paths import join

MISSING = "<NA>"
_UNSET_ID = 0xFFFFFFFF

_Format = Callable[[Value], str]


@dataclass(frozen=True, slots=True, eq=False)
class Parameter:
    """`raw` is the typed value, `format` its text, `resolved` a better text if there is one."""

    name: str
    type: FieldType
    raw: Getter
    resolved: Callable[[Context], str | None] | None = None
    format: _Format = str

    def text(self, context: Context) -> str:
        """What evt.arg gives."""
        if self.resolved is not None and (resolved := self.resolved(context)) is not None:
            return resolved
        return self._raw_text(context)

    def both(self, context: Context) -> str:
        """What evt.args gives: `name=raw(resolved)`."""
        raw = self._raw_text(context)
        resolved = self.resolved(context) if self.resolved is not None else None
        return f"{self.name}={raw}" + (f"({resolved})" if resolved not in {None, raw} else "")

    def _raw_text(self, context: Context) -> str:
        value = self.raw(context)
        # INVARIANT: no parameter is one of the many-valued fields
        return MISSING if value is None or value == "" else self.format(value)  # type: ignore[arg-type]


def error_name(result: int) -> str:
    """`0`, a positive number, or the name of the negative errno."""
    return str(result) if result >= 0 else errno.errorcode.get(-result, str(result))


def result_name(context: Context) -> str | None:
    return error_name(context.event.res) if context.event.res < 0 else None


def _octal(value: Value) -> str:
    assert isinstance(value, int)  # INVARIANT: used for modes only
    return f"0{value:o}" if value else "0"


def zero_or_one(value: Value) -> str:
    return str(int(bool(value)))


def signal_name(get: Getter) -> Callable[[Context], str | None]:
    def name(context: Context) -> str | None:
        try:
            return signal.Signals(get(context)).name  # type: ignore[arg-type]  # an int
        except ValueError:
            return None

    return name


def _user(
    get: Getter, id_of: Callable[[Process], int], name_of: Callable[[Process], str]
) -> Callable[[Context], str]:
    # Names are known for the users of the process and its ancestors only.
    def name(context: Context) -> str:
        wanted = get(context)
        if wanted in {-1, _UNSET_ID}:
            return "<NONE>"
        for known in (context.process, *process.ancestors(context.process)):
            if id_of(known) == wanted:
                return name_of(known)
        return "root" if wanted == 0 else MISSING

    return name


def command_of(get: Getter) -> Callable[[Context], str | None]:
    def name(context: Context) -> str | None:
        wanted = get(context)
        for known in (context.process, *process.ancestors(context.process)):
            if known.pid == wanted:
                return known.name
        return None

    return name


def _path(name: str, absolute: str, directory: str | None) -> Callable[[Context], str | None]:
    """A path as passed when absolute, else what it is seen from its directory."""
    passed, found = attrgetter(name), attrgetter(absolute)
    start = attrgetter(directory) if directory else None

    def text(context: Context) -> str | None:
        word = passed(context)
        if not word or word.startswith("/"):
            return word or found(context) or None
        if context.process.cwd and (start is None or start(context) == descriptor.AT_FDCWD):
            return join(context.process.cwd, word)
        return found(context) or None

    return text


def _directory(get: Getter) -> Callable[[Context], str | None]:
    return lambda context: "AT_FDCWD" if get(context) == descriptor.AT_FDCWD else None


def socket_tuple(context: Context) -> str | None:
    event = context.event
    return descriptor.socket_name(event) if isinstance(event, SocketEvent) else None


def remote_text(context: Context) -> str | None:
    end = descriptor.remote_end(context.event)
    return f"{end[0]}:{end[1]}" if end else socket_tuple(context)


def local_text(context: Context) -> str | None:
    end = descriptor.local_end(context.event)
    return f"{end[0]}:{end[1]}" if end else socket_tuple(context)


def number(name: str, source: str, type: FieldType = FieldType.UINT64) -> Parameter:
    return Parameter(name, type, attrgetter(source))


def text(name: str, source: str) -> Parameter:
    return Parameter(name, FieldType.TEXT, attrgetter(source))


def named(name: str, get: Getter, table: dict[str, int], *, is_enum: bool = False) -> Parameter:
    to_text = flags.enum_text if is_enum else flags.flags_text

    def resolved(context: Context) -> str | None:
        value = get(context)
        return to_text(value, table) if isinstance(value, int) else None

    return Parameter(name, FieldType.UINT32, get, resolved)


def file_path(name: str, passed: str, absolute: str, directory: str | None = None) -> Parameter:
    raw = attrgetter(f"event.{passed}")
    where = f"event.{directory}" if directory else None
    resolved = _path(f"event.{passed}", f"event.{absolute}", where)
    return Parameter(name, FieldType.TEXT, raw, resolved)


def dirfd(name: str, attribute: str) -> Parameter:
    get = attrgetter(f"event.{attribute}")
    return Parameter(name, FieldType.INT64, get, _directory(get))


def pid(name: str, source: str) -> Parameter:
    get = attrgetter(source)
    return Parameter(name, FieldType.INT64, get, command_of(get))


def uid(name: str, source: str) -> Parameter:
    get = attrgetter(source)
    user = _user(get, attrgetter("uid"), attrgetter("user"))
    return Parameter(name, FieldType.UINT32, get, user)


def gid(name: str, source: str) -> Parameter:
    get = attrgetter(source)
    group = _user(get, attrgetter("gid"), attrgetter("group"))
    return Parameter(name, FieldType.UINT32, get, group)


def missing(name: str, type: FieldType = FieldType.UINT64) -> Parameter:
    return Parameter(name, type, lambda _: None)


def mode(name: str, *, names: bool = False) -> Parameter:
    get = attrgetter("event.mode")
    if names:
        return named(name, lambda context: get(context) & 0o7777, flags.CHMOD_MODE)
    return Parameter(name, FieldType.UINT32, get, format=_octal)
