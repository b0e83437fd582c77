"""What is wrong with a condition, and the mistakes inside strings, brackets and lists."""

from __future__ import annotations

import re

from guard.data import dataclass
from guard.engine.syntax import Span

BLANKS = " \t\b\r\n"

_LONGEST_QUOTE = 40
_ITEM = re.compile(r"""("(?:[^"]++|(?<=\\)")*+"|'(?:[^']++|(?<=\\)')*+')|[^()"'=,\s]++""")


@dataclass(frozen=True, slots=True)
class SyntaxIssue:
    """Why a condition does not parse; `span` may be empty at the end of the text."""

    span: Span
    message: str
    help: str = ""

    def moved(self, base: int) -> SyntaxIssue:
        """The same issue in a text that begins at `base`."""
        span = Span(self.span.start + base, self.span.end + base)
        return SyntaxIssue(span, self.message, self.help)


def bad_escape(span: Span, code: str, quote: str) -> SyntaxIssue:
    r"""The issue for `\code` inside a string written with `quote`."""
    if code == "x":
        help = "write two hexadecimal digits after `\\x`"
    elif code in ("'", '"'):
        help = f"inside {quote}…{quote} the other quote needs no backslash"
    else:
        help = f"write `\\\\{code}` for a backslash followed by `{code}`"
    return SyntaxIssue(span, f"unsupported string escape sequence `\\{code}`", help)


def blank_before_argument(span: Span, argument: str) -> SyntaxIssue:
    """The issue for `call(…) [x]`, where the argument must follow at once."""
    return SyntaxIssue(span, "blank before an argument in brackets", f"write `){argument}`")


def too_deep(span: Span, limit: int) -> SyntaxIssue:
    """The issue for the parenthesis that is one too many inside each other."""
    return SyntaxIssue(
        span,
        f"parentheses are nested more than {limit} deep",
        "split the condition into macros",
    )


def never_closed(opened: str, start: int) -> SyntaxIssue:
    """The issue for an opening parenthesis, or a call with it, that has no partner."""
    return SyntaxIssue(
        Span(start, start + len(opened)), f"`{opened}` is never closed", "add the missing `)`"
    )


def bad_argument(text: str, position: int) -> SyntaxIssue:
    """The issue for brackets at `position` that are not a field's argument."""
    if text[position - 1 : position] in tuple(BLANKS):
        help = "write the argument directly after the name, without a blank"
    else:
        help = 'write `[name]`, `[3]` or `["any text"]`, without blanks inside'
    return SyntaxIssue(Span(position, position + 1), "malformed argument in brackets", help)


def open_string(text: str, start: int) -> SyntaxIssue | None:
    """The issue for the quote at `start`; None when its string is closed."""
    quote = text[start]
    closed = re.compile(rf"{quote}(?:[^{quote}]++|(?<=\\){quote})*+{quote}")
    if closed.match(text, start):
        return None
    if text.rstrip(BLANKS).endswith("\\" + quote):
        help = f"`\\{quote}` does not close it: a quote after a backslash is part of the text"
    else:
        help = f"add the closing `{quote}`"
    return SyntaxIssue(Span(start, start + 1), "string is never closed", help)


def bad_list(text: str, start: int) -> SyntaxIssue:
    """Why the text from the `(` at `start` on is not a list; reads item by item."""
    position = start + 1
    previous = ""  # what was read before: nothing, an item, or ","
    while True:
        position = skip_blanks(text, position)
        char = text[position : position + 1]
        match = _ITEM.match(text, position)
        follows = previous not in ("", ",")
        if not char or (match is not None and follows and match[0] in ("and", "or")):
            return never_closed("(", start)
        if match is not None and follows:
            pair = f"{short(previous)} {short(match[0])}"
            return SyntaxIssue(
                Span(*match.span()),
                f"expected `,` or `)` in a list, found `{short(match[0])}`",
                f'put a comma between values, or quotes around "{pair}"',
            )
        if match is None and not (char == "," and follows):
            return _bad_list_character(text, position, previous)
        previous = match[0] if match else ","
        position = match.end() if match else position + 1


def _bad_list_character(text: str, position: int, previous: str) -> SyntaxIssue:
    char = text[position]
    span = Span(position, position + 1)
    if char in "'\"":
        issue = open_string(text, position)
        assert issue is not None  # a closed string is an item
        return issue
    if char == "," or (char == ")" and previous == ","):
        return SyntaxIssue(span, f"value missing before `{char}`", "remove a comma")
    if char == "(":
        return SyntaxIssue(
            span, "lists hold values only, found `(`", "lists cannot be nested or computed"
        )
    return SyntaxIssue(
        span, f"expected a value, found `{char}`", f'put a value with `{char}` in quotes: "…"'
    )


def skip_blanks(text: str, position: int) -> int:
    """The first offset from `position` on that is not a blank."""
    while text[position : position + 1] and text[position] in BLANKS:
        position += 1
    return position


def short(text: str) -> str:
    """A word of the user's, cut when it is too long for a message."""
    return text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 1] + "…"
