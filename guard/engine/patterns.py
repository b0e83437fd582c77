"""Matching of text: shell wildcards, path prefixes, ASCII case, regular expressions.

Patterns are translated once; what comes out is a function from text to bool.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TypeAlias

TextTest: TypeAlias = Callable[[str], bool]

_ASCII_LOWER = {ord(char): char.lower() for char in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
_ASCII_UPPER = {ord(char): char.upper() for char in "abcdefghijklmnopqrstuvwxyz"}
_CLASSES = {
    "alnum": "a-zA-Z0-9", "alpha": "a-zA-Z", "blank": " \\t", "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~",
    "punct": "!-/:-@\\[-`{-~", "space": " \\t\\n\\r\\f\\v", "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}  # fmt: skip


class RegexError(Exception):
    """A pattern that RE2 refuses, or no RE2 to ask; `help` says what to do."""

    def __init__(self, message: str, help: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.help = help


def ascii_lower(text: str) -> str:
    """`text` with A to Z folded; other letters keep their case, as in Falco."""
    return text.lower() if text.isascii() else text.translate(_ASCII_LOWER)


def ascii_upper(text: str) -> str:
    """The other way round."""
    return text.upper() if text.isascii() else text.translate(_ASCII_UPPER)


@lru_cache(maxsize=1024)
def glob(pattern: str, *, ignore_case: bool = False) -> TextTest:
    """fnmatch(3) without flags over the whole text: `*` and `?` match a slash too."""
    folding = re.IGNORECASE | re.ASCII if ignore_case else re.NOFLAG
    compiled = re.compile(_glob_regex(pattern), folding | re.DOTALL)
    return lambda text: compiled.fullmatch(text) is not None


def path_match(items: Iterable[str]) -> TextTest:
    """True for a path that is one of `items` or lies below one.

    Items are compared component by component, with wildcards where they have
    any; repeated and trailing slashes do not count. The empty item is only the
    empty path.
    """
    literal: set[str] = set()
    wild: list[str] = []
    for item in items:
        cleaned = _clean(item)
        if any(char in "?*[" for char in cleaned):
            wild.append(_path_regex(cleaned))
        else:
            literal.add(cleaned)
    exact = frozenset(literal)
    starts = tuple(f"{item.rstrip('/')}/" for item in sorted(literal - {""}))

    def below(path: str) -> bool:
        if path in exact or path.startswith(starts):
            return True
        # The kernel's paths are clean; those a program passed may not be.
        if "//" in path or path[-1:] == "/":
            path = _clean(path)
            return path in exact or path.startswith(starts)
        return False

    if not wild:
        return below
    pattern = re.compile("|".join(wild), re.DOTALL)
    return lambda path: below(path) or pattern.match(_clean(path)) is not None


@lru_cache(maxsize=1024)
def regex(pattern: str) -> TextTest:
    """RE2 in POSIX syntax over the whole text; raises `RegexError`."""
    try:
        import re2  # noqa: PLC0415  # costs 30 ms, and few policies need it
    except ImportError:
        raise RegexError(
            "the operator `regex` needs the package google-re2",
            "install google-re2, or use `glob`, `startswith`, `endswith` or `contains`",
        ) from None
    options = re2.Options()
    options.posix_syntax = True
    options.longest_match = True
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        detail = error.args[0].decode() if isinstance(error.args[0], bytes) else error.args[0]
        raise RegexError(
            f"`{pattern}` is not a regular expression: {detail}",
            "RE2 in POSIX syntax: no `\\d`, `\\w`, `\\s`, `\\b`, `(?`, lazy quantifiers "
            "or back-references",
        ) from None
    return lambda text: compiled.fullmatch(valid_text(text)) is not None


def valid_text(text: str) -> str:
    """`text` with the bytes that were no UTF-8 replaced by U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _clean(path: str) -> str:
    head = "/" if path.startswith("/") else ""
    return head + "/".join(part for part in path.split("/") if part)


def _path_regex(item: str) -> str:
    components = [_glob_regex(part, any_char="[^/]") for part in item.split("/")]
    return "/".join(components) + r"(?:/|\Z)"


def _glob_regex(pattern: str, any_char: str = ".") -> str:
    out: list[str] = []
    position = 0
    while position < len(pattern):
        char = pattern[position]
        position += 1
        if char == "*":
            # Runs of stars are one: more would only cost time.
            if not out or out[-1] != f"{any_char}*":
                out.append(f"{any_char}*")
        elif char == "?":
            out.append(any_char)
        elif char == "[":
            bracket, position = _bracket(pattern, position, any_char)
            out.append(bracket)
        elif char == "\\" and position < len(pattern):
            out.append(re.escape(pattern[position]))
            position += 1
        else:
            out.append(re.escape(char))
    return "".join(out)


def _bracket(pattern: str, position: int, any_char: str) -> tuple[str, int]:
    """The set that begins behind `[` at `position`, and where it ends."""
    start = position
    negated = pattern[position : position + 1] in {"!", "^"}
    position += negated
    members: list[str] = []
    first = True
    while position < len(pattern):
        if pattern[position] == "]" and not first:
            if not members:
                return (any_char if negated else "(?!)"), position + 1
            # A set never matches what separates components.
            lookahead = "(?!/)" if any_char != "." else ""
            return f"{lookahead}[{'^' if negated else ''}{''.join(members)}]", position + 1
        first = False
        named = re.compile(r"\[:([a-z]+):\]").match(pattern, position)
        if named and named[1] in _CLASSES:
            members.append(_CLASSES[named[1]])
            position = named.end()
            continue
        low, position = _member(pattern, position)
        high = low
        if pattern[position : position + 1] == "-" and pattern[position + 1 : position + 2] not in {
            "",
            "]",
        }:
            high, position = _member(pattern, position + 1)
        if low <= high:
            members.append(re.escape(low) + (f"-{re.escape(high)}" if high != low else ""))
    return r"\[", start


def _member(pattern: str, position: int) -> tuple[str, int]:
    if pattern[position] == "\\" and position + 1 < len(pattern):
        position += 1
    return pattern[position], position + 1
