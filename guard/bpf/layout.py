"""Layout: sizes, offsets and enum values, read from the BTF of the built object.

The C headers are the contract; this module is how Python reads it, so no offset
or number is stated twice. Types are resolved when asked for, because an object
also describes kernel structs that Python never touches.

BTF: https://docs.kernel.org/bpf/btf.html
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Mapping, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

from guard.data import dataclass
from guard.errors import UnsupportedError

_MAGIC = 0xEB9F
_INT, _ARRAY, _STRUCT, _ENUM, _ENUM64 = 1, 3, 4, 6, 19
_POINTER = 2
_SAME_AS = frozenset({8, 9, 10, 11, 18})  # typedef, volatile, const, restrict, type tag
_SIGNED = 1
_FORMATS = {1: "b", 2: "h", 4: "i", 8: "q"}


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a struct; `size` in bytes covers the whole array."""

    name: str
    offset: int
    size: int
    format: str  # `struct` code of one element, "" for a nested struct
    nested: Struct | None
    count: int | None  # array length, None when not an array

    @property
    def is_bytes(self) -> bool:
        """An array of 8-bit integers: its value is `bytes`."""
        return self.count is not None and self.format in ("b", "B")


class Struct:
    """A C struct, little-endian."""

    def __init__(self, name: str, size: int, members: tuple[Member, ...]) -> None:
        self.name = name
        self.size = size
        self.members = members
        self.by_name: Mapping[str, Member] = {member.name: member for member in members}
        self._empty: Mapping[str, object] = dict.fromkeys(self.by_name, 0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Struct) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    @cached_property
    def _plain(self) -> struct.Struct | None:
        """All members at once, where every one is a number."""
        codes = ["<"]
        at = 0
        for member in self.members:
            if member.nested is not None or member.count is not None:
                return None
            codes.append(f"{member.offset - at}x{member.format}")
            at = member.offset + member.size
        return struct.Struct(f"{''.join(codes)}{self.size - at}x")

    def pack(self, values: Mapping[str, object]) -> bytes:
        """Bytes of the struct: missing members are 0, an unknown key is a KeyError.

        A nested struct takes a mapping, an array a sequence (a short one is
        completed with zeros), an array of 8-bit integers `bytes`.
        """
        if self._plain is not None and values.keys() <= self._empty.keys():
            with contextlib.suppress(struct.error):  # told better below
                return self._plain.pack(*{**self._empty, **values}.values())
        buffer = bytearray(self.size)
        self.pack_into(buffer, 0, values)
        return bytes(buffer)

    # Any: a value is int, bytes, a list of these or a nested mapping, as the C type says.
    def unpack(self, data: bytes, offset: int = 0) -> dict[str, Any]:
        """Values of all members, in the shapes that `pack` takes."""
        return {member.name: _unpack(member, data, offset) for member in self.members}

    def _key(self) -> tuple[object, ...]:
        return self.name, self.size, self.members

    def pack_into(self, buffer: bytearray, base: int, values: Mapping[str, object]) -> None:
        """Write `values` at `base`; what is not named keeps its bytes."""
        for name, value in values.items():
            member = self.by_name.get(name)
            if member is None:
                raise KeyError(f"struct {self.name} has no member {name}")
            _pack(member, buffer, base + member.offset, value)


class Layout:
    """All structs and enums of one object."""

    def __init__(self, btf: bytes) -> None:
        """Read a `.BTF` section. `btf` is kept: recorded events need it to be read again."""
        self.btf = btf
        self._types, self._strings = _parse(btf)
        self._ids: dict[tuple[int, str], int] = {}
        for number, (kind, name, *_rest) in enumerate(self._types):
            if kind in (_STRUCT, _ENUM, _ENUM64):
                key = (_STRUCT if kind == _STRUCT else _ENUM, self._text(name))
                self._ids.setdefault(key, number)
        self._structs: dict[int, Struct] = {}

    @classmethod
    def from_file(cls, path: str | PathLike[str]) -> Layout:
        """Layout of an ELF object; UnsupportedError when it cannot be read."""
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise UnsupportedError(
                f"the kernel object `{path}` cannot be read: {error.strerror}",
                help="build it with `make bpf`, or reinstall guard",
            ) from error
        try:
            return cls(_section(data, b".BTF"))
        except (struct.error, ValueError, IndexError) as error:
            raise UnsupportedError(
                f"`{path}` is not a kernel object with type information: {error}",
                help="build it again with `make bpf`",
            ) from error

    def struct(self, name: str) -> Struct:
        """The struct `name`; KeyError when the object does not mention it."""
        number = self._ids.get((_STRUCT, name))
        if number is None:
            raise KeyError(f"no struct {name} in the kernel object")
        return self._struct(number)

    def struct_names(self) -> list[str]:
        return [name for kind, name in self._ids if kind == _STRUCT and name]

    def enum(self, name: str) -> dict[str, int]:
        """Values of the enum `name` by constant; KeyError when the object does not mention it."""
        number = self._ids.get((_ENUM, name))
        if number is None:
            raise KeyError(f"no enum {name} in the kernel object")
        kind, _name, info, _size, rest = self._types[number]
        signed = bool(info >> 31)
        values = {}
        step = 8 if kind == _ENUM else 12
        for at in range(rest, rest + (info & 0xFFFF) * step, step):
            if kind == _ENUM:
                text, value = struct.unpack_from("<Ii" if signed else "<II", self.btf, at)
            else:
                text, low, high = struct.unpack_from("<III", self.btf, at)
                value = low | high << 32
                value -= (value >> 63 << 64) if signed else 0
            values[self._text(text)] = value
        return values

    def _struct(self, number: int) -> Struct:
        known = self._structs.get(number)
        if known is None:
            known = self._structs[number] = self._resolve(number)
        return known

    def _resolve(self, number: int) -> Struct:
        _kind, name_at, info, size, rest = self._types[number]
        name = self._text(name_at)
        members = []
        for at in range(rest, rest + (info & 0xFFFF) * 12, 12):
            text, type_number, bits = struct.unpack_from("<III", self.btf, at)
            if info >> 31:
                if bits >> 24:
                    raise ValueError(f"struct {name} has a bit field")
                bits &= 0xFFFFFF
            members.append(self._member(self._text(text), type_number, bits // 8))
        return Struct(name, size, tuple(members))

    def _member(self, name: str, number: int, offset: int) -> Member:
        kind, _name, info, size, rest = self._types[self._plain(number)]
        count = None
        if kind == _ARRAY:
            element, _index, count = struct.unpack_from("<III", self.btf, rest)
            number = element
            kind, _name, info, size, rest = self._types[self._plain(number)]
        nested = None
        if kind == _STRUCT:
            code, nested = "", self._struct(self._plain(number))
        elif kind == _INT:
            encoding = struct.unpack_from("<I", self.btf, rest)[0] >> 24
            code = _FORMATS[size] if encoding & _SIGNED else _FORMATS[size].upper()
        elif kind in (_ENUM, _ENUM64):
            code = _FORMATS[size] if info >> 31 else _FORMATS[size].upper()
        elif kind == _POINTER:
            code, size = "Q", 8
        else:
            raise ValueError(f"member {name} has an unsupported type")
        total = size * (1 if count is None else count)
        return Member(name, offset, total, code, nested, count)

    def _plain(self, number: int) -> int:
        while self._types[number][0] in _SAME_AS:
            number = self._types[number][3]
        return number

    def _text(self, offset: int) -> str:
        start = self._strings + offset
        return self.btf[start : self.btf.index(b"\0", start)].decode()


def _pack(member: Member, buffer: bytearray, offset: int, value: object) -> None:
    if member.is_bytes and isinstance(value, bytes | bytearray):
        if len(value) > member.size:
            raise ValueError(f"member {member.name} holds {member.size} bytes, not {len(value)}")
        buffer[offset : offset + len(value)] = value
    elif member.count is None:
        _pack_element(member, buffer, offset, value)
    else:
        assert isinstance(value, Sequence), member.name
        if len(value) > member.count:
            raise ValueError(f"member {member.name} holds {member.count} items, not {len(value)}")
        step = member.size // member.count if member.count else 0
        for index, item in enumerate(value):
            _pack_element(member, buffer, offset + index * step, item)


def _pack_element(member: Member, buffer: bytearray, offset: int, value: object) -> None:
    if member.nested is not None:
        assert isinstance(value, Mapping), member.name
        member.nested.pack_into(buffer, offset, value)
        return
    try:
        struct.pack_into("<" + member.format, buffer, offset, value)
    except struct.error as error:
        raise ValueError(f"member {member.name}: {error}") from error


# Any: see Struct.unpack.
def _unpack(member: Member, data: bytes, base: int) -> Any:
    offset = base + member.offset
    if member.is_bytes:
        return data[offset : offset + member.size]
    if member.count is None:
        return _unpack_element(member, data, offset)
    step = member.size // member.count if member.count else 0
    return [_unpack_element(member, data, offset + i * step) for i in range(member.count)]


def _unpack_element(member: Member, data: bytes, offset: int) -> Any:
    if member.nested is not None:
        return member.nested.unpack(data, offset)
    return struct.unpack_from("<" + member.format, data, offset)[0]


# (kind, name offset, info, size or type, position of what follows) of each type; 0 is void.
_Type = tuple[int, int, int, int, int]


def _parse(btf: bytes) -> tuple[list[_Type], int]:
    magic, _version, _flags, header = struct.unpack_from("<HBBI", btf, 0)
    if magic != _MAGIC:
        raise ValueError("no BTF header")
    type_offset, type_bytes, string_offset, _string_bytes = struct.unpack_from("<IIII", btf, 8)
    types: list[_Type] = [(0, 0, 0, 0, 0)]
    at = header + type_offset
    end = at + type_bytes
    while at < end:
        name, info, size = struct.unpack_from("<III", btf, at)
        kind = info >> 24 & 0x1F
        types.append((kind, name, info, size, at + 12))
        at += 12 + _extra_bytes(kind, info & 0xFFFF)
    return types, header + string_offset


def _extra_bytes(kind: int, count: int) -> int:
    if kind in (_INT, 14, 17):  # also variable, declaration tag
        return 4
    if kind == _ARRAY:
        return 12
    if kind in (_STRUCT, 5, 15, _ENUM64):  # also union, data section
        return 12 * count
    if kind in (_ENUM, 13):  # also function prototype
        return 8 * count
    return 0


def _section(elf: bytes, wanted: bytes) -> bytes:
    if elf[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not a 64-bit little-endian ELF file")
    table = struct.unpack_from("<Q", elf, 40)[0]
    entry_bytes, count, names_index = struct.unpack_from("<HHH", elf, 58)
    sections = [struct.unpack_from("<IIQQQQ", elf, table + i * entry_bytes) for i in range(count)]
    names = sections[names_index][4]
    for name, _type, _flags, _address, offset, size in sections:
        start = names + name
        if elf[start : elf.index(b"\0", start)] == wanted:
            if offset + size > len(elf):
                break
            return elf[offset : offset + size]
    raise ValueError(f"no complete {wanted.decode()} section")
