"""List names in condition text are replaced by the lists' items.

As in Falco this happens in the text, before parsing: for every list in table
order, each occurrence of its name between delimiters. A name brought in by a
list is therefore found only if it belongs to a later one. So the final text of a
list does not depend on where it is used, and is made once, last list first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from guard.engine.diagnostics import nearest
from guard.engine.source import Location, MappedText

MAX_LENGTH = 1 << 22  # characters of an expanded condition; lists of lists multiply

_BLANKS = " \t\n\r"
_WORD = re.compile(r"[^ \t\n\r(),=]+")


class TooLongError(Exception):
    """The text would be longer than `MAX_LENGTH`."""


class Lists:
    """The lists of a load in table order, ready to be put into conditions."""

    def __init__(
        self,
        lists: Mapping[str, Sequence[MappedText]],
        places: Mapping[str, Location],
        inner: Mapping[str, set[str]],
    ) -> None:
        """`lists` maps names to items, `places` to where the names are defined.

        `inner` names the lists whose items a list has taken in already.
        """
        self.used: set[str] = set()  # names that occurred anywhere
        self._places = places
        self._texts: dict[str, MappedText | None] = {}  # None: too long
        self._uses: dict[str, set[str]] = {}
        for name in reversed(tuple(lists)):
            self._texts[name], uses = self._final(lists[name], places[name])
            self._uses[name] = uses | inner.get(name, set())

    def expand(self, text: MappedText) -> MappedText:
        """`text` with every list name replaced; raises `TooLongError`."""
        names = self._names(text.text)
        for name in names:
            self.used.add(name)
            self.used |= self._uses[name]
        return self._replace(text) if names else text

    def meant_by(self, word: str) -> str | None:
        """The list whose name `word` nearly is, for words that look like such a name."""
        if "_" not in word:
            return None
        letters = set(word)
        # Values are many and edit distances slow: first what costs nothing.
        near = (
            name
            for name in self._texts
            if abs(len(name) - len(word)) < 3 and len(letters ^ set(name)) < 5
        )
        return nearest(word, near)

    def _final(
        self, items: Sequence[MappedText], place: Location
    ) -> tuple[MappedText | None, set[str]]:
        """Text of a list's items with later lists in them, and the names of these."""
        parts: list[MappedText] = []
        comma = MappedText.inserted(", ", place)
        for item in items:
            parts += [comma] if parts else []
            parts += _quoted(item)
        if not parts:
            return MappedText.inserted("", place), set()
        text = MappedText.join(parts)
        names = self._names(text.text)
        uses = set(names).union(*(self._uses[name] for name in names))
        try:
            return (self._replace(text) if names else text), uses
        except TooLongError:
            return None, uses

    def _names(self, text: str) -> list[str]:
        return [word for word in dict.fromkeys(_WORD.findall(text)) if word in self._texts]

    def _replace(self, text: MappedText) -> MappedText:
        parts = list(self._parts(text))
        if sum(len(part.text) for part in parts) > MAX_LENGTH:
            raise TooLongError
        return MappedText.join(parts)

    def _parts(self, text: MappedText) -> Iterator[MappedText]:
        raw = text.text
        cursor = 0
        for match in _WORD.finditer(raw):
            name = match[0]
            if name not in self._texts or match.start() < cursor:
                continue
            expansion = self._texts[name]
            if expansion is None:
                raise TooLongError
            end = match.end()
            stop = len(raw[cursor : match.start()].rstrip(_BLANKS)) + cursor
            while end < len(raw) and raw[end] in _BLANKS:
                end += 1
            if not expansion.text:
                # An empty list takes one comma with it, the left one first.
                if stop > cursor and raw[stop - 1] == ",":
                    stop -= 1
                elif end < len(raw) and raw[end] == ",":
                    end += 1
            blank = MappedText.inserted(" ", text.locate(match.start(), match.end()))
            yield text[cursor:stop]
            yield from (blank, expansion, blank)
            cursor = end
        yield text[cursor : len(raw)]


def one_level(
    items: Sequence[MappedText], lists: Mapping[str, Sequence[MappedText]]
) -> Iterator[MappedText]:
    """Items of a list with those that name another of `lists` replaced by its items."""
    for item in items:
        referenced = lists.get(item.text)
        if referenced is None:
            yield item
        else:
            yield from referenced


def _quoted(item: MappedText) -> list[MappedText]:
    if " " not in item.text or item.text[0] in "'\"":
        return [item]
    quote = MappedText.inserted('"', item.locate())
    return [quote, item, quote]
