"""Responding: real processes are killed, and only the ones meant."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess

import pytest

from guard.alert import Action, Alert, Priority, Verdict
from guard.enforce.respond import Responder, kill
from tests.unit.engine.lowering import event

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def start_ns(pid: int) -> int:
    """Start of a process after boot, as exact as /proc tells."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[19]) * TICK_NS


def alert(action, verdict=Verdict.ALERT, **of_event):
    return Alert(
        "a rule", Priority.ERROR, 0, "syscall", "", {}, (), action, verdict,
        event=event("file_open", **of_event) if of_event else None,
    )  # fmt: skip


def no_freeze():
    raise AssertionError("frozen")


@pytest.fixture
def child():
    with subprocess.Popen(["sleep", "60"]) as started:
        yield started
        started.kill()


@pytest.mark.parametrize("action", [Action.KILL, Action.DENY])
def test_the_process_behind_an_alert_is_killed(child, action):
    """A denial that the kernel could not decide becomes a kill."""
    happened = alert(action, pid=child.pid, start_ns=start_ns(child.pid) + TICK_NS // 2)

    final = Responder(no_freeze).respond(happened)

    assert child.wait(5) == -signal.SIGKILL
    assert final == dataclasses.replace(happened, verdict=Verdict.KILLED_AFTER)


def test_another_process_of_the_same_number_is_left_alone(child):
    earlier = alert(Action.KILL, pid=child.pid, start_ns=start_ns(child.pid) - 100 * TICK_NS)

    final = Responder(no_freeze).respond(earlier)

    assert final.verdict is Verdict.NOT_ENFORCED
    assert child.poll() is None


def test_a_process_that_is_gone_is_not_claimed_as_killed(child):
    began = start_ns(child.pid)
    child.kill()
    child.wait()

    final = Responder(no_freeze).respond(alert(Action.KILL, pid=child.pid, start_ns=began))

    assert final.verdict is Verdict.NOT_ENFORCED


def test_a_zombie_is_not_claimed_as_killed(child):
    began = start_ns(child.pid)
    child.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    assert not kill(event("file_open", pid=child.pid, start_ns=began))


@pytest.mark.parametrize("pid", [0, 1, os.getpid()])
def test_init_and_guard_itself_are_never_killed(pid):
    assert not kill(event("file_open", pid=pid, start_ns=start_ns(pid) if pid else 0))


def test_freeze_is_asked_for_and_may_fail():
    frozen = []

    def fails():
        raise OSError(19, "no such device")

    assert Responder(lambda: frozen.append(1)).respond(alert(Action.FREEZE)).verdict is (
        Verdict.FROZEN
    )
    assert frozen == [1]
    assert Responder(fails).respond(alert(Action.FREEZE)).verdict is Verdict.NOT_ENFORCED


def test_an_alert_without_an_event_cannot_be_enforced():
    assert Responder(no_freeze).respond(alert(Action.KILL)).verdict is Verdict.NOT_ENFORCED


@pytest.mark.parametrize("verdict", [Verdict.DENIED, Verdict.KILLED, Verdict.KILLED_AFTER])
def test_what_the_kernel_did_is_not_done_again(child, verdict):
    done = alert(Action.KILL, verdict, pid=child.pid, start_ns=start_ns(child.pid))

    assert Responder(no_freeze).respond(done) is done
    assert child.poll() is None


def test_an_alert_that_asks_for_nothing_stays_as_it_is(child):
    reported = alert(Action.ALERT, pid=child.pid, start_ns=start_ns(child.pid))

    assert Responder(no_freeze).respond(reported) is reported
    assert child.poll() is None
