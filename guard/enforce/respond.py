"""What is left to user space: to kill or freeze after the operation has completed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress

from guard.alert import Action, Alert, Verdict
from guard.data import replace
from guard.event import Event

_NS_PER_S = 1_000_000_000
_START_FIELD = 19  # starttime in /proc/PID/stat, counted behind the name


class Responder:
    """Carries out the action of alerts the kernel did not decide.

    `freeze` stops every task of the session, as `cgroup.freeze` does.
    """

    def __init__(self, freeze: Callable[[], None]) -> None:
        self._freeze = freeze

    def respond(self, alert: Alert) -> Alert:
        """The alert with its final verdict; unchanged when there is nothing to do."""
        if alert.verdict is not Verdict.ALERT or alert.action is Action.ALERT:
            return alert
        if alert.action is Action.FREEZE:
            return replace(alert, verdict=self._frozen())
        # A denial the kernel could not decide: what has happened cannot be
        # refused any more, but it can be the last thing the process did.
        is_dead = alert.event is not None and kill(alert.event)
        return replace(alert, verdict=Verdict.KILLED_AFTER if is_dead else Verdict.NOT_ENFORCED)

    def _frozen(self) -> Verdict:
        try:
            self._freeze()
        except OSError:
            return Verdict.NOT_ENFORCED
        return Verdict.FROZEN


def kill(event: Event) -> bool:
    """SIGKILL the process behind `event`; False when it is gone or cannot be killed.

    The number alone may belong to another process by now, so its start is
    compared while a descriptor holds on to it.
    """
    if event.pid <= 1 or event.pid == os.getpid():
        return False
    try:
        pidfd = os.pidfd_open(event.pid)
    except OSError:
        return False
    try:
        if _start_ticks(event.pid) != event.start_ns * os.sysconf("SC_CLK_TCK") // _NS_PER_S:
            return False
        with suppress(OSError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            return True
        return False
    finally:
        os.close(pidfd)


def _start_ticks(pid: int) -> int | None:
    """Start of a process after boot in clock ticks, None when it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in {b"Z", b"X"} else int(fields[_START_FIELD])
