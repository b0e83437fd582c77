"""Output templates: the message of an alert and its typed fields.

Paths and arguments are an attacker's text. A rendered message is therefore one
line in which control characters are written as escapes, see `one_line`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from guard.alert import FieldValue
from guard.data import dataclass
from guard.engine import ir, syntax
from guard.engine.check import Checker
from guard.engine.compile import getter
from guard.engine.fields import Context, FieldDef, Flag, Getter, Value, Values, lookup
from guard.engine.parser import parse_condition
from guard.engine.patterns import valid_text

MISSING = "<NA>"

_WIDTH = re.compile(r"\d*")
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)+")
_CALL = re.compile(r"(?:tolower|toupper|b64|basename|len|join|concat|getopt)\(")
_ARGUMENT = re.compile(r"""\[(?:"[^"]*"|'[^']*'|[^\[\]"'\s]+)\]""")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"' + r"|'(?:[^'\\]|\\.)*'", re.DOTALL)
# Besides C0: DEL, C1, line and paragraph separators, and what reorders text on screen.
_INVISIBLE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


@dataclass(frozen=True, slots=True)
class OutputIssue:
    """Why a template does not parse; `span` counts characters of it."""

    span: syntax.Span
    message: str
    help: str = ""


@dataclass(frozen=True, slots=True)
class _Placeholder:
    get: Getter
    width: int  # 0: as long as it is

    def text(self, context: Context) -> str:
        text = value_text(self.get(context))
        return text[: self.width].ljust(self.width) if self.width else text


@dataclass(frozen=True, slots=True)
class OutputTemplate:
    """A parsed `output` of a rule."""

    parts: tuple[str | _Placeholder, ...]
    keys: tuple[tuple[str, Getter, bool], ...]  # of output_fields; True: several values, one text

    @classmethod
    def parse(cls, text: str) -> OutputTemplate | OutputIssue:
        """The template, or the first thing that is wrong with it."""
        parts: list[str | _Placeholder] = []
        keys: dict[str, tuple[Getter, bool]] = {}
        start = len(text) - len(text.lstrip())
        end = len(text.rstrip())
        # Falco writes a star before an output that may miss fields; all of ours may.
        position = start + 1 if text[start:].startswith("*") else start
        while (percent := text.find("%", position, end)) >= 0:
            parts.append(text[position:percent])
            width = _WIDTH.match(text, percent + 1)
            assert width is not None  # INVARIANT: it matches nothing as well
            found = _operand(text, width.end(), end)
            if isinstance(found, OutputIssue):
                return found
            operand, position = found
            parts.append(_Placeholder(getter(operand), int(width[0] or 0)))
            for ref in _fields(operand):
                keys.setdefault(_key(ref), _json_getter(ref))
        parts.append(text[position:end])
        return cls(
            tuple(part for part in parts if part),
            tuple((key, get, joined) for key, (get, joined) in keys.items()),
        )

    def render(self, context: Context) -> str:
        """The message for one event, safe to print."""
        return one_line(
            "".join(part if isinstance(part, str) else part.text(context) for part in self.parts)
        )

    def fields(self, context: Context) -> dict[str, FieldValue]:
        """Every field of the template with its typed value, None without one."""
        return {key: _json_value(get(context), joined) for key, get, joined in self.keys}


def one_line(text: str) -> str:
    """`text` as the inside of a JSON string: printable, on one line, reversible.

    Besides what JSON demands, characters that move the cursor or reorder a line
    are escaped. Bytes that were no UTF-8 become U+FFFD.
    """
    encoded = json.dumps(valid_text(text), ensure_ascii=False)[1:-1]
    return _INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", encoded)


def value_text(value: Value | Values | None) -> str:
    """A value as outputs show it."""
    match value:
        case None:
            return MISSING
        case bool():
            return "true" if value else "false"
        case bytes():
            return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in value)
        case tuple():
            return " ".join(map(str, value))
    return str(value)


def _operand(text: str, start: int, end: int) -> tuple[ir.Operand, int] | OutputIssue:
    call = _CALL.match(text, start, end)
    if call is not None:
        return _call(text, start, call.end(), end)
    name = _FIELD.match(text, start, end)
    if name is None:
        return _issue(start - 1, max(start, min(start + 1, end)), "a field must follow `%`")
    # The longest beginning that is a field counts: `%proc.name.` ends a sentence.
    for stop in range(name.end(), start, -1):
        definition = lookup(text[start:stop])
        if definition is None and text[start:stop] != "evt.rawarg":
            continue
        argument = _ARGUMENT.match(text, stop, end)
        if argument is not None and (definition is None or definition.argument.value != "none"):
            return _checked(text, start, stop, argument)
        return _checked(text, start, stop, None)
    issue = _check(syntax.Field(syntax.Span(start, name.end()), name[0]))
    return issue if isinstance(issue, OutputIssue) else (issue, name.end())


def _checked(
    text: str, start: int, stop: int, argument: re.Match[str] | None
) -> tuple[ir.Operand, int] | OutputIssue:
    word = argument[0][1:-1].strip("\"'") if argument else None
    end = argument.end() if argument else stop
    operand = _check(syntax.Field(syntax.Span(start, end), text[start:stop], word))
    return operand if isinstance(operand, OutputIssue) else (operand, end)


def _call(text: str, start: int, inside: int, end: int) -> tuple[ir.Operand, int] | OutputIssue:
    stop = _closing(text, inside, end)
    if stop is None:
        return _issue(start, end, "this call is never closed", "add `)`")
    selector = _ARGUMENT.match(text, stop, end)
    stop = selector.end() if selector else stop
    # A call is part of the condition language: let its parser read it.
    parsed = parse_condition(f"{text[start:stop]} exists", base=start)
    if not isinstance(parsed, syntax.Check):
        message = getattr(parsed, "message", "this is not a call")
        return _issue(start, stop, message, getattr(parsed, "help", ""))
    operand = _check(parsed.left)
    return operand if isinstance(operand, OutputIssue) else (operand, stop)


def _closing(text: str, position: int, end: int) -> int | None:
    depth = 1
    while position < end:
        char = text[position]
        if char in {'"', "'"}:
            quoted = _QUOTED.match(text, position, end)
            if quoted is None:
                return None
            position = quoted.end()
            continue
        depth += {"(": 1, ")": -1}.get(char, 0)
        position += 1
        if depth == 0:
            return position
    return None


def _check(operand: syntax.Operand) -> ir.Operand | OutputIssue:
    typed, problems = Checker().operand(operand)
    for problem in problems:
        if problem.is_error:
            return OutputIssue(problem.span, problem.message, problem.help)
    assert typed is not None  # INVARIANT: an operand that is not typed has an error
    for ref in _fields(typed[0]):
        if Flag.FILTER_ONLY in ref.definition.flags:
            return OutputIssue(
                operand.span, f"`{ref.definition.name}` is a test and cannot be printed",
                "print the fields of one end, such as `fd.sip` or `fd.sport`",
            )  # fmt: skip
    return typed[0]


def _issue(start: int, end: int, message: str, help: str = "") -> OutputIssue:
    return OutputIssue(syntax.Span(start, end), message, help)


def _fields(operand: object) -> Iterator[ir.FieldRef]:
    if isinstance(operand, ir.FieldRef):
        yield operand
    elif isinstance(operand, ir.Call | tuple):
        for item in operand.operands if isinstance(operand, ir.Call) else operand:
            yield from _fields(item)


def _key(ref: ir.FieldRef) -> str:
    return ref.definition.name + (f"[{ref.argument}]" if ref.argument is not None else "")


def _json_getter(ref: ir.FieldRef) -> tuple[Getter, bool]:
    definition: FieldDef = ref.definition
    get = definition.json or definition.bind(ref.argument)
    return get, definition.has_many(ref.argument)


def _json_value(value: Value | Values | None, joined: bool) -> FieldValue:  # noqa: FBT001  # one private use
    match value:
        case None | bool() | int():
            return value
        case str():
            return valid_text(value)
        case tuple() if not joined:
            return [valid_text(str(item)) for item in value]
    return valid_text(value_text(value))
