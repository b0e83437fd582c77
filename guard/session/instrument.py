"""The kernel's side of a session, as the session sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from guard.event import Event


@dataclass(frozen=True, slots=True)
class Batch:
    """What the kernel had to say since the last time.

    `candidates` and `records` are the raw bytes of the two buffers; `events` are
    the candidates decoded.
    """

    events: Sequence[Event]
    candidates: bytes = b""
    records: bytes = b""

    def __bool__(self) -> bool:
        return bool(self.candidates or self.records or self.events)


@dataclass(frozen=True, slots=True)
class Counters:
    """What the kernel counted in this session so far, over all CPUs.

    Every event seen is in exactly one of candidate, record, suppressed and the
    two dropped ones.
    """

    seen: int = 0
    candidate: int = 0
    record: int = 0
    suppressed: int = 0
    dropped_candidate: int = 0
    dropped_record: int = 0
    truncated: int = 0
    errors: int = 0
    denied: int = 0
    killed: int = 0

    @property
    def dropped(self) -> int:
        return self.dropped_candidate + self.dropped_record


@dataclass(frozen=True, slots=True)
class RuleEnforcement:
    """What a rule gets on this machine."""

    rule: str
    wanted: str  # Action of the rule
    gets: str  # "block", "kill", "kill-after", "freeze", "alert"
    reason: str = ""  # why it is less than wanted


class Instrument(Protocol):
    """Sensor and enforcement of one session, loaded and attached."""

    tier: str
    rules: Sequence[RuleEnforcement]
    layout_btf: bytes
    boot_offset_ns: int  # epoch time minus boot time

    def tag(self, pidfd: int) -> None:
        """Follow this process and all its descendants from its next exec on."""

    def filenos(self) -> Sequence[int]:
        """Descriptors that become readable when there is something to read."""

    def read(self) -> Batch:
        """Everything that is ready, without waiting."""

    def counters(self) -> Counters: ...

    def close(self) -> None:
        """Detach and free everything."""
