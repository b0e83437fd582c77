"""RingBuffer reads what a producer has finished, and nothing else."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.bpf import ring
from guard.bpf.ring import RingBuffer
from guard.errors import UnsupportedError

SIZE = 4096
PAGE = mmap.PAGESIZE
BUSY, DISCARD = 1 << 31, 1 << 30


class Producer:
    """The kernel's side of a ring, in a memory file that the reader maps.

    The kernel maps the data twice; a file cannot, so every byte is written twice.
    """

    def __init__(self) -> None:
        self.fd = os.memfd_create("ring")
        os.truncate(self.fd, 2 * PAGE + 2 * SIZE)
        self.memory = mmap.mmap(self.fd, 2 * PAGE + 2 * SIZE)
        self.at = 0

    def reserve(self, data: bytes) -> int:
        """A record still being written; returns its position."""
        position = self.at
        self.write(position, struct.pack("<II", len(data) | BUSY, 0) + data)
        self.at += (len(data) + 8 + 7) // 8 * 8
        self.memory[PAGE : PAGE + 8] = struct.pack("<Q", self.at)
        return position

    def finish(self, position: int, length: int, *, discard: bool = False) -> None:
        self.write(position, struct.pack("<I", length | (DISCARD if discard else 0)))

    def submit(self, data: bytes) -> None:
        self.finish(self.reserve(data), len(data))

    def fits(self, length: int) -> bool:
        return self.at + (length + 15) // 8 * 8 - self.consumed <= SIZE

    @property
    def consumed(self) -> int:
        return struct.unpack_from("<Q", self.memory, 0)[0]

    def write(self, position: int, data: bytes) -> None:
        for index, byte in enumerate(data):
            offset = 2 * PAGE + (position + index) % SIZE
            self.memory[offset] = self.memory[offset + SIZE] = byte

    def close(self) -> None:
        self.memory.close()
        os.close(self.fd)


@pytest.fixture
def producer() -> Iterator[Producer]:
    made = Producer()
    yield made
    made.close()


@pytest.fixture
def reader(producer: Producer) -> Iterator[RingBuffer]:
    with RingBuffer(producer.fd, SIZE) as made:
        yield made


def test_empty(reader: RingBuffer):
    assert reader.read() == b""
    assert reader.pending_bytes == 0


def test_records_are_exact_and_back_to_back(producer: Producer, reader: RingBuffer):
    """Neither ring headers nor the rounding to 8 bytes are part of a block."""
    producer.submit(b"a" * 5)
    producer.submit(b"b" * 16)
    assert reader.pending_bytes == 16 + 24
    assert reader.read() == b"a" * 5 + b"b" * 16
    assert producer.consumed == 40
    assert reader.read() == b""


def test_stops_at_a_busy_record(producer: Producer, reader: RingBuffer):
    """What follows an unfinished record waits for it: order is kept."""
    producer.submit(b"first")
    position = producer.reserve(b"second")
    producer.submit(b"third")
    assert reader.read() == b"first"
    assert reader.pending_bytes > 0
    assert reader.read() == b""
    producer.finish(position, 6)
    assert reader.read() == b"secondthird"


def test_skips_discarded_records(producer: Producer, reader: RingBuffer):
    producer.finish(producer.reserve(b"x" * 11), 11, discard=True)
    producer.submit(b"kept")
    assert reader.read() == b"kept"
    assert reader.pending_bytes == 0


def test_records_wrap_around_the_end(producer: Producer, reader: RingBuffer):
    """A record that begins before the end of the data continues at its begin."""
    for number in range(7 * SIZE // 1000):
        data = bytes([number]) * 997
        producer.submit(data)
        assert reader.read() == data


def test_full_buffer_is_read_in_one_pass(producer: Producer, reader: RingBuffer):
    for start in (0, 24):
        producer.submit(bytes(start))
        reader.read()
        count = 0
        while producer.fits(8):
            producer.submit(struct.pack("<Q", count))
            count += 1
        assert count == SIZE // 16
        assert reader.read() == struct.pack(f"<{count}Q", *range(count))


@given(steps=st.lists(st.tuples(st.integers(1, 700), st.sampled_from("sdr")), max_size=60))
@settings(max_examples=40, deadline=None)
def test_any_order_of_work(steps):
    """Submitted records arrive once and in order, whatever is discarded or read between."""
    producer = Producer()
    try:
        with RingBuffer(producer.fd, SIZE) as reader:
            sent, got = b"", b""
            for number, (length, action) in enumerate(steps):
                if action == "r" or not producer.fits(length):
                    got += reader.read()
                data = bytes([number]) * length
                position = producer.reserve(data)
                producer.finish(position, length, discard=action == "d")
                sent += b"" if action == "d" else data
            got += reader.read()
            assert got == sent
            assert producer.consumed == producer.at
    finally:
        producer.close()


def test_closing_twice_is_allowed(producer: Producer):
    reader = RingBuffer(producer.fd, SIZE)
    reader.close()
    reader.close()


def test_unmappable_descriptor_is_unsupported(tmp_path):
    with (
        open(tmp_path / "short", "w+b") as file,
        pytest.raises(UnsupportedError, match="cannot be mapped"),
    ):
        RingBuffer(file.fileno(), SIZE)


def test_other_processors_are_refused(producer: Producer, monkeypatch):
    monkeypatch.setattr(ring.os, "uname", lambda: SimpleNamespace(machine="aarch64"))
    with pytest.raises(UnsupportedError, match="`aarch64`"):
        RingBuffer(producer.fd, SIZE)
