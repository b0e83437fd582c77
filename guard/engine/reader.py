"""Reads the values of one item of a rule file, key by key."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from guard.engine.diagnostics import Code, Diagnostic, Severity, did_you_mean, nearest
from guard.engine.nodes import Mapping, Node, Scalar, Sequence
from guard.engine.source import Location, MappedText

_T = TypeVar("_T")

_BOOLEANS = {
    spelling: value
    for words, value in ((("true", "yes", "on", "y"), True), (("false", "no", "off", "n"), False))
    for word in words
    for spelling in (word, word.capitalize(), word.upper())
}


class Reader:
    """One mapping, and where to report what is wrong with it.

    Every method returns None for a key that is absent or wrong; what is wrong is
    reported once.
    """

    def __init__(self, node: Mapping, kind: str, diagnostics: list[Diagnostic]) -> None:
        self.node = node
        self.kind = kind
        self.errors = 0
        self.diagnostics = diagnostics
        name = node.entries.get(kind)
        self._item = f"{kind} `{name.value}`" if isinstance(name, Scalar) else kind

    @property
    def location(self) -> Location:
        """Place of the key that names the item's kind."""
        return self.key_location(self.kind)

    def has(self, key: str) -> bool:
        """True when the key is there, whatever its value."""
        return key in self.node.entries

    def key_location(self, key: str) -> Location:
        """Place of a key that is there, otherwise of the whole item."""
        scalar = self.node.keys.get(key)
        return scalar.location if scalar else self.node.location

    def error(self, code: Code, message: str, location: Location, help: str = "") -> None:
        """Reports an error in this item."""
        self.errors += 1
        self._add(code, message, location, Severity.ERROR, help)

    def warn(self, code: Code, message: str, location: Location, help: str = "") -> None:
        """Reports a warning in this item."""
        self._add(code, message, location, Severity.WARNING, help)

    def check_keys(self, known: Iterable[str]) -> None:
        """Reports every key that is not among `known`."""
        known = tuple(known)
        for key, scalar in self.node.keys.items():
            if key not in known:
                help = did_you_mean(key, known)
                self.error(
                    Code.UNKNOWN_KEY,
                    f"unknown key `{key}`",
                    scalar.location,
                    help or f"keys here are {', '.join(known)}",
                )

    def require(self, key: str) -> None:
        """Reports a key that is not there."""
        if self.has(key):
            return
        similar = nearest(key, self.node.entries)
        self.error(
            Code.MISSING_KEY,
            f"item has no mapping for key `{key}`",
            self.location,
            f"add `{key}: …`" + (f"; is `{similar}` meant to be it?" if similar else ""),
        )

    def name(self) -> Scalar | None:
        """The item's name."""
        return self._scalar(self.kind)

    def text(self, key: str, *, required: bool = False) -> MappedText | None:
        """A text that is not empty."""
        if required:
            self.require(key)
        scalar = self._scalar(key)
        return scalar.text if scalar else None

    def texts(self, key: str, *, required: bool = False) -> tuple[MappedText, ...] | None:
        """A sequence of texts; may be empty."""
        if required:
            self.require(key)
        sequence = self.sequence(key)
        if sequence is None:
            return None
        texts = []
        for item in sequence.items:
            if isinstance(item, Scalar):
                texts.append(item.text)
            else:
                self.error(
                    Code.WRONG_STRUCTURE,
                    f"an entry of `{key}` is not a text",
                    item.location,
                    "write one text per entry",
                )
        return tuple(texts)

    def sequence(self, key: str) -> Sequence | None:
        """A sequence; nothing at all counts as an empty one."""
        node = self.node.entries.get(key)
        if node is None or isinstance(node, Sequence):
            return node
        if isinstance(node, Scalar) and node.is_null:
            return Sequence(node.location)
        self.error(
            Code.WRONG_STRUCTURE,
            f"value of `{key}` is not a sequence",
            node.location,
            f"write `{key}: [a, b]`, or one `- a` per line",
        )
        return None

    def mapping(self, key: str) -> Mapping | None:
        """A mapping."""
        node = self.node.entries.get(key)
        if node is None or isinstance(node, Mapping):
            return node
        self.error(
            Code.WRONG_STRUCTURE,
            f"value of `{key}` is not a mapping",
            node.location,
            f"write one `key: value` per line below `{key}`",
        )
        return None

    def boolean(self, key: str) -> bool | None:
        """True or false in any of YAML's spellings."""
        scalar = self._scalar(key)
        if scalar is None:
            return None
        if scalar.value not in _BOOLEANS:
            self.error(
                Code.BAD_KEY_VALUE,
                f"`{key}` must be true or false, found `{scalar.value}`",
                scalar.location,
            )
        return _BOOLEANS.get(scalar.value)

    def unsigned(self, key: str) -> int | None:
        """A whole number that is not negative."""
        scalar = self._scalar(key)
        if scalar is None:
            return None
        # Not int(): it takes "1_000", " 1" and digits of any script.
        if scalar.value.isascii() and scalar.value.isdigit() and len(scalar.value) <= 18:
            return int(scalar.value)
        self.error(
            Code.BAD_KEY_VALUE,
            f"`{key}` must be a whole number, found `{scalar.value}`",
            scalar.location,
        )
        return None

    def word(self, key: str, parse: Callable[[str], _T], words: Iterable[str]) -> _T | None:
        """One of a few words; `parse` raises `ValueError` for any other."""
        scalar = self._scalar(key)
        if scalar is None:
            return None
        try:
            return parse(scalar.value)
        except ValueError:
            words = tuple(words)
            self.error(
                Code.BAD_KEY_VALUE,
                f"unknown {key} `{scalar.value}`",
                scalar.location,
                did_you_mean(scalar.value, words) or f"one of {', '.join(words)}",
            )
            return None

    def _scalar(self, key: str) -> Scalar | None:
        node: Node | None = self.node.entries.get(key)
        if node is None:
            return None
        if not isinstance(node, Scalar):
            self.error(Code.WRONG_STRUCTURE, f"value of `{key}` is not a text", node.location)
            return None
        if node.is_null or not node.value.strip():
            self.error(Code.WRONG_STRUCTURE, f"value of `{key}` is empty", self.key_location(key))
            return None
        return node

    def _add(
        self, code: Code, message: str, location: Location, severity: Severity, help: str
    ) -> None:
        self.diagnostics.append(
            Diagnostic(code, message, location, severity, help=help, item=self._item)
        )
