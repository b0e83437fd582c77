"""Alerts on their way out: first into the record, then to every sink."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from guard.alert import Alert, Priority, Verdict
from guard.bpf.sensor import Counters
from guard.errors import RecordError
from guard.outputs.sink import Sink
from guard.session.instrument import dropped
from guard.store.record import RecordWriter

_LOSS_RULE = "guard: events lost"
_LOSS_INTERVAL_S = 10.0


class Reporter:
    """Hands alerts to the record and the sinks, and counts them.

    Neither a full disk nor a broken sink ends the session; both are remembered
    in `problems` and told at its end.
    """

    def __init__(self, record: RecordWriter, sinks: Sequence[Sink]) -> None:
        self.priorities: Counter[Priority] = Counter()
        self.verdicts: Counter[Verdict] = Counter()
        self.problems: dict[str, None] = {}
        self._record = record
        self._sinks = list(sinks)
        self._lost = 0
        self._lost_told_at = -_LOSS_INTERVAL_S

    def report(self, alerts: Sequence[Alert]) -> None:
        """Record and emit; alerts in the order of their events."""
        if not alerts:
            return
        for alert in alerts:
            self.priorities[alert.priority] += 1
            self.verdicts[alert.verdict] += 1
        try:
            self._record.append_alerts(alerts)
        except RecordError as error:
            self.problems[error.message] = None
        for sink in self._sinks:
            try:
                sink.emit(alerts)
            except OSError as error:
                self.problems[f"an output failed: {error.strerror}"] = None

    def report_loss(self, counters: Counters, *, at_end: bool = False) -> None:
        """Tell of lost events, as an alert of guard's own, every ten seconds at most."""
        new = dropped(counters) - self._lost
        recent = time.monotonic() - self._lost_told_at < _LOSS_INTERVAL_S
        if not new or (recent and not at_end):
            return
        self._lost = dropped(counters)
        self._lost_told_at = time.monotonic()
        self.report([loss_alert(new, counters)])

    def close(self) -> None:
        for sink in self._sinks:
            try:
                sink.close()
            except OSError as error:
                self.problems[f"an output failed: {error.strerror}"] = None


def loss_alert(new: int, counters: Counters) -> Alert:
    """The alert for `new` lost events."""
    return Alert(
        rule=_LOSS_RULE,
        # A lost candidate may be the one that mattered; a lost record only leaves a gap.
        priority=Priority.CRITICAL if counters.dropped_candidate else Priority.WARNING,
        time_ns=time.time_ns(),
        source="internal",
        message=f"{new} events lost: the kernel made them faster than guard could read",
        output_fields={
            "guard.dropped_candidate": counters.dropped_candidate,
            "guard.dropped_record": counters.dropped_record,
            "guard.seen": counters.seen,
        },
        tags=(),
        remedy="make the buffers larger: GUARD_CANDIDATE_BYTES, GUARD_RECORD_BYTES",
    )
