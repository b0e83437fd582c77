"""The kernel's side of a session, as the session sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from guard.alert import Alert
from guard.bpf.sensor import Batch, Counters
from guard.config import Settings
from guard.data import dataclass
from guard.enforce.plan import Enforcement
from guard.engine.constants import Constants
from guard.event import Event
from guard.session.cgroup import SessionCgroup


class Instrument(Protocol):
    """Sensor and enforcement of one session, loaded and attached."""

    tier: str
    rules: Sequence[Enforcement]
    layout_btf: bytes
    boot_offset_ns: int  # epoch time minus boot time

    def tag(self, pidfd: int) -> None:
        """Follow this process and all its descendants from its next exec on."""

    def fileno(self) -> int:
        """Becomes readable when the kernel has something that cannot wait."""

    @property
    def due_s(self) -> float:
        """Seconds until it wants to be polled in any case."""

    def poll(self, timeout_s: float) -> Batch: ...

    def counters(self) -> Counters: ...

    def close(self) -> None:
        """Detach and free everything."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A loaded policy on an attached instrument.

    `judge` turns an event into alerts with their final verdicts.
    """

    instrument: Instrument
    judge: Callable[[Event], Sequence[Alert]]
    policy: Mapping[str, object]  # name, revision, sources: for the record
    warnings: int = 0  # diagnostics that are not errors
    gaps: Sequence[str] = ()  # what deny and kill rules do not cover on this machine
    settle: Callable[[], object] = bool  # what may wait until there is time, to be called once


Prepare = Callable[[Settings, Constants, SessionCgroup], Prepared]


def dropped(counters: Counters) -> int:
    """Events the kernel could not hand over."""
    return counters.dropped_candidate + counters.dropped_record
