"""What is wrong with a rule file, and where.

Every stage of the engine collects diagnostics and goes on; none raises on bad
rules. A message is lower case without a final period, with the user's words in
back-ticks; `help` names the next step.
"""

from __future__ import annotations

import enum
import unicodedata
from collections.abc import Iterable

from guard.data import dataclass
from guard.engine.source import Location, Source

_VIEW_COLUMNS = 100  # a longer source line is shown around the carets only
_VIEW_BEFORE = 40


class Severity(enum.Enum):
    """An error keeps the policy from loading; a warning never does."""

    ERROR = "error"
    WARNING = "warning"


class Code(enum.Enum):
    """Every kind of diagnostic: our name for it, and Falco's code."""

    YAML_SYNTAX = ("yaml-syntax", "LOAD_ERR_YAML_PARSE")
    WRONG_STRUCTURE = ("wrong-structure", "LOAD_ERR_YAML_VALIDATE")
    MISSING_KEY = ("missing-key", "LOAD_ERR_YAML_VALIDATE")
    UNKNOWN_KEY = ("unknown-key", "LOAD_UNKNOWN_KEY")
    UNKNOWN_ITEM = ("unknown-item", "LOAD_UNKNOWN_ITEM")
    BAD_KEY_VALUE = ("bad-key-value", "LOAD_ERR_YAML_VALIDATE")
    DEPRECATED_ITEM = ("deprecated-item", "LOAD_DEPRECATED_ITEM")
    VERSION_MISMATCH = ("version-mismatch", "LOAD_ERR_VALIDATE")
    INVALID_LIST_NAME = ("invalid-list-name", "LOAD_INVALID_LIST_NAME")
    INVALID_MACRO_NAME = ("invalid-macro-name", "LOAD_INVALID_MACRO_NAME")
    UNKNOWN_SOURCE = ("unknown-source", "LOAD_UNKNOWN_SOURCE")
    WRONG_OVERRIDE = ("wrong-override", "LOAD_ERR_YAML_VALIDATE")
    NOTHING_TO_OVERRIDE = ("nothing-to-override", "LOAD_ERR_VALIDATE")
    CONFLICTING_SOURCE = ("conflicting-source", "LOAD_ERR_VALIDATE")
    WRONG_EXCEPTION = ("wrong-exception", "LOAD_ERR_VALIDATE")
    APPEND_NO_VALUES = ("append-no-values", "LOAD_APPEND_NO_VALUES")
    EXCEPTION_NAME_NOT_UNIQUE = ("exception-name-not-unique", "LOAD_EXCEPTION_NAME_NOT_UNIQUE")
    CONDITION_SYNTAX = ("condition-syntax", "LOAD_ERR_COMPILE_CONDITION")
    CONDITION_TOO_LARGE = ("condition-too-large", "LOAD_ERR_COMPILE_CONDITION")
    UNDEFINED_MACRO = ("undefined-macro", "LOAD_ERR_VALIDATE")
    MACRO_LOOP = ("macro-loop", "LOAD_ERR_VALIDATE")
    UNUSED_MACRO = ("unused-macro", "LOAD_UNUSED_MACRO")
    UNUSED_LIST = ("unused-list", "LOAD_UNUSED_LIST")
    UNDEFINED_LIST = ("undefined-list", "LOAD_COMPILE_CONDITION")
    UNKNOWN_FIELD = ("unknown-field", "LOAD_ERR_COMPILE_CONDITION")
    UNKNOWN_FILTER = ("unknown-filter", "LOAD_UNKNOWN_FILTER")
    FIELD_ARGUMENT = ("field-argument", "LOAD_ERR_COMPILE_CONDITION")
    UNFIT_OPERATOR = ("unfit-operator", "LOAD_ERR_COMPILE_CONDITION")
    BAD_VALUE = ("bad-value", "LOAD_ERR_COMPILE_CONDITION")
    BAD_REGEX = ("bad-regex", "LOAD_ERR_COMPILE_CONDITION")
    UNKNOWN_EVENT = ("unknown-event", "LOAD_ERR_COMPILE_CONDITION")
    BAD_TRANSFORMER = ("bad-transformer", "LOAD_ERR_COMPILE_CONDITION")
    SUSPICIOUS_CONDITION = ("suspicious-condition", "LOAD_COMPILE_CONDITION")
    UNSAFE_NA_CHECK = ("unsafe-na-check", "LOAD_UNSAFE_NA_CHECK")
    NO_EVENT_TYPE = ("no-event-type", "LOAD_NO_EVTTYPE")
    BAD_OUTPUT = ("bad-output", "LOAD_ERR_COMPILE_OUTPUT")
    NOT_ENFORCEABLE = ("not-enforceable", "LOAD_ERR_EXTENSION")
    POLICY_TOO_LARGE = ("policy-too-large", "LOAD_ERR_EXTENSION")
    UNSUPPORTED = ("unsupported", "LOAD_ERR_EXTENSION")

    @property
    def text(self) -> str:
        """Our name in kebab case, as shown in brackets behind a message."""
        return self.value[0]

    @property
    def falco(self) -> str:
        """Falco's code."""
        return self.value[1]


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. `label` stands beside the carets, `help` below them."""

    code: Code
    message: str
    location: Location | None
    severity: Severity = Severity.ERROR
    label: str = ""
    help: str = ""
    item: str = ""  # the item it is in, such as "rule `Read secret`"

    @property
    def is_error(self) -> bool:
        """True when the policy cannot be loaded with it."""
        return self.severity is Severity.ERROR


def render(diagnostics: Iterable[Diagnostic], *, limit: int = 20) -> str:
    """All diagnostics as text for a terminal, in the order of the files' lines.

    At most `limit` are shown; the last line counts the rest. Control characters
    of the rule files are made visible, so no file can write to the terminal.
    """
    ordered = sort(diagnostics)
    blocks = [_block(diagnostic) for diagnostic in ordered[:limit]]
    if len(ordered) > limit:
        blocks.append(f"… and {len(ordered) - limit} more")
    return "\n".join(blocks)


def sort(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """In order of files (as they first appear), lines and columns; errors first at one place."""
    found = list(diagnostics)
    files: dict[str, int] = {}
    for diagnostic in found:
        if diagnostic.location is not None:
            files.setdefault(diagnostic.location.name, len(files))

    def key(diagnostic: Diagnostic) -> tuple[int, int, bool]:
        location = diagnostic.location
        if location is None:
            return (-1, 0, not diagnostic.is_error)
        return (files[location.name], location.start, not diagnostic.is_error)

    return sorted(found, key=key)


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that `word` was most likely meant to be, None when none is near.

    Near is: a third of the letters, at least one, inserted, lost, changed or
    swapped with the next; case does not count.
    """
    allowed = max(len(word) // 3, 1)
    best: str | None = None
    for candidate in candidates:
        if abs(len(candidate) - len(word)) <= allowed:
            distance = _distance(word.lower(), candidate.lower())
            if distance <= allowed and distance < len(candidate):
                best, allowed = candidate, distance - 1
    return best


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """`nearest` as a help text, "" when nothing is near."""
    match = nearest(word, candidates)
    return f"did you mean `{match}`?" if match else ""


def visible(text: str) -> str:
    """`text` on one line, with control and invalid characters written as escapes."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def _distance(left: str, right: str) -> int:
    """Edits that turn one word into the other; two swapped letters are one edit."""
    rows = [list(range(len(right) + 1))]
    for i, char in enumerate(left, 1):
        row = [i]
        for j, other in enumerate(right, 1):
            cost = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (char != other))
            if i > 1 and j > 1 and char == right[j - 2] and left[i - 2] == other:
                cost = min(cost, rows[-2][j - 2] + 1)
            row.append(cost)
        rows.append(row)
    return rows[-1][-1]


def _block(diagnostic: Diagnostic) -> str:
    place = f"{visible(diagnostic.location.name)}:" if diagnostic.location else ""
    if diagnostic.location is not None:
        line, column = diagnostic.location.source.position(diagnostic.location.start)
        place += f"{line}:{column}: "
    message = visible(diagnostic.message)
    if diagnostic.item:
        message += f" (in {visible(diagnostic.item)})"
    lines = [f"{place}{diagnostic.severity.value}: {message} [{diagnostic.code.text}]"]
    if diagnostic.location is not None:
        lines += _excerpt(diagnostic.location.source, diagnostic.location, diagnostic.label)
    if diagnostic.help:
        lines.append(f"  help: {visible(diagnostic.help)}")
    return "\n".join(lines)


def _excerpt(source: Source, location: Location, label: str) -> list[str]:
    number, column = source.position(location.start)
    text = source.line(number)
    start = column - 1
    # A range over several lines is underlined to the end of its first one.
    end = max(min(start + location.end - location.start, len(text)), start + 1)
    first = max(start - _VIEW_BEFORE, 0) if len(text) > _VIEW_COLUMNS else 0
    last = first + _VIEW_COLUMNS
    before = ("…" if first else "") + _printable(text[first:start])
    marked = _printable(text[start : min(end, last)])
    after = _printable(text[end:last]) + ("…" if last < len(text) else "")
    margin = f"{number:5} | "
    carets = "^" * max(_width(marked), 1)
    blank = " " * (len(margin) - 2) + "| " + " " * _width(before)
    return [
        (margin + before + marked + after).rstrip(),
        f"{blank}{carets} {visible(label)}".rstrip(),
    ]


def _printable(text: str) -> str:
    # One character for one, so that the carets stay below their place.
    return "".join(
        " " if char == "\t" else char if char.isprintable() else "\ufffd" for char in text
    )


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )
