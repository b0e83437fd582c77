"""What to say about a condition that does not parse.

The parser knows where it stopped and what it would have accepted there. Nearly
always that is one of a dozen mistakes everybody makes; each gets its own help.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass

from guard.engine.diagnostics import did_you_mean, nearest
from guard.engine.syntax import Span

TRANSFORMERS = ("tolower", "toupper", "b64", "basename", "len", "join", "concat", "getopt")
STRING_OPERATORS = (
    "=",
    "==",
    "!=",
    "glob",
    "iglob",
    "contains",
    "icontains",
    "bcontains",
    "startswith",
    "bstartswith",
    "endswith",
    "regex",
)
LIST_OPERATORS = ("in", "intersects", "pmatch")
MODIFIERS = ("oneof", "anyof", "allof")
OPERATORS = ("exists", "<=", "<", ">=", ">", *STRING_OPERATORS, *LIST_OPERATORS)

_LONGEST_QUOTE = 40
_WORD = re.compile(r"""[^\s()"',=]+|[=!<>~]+|.""", re.DOTALL)
_FIELD_BEFORE = re.compile(r"([A-Za-z]\w*(?:\.\w+)+(?:\[[^\[\]\s]*\])?)\s*\Z")
_BLANK = " \t\b\r\n"
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
class SyntaxIssue:
    """Why a condition does not parse; `span` may be empty at the end of the text."""

    span: Span
    message: str
    help: str = ""

    def moved(self, base: int) -> SyntaxIssue:
        """The same issue in a text that begins at `base`."""
        span = Span(self.span.start + base, self.span.end + base)
        return SyntaxIssue(span, self.message, self.help)


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
        return f"found `{_short(self.word)}`" if self.word else "found the end of the condition"

    def issue(self, message: str, help: str = "") -> SyntaxIssue:
        return SyntaxIssue(self.span, message, help)


def explain(text: str, position: int, accepted: Set[str], stack: Sequence[Seen]) -> SyntaxIssue:
    """The issue for a parse that stopped at `position` of `text`.

    `accepted` holds the terminals that would have been right there, `stack`
    what the parser had read and not yet put together.
    """
    match = _WORD.match(text, _skip_blank(text, position))
    if match is None:
        position = len(text.rstrip(_BLANK))
    else:
        position = match.start()
    word = match[0] if match else ""
    stop = _Stop(text, position, word, stack[-1] if stack else Seen("", "", 0), stack)
    if word == ")" and _last_open(stack) is None and accepted <= {"$END", "_AND", "_OR"}:
        return stop.issue("`)` closes nothing", "remove it, or add the missing `(`")
    if word in ("'", '"') and "LIST" not in accepted and _string_is_open(text, position):
        return _open_string(stop, position)
    for terminal, classify in _BY_TERMINAL:
        if terminal in accepted:
            return classify(stop)
    return stop.issue(f"expected `)`, {stop.found}")


def bad_escape(span: Span, code: str, quote: str) -> SyntaxIssue:
    """The issue for `\\code` inside a string written with `quote`."""
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


def _operand(stop: _Stop) -> SyntaxIssue:
    before = stop.last
    if not stop.text.strip(_BLANK):
        return stop.issue("condition is empty", "write a check such as `evt.type = open`")
    if before.kind in ("_AND", "_OR", "NOT") and (stop.at_end or stop.word == ")"):
        place = "condition ends" if stop.at_end else "nothing stands"
        return SyntaxIssue(
            Span(before.start, before.start + len(before.text)),
            f"{place} after `{before.text}`" + ("" if stop.at_end else " before `)`"),
            f"add a check or a macro after `{before.text}`, or remove it",
        )
    if stop.at_end and before.kind == "_LPAR":
        return _never_closed(before)
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
    subject = f"field `{_short(left)}`" if left else "the left side"
    example = left or "proc.name"
    word = stop.word
    if word == "[" or word.startswith("["):
        return _bad_argument(stop)
    if stop.at_end or word in ("and", "or", ")", *_ELSEWHERE):
        return SyntaxIssue(
            Span(*field.span(1)) if field else stop.span,
            f"{subject} is not compared with anything",
            f"write `{example} exists`, or a comparison such as `{example} = …`",
        )
    if word == "(" and left:
        return stop.issue(
            f"`{_short(left)}` is a field and takes no arguments in parentheses",
            f"transformers are {', '.join(f'`{name}`' for name in TRANSFORMERS)}",
        )
    if word == "not":
        return stop.issue(
            f"`not` stands after {subject}", f"write `not {example} …`: `not` goes before the field"
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
        return _bad_list(stop)
    value = stop.text[stop.position :].split(None, 1)[0].rstrip(")")
    return stop.issue(
        f"expected a list after `{operator}`, {stop.found}",
        f"put the values in parentheses: `{operator} ({_short(value)})`",
    )


def _joiner(stop: _Stop) -> SyntaxIssue:
    word, last = stop.word, stop.last
    opened = _last_open(stop.stack)
    if stop.at_end and opened is not None:
        return _never_closed(opened)
    if word in _ELSEWHERE:
        return stop.issue(f"`{word}` is not an operator", f"write `{_ELSEWHERE[word]}`")
    if last.kind == "NAME":
        return _after_name(stop)
    if last.kind == "ARGUMENT" or word.startswith("["):
        return _bad_argument(stop)
    if last.kind == "BARE" and last.text.startswith("~"):
        return SyntaxIssue(
            Span(last.start, last.start + 1), "`=~` is not an operator", _OTHER_OPERATORS["=~"]
        )
    if word == "," and last.kind in ("BARE", "QUOTED"):
        return stop.issue("expected one value, found a list", "write `in (…)`, or `= anyof (…)`")
    if word in ("=", "==") and last.kind == "BARE":
        return stop.issue(
            f"expected `and` or `or` after `{_short(last.text)}`, {stop.found}",
            f'put a value that holds `=` in quotes: "{_short(last.text)}=…"',
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
            f"unexpected `{_short(word)}` after the value `{_short(last.text)}`",
            f'put a value with blanks in quotes: "{_short(_unquoted_value(stop))}"',
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
            return SyntaxIssue(
                span, f"blank between `{name}` and `(`", f"write `{name}(` without a blank"
            )
        return SyntaxIssue(
            span,
            f"`{_short(name)}` is not a transformer",
            did_you_mean(name, TRANSFORMERS)
            or f"transformers are {', '.join(f'`{known}`' for known in TRANSFORMERS)}",
        )
    if word in OPERATORS or re.match(r"[=!<>]", word):
        return SyntaxIssue(
            span,
            f"`{_short(name)}` is not a field",
            f"fields have a dot in their name, such as `proc.{name}`; a macro stands alone",
        )
    near = nearest(word, ("and", "or")) if word.isalpha() else None
    if near is not None or word == "not":
        return stop.issue(
            f"expected `and` or `or`, {stop.found}",
            f"did you mean `{near}`?" if near else "write `and not`",
        )
    return stop.issue(
        f"expected `and` or `or` after `{_short(name)}`, {stop.found}",
        "join two checks with `and` or `or`",
    )


def _argument(stop: _Stop) -> SyntaxIssue:
    if stop.word == "val":
        help = "inside a transformer write the field itself"
    elif stop.word.isidentifier():
        help = f'fields have a dot in their name; put a text in quotes: "{_short(stop.word)}"'
    else:
        help = "arguments are fields, transformers, numbers, quoted texts and lists of these"
    return stop.issue(f"expected an argument of the transformer, {stop.found}", help)


def _next_argument(stop: _Stop) -> SyntaxIssue:
    opened = _last_open(stop.stack)
    if stop.at_end and opened is not None:
        return _never_closed(opened)
    if stop.word.startswith("["):
        return _bad_argument(stop)
    return stop.issue(f"expected `,` or `)`, {stop.found}")


def _closing(stop: _Stop) -> SyntaxIssue:
    opened = _last_open(stop.stack)
    if stop.at_end and opened is not None:
        return _never_closed(opened)
    if stop.word.startswith("["):
        return _bad_argument(stop)
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


def _never_closed(opened: Seen) -> SyntaxIssue:
    return SyntaxIssue(
        Span(opened.start, opened.start + len(opened.text)),
        f"`{opened.text}` is never closed",
        "add the missing `)`",
    )


def _bad_argument(stop: _Stop) -> SyntaxIssue:
    if stop.text[stop.position - 1 : stop.position] in tuple(_BLANK):
        help = "write the argument directly after the name, without a blank"
    else:
        help = 'write `[name]`, `[3]` or `["any text"]`, without blanks inside'
    return SyntaxIssue(
        Span(stop.position, stop.position + 1), "malformed argument in brackets", help
    )


def _open_string(stop: _Stop, start: int) -> SyntaxIssue:
    quote = stop.text[start]
    if stop.text.rstrip(_BLANK).endswith("\\" + quote):
        help = f"`\\{quote}` does not close it: a quote after a backslash is part of the text"
    else:
        help = f"add the closing `{quote}`"
    return SyntaxIssue(Span(start, start + 1), "string is never closed", help)


def _bad_list(stop: _Stop) -> SyntaxIssue:
    """Why the text from a `(` on is not a list; reads one item after the other."""
    text, position = stop.text, stop.position + 1
    item = re.compile(r"""("(?:[^"]++|(?<=\\)")*+"|'(?:[^']++|(?<=\\)')*+')|[^()"'=,\s]++""")
    previous = ""  # the token before: "", an item or ","
    while True:
        position = _skip_blank(text, position)
        char = text[position : position + 1]
        span = Span(position, position + 1)
        if not char:
            return _never_closed(Seen("_LPAR", "(", stop.position))
        match = item.match(text, position)
        if match is not None and previous not in ("", ","):
            if match[0] in ("and", "or"):
                return _never_closed(Seen("_LPAR", "(", stop.position))
            return SyntaxIssue(
                Span(*match.span()),
                f"expected `,` or `)` in a list, found `{_short(match[0])}`",
                f'put a comma between values, or quotes around "{_short(previous)} '
                f'{_short(match[0])}"',
            )
        if match is not None:
            previous = match[0]
            position = match.end()
        elif char in "'\"":
            return _open_string(stop, position)
        elif char == "," and previous not in ("", ","):
            previous = ","
            position += 1
        elif char == "," or (char == ")" and previous == ","):
            return SyntaxIssue(span, f"value missing before `{char}`", "remove a comma")
        elif char == "(":
            return SyntaxIssue(
                span, "lists hold values only, found `(`", "lists cannot be nested or computed"
            )
        else:
            return SyntaxIssue(
                span,
                f"expected a value, found `{char}`",
                f'put a value with `{char}` in quotes: "…"',
            )


def _last_open(stack: Sequence[Seen]) -> Seen | None:
    for seen in reversed(stack):
        if seen.kind in ("_LPAR", "CALL", "VAL"):
            return seen
    return None


def _string_is_open(text: str, position: int) -> bool:
    quote = text[position]
    return (
        re.compile(rf"{quote}(?:[^{quote}]++|(?<=\\){quote})*+{quote}").match(text, position)
        is None
    )


def _unquoted_value(stop: _Stop) -> str:
    """The words from the value on, up to the next `and`, `or` or parenthesis."""
    end = re.compile(r"""\s+(?:and|or)(?=[\s(])|["'()=,]|\Z""").search(stop.text, stop.position)
    stretch = stop.text[stop.last.start : end.start() if end else None]
    return " ".join(stretch.split())


def _skip_blank(text: str, position: int) -> int:
    while text[position : position + 1] and text[position] in _BLANK:
        position += 1
    return position


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 1] + "…"
