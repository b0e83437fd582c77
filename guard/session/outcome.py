"""How a session ended."""

from __future__ import annotations

import os
from pathlib import Path

from guard.bpf.sensor import Counters
from guard.data import dataclass
from guard.errors import EXIT_TIMEOUT


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `Session.run` returns."""

    session: str
    status: int  # wait status of the command
    timed_out: bool
    killed: int  # processes that outlived the command and were killed
    duration_s: float
    counters: Counters
    record: Path

    @property
    def signal(self) -> int | None:
        """The signal that ended the command."""
        return os.WTERMSIG(self.status) if os.WIFSIGNALED(self.status) else None

    @property
    def exit_code(self) -> int:
        """The command's, 128+n for signal n as in a shell, 124 after a timeout."""
        if self.timed_out:
            return EXIT_TIMEOUT
        return 128 + self.signal if self.signal else os.WEXITSTATUS(self.status)
