"""What is fixed for a whole session and may appear in rules."""

from __future__ import annotations

from guard.data import dataclass


@dataclass(frozen=True, slots=True)
class Constants:
    """Paths are absolute, without a trailing slash; "" stands for unknown.

    `boot_time_ns` is the epoch time at which CLOCK_BOOTTIME was 0; durations
    have no value without it.
    """

    home: str
    workspace: str
    session: str = ""
    agent: str = ""
    hostname: str = ""
    boot_time_ns: int = 0
