"""The seam between a session and its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from guard.alert import Alert


class Sink(Protocol):
    """Takes alerts in order. A sink that cannot deliver raises `OSError`."""

    def emit(self, alerts: Sequence[Alert]) -> None: ...

    def close(self) -> None: ...
