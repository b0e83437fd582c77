"""The calls for which a condition can be true are found by set algebra."""

from __future__ import annotations

import pytest

from guard.engine.check import Checker
from guard.engine.event_names import CAPTURED
from guard.engine.event_types import calls_of
from guard.engine.parser import parse_condition

ALL = CAPTURED


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("evt.type = open", {"open"}),
        ("evt.type != open", ALL - {"open"}),
        ("not evt.type = open", ALL - {"open"}),
        ("not evt.type != open", {"open"}),
        ("evt.type in (open, openat)", {"open", "openat"}),
        ("not evt.type in (open, openat)", ALL - {"open", "openat"}),
        ("evt.type = open and evt.type = openat", set()),
        ("evt.type = open or evt.type = openat", {"open", "openat"}),
        ("not (evt.type = open or evt.type = openat)", ALL - {"open", "openat"}),
        ("evt.type = open and proc.name = x", {"open"}),
        ("evt.type = open and not proc.name = x", {"open"}),
        ("evt.type = open or proc.name = x", ALL),
        ("not (evt.type = open and proc.name = x)", ALL),
        ("proc.name = x", ALL),
        ("evt.type exists", ALL),
        ("not evt.type exists", set()),
        ("evt.type contains open", ALL),
        ("not evt.type contains open", ALL),
        ("tolower(evt.type) = open", ALL),
        ("syscall.type != procexit", ALL - {"procexit"}),
        ("syscall.type = open", {"open"}),
        ("evt.type = userfaultfd", set()),
        ("evt.num = 0", set()),
        ("not evt.num = 0", ALL),
        ("evt.num < 1", set()),
        ("evt.num <= 0", set()),
        ("evt.num in (0)", set()),
        ("evt.num >= 0", ALL),
        ("not evt.num >= 1", set()),
        ("evt.num != 0", ALL),
        ("evt.num > 5", ALL),
        ("evt.type = open and evt.num = 0", set()),
    ],
)
def test_calls(text, expected):
    assert calls_of(Checker().check(parse_condition(text)).expr) == expected
