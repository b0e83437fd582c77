"""Session: the loaded programs; Run: one command under them, and what was seen of it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from itertools import count
from pathlib import Path
from typing import Any

from guard.bpf.decode import Decoder, boot_offset_ns
from guard.bpf.program import Program, set_task_state
from guard.bpf.sensor import Counters, LiveSensor
from guard.event import Event, ProcessFork

OBJECT = Path(__file__).parents[2] / "guard" / "bpf" / "guard.bpf.o"
TRACEPOINTS = (
    "process_fork",
    "process_exec",
    "process_exit",
    "sys_exit",
    "process_signal",
    "io_uring_complete",
)
CGROUP_HOOKS = ("connect4", "connect6", "sendmsg4", "sendmsg6")
RING_BYTES = {"candidates": 4 << 20, "records": 8 << 20}
TIMEOUT_S = 30.0
AT_FDCWD = -100

# Stops itself, then becomes the command: by then it is guarded and in its cgroup.
_SHIM = ("/bin/sh", "-c", 'kill -STOP $$; exec "$@"', "sh")
_numbers = count()


@dataclass
class Run:
    """One command, and the events of it in the order they happened."""

    pid: int
    status: int  # exit code, or minus the signal
    output: str
    errors: str
    uid: int
    gid: int
    started_ns: int  # epoch, as Event.time_ns
    ended_ns: int
    ticks: int  # start of the process in /proc, in hundredths of a second
    counters: Counters  # of this run
    events: list[Event] = field(repr=False)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What the trigger says it did."""
        return [json.loads(line) for line in self.output.splitlines()]

    def of(self, kind: str, *calls: str) -> list[Any]:
        """Events of one kind. Any: every caller knows which class that is."""
        return [e for e in self.events if e.kind == kind and (not calls or e.call in calls)]

    def pairs(self, kind: str, number: int) -> list[tuple[dict[str, Any], Any]]:
        """Each thing the trigger did with its event: `number` of both, of the same call."""
        lines = self.lines
        calls = {line["call"] for line in lines}
        events = self.of(kind, *calls)

        assert self.errors == ""
        assert (number, number) == (len(lines), len(events))
        return list(zip(lines, events, strict=True))

    def directory_fd(self, place: Path) -> int:
        """The descriptor of `place` that the trigger opened as the base of its paths."""
        (opened,) = (event for event in self.of("file_open") if event.path == str(place))
        fd: int = opened.fd
        return fd

    def start_of(self, pid: int) -> int:
        """When a process of this run started, from another event than those under test."""
        if pid == self.pid:
            found = {e.start_ns for e in self.events if e.pid == pid}
            assert {start // 10_000_000 for start in found} == {self.ticks}
        else:
            forks = [e for e in self.events if isinstance(e, ProcessFork) and e.child_pid == pid]
            found = {e.child_start_ns for e in forks}
        (start,) = found
        return start

    def check(self, event: Event, **expected: object) -> None:
        """Every field of `event`: those named, and the rest of the header by what is known.

        A field that is neither fails the test: nothing is reported untested.
        """
        standard = {
            "pid": self.pid,
            "tid": expected.get("pid", self.pid),
            "uid": self.uid,
            "gid": self.gid,
            "rule": 0,
            "verdict": 0,
            "flags": 0,
            "start_ns": self.start_of(event.pid),
        }
        judged = {"time_ns", "seq", "cpu"}
        wanted = standard | expected
        found = {f.name: getattr(event, f.name) for f in fields(event) if f.name not in judged}

        assert self.started_ns < event.time_ns < self.ended_ns
        assert event.seq > 0
        assert 0 <= event.cpu < (os.cpu_count() or 1)
        assert wanted == found


class Session:
    """The programs, loaded and attached to one new cgroup; close it to undo both."""

    def __init__(self, ring_bytes: Mapping[str, int] | None = None) -> None:
        self.cgroup = cgroup_root() / f"guard-test-{os.getpid()}-{next(_numbers)}"
        self.program = Program.open(OBJECT, ring_bytes=dict(ring_bytes or RING_BYTES))
        self.program.load()
        self.layout = self.program.layout
        self.decoder = Decoder(self.layout, boot_offset_ns())
        self.generation = 1
        self.configure()
        self.cgroup.mkdir()
        for name in TRACEPOINTS:
            self.program.attach(name)
        descriptor = os.open(self.cgroup, os.O_RDONLY)
        for name in CGROUP_HOOKS:
            self.program.attach_cgroup(name, descriptor)
        os.close(descriptor)
        self.sensor = LiveSensor(self.program, self.decoder)

    def configure(self, level: str = "all", observe: Iterable[str] = (), **config: object) -> None:
        """Record `level`; events of the kinds in `observe` are candidates."""
        kinds = self.layout.enum("event_kind")
        lists = self.layout.struct("term_list")
        none, everything = lists.pack({}), lists.pack({"count": 1, "terms": [{}]})
        observed = {kinds["EVENT_" + kind.upper()] for kind in observe}
        base = (self.generation & 1) * kinds["EVENT_KIND_COUNT"]
        for number in range(kinds["EVENT_KIND_COUNT"]):
            value = everything if number in observed else none
            self.program.map("terms").update((base + number).to_bytes(4, "little"), value)
        values = {
            "generation": self.generation,
            "record_level": self.layout.enum("record_level")["RECORD_" + level.upper()],
            "wake_bytes": 1 << 16,
            "wake_interval_ns": 10_000_000,
        }
        packed = self.layout.struct("policy_config").pack(values | config)
        self.program.map("config").update(bytes(4), packed)

    def guard(self, pid: int) -> None:
        """Make a process that has not begun its command a member."""
        (self.cgroup / "cgroup.procs").write_text(str(pid))
        state = self.layout.struct("task_state").pack({"pending": 1})
        descriptor = os.pidfd_open(pid)
        try:
            set_task_state(self.program, descriptor, state)
        finally:
            os.close(descriptor)
        self.program.map("programs_by_tgid").update(pid.to_bytes(4, "little"), state)

    def members(self) -> list[int]:
        """Processes of the session that live, pending ones included."""
        keys = self.program.map("programs_by_tgid").keys()
        return [int.from_bytes(key, "little") for key in keys]

    def counters(self) -> Counters:
        return self.sensor.counters()

    def now_ns(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) + self.decoder.boot_offset_ns

    def take(self) -> list[Event]:
        """Events there are now."""
        batch = self.sensor.poll(0)
        return batch.candidates + self.decoder.decode_all(batch.raw_records)

    def start(
        self,
        command: Sequence[str | Path],
        *,
        output: int | None = subprocess.DEVNULL,
        errors: int | None = subprocess.DEVNULL,
        **options: Any,  # of Popen
    ) -> Command:
        """A command about to begin: guarded, waiting for `Command.go`."""
        process = subprocess.Popen(
            [*_SHIM, *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            **options,
        )
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        self.guard(process.pid)
        return Command(self, process)

    def run(
        self,
        command: Sequence[str | Path],
        *,
        timeout: float = TIMEOUT_S,
        read: bool = True,
        meanwhile: Callable[[], None] | None = None,
        **options: Any,  # of Popen
    ) -> Run:
        """Run `command` guarded, until it and all its descendants have ended.

        `read` false leaves the buffers to fill. `meanwhile` is called once the command runs.
        """
        events = self.take()
        before, started_ns = self.counters(), self.now_ns()
        events.clear()
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            started = self.start(command, output=output.fileno(), errors=errors.fileno(), **options)
            started.go()
            if meanwhile is not None:
                meanwhile()
            started.wait(timeout, lambda: events.extend(self.take()) if read else None)
            events += self.take()
            texts = [_text(file.fileno()) for file in (output, errors)]
        events.sort(key=lambda event: (event.time_ns, event.cpu, event.seq))
        after = self.counters()
        return Run(
            pid=started.process.pid,
            status=started.process.returncode,
            output=texts[0],
            errors=texts[1],
            uid=options.get("user", os.getuid()),
            gid=options.get("group", os.getgid()),
            started_ns=started_ns,
            ended_ns=self.now_ns(),
            ticks=started.ticks,
            counters=Counters(
                *(getattr(after, f.name) - getattr(before, f.name) for f in fields(Counters))
            ),
            events=events,
        )

    def close(self) -> None:
        for pid in self.members():
            _kill(pid)
        self.sensor.close()
        wait_until(lambda: not (self.cgroup / "cgroup.procs").read_text())
        self.cgroup.rmdir()


@dataclass
class Command:
    """A started command of a session."""

    session: Session
    process: subprocess.Popen[bytes]

    def __post_init__(self) -> None:
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        self.ticks = int(stat.rpartition(")")[2].split()[19])

    def go(self) -> None:
        """Let it begin."""
        self.process.send_signal(signal.SIGCONT)

    def wait(self, timeout: float, between: Callable[[], object]) -> None:
        """Until it and its descendants have ended; all are killed if that takes too long."""
        limit = time.monotonic() + timeout
        descriptor = os.pidfd_open(self.process.pid)
        try:
            while not select.select([descriptor], [], [], 0.005)[0]:
                between()
                self._check(limit)
        finally:
            os.close(descriptor)
        self.process.wait()
        while self.session.members():
            between()
            self._check(limit)
            time.sleep(0.005)
        # A process leaves the map just before its last event is written.
        time.sleep(0.005)

    def _check(self, limit: float) -> None:
        if time.monotonic() > limit:
            for pid in self.session.members():
                _kill(pid)
            self.process.kill()
            self.process.wait()
            raise TimeoutError(f"{self.process.args!r} did not end")


def cgroup_root() -> Path:
    """Where this machine has its version 2 hierarchy."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _source, place, kind, *_rest = line.split()
        if kind == "cgroup2":
            return Path(place)
    raise FileNotFoundError("no cgroup2 file system is mounted")


@contextmanager
def deep_directory(place: Path, levels: int, name: str = "d") -> Iterator[str]:
    """A directory `levels` below `place`, as a path that leads there at once.

    Made outside the session, for a process inside pays for its depth at every call.
    """
    folder = os.open(place, os.O_PATH)
    for _ in range(levels):
        os.mkdir(name, dir_fd=folder)
        inner = os.open(name, os.O_PATH, dir_fd=folder)
        os.close(folder)
        folder = inner
    try:
        yield f"/proc/self/fd/{folder}"
    finally:
        os.close(folder)
        subprocess.run(["rm", "-rf", place / name], check=True)


def wait_until(condition: Callable[[], object], timeout: float = 10.0) -> None:
    limit = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < limit, "waited too long"
        time.sleep(0.005)


def kernel_dev(stat: os.stat_result) -> int:
    """`st_dev` as the kernel numbers it inside: 12 bits of major, 20 of minor."""
    return os.major(stat.st_dev) << 20 | os.minor(stat.st_dev)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _text(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, size, 0).decode("utf-8", "surrogateescape")
