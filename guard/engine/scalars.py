"""The place of every character of a YAML scalar.

YAML keeps the words of a line as they are in every style; it only changes the
white space around them, and in quotes the escapes. So the pieces of a scalar are
found by walking the raw text and the decoded value side by side.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from guard.engine.source import MappedText, Piece, Source

_BREAKS = "\n\r\x85\u2028\u2029"
_BLANKS = " \t" + _BREAKS


def _run(quotes: str) -> str:
    """Pattern of the longest run on one line that YAML copies as it is."""
    return f"[^{_BLANKS}{quotes}](?:[^{_BREAKS}{quotes}]*[^{_BLANKS}{quotes}])?"


_PLAIN = re.compile(_run(""))
_SINGLE = re.compile(f"(?P<escape>'')|{_run(chr(39))}")
_DOUBLE = re.compile(
    r"(?P<escape>\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|\r\n|.))|" + _run(r"\\"),
    re.DOTALL,
)
_PROPERTIES = re.compile(rf"(?:[&!][^{_BLANKS}]*[{_BLANKS}]+)*")
_BLOCK_HEADER = re.compile(rf"[|>][^{_BREAKS}]*(?:\r\n|[{_BREAKS}])?")
_BLANK_RUN = re.compile(f"[{_BLANKS}]*")
_ESCAPED = {
    "0": "\0",
    "a": "\a",
    "b": "\b",
    "e": "\x1b",
    "f": "\f",
    "v": "\v",
    "_": "\xa0",
    '"': '"',
    "/": "/",
    "\\": "\\",
}


def map_scalar(source: Source, start: int, end: int, value: str) -> MappedText:
    """`value` mapped to the scalar written from `start` to `end` of the source."""
    text = source.text
    begin = _end(_PROPERTIES.match(text, start, end), start)
    if text.startswith(value, begin) and begin + len(value) <= end:
        return MappedText(value, (Piece(0, source, begin),))
    pieces: list[Piece] = []
    position = 0
    for offset, width, characters in _units(text, begin, end):
        position = _end(_BLANK_RUN.match(value, position), position)
        if position == len(value):
            break
        if not value.startswith(characters, position):
            # A style this module misreads: the message points at the scalar.
            return MappedText(value, (Piece(0, source, start, max(end - start, 1)),))
        if position and not pieces:
            pieces.append(Piece(0, source, offset, 1))  # white space before the first word
        delta = pieces[-1].offset - pieces[-1].start if pieces else None
        if width or not pieces or pieces[-1].width or delta != offset - position:
            pieces.append(Piece(position, source, offset, width))
        position += len(characters)
    return MappedText(value, tuple(pieces) or (Piece(0, source, start, max(end - start, 1)),))


def _units(text: str, begin: int, end: int) -> Iterator[tuple[int, int, str]]:
    """Offset, width (0: one for one) and characters of all that is not white space."""
    first = text[begin : begin + 1]
    pattern = _PLAIN
    if first in ("'", '"'):
        pattern = _SINGLE if first == "'" else _DOUBLE
        begin, end = begin + 1, end - 1
    elif first in ("|", ">"):
        begin = _end(_BLOCK_HEADER.match(text, begin, end), begin)
    for match in pattern.finditer(text, begin, end):
        if match.lastgroup != "escape":
            yield match.start(), 0, match[0]
            continue
        characters = "'" if first == "'" else _decode(match[0][1:])
        if characters:
            yield match.start(), len(match[0]), characters


def _decode(code: str) -> str:
    """The character of a YAML escape, "" when it is white space or a joined line."""
    if len(code) > 1 and code != "\r\n":
        character = chr(int(code[1:], 16))
        return "" if character in _BLANKS else character
    return _ESCAPED.get(code, "")


def _end(match: re.Match[str] | None, default: int) -> int:
    return match.end() if match else default
