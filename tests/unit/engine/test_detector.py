"""The detector tries the right rules in the right order and trusts the kernel's verdict."""

from __future__ import annotations

import os

import pytest

from guard.alert import Action, Priority, Verdict
from guard.engine.detector import Detector
from guard.engine.fields import Context
from guard.engine.index import BranchesByCall, first_match
from guard.engine.loader import load
from guard.engine.source import Source
from guard.event import FLAG_IO_URING, FLAG_WALK_FAILED
from tests.unit.engine.events import CONSTANTS, make_event, make_process
from tests.unit.engine.interpreter import evaluate

PROCESS = make_process(name="cat", parent={"name": "bash"})


def rule(name, condition, action="alert", **extra):
    more = "".join(f"  {key}: {value}\n" for key, value in extra.items())
    return (
        f"- rule: {name}\n  desc: d\n  condition: {condition}\n"
        f"  output: {name} %fd.name\n  priority: WARNING\n  action: {action}\n{more}"
    )


def policy(*rules):
    result = load([Source("rules.yaml", "".join(rules))], CONSTANTS)
    assert result.policy is not None, result.diagnostics
    return result.policy


def detector(*rules):
    return Detector(policy(*rules), CONSTANTS)


def names(alerts):
    return [alert.rule for alert in alerts]


def test_an_alert_carries_rule_event_process_and_fields():
    found = detector(
        rule("Read", "evt.type = open and fd.name = /x", tags="[b, a]", remedy="do not")
    )
    event = make_event("file_open", path="/x", fd=3)
    (alert,) = found.match(event, PROCESS)
    assert (alert.rule, alert.priority, alert.source) == ("Read", Priority.WARNING, "syscall")
    assert (alert.message, alert.output_fields) == ("Read /x", {"fd.name": "/x"})
    assert (alert.action, alert.verdict) == (Action.ALERT, Verdict.ALERT)
    assert (alert.tags, alert.remedy) == (("a", "b"), "do not")
    assert (alert.event, alert.process, alert.time_ns) == (event, PROCESS, event.time_ns)


def test_the_first_rule_in_the_file_wins():
    found = detector(rule("A", "fd.name startswith /x"), rule("B", "fd.name = /x/y"))
    assert names(found.match(make_event("file_open", path="/x/y"), PROCESS)) == ["A"]


@pytest.mark.parametrize("action", ["deny", "kill", "freeze"])
def test_an_alert_rule_never_hides_a_rule_that_enforces(action):
    found = detector(rule("A", "fd.name = /x"), rule("B", "fd.name = /x", action))
    (alert,) = found.match(make_event("file_open", path="/x"), PROCESS)
    assert (alert.rule, alert.verdict) == ("B", Verdict.NOT_ENFORCED)


def test_rules_are_tried_only_on_their_calls():
    found = detector(rule("A", "evt.type in (unlink, rename) and proc.name = cat"))
    assert names(found.match(make_event("file_unlink", path="/x"), PROCESS)) == ["A"]
    assert found.match(make_event("file_open", path="/x"), PROCESS) == []


def test_disabled_rules_are_not_tried():
    found = detector(rule("A", "fd.name = /x", enabled="false"))
    assert found.match(make_event("file_open", path="/x"), PROCESS) == []


def test_events_are_numbered_from_one():
    found = detector(rule("A", "evt.num = 2"))
    event = make_event("process_exit")
    assert [names(found.match(event, PROCESS)) for _ in range(3)] == [[], ["A"], []]
    assert found.events == 3


@pytest.mark.parametrize(
    ("kind", "members", "verdict", "expected"),
    [
        ("file_open", {}, 1, Verdict.DENIED),
        ("file_open", {}, 2, Verdict.KILLED),
        ("file_open", {"created": 1}, 2, Verdict.KILLED_AFTER),
        ("file_open", {"open_flags": os.O_TRUNC | os.O_WRONLY}, 2, Verdict.KILLED_AFTER),
        ("process_exec", {}, 2, Verdict.KILLED),
        ("network_connect", {"family": 2}, 2, Verdict.KILLED),
        ("file_unlink", {}, 2, Verdict.KILLED_AFTER),
    ],
)
def test_the_kernels_verdict_is_reported_for_the_rule_it_names(kind, members, verdict, expected):
    found = detector(
        rule("Other", "evt.num >= 0", "deny"), rule("Named", "proc.name = nobody", "deny")
    )
    event = make_event(kind, rule=2, verdict=verdict, **members)
    (alert,) = found.match(event, PROCESS)
    assert (alert.rule, alert.verdict, alert.action) == ("Named", expected, Action.DENY)


def test_a_verdict_of_a_policy_that_is_gone_is_still_an_alert():
    found = detector(rule("A", "proc.name = nobody", "deny"))
    event = make_event("file_open", path="/x", rule=7, verdict=1)
    (alert,) = found.match(event, PROCESS)
    assert (alert.source, alert.verdict) == ("internal", Verdict.DENIED)
    assert "/x" in alert.message


@pytest.mark.parametrize(
    ("kind", "members", "words", "verdict"),
    [
        ("file_open", {"path": "/d/d/f", "inode": 7}, "directories above", Verdict.KILLED),
        ("file_open", {"inode": 7, "flags": FLAG_IO_URING}, "directories above", Verdict.KILLED),
        ("process_exec", {"path": "/d/d/f"}, "directories above", Verdict.KILLED),
        ("file_truncate", {"path": "/d/f"}, "directories above", Verdict.KILLED_AFTER),
        ("file_open", {"flags": FLAG_IO_URING}, "io_uring opened", Verdict.KILLED),
        ("process_fork", {"call": "clone"}, "shares its parent's", Verdict.KILLED_AFTER),
    ],
)
def test_what_the_kernel_could_not_judge_says_why(kind, members, words, verdict):
    """Every cause has a message with the process, and a remedy; no rule is named."""
    found = detector(rule("A", "proc.name = nobody", "deny"))
    flags = FLAG_WALK_FAILED | members.get("flags", 0)
    event = make_event(kind, **{**members, "rule": 0, "verdict": 2, "flags": flags})
    (alert,) = found.match(event, PROCESS)
    assert alert.rule == "guard internal: operation could not be judged"
    assert (alert.source, alert.priority) == ("internal", Priority.CRITICAL)
    assert (alert.action, alert.verdict) == (Action.KILL, verdict)
    assert words in alert.message
    assert "command=cat" in alert.message
    assert alert.remedy


@pytest.mark.parametrize("call", ["pidfd_getfd", "open_by_handle_at"])
def test_a_rule_for_openat_that_the_kernel_took_further_is_named(call):
    """The kernel's decision stands, though the condition does not name the call."""
    found = detector(rule("A", "evt.type = openat and fd.name = /x", "deny"))
    event = make_event("file_open", call=call, path="/x", fd=3, rule=1, verdict=2)
    (alert,) = found.match(event, PROCESS)
    assert (alert.rule, alert.verdict) == ("A", Verdict.KILLED)


CONDITIONS = [
    "evt.type in (open, openat) and guard.home_path pmatch (.ssh, .aws)",
    "evt.type in (open, openat) and guard.home_path pmatch (.aws, .gnupg) and proc.name = cat",
    "evt.is_open_write = true and guard.path startswith /etc",
    "evt.is_open_write = true and not guard.workspace_path exists",
    "fd.name in (/etc/shadow, /etc/passwd)",
    "fd.name = /etc/shadow and proc.pname = bash",
    "(fd.name startswith /etc or fd.name = /home/dev/.aws/x) and not proc.name = ls",
    "evt.type = openat or evt.type = unlink and fs.path.name endswith .pem",
    "guard.path endswith .pem",
    "guard.path glob /home/*/.ssh/* and evt.type != openat",
]


def test_grouping_by_gates_changes_no_result():
    rules = policy(
        *(
            rule(f"R{number}", condition, "deny" if number % 3 == 2 else "alert")
            for number, condition in enumerate(CONDITIONS)
        )
    )
    branches = BranchesByCall(rules, CONSTANTS)
    paths = [
        "/etc/shadow",
        "/home/dev/.ssh/id",
        "/home/dev/.aws/x",
        "/home/dev/project/a.pem",
        "/t",
    ]
    for kind, call in (("file_open", "openat"), ("file_open", "open"), ("file_unlink", "unlink")):
        for path in paths:
            for flags in (0, 1) if kind == "file_open" else (None,):
                members = {} if flags is None else {"open_flags": flags}
                event = make_event(kind, call=call, path=path, **members)
                context = Context(event, PROCESS, CONSTANTS)
                expected = next(
                    (each for each in rules.rules if evaluate(each.condition, context)), None
                )
                assert first_match(branches[call], context) is expected
