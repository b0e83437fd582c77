"""What to say about a condition that does not parse.

The parser knows where it stopped and what it would have accepted there. Nearly
always that is one of a dozen mistakes everybody makes; each gets its own help.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

from guard.data import dataclass
from guard.engine.diagnostics import did_you_mean, nearest
from guard.engine.syntax import Span
from guard.engine.syntax_issue import (
    BLANKS,
    SyntaxIssue,
    bad_argument,
    bad_list,
    never_closed,
    open_string,
    short,
    skip_blanks,
)
from guard.engine.vocabulary import MODIFIERS, OPERATORS, STRING_OPERATORS, TRANSFORMERS

_WORD = re.compile(r"""[^\s()"',=]+|[=!<>~]+|.""", re.DOTALL)
_VALUE_END = re.compile(r"""(?<!\s)\s++(?:and|or)(?=[\s(])|["'()=,]|\Z""")
_FIELD_BEFORE = re.compile(r"([A-Za-z]\w*(?:\.\w+)+(?:\[[^\[\]\s]*\])?)\s*\Z")
_ELSEWHERE = {
    "&&": "and",
    "&": "and",
    "||": "or",
    "|": "or",
    "AND": "and",
    "OR": "or",
    "And": "and",
    "Or": "or",
}
_OTHER_OPERATORS = {
    "matches": "`regex` compares with a regular expression, `glob` with a wildcard pattern",
    "match": "`regex` compares with a regular expression, `glob` with a wildcard pattern",
    "like": "`glob` compares with a wildcard pattern, `contains` with a part of the text",
    "~": "`regex` compares with a regular expression",
    "=~": "`regex` compares with a regular expression",
    "is": "use `=`",
    "eq": "use `=`",
    "ne": "use `!=`",
    "<>": "use `!=`",
    ":": "use `=`",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """An entry of the parse stack: a token, or ("", "", 0) for a finished part."""

    kind: str
    text: str
    start: int


@dataclass(frozen=True, slots=True)
class _Stop:
    """Where and how the parser stopped."""

    text: str
    position: int
    word: str  # "" at the end
    last: Seen  # top of the stack, kind "" when it is not a token
    stack: Sequence[Seen]

    @property
    def span(self) -> Span:
        return Span(self.position, self.position + len(self.word))

    @property
    def at_end(self) -> bool:
        return not self.word

    @property
    def found(self) -> str:
        return f"found `{short(self.word)}`" if self.word else "found the end of the condition"

    def issue(self, message: str, help: str = "") -> SyntaxIssue:
        return SyntaxIssue(self.span, message, help)


def explain(
    text: str, position: int, accepted: AbstractSet[str], stack: Sequence[Seen]
) -> SyntaxIssue:
    """The issue for a parse that stopped at `position` of `text`.

    `accepted` holds the terminals that would have been right there, `stack`
    what the parser had read and not yet put together.
    """
    match = _WORD.match(text, skip_blanks(text, position))
    if match is None:
        position = len(text.rstrip(BLANKS))
    else:
        position = match.start()
    word = match[0] if match else ""
    stop = _Stop(text, position, word, stack[-1] if stack else Seen("", "", 0), stack)
    if word == ")" and _last_open(stack) is None and accepted <= {"$END", "_AND", "_OR"}:
        return stop.issue("`)` closes nothing", "remove it, or add the missing `(`")
    if word in ("'", '"') and "LIST" not in accepted:
        issue = open_string(text, position)
        if issue is not None:
            return issue
    for terminal, classify in _BY_TERMINAL:
        if terminal in accepted:
            return classify(stop)
    return stop.issue(f"expected `)`, {stop.found}")


def _operand(stop: _Stop) -> SyntaxIssue:
    before = stop.last
    if not stop.text.strip(BLANKS):
        return stop.issue("condition is empty", "write a check such as `evt.type = open`")
    if before.kind in ("_AND", "_OR", "NOT") and (stop.at_end or stop.word == ")"):
        place = "condition ends" if stop.at_end else "nothing stands"
        return SyntaxIssue(
            Span(before.start, before.start + len(before.text)),
            f"{place} after `{before.text}`" + ("" if stop.at_end else " before `)`"),
            f"add a check or a macro after `{before.text}`, or remove it",
        )
    if stop.at_end and before.kind == "_LPAR":
        return never_closed(before.text, before.start)
    if stop.word == ")" and before.kind == "_LPAR":
        return SyntaxIssue(
            Span(before.start, stop.position + 1),
            "nothing between the parentheses",
            "remove them, or write a condition inside",
        )
    if stop.word.startswith("!"):
        return SyntaxIssue(
            Span(stop.position, stop.position + 1), "`!` is not an operator", "write `not`"
        )
    if stop.word in _ELSEWHERE:
        return stop.issue(
            f"expected a check, a macro or `(`, {stop.found}",
            f"a condition has something on both sides of `{_ELSEWHERE[stop.word]}`",
        )
    return stop.issue(
        f"expected a check, a macro or `(`, {stop.found}",
        "a check is a field, an operator and a value, such as `proc.name = cat`",
    )


def _operator(stop: _Stop) -> SyntaxIssue:
    field = _FIELD_BEFORE.search(stop.text, max(stop.position - 200, 0), stop.position)
    left = field[1] if field else ""
    subject = f"field `{short(left)}`" if left else "the left side"
    example = left or "proc.name"
    word = stop.word
    if word == "[" or word.startswith("["):
        return bad_argument(stop.text, stop.position)
    if stop.at_end or word in ("and", "or", ")", *_ELSEWHERE):
        return SyntaxIssue(
            Span(*field.span(1)) if field else stop.span,
            f"{subject} is not compared with anything",
            f"write `{example} exists`, or a comparison such as `{example} = …`",
        )
    if word == "(" and left:
        return stop.issue(
            f"`{short(left)}` is a field and takes no arguments in parentheses",
            f"transformers are {', '.join(f'`{name}`' for name in TRANSFORMERS)}",
        )
    if word == "not":
        return stop.issue(
            f"`not` stands after {subject}", f"write `not {example} …`: `not` goes before the field"
        )
    if word in MODIFIERS:
        return stop.issue(
            f"`{word}` stands without an operator before it", f"write `{example} = {word} (…)`"
        )
    if word in _OTHER_OPERATORS:
        return stop.issue(f"`{word}` is not an operator", _OTHER_OPERATORS[word])
    for operator in sorted(OPERATORS, key=len, reverse=True):
        if len(operator) > 3 and word.startswith(operator):
            return stop.issue(
                f"expected an operator, {stop.found}", f"put a blank after `{operator}`"
            )
    return stop.issue(
        f"expected an operator after {subject}, {stop.found}",
        did_you_mean(word, OPERATORS) or f"operators are {' '.join(OPERATORS)}",
    )


def _string(stop: _Stop) -> SyntaxIssue:
    operator = stop.last.text or "="
    if stop.at_end:
        return _no_value(stop, operator)
    if stop.word == "(":
        return stop.issue(
            f"`{operator}` compares with one value, found a list",
            f"write `in (…)`, or `{operator} anyof (…)`",
        )
    if stop.word.startswith("="):
        return stop.issue(
            f"expected a value after `{operator}`, {stop.found}",
            'put a value that holds `=` in quotes: "…"',
        )
    if stop.word == ")":
        return _no_value(stop, operator)
    return stop.issue(f"expected a value after `{operator}`, {stop.found}")


def _number(stop: _Stop) -> SyntaxIssue:
    operator = stop.last.text or "<"
    if stop.at_end or stop.word == ")":
        return _no_value(stop, operator)
    return stop.issue(
        f"`{operator}` compares with a number, {stop.found}",
        "write a number, `val(field)` or a transformer",
    )


def _list(stop: _Stop) -> SyntaxIssue:
    operator = stop.last.text or "in"
    if stop.at_end:
        return _no_value(stop, operator)
    if stop.word == "(":
        return bad_list(stop.text, stop.position)
    value = stop.text[stop.position :].split(None, 1)[0].rstrip(")")
    return stop.issue(
        f"expected a list after `{operator}`, {stop.found}",
        f"put the values in parentheses: `{operator} ({short(value)})`",
    )


def _joiner(stop: _Stop) -> SyntaxIssue:
    word, last = stop.word, stop.last
    opened = _last_open(stop.stack)
    if stop.at_end and opened is not None:
        return never_closed(opened.text, opened.start)
    if word in _ELSEWHERE:
        return stop.issue(f"`{word}` is not an operator", f"write `{_ELSEWHERE[word]}`")
    if last.kind == "NAME":
        return _after_name(stop)
    if last.kind == "EXISTS" and (word in OPERATORS or word[:1] in "=!<>"):
        return stop.issue("`exists` compares with nothing", "remove `exists`, or what follows")
    if last.kind == "BARE" and word == "(" and last.text in (*TRANSFORMERS, "val"):
        return _blank_before_parenthesis(last)
    if last.kind == "ARGUMENT" or word.startswith("["):
        return bad_argument(stop.text, stop.position)
    if last.kind == "BARE" and last.text.startswith("~"):
        return SyntaxIssue(
            Span(last.start, last.start + 1), "`=~` is not an operator", _OTHER_OPERATORS["=~"]
        )
    if word == "," and last.kind in ("BARE", "QUOTED"):
        return stop.issue("expected one value, found a list", "write `in (…)`, or `= anyof (…)`")
    if word in ("=", "==") and last.kind == "BARE":
        return stop.issue(
            f"expected `and` or `or` after `{short(last.text)}`, {stop.found}",
            f'put a value that holds `=` in quotes: "{short(last.text)}=…"',
        )
    if word == "not":
        return stop.issue(f"expected `and` or `or`, {stop.found}", "write `and not`")
    near = nearest(word, ("and", "or")) if word.isalpha() else None
    glued = re.match(r"(and|or)(?=not\b|[A-Za-z])", word)
    if near is None and glued and last.kind != "BARE":
        return stop.issue(
            f"expected `and` or `or`, {stop.found}", f"put a blank after `{glued[0]}`"
        )
    if near is not None:
        return stop.issue(f"expected `and` or `or`, {stop.found}", f"did you mean `{near}`?")
    if last.kind == "BARE" and word not in ("(", "'", '"'):
        return stop.issue(
            f"unexpected `{short(word)}` after the value `{short(last.text)}`",
            f'put a value with blanks in quotes: "{short(_unquoted_value(stop))}"',
        )
    if last.kind == "NUMBER":
        return stop.issue(f"expected `and` or `or` after the number `{last.text}`, {stop.found}")
    return stop.issue(f"expected `and` or `or`, {stop.found}", "join two checks with `and` or `or`")


def _after_name(stop: _Stop) -> SyntaxIssue:
    name, word = stop.last.text, stop.word
    span = Span(stop.last.start, stop.last.start + len(name))
    if name in ("and", "or", "not"):
        return SyntaxIssue(
            span, f"expected a check, a macro or `(`, found `{name}`", f"remove `{name}`"
        )
    if word == "(":
        if name == "val":
            return SyntaxIssue(
                span,
                "`val` stands on the left of a check",
                "`val(field)` is for the right side; on the left write the field itself",
            )
        if name in TRANSFORMERS:
            return _blank_before_parenthesis(stop.last)
        if name in MODIFIERS:
            return SyntaxIssue(
                span,
                f"`{name}` stands behind an operator that takes a list",
                f"write `= {name} (…)`",
            )
        return SyntaxIssue(
            span,
            f"`{short(name)}` is not a transformer",
            did_you_mean(name, TRANSFORMERS)
            or f"transformers are {', '.join(f'`{known}`' for known in TRANSFORMERS)}",
        )
    if word in OPERATORS or re.match(r"[=!<>]", word):
        return SyntaxIssue(
            span,
            f"`{short(name)}` is not a field",
            f"fields have a dot in their name, such as `proc.{name}`; a macro stands alone",
        )
    near = nearest(word, ("and", "or")) if word.isalpha() else None
    if near is not None or word == "not":
        return stop.issue(
            f"expected `and` or `or`, {stop.found}",
            f"did you mean `{near}`?" if near else "write `and not`",
        )
    return stop.issue(
        f"expected `and` or `or` after `{short(name)}`, {stop.found}",
        "join two checks with `and` or `or`",
    )


def _argument(stop: _Stop) -> SyntaxIssue:
    if stop.word == "val":
        help = "inside a transformer write the field itself"
    elif stop.word.isidentifier():
        help = f'fields have a dot in their name; put a text in quotes: "{short(stop.word)}"'
    else:
        help = "arguments are fields, transformers, numbers, quoted texts and lists of these"
    return stop.issue(f"expected an argument of the transformer, {stop.found}", help)


def _next_argument(stop: _Stop) -> SyntaxIssue:
    opened = _last_open(stop.stack)
    if stop.at_end and opened is not None:
        return never_closed(opened.text, opened.start)
    if stop.word.startswith("["):
        return bad_argument(stop.text, stop.position)
    return stop.issue(f"expected `,` or `)`, {stop.found}")


def _closing(stop: _Stop) -> SyntaxIssue:
    opened = _last_open(stop.stack)
    if stop.at_end and opened is not None:
        return never_closed(opened.text, opened.start)
    if stop.word.startswith("["):
        return bad_argument(stop.text, stop.position)
    return stop.issue(f"expected `)`, {stop.found}", "`val` takes one field and nothing else")


def _field(stop: _Stop) -> SyntaxIssue:
    return stop.issue(f"expected a field inside `val(…)`, {stop.found}")


# In this order: the first terminal that would have been accepted decides.
_BY_TERMINAL: tuple[tuple[str, Callable[[_Stop], SyntaxIssue]], ...] = (
    ("NOT", _operand),
    ("EXISTS", _operator),
    ("BARE", _string),
    ("LIST", _list),
    ("QUOTED", _argument),
    ("NUMBER", _number),
    ("_AND", _joiner),
    ("_OR", _joiner),
    ("_COMMA", _next_argument),
    ("FIELD", _field),
    ("RPAR", _closing),
)


def _no_value(stop: _Stop, operator: str) -> SyntaxIssue:
    return SyntaxIssue(
        stop.span if stop.word else Span(stop.position, stop.position),
        f"nothing to compare with after `{operator}`",
        'write a value; an empty text is `""`' if operator in STRING_OPERATORS else "",
    )


def _last_open(stack: Sequence[Seen]) -> Seen | None:
    for seen in reversed(stack):
        if seen.kind in ("_LPAR", "CALL", "VAL"):
            return seen
    return None


def _blank_before_parenthesis(name: Seen) -> SyntaxIssue:
    return SyntaxIssue(
        Span(name.start, name.start + len(name.text)),
        f"blank between `{name.text}` and `(`",
        f"write `{name.text}(` without a blank",
    )


def _unquoted_value(stop: _Stop) -> str:
    """The words from the value on, up to the next `and`, `or` or parenthesis."""
    end = re.compile(r"""(?<!\s)\s++(?:and|or)(?=[\s(])|["'()=,]|\Z""").search(
        stop.text, stop.position
    )
    stretch = stop.text[stop.last.start : end.start() if end else None]
    return " ".join(stretch.split())
