"""Alerts for people: one line each.

``14:03:07 Critical Read a private key: … [killed] (use a deploy key)``
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import TextIO

from guard.alert import Alert, Priority, Verdict
from guard.config import Color
from guard.outputs.escape import printable

_RESET = "\x1b[0m"
_DIM = "\x1b[2m"
_BOLD = "\x1b[1m"
_PRIORITY_COLORS = {
    Priority.EMERGENCY: "\x1b[1;31m",
    Priority.ALERT: "\x1b[1;31m",
    Priority.CRITICAL: "\x1b[1;31m",
    Priority.ERROR: "\x1b[31m",
    Priority.WARNING: "\x1b[33m",
    Priority.NOTICE: "\x1b[36m",
    Priority.INFORMATIONAL: "",
    Priority.DEBUG: _DIM,
}
_VERDICT_COLORS = {
    Verdict.ALERT: _DIM,
    Verdict.NOT_ENFORCED: "\x1b[1;31m",
}
_ENFORCED_COLOR = "\x1b[1;32m"


class TerminalSink:
    """Writes alert lines to a stream, each batch in one write.

    With `held` the lines are kept for `close`: the command owns the terminal.
    """

    def __init__(
        self, stream: TextIO, *, color: bool = False, held: bool = False, limit: int = 20
    ) -> None:
        self._stream = stream
        self._color = color
        self._held: list[str] | None = [] if held else None
        self._limit = limit
        self._beyond_limit = 0

    def emit(self, alerts: Sequence[Alert]) -> None:
        if self._held is None:
            self._write([line(alert, color=self._color) for alert in alerts])
            return
        room = max(self._limit - len(self._held), 0)
        self._held += [line(alert, color=self._color) for alert in alerts[:room]]
        self._beyond_limit += len(alerts[room:])

    def close(self) -> None:
        if self._held:
            if self._beyond_limit:
                self._held.append(f"… and {self._beyond_limit} more, see the session record")
            self._write(self._held)
            self._held = []

    def _write(self, lines: Sequence[str]) -> None:
        # One write: lines of the command on the same terminal do not get between.
        self._stream.write("".join(each + "\n" for each in lines))
        self._stream.flush()


def line(alert: Alert, *, color: bool = False) -> str:
    """One alert as one line."""
    clock = time.strftime("%H:%M:%S", time.localtime(alert.time_ns // 1_000_000_000))
    priority = alert.priority.label
    rule, verdict = printable(alert.rule), f"[{alert.verdict.value}]"
    remedy = f"({printable(alert.remedy)})" if alert.remedy else ""
    if color:
        clock = _paint(clock, _DIM)
        priority = _paint(priority, _PRIORITY_COLORS[alert.priority])
        rule = _paint(rule, _BOLD)
        verdict = _paint(verdict, _VERDICT_COLORS.get(alert.verdict, _ENFORCED_COLOR))
        remedy = _paint(remedy, _DIM) if remedy else ""
    text = f"{clock} {priority} {rule}: {printable(alert.message)} {verdict}"
    return f"{text} {remedy}" if remedy else text


def wants_color(choice: Color, stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether to colour `stream`; https://no-color.org."""
    if choice is not Color.AUTO:
        return choice is Color.ALWAYS
    if environ.get("NO_COLOR") or environ.get("TERM") == "dumb":
        return False
    return bool(environ.get("FORCE_COLOR")) or stream.isatty()


def owns_terminal() -> bool:
    """Whether the command is interactive: all three standard streams are terminals."""
    return all(os.isatty(fd) for fd in (0, 1, 2))


def _paint(text: str, code: str) -> str:
    return f"{code}{text}{_RESET}" if code else text
