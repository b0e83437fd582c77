"""Rules in force: from text in the rule language to the maps of a session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from guard.enforce.contents import pin_contents
from guard.enforce.kernel import Reporting, apply
from guard.enforce.tags import pin_places
from guard.engine.constants import Constants
from guard.engine.diagnostics import render
from guard.engine.loader import load
from guard.engine.lower import lower
from guard.engine.source import Source
from guard.event import VERDICT_KILLED, Event, ProcessExit
from tests.kernel.harness import Run, Session

OPENS = "evt.type in (open, openat, openat2, creat, open_by_handle_at)"
SENDS = "evt.type in (connect, sendto, sendmsg, sendmmsg)"

# The rules under test come second: an index that is right by accident is 0.
_FIRST = """\
- rule: unrelated
  desc: never matches in these tests
  condition: evt.type = delete_module
  output: unrelated
  priority: NOTICE
  action: kill
"""


def rule(condition: str, action: str = "deny") -> str:
    """A rule with this condition, as an item of a rules file."""
    return (
        f"- rule: {action} {abs(hash(condition))}\n  desc: under test\n  condition: >\n"
        f"    {condition}\n  output: under test\n  priority: WARNING\n  action: {action}\n"
    )


@contextmanager
def in_force(session: Session, *rules: str) -> Iterator[Session]:
    """`rules` loaded, lowered and applied; the first of them has number 2 in events."""
    constants = Constants(home="/nonexistent/home", workspace="/nonexistent/workspace")
    result = load([Source("rules.yaml", _FIRST + "".join(rules))], constants)
    assert result.policy is not None, render(result.diagnostics)
    plan = lower(result.policy, constants)
    assert not plan.diagnostics, render(plan.diagnostics)
    with pin_places(plan) as tags:
        pin_contents(tags, plan)
        session.generation = apply(session.program, plan, tags, Reporting(record_level="all"))
        try:
            yield session
        finally:
            session.configure()


def verdicts(run: Run) -> list[Any]:
    """Events on which the kernel acted. Any: every caller knows which kind that is."""
    return [event for event in run.events if event.verdict]


def was_killed(run: Run, event: Event, number: int = 2) -> bool:
    """Whether the kernel killed the process of `event` for rule `number`, and it is dead."""
    ends = [e.exit_code for e in run.events if isinstance(e, ProcessExit) and e.pid == event.pid]
    assert (VERDICT_KILLED, number) == (event.verdict, event.rule)
    assert [9] == [code & 0x7F for code in ends]
    return True
