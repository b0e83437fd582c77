"""A session's policy in the running kernel."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from guard.alert import Alert
from guard.bpf.decode import Decoder, boot_offset_ns
from guard.bpf.program import Program, set_task_state
from guard.bpf.sensor import Batch, Counters, LiveSensor
from guard.config import Require, Settings
from guard.enforce import kernel
from guard.enforce.plan import Enforcement, enforcement, require_block
from guard.enforce.programs import program_words
from guard.enforce.respond import Responder
from guard.enforce.support import assumed_support
from guard.enforce.tags import PinnedTags, pin_places
from guard.engine import ir
from guard.engine.constants import Constants
from guard.engine.detector import Detector
from guard.engine.kernel_plan import KernelPlan
from guard.event import Event
from guard.processes import NameResolver, ProcessTable, read_process
from guard.session import policy
from guard.session.cgroup import SessionCgroup
from guard.session.instrument import Prepared
from guard.session.loading import Loading

_TRACEPOINTS = (
    "process_fork",
    "process_exec",
    "process_exit",
    "sys_exit",
    "process_signal",
    "io_uring_complete",
)
_CGROUP_HOOKS = ("connect4", "connect6", "sendmsg4", "sendmsg6")
_ENVIRONMENT_FIELDS = ("proc.env", "proc.aenv")


def prepare(
    loading: Loading, settings: Settings, constants: Constants, group: SessionCgroup
) -> Prepared:
    """Load the policy, put it in force for `group`, and get ready to judge its events.

    Raises a `GuardError` when the policy has errors or this kernel cannot do it.
    """
    sources = policy.read([policy.find(settings.policy), *settings.rules])
    loaded = policy.load(sources, constants)
    rules, plan = policy.require(loaded)
    enforcements = enforcement(rules, plan, assumed_support())
    if settings.require is Require.BLOCK:
        require_block(enforcements)
    processes = ProcessTable(NameResolver(), read_process)
    instrument = LiveInstrument(
        loading.take(), settings, rules, plan, enforcements, processes, group
    )
    detector = Detector(rules, constants)
    responder = Responder(group.freeze)

    def judge(event: Event) -> Sequence[Alert]:
        process = processes.observe(event)
        return [responder.respond(alert) for alert in detector.match(event, process)]

    return Prepared(
        instrument=instrument,
        judge=judge,
        policy={
            "name": settings.policy,
            "revision": rules.revision,
            "files": [source.name for source in sources],
        },
        warnings=len(loaded.diagnostics),
    )


class LiveInstrument:
    """The kernel programs with one policy in force, attached to one cgroup."""

    def __init__(
        self,
        program: Program,
        settings: Settings,
        rules: ir.Policy,
        plan: KernelPlan,
        enforcements: Sequence[Enforcement],
        processes: ProcessTable,
        group: SessionCgroup,
    ) -> None:
        self.tier = assumed_support().tier
        self.rules = enforcements
        self._plan = plan
        self._processes = processes
        self._program = program
        with ExitStack() as undo:
            undo.callback(program.close)
            self._tags: PinnedTags = undo.enter_context(pin_places(plan))
            reporting = kernel.Reporting(
                record_level=settings.record.value, capture_env=_needs_environment(rules)
            )
            kernel.apply(self._program, plan, self._tags, reporting)
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


def _needs_environment(rules: ir.Policy) -> bool:
    """Whether some rule reads environment variables: the kernel copies them only then."""
    return any(
        name in text
        for rule in rules.rules
        for text in (rule.output, *_texts(rule.condition))
        for name in _ENVIRONMENT_FIELDS
    )


def _texts(condition: ir.Expr) -> Iterator[str]:
    match condition:
        case ir.Test():
            yield condition.text
        case ir.Not():
            yield from _texts(condition.child)
        case ir.And() | ir.Or():
            for child in condition.children:
                yield from _texts(child)


def _pid_of(pidfd: int) -> int:
    for line in Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines():
        if line.startswith("Pid:"):
            return int(line.split()[1])
    raise ProcessLookupError(3, os.strerror(3))
