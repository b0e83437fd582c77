"""Alert lines for people."""

from __future__ import annotations

import io

import pytest

from guard.alert import Alert, Priority, Verdict
from guard.config import Color
from guard.outputs.terminal import TerminalSink, line, wants_color

ALERT = Alert(
    rule="Read a key",
    priority=Priority.CRITICAL,
    time_ns=1_700_000_000_000_000_000,
    source="syscall",
    message="path=/\x1b[2J\n",
    output_fields={},
    tags=(),
    verdict=Verdict.KILLED_AFTER,
    remedy="use another",
)


def test_one_alert_is_one_line() -> None:
    text = line(ALERT)
    assert text[2] == text[5] == ":"
    assert text[9:] == "Critical Read a key: path=/\\x1b[2J\\n [killed-after] (use another)"


def test_colour_adds_only_colour() -> None:
    import re

    coloured = line(ALERT, color=True)
    assert coloured != line(ALERT)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == line(ALERT)


def test_held_lines_come_at_the_end_and_are_limited() -> None:
    stream = io.StringIO()
    sink = TerminalSink(stream, held=True, limit=2)
    sink.emit([ALERT] * 5)
    assert stream.getvalue() == ""
    sink.close()
    assert stream.getvalue().count("Critical") == 2
    assert stream.getvalue().endswith("… and 3 more, see the session record\n")


@pytest.mark.parametrize(
    ("choice", "environ", "expected"),
    [
        (Color.AUTO, {}, False),  # not a terminal
        (Color.AUTO, {"FORCE_COLOR": "1"}, True),
        (Color.AUTO, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (Color.ALWAYS, {"NO_COLOR": "1"}, True),
        (Color.NEVER, {"FORCE_COLOR": "1"}, False),
    ],
)
def test_colour_choice(choice: Color, environ: dict[str, str], *, expected: bool) -> None:
    assert wants_color(choice, io.StringIO(), environ) is expected
