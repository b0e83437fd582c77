"""Condition text to syntax tree."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources

from lark import Lark, Token, UnexpectedInput

from guard.engine import mistakes
from guard.engine.syntax import (
    And,
    Check,
    Expr,
    Field,
    MacroRef,
    Not,
    Operand,
    OperandList,
    Or,
    Span,
    Text,
    TextList,
    Transformer,
    Value,
)
from guard.engine.syntax_issue import SyntaxIssue, bad_escape, blank_before_argument, too_deep
from guard.engine.vocabulary import LIST_OPERATORS

MAX_NESTING = 1000  # parentheses; Falco's rule loader has the same limit

_ITEM = re.compile(r"""("(?:[^"]++|(?<=\\)")*+"|'(?:[^']++|(?<=\\)')*+')|[^()"'=,\s]++""")
_PARENTHESIS = re.compile(
    r"""\[[^\[\]"'\s]++\]|"(?:[^"]++|(?<=\\)")*+"|'(?:[^']++|(?<=\\)')*+'|([()])"""
)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPED = {
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "\\": "\\",
    "/": "/",
    " ": "\\",  # the blank is lost; old rules write Windows paths that way
}


def parse_condition(
    text: str, *, base: int = 0, max_nesting: int = MAX_NESTING
) -> Expr | SyntaxIssue:
    """The tree of a condition, or the first thing that is wrong with it.

    `base` is the offset of the text's first character in the spans of the tree;
    the span of an issue counts from there as well. Takes time linear in the
    length of the text; nothing is recursive.
    """
    issue = _too_deep(text, max_nesting)
    if issue is not None:
        return issue.moved(base)
    with _lock:
        lark, builder = _parser()
        builder.base = base
        try:
            # The tree is made by the builder; lark cannot know its type.
            tree: Expr = lark.parse(text)  # type: ignore[assignment]
        except _BadTextError as error:
            return error.issue
        except UnexpectedInput:
            return _explain(lark, text).moved(base)
        return tree


class _BadTextError(Exception):
    """Ends a parse from inside: a token cannot be decoded."""

    def __init__(self, issue: SyntaxIssue) -> None:
        self.issue = issue


class _Builder:
    """One method per grammar rule; lark calls them as it reduces."""

    def __init__(self) -> None:
        self.base = 0

    def disjunction(self, children: list[list[Expr]]) -> Expr:
        operands = children[0]
        return Or(_across(operands[0], operands[-1]), tuple(operands))

    def conjunction(self, children: list[list[Expr]]) -> Expr:
        operands = children[0]
        return And(_across(operands[0], operands[-1]), tuple(operands))

    @staticmethod
    def alternatives(children: list[Expr | list[Expr]]) -> list[Expr]:
        first, second = children
        assert not isinstance(second, list)
        if isinstance(first, list):
            # The list belongs to the parse stack alone: extending it keeps a
            # chain of n operands linear.
            first.append(second)
            return first
        return [first, second]

    factors = alternatives

    def negation(self, children: tuple[tuple[Token, int], Expr]) -> Expr:
        (first, count), child = children
        if count % 2 == 0:
            return child
        return Not(Span(self._span(first).start, child.span.end), child)

    @staticmethod
    def nots(children: list[Token | tuple[Token, int]]) -> tuple[Token, int]:
        first = children[0]
        return (first, 1) if isinstance(first, Token) else (first[0], first[1] + 1)

    @staticmethod
    def group(children: list[Expr]) -> Expr:
        return children[0]

    def macro(self, children: list[Token]) -> Expr:
        return MacroRef(self._span(children[0]), str(children[0]))

    def check(self, children: list[Token | Transformer]) -> Expr:
        left = self._operand(children[0])
        operator = children[1]
        modifier = children[2] if len(children) == 4 else None
        assert isinstance(operator, Token)
        assert not isinstance(left, Text | OperandList)
        start = left.span.start
        span = self._span(operator)
        if len(children) == 2:
            return Check(Span(start, span.end), left, str(operator), span)
        right = self._value(children[-1], as_list=len(children) == 4 or operator in LIST_OPERATORS)
        return Check(
            Span(start, right.span.end),
            left,
            str(operator),
            span,
            None if modifier is None else str(modifier),
            right,
        )

    def val(self, children: list[Token]) -> Transformer:
        name, field, end = children
        return Transformer(self._between(name, end), "val", (self._field(field),))

    def call(self, children: list[object]) -> Transformer:
        name, arguments, end, *selector = children
        assert isinstance(name, Token) and isinstance(end, Token) and isinstance(arguments, list)
        if not selector:
            return Transformer(self._between(name, end), name[:-1], tuple(arguments))
        (chosen,) = selector
        assert isinstance(chosen, Token)
        start = chosen.start_pos or 0
        if start != end.end_pos:
            raise _BadTextError(blank_before_argument(self._span(chosen), chosen))
        argument = self._argument(chosen[1:-1], start + 1)
        return Transformer(self._between(name, chosen), name[:-1], tuple(arguments), argument)

    def arguments(self, children: list[Token | Operand | list[Operand]]) -> list[Operand]:
        first = children[0]
        if isinstance(first, list):
            assert not isinstance(children[1], list)
            first.append(self._operand(children[1]))
            return first
        return [self._operand(first)]

    items = arguments

    def operand_list(self, children: list[object]) -> OperandList:
        start, *items, end = children
        assert isinstance(start, Token) and isinstance(end, Token)
        operands: list[Operand] = items[0] if items else []  # type: ignore[assignment]
        return OperandList(self._between(start, end), tuple(operands))

    def _operand(self, part: Token | Operand) -> Operand:
        if not isinstance(part, Token):
            return part
        return self._field(part) if part.type == "FIELD" else self._text(part)

    def _value(self, part: Token | Transformer, *, as_list: bool) -> Value:
        if isinstance(part, Transformer):
            return part
        if part.type == "LIST":
            return self._text_list(part)
        text = self._text(part)
        return TextList(text.span, (text,)) if as_list else text

    def _field(self, token: Token) -> Field:
        name, bracket, argument = token.partition("[")
        if not bracket:
            return Field(self._span(token), name)
        start = (token.start_pos or 0) + len(name) + 1
        return Field(self._span(token), name, self._argument(argument[:-1], start))

    def _text(self, token: Token) -> Text:
        if token.type != "QUOTED":
            return Text(self._span(token), str(token))
        value = self._unescape(str(token), token.start_pos or 0)
        return Text(self._span(token), value, quoted=True)

    def _text_list(self, token: Token) -> TextList:
        start = token.start_pos or 0
        offset = self.base + start
        items = []
        for match in _ITEM.finditer(token):
            span = Span(offset + match.start(), offset + match.end())
            if match[1] is None:
                items.append(Text(span, match[0]))
            else:
                value = self._unescape(match[0], start + match.start())
                items.append(Text(span, value, quoted=True))
        return TextList(self._span(token), tuple(items))

    def _span(self, token: Token) -> Span:
        start = self.base + (token.start_pos or 0)
        return Span(start, start + len(token))

    def _between(self, first: Token, last: Token) -> Span:
        return Span(self._span(first).start, self._span(last).end)

    def _argument(self, text: str, start: int) -> str:
        return self._unescape(text, start) if text[:1] in ("'", '"') else text

    def _unescape(self, quoted: str, start: int) -> str:
        if "\\" not in quoted:
            return quoted[1:-1]
        quote = quoted[0]

        def decode(match: re.Match[str]) -> str:
            code = match[1]
            if code in _ESCAPED:
                return _ESCAPED[code]
            if code == quote:
                return quote
            if len(code) == 3:
                byte = int(code[1:], 16)
                # Text is UTF-8 with surrogate escapes, as in events.
                return chr(byte) if byte < 0x80 else chr(0xDC00 + byte)
            at = self.base + start + 1 + match.start()
            raise _BadTextError(bad_escape(Span(at, at + 1 + len(code)), code, quote))

        text = _ESCAPE.sub(decode, quoted[1:-1])
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


_lock = threading.Lock()  # the builder knows the base of one text at a time


@lru_cache(maxsize=1)
def _parser() -> tuple[Lark, _Builder]:
    grammar = resources.files(__package__).joinpath("condition.lark").read_text("utf-8")
    builder = _Builder()
    lark = Lark(
        grammar,
        parser="lalr",
        lexer="contextual",
        transformer=builder,
        maybe_placeholders=False,
    )
    return lark, builder


def _across(first: Expr, last: Expr) -> Span:
    return Span(first.span.start, last.span.end)


def _too_deep(text: str, limit: int) -> SyntaxIssue | None:
    if text.count("(") <= limit:
        return None
    depth = 0
    for match in _PARENTHESIS.finditer(text):
        if match[1] == "(":
            depth += 1
            if depth > limit:
                return too_deep(Span(match.start(), match.end()), limit)
        elif match[1] == ")":
            depth -= 1
    return None


def _explain(lark: Lark, text: str) -> SyntaxIssue:
    # Parsed a second time, step by step: only the failing case needs the stack.
    state = lark.parse_interactive(text)
    position = len(text)
    try:
        state.exhaust_lexer()
        state.feed_eof()  # type: ignore[no-untyped-call]
    except UnexpectedInput as error:
        token = getattr(error, "token", None)
        at_end = isinstance(token, Token) and token.type == "$END"
        if not at_end:
            # lark declares it as None and sets it in subclasses.
            position = getattr(error, "pos_in_stream", None) or 0
    stack: Sequence[object] = state.parser_state.value_stack
    accepted: set[str] = state.accepts()  # type: ignore[no-untyped-call]
    return mistakes.explain(text, position, accepted, _tokens(stack))


def _tokens(stack: Sequence[object]) -> list[mistakes.Seen]:
    """What lies on the parse stack; a finished part of the tree has no token kind."""
    seen = []
    for entry in stack:
        if isinstance(entry, Token):
            start = entry.start_pos or 0
            seen.append(mistakes.Seen(entry.type, str(entry), start))
        else:
            seen.append(mistakes.Seen("", "", 0))
    return seen
