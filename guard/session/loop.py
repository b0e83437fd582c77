"""The loop: from the start of the command to the end of its last process."""

from __future__ import annotations

import enum
import select
import time
from collections.abc import Callable

from guard.alert import Alert
from guard.bpf.sensor import Batch
from guard.config import Linger, Settings
from guard.errors import RecordError
from guard.session.cgroup import SessionCgroup
from guard.session.instrument import Prepared
from guard.session.reporter import Reporter
from guard.session.supervisor import Supervisor
from guard.store.record import RecordWriter, Stream

_LOSS_CHECK_S = 1.0


class Phase(enum.Enum):
    RUNNING = "running"
    LINGERING = "lingering"  # the command has ended, other processes have not
    ENDED = "ended"


class Loop:
    """Reads, judges, reports, and decides when the session is over."""

    def __init__(
        self,
        settings: Settings,
        supervisor: Supervisor,
        group: SessionCgroup,
        prepared: Prepared,
        record: RecordWriter,
        reporter: Reporter,
    ) -> None:
        self.phase = Phase.RUNNING
        self.timed_out = False
        self.killed = 0  # processes that outlived the command and were killed
        self._settings = settings
        self._supervisor = supervisor
        self._group = group
        self._instrument = prepared.instrument
        self._judge = prepared.judge
        self._settle: Callable[[], object] | None = prepared.settle
        self._record = record
        self._reporter = reporter
        self._kill_at: float | None = None
        self._timeout_at: float | None = None
        if settings.timeout_s is not None:
            self._timeout_at = time.monotonic() + settings.timeout_s
        self._loss_check_at = 0.0

    def run(self) -> None:
        """Until the command and everything it left have ended and all is read."""
        with select.epoll() as poller:
            poller.register(self._supervisor.fileno(), select.EPOLLIN)
            poller.register(self._group.events_fd, select.EPOLLPRI)
            poller.register(self._instrument.fileno(), select.EPOLLIN)
            while self.phase is not Phase.ENDED:
                if not poller.poll(self._patience()) and self._settle is not None:
                    self._settle()
                    self._settle = None
                self._supervisor.handle()
                self._read()
                self._keep_time()
        while self._read():
            pass

    def interrupt(self) -> None:
        """Ctrl-C: the command gets it itself, unless it is frozen or gone."""
        if self.phase is not Phase.RUNNING or self._group.frozen():
            self._group.kill()

    def _read(self) -> bool:
        batch = self._instrument.poll(0)
        alerts: list[Alert] = []
        for event in batch.candidates:
            alerts += self._judge(event)
        self._reporter.report(alerts)
        self._store(batch)
        return bool(batch.raw_candidates or batch.raw_records)

    def _store(self, batch: Batch) -> None:
        try:
            self._record.append_events(Stream.CANDIDATES, batch.raw_candidates)
            self._record.append_events(Stream.RECORDS, batch.raw_records)
            self._record.sync()
        except RecordError as error:
            self._reporter.problems[error.message] = None

    def _keep_time(self) -> None:
        now = time.monotonic()
        if now >= self._loss_check_at:
            self._loss_check_at = now + _LOSS_CHECK_S
            self._reporter.report_loss(self._instrument.counters())
        if self.phase is Phase.RUNNING:
            if self._supervisor.status is not None:
                self.phase = Phase.LINGERING
                self._timeout_at = None
                wait = self._settings.linger is Linger.WAIT and not self.timed_out
                self._kill_at = None if wait else now + self._settings.linger_grace_s
            elif self._timeout_at is not None and now >= self._timeout_at:
                self._timeout_at = None
                self.timed_out = True
                self._supervisor.terminate()
                self._kill_at = now + self._settings.kill_grace_s
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at = None
            if self.phase is Phase.LINGERING:
                self.killed = len(self._group.pids())
            self._group.kill()
        if self.phase is Phase.LINGERING and not self._group.populated():
            self.phase = Phase.ENDED

    def _patience(self) -> float:
        """Seconds until something has to be done even if nothing happens."""
        due = [at for at in (self._kill_at, self._timeout_at) if at is not None]
        return max(0.0, min([self._instrument.due_s, *(at - time.monotonic() for at in due)]))
