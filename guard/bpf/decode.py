"""Decoder: records of the kernel become Event values.

For every event kind one function is generated, from the BTF of the object and
the fields of the Event class: struct event_KIND and class Kind have the same
names by rule, a part announced as NAME_len is the field NAME. Generated code
with the field names written out is several times faster than a loop over them.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator

from guard.bpf.layout import Layout, Member
from guard.errors import RecordError, UnsupportedError
from guard.event import EVENT_CLASSES, FLAG_TEXT_PATH, FLAG_TRUNCATED, Event
from guard.paths import normalise

_LENGTH = "_len"
_CALL_NUMBERS = 256  # enum event_call fits a byte in struct call_entry
_LISTS = frozenset({"argv", "env"})  # parts that hold several texts, each followed by NUL
_PREFIX = struct.Struct("<IH")  # size and kind, first in every header

_Decode = Callable[[bytes, int, int], Event]


class Decoder:
    """Reads the records of one layout."""

    def __init__(self, layout: Layout, boot_offset_ns: int) -> None:
        """`boot_offset_ns` is the epoch time of boot, see `boot_offset_ns()`.

        Raises UnsupportedError when the object and guard's event classes differ.
        """
        self.layout = layout
        self.boot_offset_ns = boot_offset_ns
        try:
            self._by_kind = _Functions(layout, boot_offset_ns)
        except (KeyError, ValueError) as error:
            raise UnsupportedError(
                f"the kernel object does not fit this version of guard: {error}",
                help="build it again with `make bpf`, or reinstall guard",
            ) from error

    def decode(self, buffer: bytes, offset: int = 0) -> Event:
        """The event at `offset`; RecordError when there is no well-formed one."""
        if offset < 0 or len(buffer) - offset < _PREFIX.size:
            raise _malformed(offset, "it ends within its header")
        size, kind = _PREFIX.unpack_from(buffer, offset)
        if size > len(buffer) - offset:
            raise _malformed(offset, f"its {size} bytes go beyond the end")
        return self._by_kind[kind](buffer, offset, size)

    def decode_all(self, block: bytes) -> list[Event]:
        """The events of a block (records back to back), in order.

        Raises RecordError at the first malformed record.
        """
        # The loop of `decode`, written out: it runs for every event of a session.
        events: list[Event] = []
        append, prefix, by_kind = events.append, _PREFIX.unpack_from, self._by_kind
        offset = 0
        end = len(block)
        last = end - _PREFIX.size
        while offset <= last:
            size, kind = prefix(block, offset)
            if size > end - offset:
                raise _malformed(offset, f"its {size} bytes go beyond the end")
            append(by_kind[kind](block, offset, size))
            offset += size
        if offset != end:
            raise _malformed(offset, "it ends within its header")
        return events


def boot_offset_ns() -> int:
    """Nanoseconds from the epoch to boot: what to add to CLOCK_BOOTTIME now."""
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    epoch = time.clock_gettime_ns(time.CLOCK_REALTIME)
    after = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return epoch - (before + after) // 2


def call_names(layout: Layout) -> tuple[str, ...]:
    """Values of evt.type by number of enum event_call; "" for numbers without a call."""
    names = {
        number: name.removeprefix("CALL_").lower()
        for name, number in layout.enum("event_call").items()
        if name not in ("CALL_NONE", "CALL_COUNT")
    }
    return tuple(names.get(number, "") for number in range(_CALL_NUMBERS))


class _Functions(dict[int, _Decode]):
    """Decoding functions by event kind; each is compiled when its first record comes."""

    def __init__(self, layout: Layout, offset_ns: int) -> None:
        super().__init__()
        kinds = layout.enum("event_kind")
        self._calls = call_names(layout)
        self._offset_ns = offset_ns
        self._sources = {
            kinds["EVENT_" + c.kind.upper()]: _Source(c, layout) for c in EVENT_CLASSES
        }

    def __missing__(self, kind: int) -> _Decode:
        source = self._sources.get(kind)
        if source is None:
            return _refuse_kind
        function = self[kind] = source.compile(self._offset_ns, self._calls)
        return function


class _Source:
    """The text of one generated function."""

    def __init__(self, cls: type[Event], layout: Layout) -> None:
        self.cls = cls
        self.struct = layout.struct("event_" + cls.kind)
        self.values: list[str] = []
        self.parts: list[str] = []
        codes: list[str] = []
        at = 0
        for member, offset in _flatten(self.struct.members, 0):
            if offset > at:
                codes.append(f"{offset - at}x")
            at = offset + member.size
            if member.name == "pad":
                codes.append(f"{member.size}x")
                continue
            codes.append(f"{member.size}s" if member.is_bytes else member.format)
            if member.count is not None and not member.is_bytes:
                raise ValueError(f"{self.struct.name}.{member.name} is an array")
            self.values.append(member.name)
            if member.name.endswith(_LENGTH):
                self.parts.append(member.name.removesuffix(_LENGTH))
        self.format = "<" + "".join(codes)
        self._check_fields()

    def compile(self, offset_ns: int, calls: tuple[str, ...]) -> _Decode:
        # A frozen dataclass pays a call for each field it is given. A subclass without slots of
        # its own has the same memory layout, may be assigned to, and be turned into the class.
        builder = type(
            self.cls.__name__,
            (self.cls,),
            {
                "__slots__": (),
                "__setattr__": object.__setattr__,
                "__delattr__": object.__delattr__,
            },
        )
        names: dict[str, object] = {
            "cls": self.cls,
            "builder": builder,
            "new": object.__new__,
            "unpack": struct.Struct(self.format).unpack_from,
            "calls": calls,
            "malformed": _malformed,
            "split": _split,
            "normalise": normalise,
        }
        code = compile(self.text(offset_ns), f"<decoder of {self.cls.kind}>", "exec")
        exec(code, names)  # noqa: S102  made from BTF member names only
        decode: _Decode = names["decode"]  # type: ignore[assignment]  # just defined by exec
        return decode

    def text(self, offset_ns: int) -> str:
        lines = [
            "def decode(buffer, offset, size):",
            f"    if size < {self.struct.size}:",
            f"        raise malformed(offset, f'{{size}} bytes are too few for {self.cls.kind}')",
            f"    {', '.join('_' + name for name in self.values)} = unpack(buffer, offset)",
        ]
        if self.parts:
            lengths = " + ".join(f"_{part}{_LENGTH}" for part in self.parts)
            lines += [
                f"    if {self.struct.size} + {lengths} > size:",
                "        raise malformed(offset, 'its parts go beyond its size')",
            ]
        lines.append("    event = new(builder)")
        lines += [
            f"    event.{name} = {self._expression(name, offset_ns)}"
            for name in self.values
            if name not in ("size", "kind") and not name.endswith(_LENGTH)
        ]
        if self.parts:
            lines.append(f"    at = offset + {self.struct.size}")
        for part in self.parts:
            lines += self._part(part)
        joined = [part for part in self.parts if part.endswith("path")]
        if joined:
            # Joined from text: made plain here, once for everybody, unless its beginning is lost.
            lines.append(f"    if _flags & {FLAG_TEXT_PATH | FLAG_TRUNCATED} == {FLAG_TEXT_PATH}:")
            for part in joined:
                lines.append(f"        if event.{part}: event.{part} = normalise(event.{part})")
        lines += ["    event.__class__ = cls", "    return event"]
        return "\n".join(lines)

    def _expression(self, name: str, offset_ns: int) -> str:
        if name == "time_ns":
            return f"_time_ns + {offset_ns}"
        if name == "call":
            return f"calls[_call] if _call < {_CALL_NUMBERS} else ''"
        return f"_{name}"

    def _part(self, part: str) -> list[str]:
        decoded = "buffer[at:end].decode('utf-8', 'surrogateescape')"
        lines = [f"    end = at + _{part}{_LENGTH}"]
        same_as = part.removesuffix("name") + "path"
        if part in _LISTS:
            lines.append(f"    event.{part} = split({decoded})")
        elif part.endswith("comm"):
            # A field of fixed size in the kernel, filled up with NUL.
            lines.append(f"    event.{part} = {decoded}.partition('\\0')[0]")
        elif part.endswith("name") and same_as in self.parts:
            # event.h: no name means that it equals the path.
            lines.append(f"    event.{part} = {decoded} if end > at else event.{same_as}")
        else:
            lines.append(f"    event.{part} = {decoded} if end > at else ''")
        lines.append("    at = end")
        return lines

    def _check_fields(self) -> None:
        expected = set(self.cls.__match_args__)
        found = {name.removesuffix(_LENGTH) for name in self.values} - {"size", "kind"}
        if expected != found:
            differing = ", ".join(sorted(expected ^ found))
            raise ValueError(f"{self.struct.name} and {self.cls.__name__} differ in {differing}")


def _flatten(members: tuple[Member, ...], base: int) -> Iterator[tuple[Member, int]]:
    for member in members:
        if member.nested is not None and member.count is None:
            yield from _flatten(member.nested.members, base + member.offset)
        else:
            yield member, base + member.offset


def _split(text: str) -> tuple[str, ...]:
    # The kernel ends every argument with NUL; a truncated vector lacks the last one.
    return tuple(text.removesuffix("\0").split("\0")) if text else ()


def _refuse_kind(_buffer: bytes, offset: int, _size: int) -> Event:
    raise _malformed(offset, "its kind is unknown")


def _malformed(offset: int, why: str) -> RecordError:
    return RecordError(f"malformed event record at byte {offset}: {why}")
