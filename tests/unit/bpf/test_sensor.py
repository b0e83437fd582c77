"""Sensor: batches from recorded segments and from the running kernel."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import NoReturn

import pytest

from guard.bpf.decode import Decoder, boot_offset_ns
from guard.bpf.layout import Layout
from guard.bpf.program import Program, set_task_state
from guard.bpf.sensor import IDLE_S, Batch, Counters, LiveSensor, ReplaySensor, add_counters
from guard.errors import RecordError
from guard.event import Event

INTERVAL_NS = 10_000_000
CALLS = 23


def chdir_record(layout: Layout, time_ns: int, path: bytes) -> bytes:
    layout_of = layout.struct("event_process_chdir")
    kind = layout.enum("event_kind")["EVENT_PROCESS_CHDIR"]
    header = {"size": layout_of.size + len(path), "kind": kind, "time_ns": time_ns}
    return layout_of.pack({"header": header, "path_len": len(path)}) + path


def test_counters_equal_the_contract(layout: Layout):
    members = [member.name for member in layout.struct("event_counters").members]
    assert [field.name for field in fields(Counters)] == members


def test_counters_are_summed_over_cpus(layout: Layout):
    struct = layout.struct("event_counters")
    per_cpu = [struct.pack({"seen": n, "killed": 1}) for n in (2, 3, 5)]
    assert add_counters(struct, per_cpu) == Counters(seen=10, killed=3)
    assert add_counters(struct, []) == Counters()


def test_replay_gives_each_segment_in_order_of_time(layout: Layout):
    segments = [
        chdir_record(layout, 3, b"/c") + chdir_record(layout, 1, b"/a"),
        chdir_record(layout, 5, b"/e"),
    ]
    sensor = ReplaySensor(segments, Decoder(layout, 0))
    first, second, last = sensor.poll(0), sensor.poll(0), sensor.poll(0)
    assert [event.path for event in first.candidates] == ["/a", "/c"]
    assert [event.path for event in second.candidates] == ["/e"]
    assert (first.finished, second.finished, last.finished) == (False, False, True)
    assert last.candidates == []


def test_replay_reports_recorded_losses_once(layout: Layout):
    recorded = Counters(dropped_candidate=2, dropped_record=5)
    sensor = ReplaySensor([b"", b""], Decoder(layout, 0), recorded)
    assert [sensor.poll(0).lost for _ in range(3)] == [7, 0, 0]
    assert sensor.counters() == recorded


def test_damaged_segment_is_an_error(layout: Layout):
    sensor = ReplaySensor([chdir_record(layout, 1, b"/a")[:-1]], Decoder(layout, 0))
    with pytest.raises(RecordError):
        sensor.poll(0)


class Watched:
    """A child process watched by a live sensor, all its events recorded.

    Not this process: what the sensor itself asks of the kernel are events as well.
    """

    def __init__(self, object_path: Path, ring_bytes: int) -> None:
        sizes = {"candidates": ring_bytes, "records": ring_bytes}
        program = Program.open(object_path, ring_bytes=sizes)
        program.load()
        layout = program.layout
        config = {
            "generation": 1,
            "record_level": layout.enum("record_level")["RECORD_ALL"],
            "wake_bytes": 65536,
            "wake_interval_ns": INTERVAL_NS,
        }
        program.map("config").update(bytes(4), layout.struct("policy_config").pack(config))
        self.decoder = Decoder(layout, boot_offset_ns())
        self.sensor = LiveSensor(program, self.decoder, INTERVAL_NS / 1e9)
        self.orders, orders = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            self.orders.close()
            _obey(orders)
        state = layout.struct("task_state").pack({})
        program.map("programs_by_tgid").update(self.pid.to_bytes(4, "little"), state)
        pidfd = os.pidfd_open(self.pid)
        set_task_state(program, pidfd, state)
        os.close(pidfd)
        orders.close()
        program.attach("sys_exit")

    def chdir(self, times: int) -> None:
        """Let the child change to `/` and return when it is done."""
        self.orders.send(times.to_bytes(4, "little"))
        self.orders.recv(1)

    def received(self, batch: Batch) -> list[Event]:
        return batch.candidates + self.decoder.decode_all(batch.raw_records)

    def close(self) -> None:
        self.orders.close()
        os.waitpid(self.pid, 0)
        self.sensor.close()


def _obey(orders: socket.socket) -> NoReturn:
    fd = orders.fileno()
    while order := os.read(fd, 4):
        for _ in range(int.from_bytes(order, "little")):
            os.chdir("/")
        os.write(fd, b".")
    os._exit(0)


@pytest.fixture
def watched(object_path: Path) -> Iterator[Watched]:
    made = Watched(object_path, 1 << 20)
    yield made
    made.close()


@pytest.mark.kernel
def test_live_events_arrive_once_and_in_order(watched: Watched):
    """Events are decoded or moved on raw; with the counters nothing is missing."""
    watched.chdir(CALLS)
    batch = watched.sensor.poll(1)
    events = watched.received(batch)
    expected = [("process_chdir", "chdir", watched.pid, "/")] * CALLS
    assert [(e.kind, e.call, e.pid, e.path) for e in events] == expected
    assert batch.candidates == watched.decoder.decode_all(batch.raw_candidates)
    assert batch.counters.seen == batch.counters.candidate + batch.counters.record == CALLS
    assert batch.lost == 0
    assert not batch.finished


@pytest.mark.kernel
def test_times_are_since_the_epoch(watched: Watched):
    before = time.clock_gettime_ns(time.CLOCK_REALTIME)
    watched.chdir(1)
    after = time.clock_gettime_ns(time.CLOCK_REALTIME)
    [event] = watched.received(watched.sensor.poll(1))
    assert before - 1_000_000 <= event.time_ns <= after + 1_000_000


@pytest.mark.kernel
def test_losses_are_reported_once_and_exactly(object_path: Path):
    """A buffer that overflows: seen = received + lost, nothing disappears silently."""
    watched = Watched(object_path, 4096)
    try:
        watched.chdir(997)
        batch = watched.sensor.poll(0.1)
        assert batch.lost > 0
        assert batch.counters.seen == len(watched.received(batch)) + batch.lost == 997
        assert watched.sensor.poll(0).lost == 0
        watched.chdir(1)
        assert len(watched.received(watched.sensor.poll(1))) == 1
    finally:
        watched.close()


@pytest.mark.kernel
def test_reader_looks_again_until_a_look_finds_nothing(watched: Watched):
    """Due within one interval after events, asleep for long after an empty look."""
    watched.chdir(1)
    assert watched.received(watched.sensor.poll(1))
    assert watched.sensor.due_s <= INTERVAL_NS / 1e9
    started = time.monotonic()
    assert not watched.received(watched.sensor.poll(5))
    assert time.monotonic() - started < IDLE_S
    assert watched.sensor.due_s == IDLE_S


@pytest.mark.kernel
def test_an_event_ends_the_sleep(watched: Watched):
    """The kernel's wake-up comes at once when nothing was reported for an interval."""
    for _ in range(3):
        while watched.sensor.due_s < IDLE_S:
            watched.sensor.poll(1)
        time.sleep(2 * INTERVAL_NS / 1e9)
        watched.chdir(1)
        started = time.monotonic()
        assert watched.received(watched.sensor.poll(5))
        assert time.monotonic() - started < IDLE_S / 2


@pytest.mark.kernel
def test_descriptor_is_readable_when_the_kernel_woke_us(watched: Watched):
    watched.sensor.poll(0)
    assert select.select([watched.sensor], [], [], 0)[0] == []
    watched.chdir(1)
    assert select.select([watched.sensor], [], [], 1)[0] == [watched.sensor]
    watched.sensor.poll(0)
    assert select.select([watched.sensor], [], [], 0)[0] == []


@pytest.mark.kernel
def test_timeout_is_kept(watched: Watched):
    watched.sensor.poll(0)
    watched.sensor.poll(0)
    started = time.monotonic()
    watched.sensor.poll(0.02)
    assert time.monotonic() - started < 0.15


@pytest.mark.kernel
def test_closing_twice_is_allowed(watched: Watched):
    watched.sensor.close()
