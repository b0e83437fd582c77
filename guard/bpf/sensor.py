"""Sensor: where events come from. LiveSensor watches, ReplaySensor reads a session again.

Two buffers, by purpose: `candidates` are decoded at once, `records` are only
moved on, as the bytes they are. A block of either is the segment format of a
session record: exact records back to back (see guard/bpf/ring.py), to be read
with the layout they were written with.
"""

from __future__ import annotations

import select
import struct
import time
from collections.abc import Iterable, Iterator
from typing import Protocol

from guard.bpf.decode import Decoder
from guard.bpf.layout import Struct
from guard.bpf.program import Program
from guard.bpf.ring import RingBuffer
from guard.data import dataclass
from guard.event import Event

# The longest sleep: the kernel wakes us when there is something, this is for what nobody foresaw.
IDLE_S = 0.25


@dataclass(frozen=True, slots=True)
class Counters:
    """Sum over the CPUs of struct event_counters, whose members these are."""

    seen: int = 0
    candidate: int = 0
    record: int = 0
    suppressed: int = 0
    dropped_candidate: int = 0
    dropped_record: int = 0
    truncated: int = 0
    errors: int = 0
    denied: int = 0
    killed: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """What one look at the buffers found."""

    candidates: list[Event]
    raw_candidates: bytes  # the block that `candidates` were decoded from
    raw_records: bytes
    counters: Counters  # since the session began
    lost_candidates: int = 0  # since the batch before
    lost_records: int = 0
    finished: bool = False  # nothing will ever follow

    @property
    def lost(self) -> int:
        return self.lost_candidates + self.lost_records


class Sensor(Protocol):
    """A source of batches."""

    def poll(self, timeout_s: float) -> Batch:
        """Wait for events, at most `timeout_s`; the batch is empty when there are none."""

    def counters(self) -> Counters: ...

    def close(self) -> None: ...


class LiveSensor:
    """The two buffers and the counters of a loaded program, which it owns.

    The kernel wakes us at once for a denial, else at most once per
    `wake_interval_s` and buffer. So after a wake-up there may be events without
    another one: we look again one interval after the last look, until a look
    finds nothing. An event waits for one interval at most, and a quiet session
    costs four looks a second.
    """

    def __init__(self, program: Program, decoder: Decoder, wake_interval_s: float = 0.01) -> None:
        """`wake_interval_s` must be the one in struct policy_config."""
        self._program = program
        self._decoder = decoder
        self._interval_s = wake_interval_s
        self._counter_map = program.map("counters")
        self._counter_struct = program.layout.struct("event_counters")
        self._candidates = _ring(program, "candidates")
        self._records = _ring(program, "records")
        self._epoll = select.epoll()
        # Level-triggered, every event would wake us: the kernel reports any unread data.
        # Edge-triggered, only the wake-ups that the programs ask for do.
        for ring in (self._candidates, self._records):
            self._epoll.register(ring, select.EPOLLIN | select.EPOLLET)
        self._quiet = False
        self._looked_s = time.monotonic()
        self._last = Counters()

    def fileno(self) -> int:
        """Readable when the kernel woke us: for a caller that waits for other things as well."""
        return self._epoll.fileno()

    @property
    def due_s(self) -> float:
        """Seconds until `poll` wants to look even without a wake-up."""
        if self._quiet:
            return IDLE_S
        return max(0.0, self._looked_s + self._interval_s - time.monotonic())

    def poll(self, timeout_s: float) -> Batch:
        """Wait for a wake-up or until a look is due, but not longer than `timeout_s`, and look.

        Raises RecordError when the kernel's records are malformed.
        """
        self._epoll.poll(max(0.0, min(timeout_s, self.due_s)))
        self._looked_s = time.monotonic()
        # First the smaller: it holds what the agent's user waits for.
        raw_candidates = self._candidates.read()
        raw_records = self._records.read()
        pending = self._candidates.pending_bytes + self._records.pending_bytes
        self._quiet = not (raw_candidates or raw_records or pending)
        counters, last = self.counters(), self._last
        self._last = counters
        return Batch(
            candidates=self._decoder.decode_all(raw_candidates),
            raw_candidates=raw_candidates,
            raw_records=raw_records,
            counters=counters,
            lost_candidates=counters.dropped_candidate - last.dropped_candidate,
            lost_records=counters.dropped_record - last.dropped_record,
        )

    def counters(self) -> Counters:
        """The counters now."""
        return add_counters(self._counter_struct, self._counter_map.lookup_cpus(bytes(4)))

    def close(self) -> None:
        """Stop watching: detaches and unloads the program. May be called twice."""
        self._epoll.close()
        self._candidates.close()
        self._records.close()
        self._program.close()


class ReplaySensor:
    """The segments of a recorded session, one batch for each.

    All events are candidates: rules may have changed since they were recorded.
    """

    def __init__(
        self, segments: Iterable[bytes], decoder: Decoder, counters: Counters | None = None
    ) -> None:
        """`decoder` has the layout and boot time of the recording, `counters` its last ones.

        Each segment is one block, or several joined; within it events are put in order of time.
        """
        self._segments: Iterator[bytes] = iter(segments)
        self._decoder = decoder
        self._counters = counters or Counters()
        self._reported = False

    def poll(self, timeout_s: float) -> Batch:  # noqa: ARG002  there is nothing to wait for
        """The next segment; losses of the recording are reported with the first.

        Raises RecordError when the segment is damaged.
        """
        segment = next(self._segments, None)
        events = [] if segment is None else self._decoder.decode_all(segment)
        events.sort(key=lambda event: (event.time_ns, event.cpu, event.seq))
        lost = Counters() if self._reported else self._counters
        self._reported = True
        return Batch(
            candidates=events,
            raw_candidates=segment or b"",
            raw_records=b"",
            counters=self._counters,
            lost_candidates=lost.dropped_candidate,
            lost_records=lost.dropped_record,
            finished=segment is None,
        )

    def counters(self) -> Counters:
        return self._counters

    def close(self) -> None:
        """Nothing to release."""


def add_counters(layout: Struct, per_cpu: Iterable[bytes]) -> Counters:
    """Counters from the struct event_counters of each CPU."""
    names = [member.name for member in layout.members]
    unpack = struct.Struct("<" + "".join(member.format for member in layout.members)).unpack
    totals = map(sum, zip(*map(unpack, per_cpu), strict=True))
    return Counters(**dict(zip(names, totals, strict=False)))


def _ring(program: Program, name: str) -> RingBuffer:
    buffer = program.map(name)
    return RingBuffer(buffer.fd, buffer.max_entries)
