"""The functions a condition may apply to a value: what they take and what they give."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeAlias

from guard.engine import ir
from guard.engine.fields import FieldType
from guard.engine.patterns import ascii_lower, ascii_upper

# What a transformer computes with; None is no value.
Result: TypeAlias = "str | bytes | int | tuple[str, ...] | None"
_Many: TypeAlias = "str | tuple[str, ...]"


class TransformerError(ValueError):
    """Wrong number or type of arguments."""

    def __init__(self, message: str, help: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.help = help


def result_type(call: ir.Call, kinds: Sequence[FieldType]) -> FieldType:
    """Type of what `call` gives when its arguments have `kinds`; raises `TransformerError`."""
    name = call.name
    if call.argument is not None and name != "getopt":
        raise TransformerError(f"`{name}` takes no argument in brackets")
    if name in {"tolower", "toupper"}:
        _expect(name, kinds, [(FieldType.TEXT, FieldType.LIST)])
        return kinds[0]
    if name == "b64":
        _expect(name, kinds, [(FieldType.TEXT, FieldType.BYTES)])
        return kinds[0]
    if name == "basename":
        _expect(name, kinds, [(FieldType.TEXT,)])
        return FieldType.TEXT
    if name == "len":
        _expect(name, kinds, [(FieldType.TEXT, FieldType.BYTES, FieldType.LIST)])
        return FieldType.UINT64
    if name == "join":
        _expect(name, kinds, [(FieldType.TEXT,), (FieldType.LIST,)])
        return FieldType.TEXT
    if name == "concat":
        if len(kinds) < 2:
            raise TransformerError("`concat` needs two or more texts")
        _expect(name, kinds, [(FieldType.TEXT,)] * len(kinds))
        return FieldType.TEXT
    if name == "getopt":
        _expect(name, kinds, [(FieldType.LIST,), (FieldType.TEXT,)])
        if not isinstance(call.operands[1], str):
            raise TransformerError("the options of `getopt` must be written out")
        return FieldType.LIST if call.argument is None else FieldType.TEXT
    raise TransformerError(f"unknown transformer `{name}`")


def apply(name: str, argument: str | None) -> Callable[[Sequence[Result]], Result]:
    """The function behind a transformer; without one of its inputs there is no output."""
    if name == "len":
        return lambda inputs: None if inputs[0] is None else len(inputs[0])  # type: ignore[arg-type]  # has a length
    function = _FUNCTIONS[name]

    def transform(inputs: Sequence[Result]) -> Result:
        if any(value is None for value in inputs):
            return None
        return function(inputs, argument)

    return transform


def options(words: Sequence[str], spec: str) -> list[tuple[str, str]]:
    """Pairs of option and argument as getopt(3) finds them; `?` for an unknown option."""
    found: list[tuple[str, str]] = []
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if word == "--" or not word.startswith("-") or word == "-":
            break
        if word.startswith("--"):
            continue
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            where = spec.find(letter) if letter != ":" else -1
            if where < 0:
                found.append(("?", ""))
            elif spec[where + 1 : where + 2] != ":":
                found.append((letter, ""))
            else:
                value = letters
                if not value and spec[where + 2 : where + 3] != ":" and position < len(words):
                    value = words[position]
                    position += 1
                found.append((letter, value))
                break
    return found


def _expect(name: str, kinds: Sequence[FieldType], wanted: Sequence[tuple[FieldType, ...]]) -> None:
    if len(kinds) != len(wanted):
        count = "1 argument" if len(wanted) == 1 else f"{len(wanted)} arguments"
        raise TransformerError(f"`{name}` takes {count}, not {len(kinds)}")
    for position, (kind, allowed) in enumerate(zip(kinds, wanted, strict=True), 1):
        if kind not in allowed:
            words = " or ".join(choice.value for choice in allowed)
            raise TransformerError(
                f"argument {position} of `{name}` is of type {kind.value}", f"it must be {words}"
            )


def _each(change: Callable[[str], str]) -> Callable[[Sequence[Result], str | None], Result]:
    def transform(inputs: Sequence[Result], _: str | None) -> Result:
        value: _Many = inputs[0]  # type: ignore[assignment]  # by result_type
        return tuple(map(change, value)) if isinstance(value, tuple) else change(value)

    return transform


def _b64(inputs: Sequence[Result], _: str | None) -> Result:
    value = inputs[0]
    raw = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    assert isinstance(raw, bytes)  # INVARIANT: by result_type
    try:
        decoded = base64.b64decode(raw + b"=" * (-len(raw) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded.decode("utf-8", "surrogateescape") if isinstance(value, str) else decoded


def _basename(inputs: Sequence[Result], _: str | None) -> Result:
    return str(inputs[0]).rpartition("/")[2]


def _join(inputs: Sequence[Result], _: str | None) -> Result:
    separator, items = inputs
    return str(separator).join(items)  # type: ignore[arg-type]  # a tuple by result_type


def _concat(inputs: Sequence[Result], _: str | None) -> Result:
    return "".join(map(str, inputs))


def _getopt(inputs: Sequence[Result], argument: str | None) -> Result:
    words, spec = inputs
    found = options(words, str(spec))  # type: ignore[arg-type]  # a tuple by result_type
    if argument is None:
        return tuple(part for pair in found for part in pair)
    return dict(found).get(argument)


_FUNCTIONS: dict[str, Callable[[Sequence[Result], str | None], Result]] = {
    "tolower": _each(ascii_lower),
    "toupper": _each(ascii_upper),
    "b64": _b64,
    "basename": _basename,
    "join": _join,
    "concat": _concat,
    "getopt": _getopt,
}
