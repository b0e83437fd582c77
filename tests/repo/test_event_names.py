"""An event kind has one name in five places, and a test that triggers it."""

import re
from pathlib import Path

import pytest

from guard.event import CALLS, EVENT_CLASSES

ROOT = Path(__file__).parents[2]
HEADER = (ROOT / "guard" / "bpf" / "event.h").read_text()
KINDS = [
    name.lower()
    for name in re.findall(r"^\tEVENT_(\w+),", HEADER, re.MULTILINE)
    if name not in ("NONE", "KIND_COUNT")
]
KERNEL_TESTS = ROOT / "tests" / "kernel"


def test_the_header_and_python_name_the_same_kinds_in_the_same_order():
    assert [event.kind for event in EVENT_CLASSES] == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_the_record_is_named_after_the_kind(kind):
    assert re.search(rf"^struct event_{kind} {{", HEADER, re.MULTILINE)


@pytest.mark.parametrize("event", EVENT_CLASSES, ids=lambda event: event.kind)
def test_the_class_is_named_after_the_kind(event):
    assert event.__name__ == "".join(word.capitalize() for word in event.kind.split("_"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_kernel_test_triggers_the_kind(kind):
    assert (KERNEL_TESTS / f"test_{kind}.py").exists()


def test_every_call_belongs_to_one_kind():
    """The calls of event.h are those of `CALLS`, which `evt.type` is made from."""
    (body,) = re.findall(r"^enum event_call {(.*?)^};", HEADER, re.MULTILINE | re.DOTALL)
    declared = {name.lower() for name in re.findall(r"CALL_(\w+)", body)} - {"none", "count"}

    assert declared == {call for calls in CALLS.values() for call in calls}
    assert set(CALLS) == set(KINDS)
