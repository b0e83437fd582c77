"""Files of cases: what is left out is neutral, what is wrong is named."""

from __future__ import annotations

import os

import pytest

from guard.alert import Alert, Priority
from guard.engine.cases import CONSTANTS, Case, check_case, read_cases, untested
from guard.errors import UsageError
from guard.event import Event, FileOpen, NetworkConnect, Process, ProcessExec


def one(**members: object) -> Case:
    [case] = read_cases([{"rule": "r", "hit": [members]}])
    return case


class Always:
    """A detector whose one rule matches everything."""

    def __init__(self, *rules: str) -> None:
        self.rules = rules

    def match(self, event: Event, process: Process) -> list[Alert]:
        return [Alert(rule, Priority.DEBUG, 0, "syscall", "", {}, ()) for rule in self.rules]


def test_open_is_a_successful_read_of_a_regular_file_by_the_user() -> None:
    case = one(event="file_open", path="~/.x")
    assert isinstance(case.event, FileOpen)
    assert (f"{CONSTANTS.home}/.x", "openat", 3, 3, 0) == (
        case.event.path, case.event.call, case.event.res, case.event.fd, case.event.open_flags,
    )  # fmt: skip
    assert ("dev", 1000, "bash") == (
        case.process.user,
        case.process.uid,
        case.process.parent and case.process.parent.name,
    )


def test_names_stand_for_numbers() -> None:
    case = one(event="file_open", path="$workspace/a", open_flags="O_RDWR|O_CREAT", mode="0o600")
    assert isinstance(case.event, FileOpen)
    assert (os.O_RDWR | os.O_CREAT, 0o600) == (case.event.open_flags, case.event.mode)
    assert f"{CONSTANTS.workspace}/a" == case.event.path


def test_address_decides_the_family() -> None:
    case = one(event="network_connect", remote_addr="::1", remote_port=80)
    assert isinstance(case.event, NetworkConnect)
    assert (10, bytes(15) + b"\1", 80) == (
        case.event.family, case.event.remote_addr, case.event.remote_port,
    )  # fmt: skip


def test_exec_event_and_process_are_the_same_image() -> None:
    case = one(event="process_exec", path="/usr/bin/git", argv=["git", "status"])
    assert isinstance(case.event, ProcessExec)
    assert ("git", "/usr/bin/git", ("git", "status")) == (
        case.process.name, case.process.exepath, case.event.argv,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ({}, "a file of cases is a list"),
        ([{"rules": "r"}], "is no case"),
        ([{"rule": "r", "hit": ["x"]}], "r, hit 1: `x` is no event"),
        ([{"rule": "r", "miss": [{"event": "file_opn"}]}], "r, miss 1: unknown event `file_opn`"),
        ([{"rule": "r", "hit": [{"event": "file_open", "call": "read"}]}], "`read` makes no event"),
        ([{"quiet": [{"event": "file_open", "paht": "/"}]}], "FileOpen has no member `paht`"),
        ([{"quiet": [{"event": "file_open", "mode": "O_WRONG"}]}], "quiet, miss 1, `mode`"),
        ([{"quiet": [{"event": "process_exec", "argv": "ls"}]}], "`ls` is no list"),
    ],
)
def test_mistake_is_named(items: object, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_cases(items)
    assert message in raised.value.message


def test_check_tells_what_went_wrong() -> None:
    event = {"event": "file_open", "path": "/x"}
    hit, miss, quiet = sorted(
        read_cases([{"rule": "r", "hit": [event], "miss": [event]}, {"quiet": [event]}]),
        key=lambda case: (not case.is_hit, not case.rule),
    )
    assert (None, "alert of `r`", "alert of `r`") == tuple(
        check_case(case, Always("r")) for case in (hit, miss, quiet)
    )
    assert ("no alert of this rule, but `s`", None, "alert of `s`") == tuple(
        check_case(case, Always("s")) for case in (hit, miss, quiet)
    )


def test_rule_needs_a_hit_and_a_miss() -> None:
    event = {"event": "file_open", "path": "/x"}
    found = read_cases(
        [{"rule": "a", "hit": [event], "miss": [event]}, {"rule": "b", "hit": [event]}]
    )
    assert ["b", "c"] == untested(["a", "b", "c"], found)
