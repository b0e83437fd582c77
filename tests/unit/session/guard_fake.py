"""A guard without kernel programs: the whole session on a fake instrument.

Run as `python guard_fake.py SETTINGS_JSON COMMAND…`; prints the outcome on descriptor 1
only when the settings have "report".
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from guard import config
from guard.alert import Action, Alert, Priority, Verdict
from guard.bpf.sensor import Batch, Counters
from guard.cli.errors import report
from guard.enforce.plan import Effect, Enforcement, KindEnforcement
from guard.errors import GuardError
from guard.session.instrument import Prepared
from guard.session.session import Session

ALERT = Alert(
    rule="Fake rule",
    priority=Priority.CRITICAL,
    time_ns=1_700_000_000_123_456_789,
    source="syscall",
    message="a \x1b[31mred\x1b[0m\npath",
    output_fields={"proc.name": "sh"},
    tags=("b", "a"),
    action=Action.DENY,
    verdict=Verdict.DENIED,
    remedy="do something else",
)


class FakeInstrument:
    """Says that one event came, as often as asked."""

    tier = "fake"
    rules = (Enforcement("Fake rule", Action.DENY, (KindEnforcement("file_open", Effect.DENY),)),)
    layout_btf = b"none"
    boot_offset_ns = 0
    due_s = 0.05

    def __init__(self, alerts: int, dropped: int) -> None:
        self.left = alerts
        self.dropped = dropped
        self.wake, self._write = os.pipe()
        self.tagged = 0

    def tag(self, pidfd: int) -> None:
        self.tagged += 1

    def fileno(self) -> int:
        return self.wake

    def poll(self, timeout_s: float) -> Batch:
        events, self.left = self.left, 0
        return Batch([ALERT] * events, b"", b"", self.counters())  # type: ignore[list-item]

    def counters(self) -> Counters:
        return Counters(seen=10, candidate=10 - self.dropped, dropped_candidate=self.dropped)

    def close(self) -> None:
        os.close(self.wake)
        os.close(self._write)


def main() -> int:
    values = json.loads(sys.argv[1])
    slow = values.pop("slow_prepare", 0)
    alerts, dropped = values.pop("events", 0), values.pop("dropped", 0)
    for name, kind in (("linger", config.Linger), ("alerts", config.AlertMode)):
        if name in values:
            values[name] = kind(values[name])
    for name in ("report_dir", "alert_file"):
        if name in values:
            values[name] = Path(values[name])

    def prepare(*_arguments: object) -> Prepared:
        time.sleep(slow)
        return Prepared(FakeInstrument(alerts, dropped), lambda e: [e], {"name": "fake"})  # type: ignore[list-item, return-value]

    try:
        settings = config.load({**values, "command": tuple(sys.argv[2:])}, os.environ)
        return Session(settings, os.environ, prepare).run().exit_code
    except GuardError as error:
        return report(error)


if __name__ == "__main__":
    sys.exit(main())
