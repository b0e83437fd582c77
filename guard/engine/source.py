"""Where text came from: sources, places in them, and text assembled from pieces.

A rule file is a `Source`. What the parser sees is seldom a slice of it: YAML
folds lines and decodes escapes, lists are expanded into conditions, appended
conditions are joined. `MappedText` is such a text together with the place every
character came from, so that a message can always point into the file.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from guard.data import dataclass

LINE_BREAKS = "\n\r\x85\u2028\u2029"


class Source:
    """One file of rules: its name as shown to the user, and its text."""

    __slots__ = ("_line_starts", "name", "text")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self._line_starts: list[int] = []

    def __repr__(self) -> str:
        return f"Source({self.name!r})"

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of a character offset, both from 1."""
        starts = self._starts()
        line = bisect_right(starts, offset)
        return line, offset - starts[line - 1] + 1

    def line(self, number: int) -> str:
        """Text of a line (from 1) without its line break; "" beyond the end."""
        starts = self._starts()
        if number > len(starts):
            return ""
        end = starts[number] if number < len(starts) else len(self.text)
        return self.text[starts[number - 1] : end].rstrip(LINE_BREAKS)

    def _starts(self) -> list[int]:
        # Found on first use: most sources load without a single message.
        if not self._line_starts:
            self._line_starts.append(0)
            offset = 0
            for line in self.text.split("\n"):
                offset += len(line) + 1
                self._line_starts.append(offset)
            self._line_starts.pop()
        return self._line_starts


@dataclass(frozen=True, slots=True)
class Location:
    """Half-open range of characters of a source."""

    source: Source
    start: int
    end: int

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.source.name

    @property
    def line(self) -> int:
        """Line of the first character, from 1."""
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        """Column of the first character, from 1."""
        return self.source.position(self.start)[1]

    def __str__(self) -> str:
        line, column = self.source.position(self.start)
        return f"{self.source.name}:{line}:{column}"


@dataclass(frozen=True, slots=True)
class Piece:
    """Where the characters of a text from `start` up to the next piece come from.

    `width` 0: one for one from `offset` of `origin` on. Otherwise all of them
    stand for the `width` characters at `offset`: an escape, or text put in for
    them.
    """

    start: int
    origin: Source | MappedText
    offset: int
    width: int = 0


@dataclass(frozen=True, slots=True)
class MappedText:
    """A text and the origin of its characters; the first piece starts at 0.

    Joining and cutting refer to the texts they were made from, so both are cheap
    and the way back is only walked for a message.
    """

    text: str
    pieces: tuple[Piece, ...]

    @classmethod
    def verbatim(cls, source: Source, start: int, end: int) -> MappedText:
        """The characters from `start` to `end` of a source as they are."""
        return cls(source.text[start:end], (Piece(0, source, start),))

    @classmethod
    def inserted(cls, text: str, location: Location) -> MappedText:
        """Text that is not in any source but stands for what is at `location`."""
        width = max(location.end - location.start, 1)
        return cls(text, (Piece(0, location.source, location.start, width),))

    @classmethod
    def join(cls, parts: Iterable[MappedText]) -> MappedText:
        """The parts one after the other; there must be one with text."""
        texts = []
        pieces = []
        length = 0
        for part in parts:
            if part.text:
                pieces.append(Piece(length, part, 0))
                texts.append(part.text)
                length += len(part.text)
        return cls("".join(texts), tuple(pieces))

    def __getitem__(self, key: slice) -> MappedText:
        """A slice, still mapped; steps are not supported."""
        start, stop, _ = key.indices(len(self.text))
        return MappedText(self.text[start:stop], (Piece(0, self, start),))

    def strip(self) -> MappedText:
        """The text without white space around it."""
        stripped = self.text.strip()
        start = len(self.text) - len(self.text.lstrip())
        return self[start : start + len(stripped)]

    def locate(self, start: int = 0, end: int | None = None) -> Location:
        """Place in a source of the characters from `start` to `end` (default: all).

        A range that begins in one place and ends in another, before it or in a
        different source, is cut to its first character. An empty range, or one
        at the end of the text, is just behind the character before it.
        """
        if end is None:
            end = len(self.text)
        if start >= len(self.text) and self.text:
            last = self._origin(len(self.text) - 1)
            return Location(last.source, last.end, last.end)
        first = self._origin(start)
        if end <= start:
            return Location(first.source, first.start, first.start)
        last = self._origin(end - 1)
        if last.source is first.source and last.end > first.start:
            return Location(first.source, first.start, last.end)
        return first

    def _origin(self, offset: int) -> Location:
        """The place of one character."""
        text = self
        while True:
            pieces = text.pieces
            index = bisect_right(pieces, offset, key=lambda piece: piece.start) - 1
            piece = pieces[max(index, 0)]
            begin = piece.offset if piece.width else piece.offset + offset - piece.start
            if isinstance(piece.origin, Source):
                return Location(piece.origin, begin, begin + max(piece.width, 1))
            text, offset = piece.origin, begin
