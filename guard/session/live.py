"""A session's policy in the running kernel."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from guard.alert import Alert
from guard.bpf.decode import Decoder, boot_offset_ns
from guard.bpf.program import set_task_state
from guard.bpf.sensor import Batch, Counters, LiveSensor
from guard.config import Require, Settings
from guard.enforce import kernel
from guard.enforce.contents import pin_contents
from guard.enforce.plan import Enforcement, require_block
from guard.enforce.programs import program_words
from guard.enforce.respond import Responder
from guard.enforce.support import assumed_support
from guard.enforce.tags import PinnedTags, pin
from guard.engine.constants import Constants
from guard.event import FLAG_CANDIDATE, Event
from guard.processes import NameResolver, ProcessTable, read_process
from guard.session import identity, rule_files
from guard.session.cache import Cache, default_folder
from guard.session.cgroup import SessionCgroup
from guard.session.instrument import Prepared
from guard.session.loading import Loading, layout
from guard.session.ready import ReadyPolicy, ready

if TYPE_CHECKING:
    from guard.engine.detector import Detector

_TRACEPOINTS = (
    "process_fork",
    "process_exec",
    "process_exit",
    "sys_exit",
    "process_signal",
    "io_uring_complete",
)
FIRST_CALL = "execve"  # every session begins with one
_CGROUP_HOOKS = ("connect4", "connect6", "sendmsg4", "sendmsg6")


def prepare(
    loading: Loading,
    environ: Mapping[str, str],
    settings: Settings,
    constants: Constants,
    group: SessionCgroup,
) -> Prepared:
    """Load the policy, put it in force for `group`, and get ready to judge its events.

    Raises a `GuardError` when the policy has errors or this kernel cannot do it.
    """
    sources = rule_files.read([rule_files.find(settings.policy), *settings.rules])
    policy = ready(sources, constants, layout(), Cache(default_folder(environ)))
    if settings.require is Require.BLOCK:
        require_block(policy.enforcements)
    processes = ProcessTable(NameResolver(), read_process)
    judge = _Judge(policy, constants, processes, Responder(group.freeze))
    if not loading.is_done:
        judge.get_ready()
    user = identity.resolve(settings.user, environ).uid
    instrument = LiveInstrument(loading, settings, policy, processes, group, user)
    return Prepared(
        instrument=instrument,
        judge=judge.judge,
        policy={
            "name": settings.policy,
            "revision": policy.revision,
            "files": [source.name for source in sources],
        },
        warnings=policy.warnings,
        gaps=instrument.gaps,
        settle=judge.settle,
    )


class _Judge:
    """Events into alerts; gets its rules only when an event may match one."""

    def __init__(
        self,
        policy: ReadyPolicy,
        constants: Constants,
        processes: ProcessTable,
        responder: Responder,
    ) -> None:
        self._policy = policy
        self._constants = constants
        self._processes = processes
        self._responder = responder
        self._detector: Detector | None = None

    def judge(self, event: Event) -> Sequence[Alert]:
        process = self._processes.observe(event)
        # The kernel has tried what it knows of every rule, which is never less than
        # the rule: life-cycle events without its mark match none.
        if not event.flags & FLAG_CANDIDATE and not event.verdict:
            return ()
        found = self._rules().match(event, process)
        return [self._responder.respond(alert) for alert in found]

    def get_ready(self) -> None:
        """Get the rules, which a command needs for being started itself."""
        self._rules().expect(FIRST_CALL)

    def settle(self) -> None:
        """Get ready for alerts, now that there is time."""
        self._rules().warm()

    def _rules(self) -> Detector:
        if self._detector is None:
            from guard.engine.detector import Detector  # noqa: PLC0415  takes longer than `true`

            self._detector = Detector(self._policy.rules(), self._constants)
        return self._detector


class LiveInstrument:
    """The kernel programs with one policy in force, attached to one cgroup."""

    def __init__(
        self,
        loading: Loading,
        settings: Settings,
        policy: ReadyPolicy,
        processes: ProcessTable,
        group: SessionCgroup,
        user: int,
    ) -> None:
        self.tier = assumed_support().tier
        self.rules: Sequence[Enforcement] = policy.enforcements
        self.gaps: Sequence[str] = ()
        self._plan = policy.plan
        self._processes = processes
        with ExitStack() as undo:
            self._tags: PinnedTags = undo.enter_context(pin(policy.tree))
            pin_contents(self._tags, policy.plan, user)
            self.gaps = tuple(self._tags.warnings)
            self._program = loading.take()
            undo.callback(self._program.close)
            reporting = kernel.Reporting(
                record_level=settings.record.value, capture_env=policy.needs_environment
            )
            kernel.apply(self._program, policy.plan, self._tags, reporting, first=policy.first)
            for name in _TRACEPOINTS:
                self._program.attach(name)
            for name in _CGROUP_HOOKS:
                self._program.attach_cgroup(name, group.fileno())
            self.boot_offset_ns = boot_offset_ns()
            self.layout_btf = self._program.layout.btf
            decoder = Decoder(self._program.layout, self.boot_offset_ns)
            self._sensor = LiveSensor(
                self._program, decoder, wake_interval_s=reporting.wake_interval_ns / 1e9
            )
            undo.pop_all()

    def tag(self, pidfd: int) -> None:
        """See `Instrument`."""
        pid = _pid_of(pidfd)
        process = self._processes.seed(pid)
        words = program_words(self._plan, self._tags.tree, process) if process else {}
        state = self._program.layout.struct("task_state").pack({"pending": 1, **words})
        set_task_state(self._program, pidfd, state)
        self._program.map("programs_by_tgid").update(pid.to_bytes(4, "little"), state)

    def fileno(self) -> int:
        return self._sensor.fileno()

    @property
    def due_s(self) -> float:
        return self._sensor.due_s

    def poll(self, timeout_s: float) -> Batch:
        return self._sensor.poll(timeout_s)

    def counters(self) -> Counters:
        return self._sensor.counters()

    def close(self) -> None:
        self._sensor.close()
        self._tags.close()


def _pid_of(pidfd: int) -> int:
    for line in Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines():
        if line.startswith("Pid:"):
            return int(line.split()[1])
    raise ProcessLookupError(3, os.strerror(3))
