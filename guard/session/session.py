"""Session: one guarded command from start to end. The one control API."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import time
from collections.abc import Mapping
from typing import TextIO

from guard.config import AlertMode, Settings
from guard.engine.constants import Constants
from guard.errors import GuardError
from guard.outputs.jsonl import JsonLinesSink
from guard.outputs.sink import Sink
from guard.outputs.terminal import TerminalSink, owns_terminal, wants_color
from guard.session import identity, launch, meta, summary
from guard.session.cgroup import SessionCgroup
from guard.session.checks import check_start
from guard.session.identity import Identity
from guard.session.instrument import Instrument, Prepare, Prepared
from guard.session.loop import Loop
from guard.session.outcome import Outcome
from guard.session.reporter import Reporter
from guard.session.supervisor import Supervisor
from guard.session.watcher import Watcher
from guard.store.record import RecordWriter, default_folder


class Session:
    """Starts a command under guard, watches it, cleans up. `run` works once."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        prepare: Prepare,
        *,
        stderr: TextIO = sys.stderr,
    ) -> None:
        self.id = time.strftime("%Y%m%d-%H%M%S-") + os.urandom(3).hex()
        self.settings = settings
        self._environ = environ
        self._prepare = prepare
        self._stderr = stderr
        self._color = wants_color(settings.color, stderr, environ)

    def run(self) -> Outcome:
        """Run the command to its end and the end of its last process.

        Raises a `GuardError` when it cannot be started under its policy. Whatever
        it raises, no process, cgroup or kernel program is left behind.
        """
        check_start()
        user = identity.resolve(self.settings.user, self._environ)
        constants = self._constants(user)
        with contextlib.ExitStack() as stack:
            group = SessionCgroup.create(self.id)
            stack.callback(group.remove)
            watcher = Watcher(group.path)
            stack.callback(watcher.dismiss)
            stack.callback(group.kill)
            prepared = self._prepare(self.settings, constants, group)
            stack.callback(prepared.instrument.close)
            return self._run(stack, user, constants, group, watcher, prepared)

    def _run(
        self,
        stack: contextlib.ExitStack,
        user: Identity,
        constants: Constants,
        group: SessionCgroup,
        watcher: Watcher,
        prepared: Prepared,
    ) -> Outcome:
        settings, instrument = self.settings, prepared.instrument
        opening = meta.opening(self.id, settings, user, constants, prepared)
        record = self._open_record(stack, opening, instrument, user)
        reporter = Reporter(record, self._sinks(constants.hostname))
        stack.callback(reporter.close)
        command = launch.Command(
            argv=settings.command,
            identity=user,
            environment=identity.environment(
                user, self._environ, identity.invoker_environment(user, self._environ)
            ),
            allow_privileges=settings.allow_privileges,
            ignored_signals=launch.ignored_signals(),
        )
        supervisor = Supervisor()
        stack.callback(supervisor.close)
        loop = Loop(settings, supervisor, group, prepared, record, reporter)
        supervisor.on_interrupt = loop.interrupt
        supervisor.on_death = watcher.check
        self._say(summary.opening(prepared))
        started = time.monotonic()
        try:
            child = launch.launch(command, group, instrument.tag)
        except GuardError as error:
            record.write_meta({**opening, "state": "failed", "problems": [error.message]})
            raise
        supervisor.watch(child)
        # What exists now lives as long as guard: collections need not look at it.
        gc.freeze()
        gc.enable()
        loop.run()
        assert supervisor.status is not None
        counters = instrument.counters()
        reporter.report_loss(counters, at_end=True)
        outcome = Outcome(
            session=self.id,
            status=supervisor.status,
            timed_out=loop.timed_out,
            killed=loop.killed,
            duration_s=time.monotonic() - started,
            counters=counters,
            record=record.path,
        )
        self._finish(outcome, opening, constants, record, reporter)
        return outcome

    def _finish(
        self,
        outcome: Outcome,
        opening: Mapping[str, object],
        constants: Constants,
        record: RecordWriter,
        reporter: Reporter,
    ) -> None:
        record.sync(now=True)
        activity = summary.activity(record.path, constants)
        closing = meta.closing(outcome, record, reporter, activity)
        record.write_meta({**opening, **closing})
        reporter.close()
        self._say(summary.closing(outcome, reporter, activity, constants))

    def _open_record(
        self,
        stack: contextlib.ExitStack,
        opening: Mapping[str, object],
        instrument: Instrument,
        user: Identity,
    ) -> RecordWriter:
        folder = self.settings.report_dir or default_folder(self.id, self._environ)
        record = RecordWriter(folder.absolute(), opening)
        # A report directory is for the caller to upload; by then the session is over.
        owner = (user.uid, user.gid) if self.settings.report_dir else None
        stack.callback(record.close, owner=owner)
        record.set_layout(instrument.layout_btf, instrument.boot_offset_ns)
        return record

    def _constants(self, user: Identity) -> Constants:
        return Constants(
            home=os.path.realpath(user.home),
            workspace=str(self.settings.workspace),
            session=self.id,
            agent=os.path.basename(self.settings.command[0]),
            hostname=os.uname().nodename,
            boot_time_ns=time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME),
        )

    def _sinks(self, hostname: str) -> list[Sink]:
        settings = self.settings
        sinks: list[Sink] = []
        if settings.json:
            sinks.append(JsonLinesSink(self._stderr, hostname))
        else:
            held = settings.alerts is AlertMode.END or (
                settings.alerts is AlertMode.AUTO and owns_terminal()
            )
            sinks.append(TerminalSink(self._stderr, color=self._color, held=held))
        if settings.alert_file is not None:
            sinks.append(JsonLinesSink.open(settings.alert_file, hostname))
        return sinks

    def _say(self, text: str) -> None:
        if text and not self.settings.quiet and not self.settings.json:
            # The reader of stderr may be gone: no reason to end anything.
            with contextlib.suppress(OSError):
                self._stderr.write(text)
                self._stderr.flush()
