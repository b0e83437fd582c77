"""Every event is counted once: received, left out on purpose, or lost; nothing in silence."""

import os
import sys
from itertools import pairwise

import pytest

from tests.kernel.harness import Session

pytestmark = pytest.mark.kernel
FLOOD = 5003
TINY = {"candidates": os.sysconf("SC_PAGESIZE"), "records": os.sysconf("SC_PAGESIZE")}


@pytest.fixture
def tiny():
    """Buffers of one page each."""
    session = Session(TINY)
    yield session
    session.close()


def balanced(counters):
    parts = ("candidate", "record", "suppressed", "dropped_candidate", "dropped_record")
    return counters.seen == sum(getattr(counters, name) for name in parts)


def lost_by_numbers(before, run):
    """Events that the sequence numbers of the others say are missing, on all CPUs.

    `before` is the number of events of each CPU before the run. What follows the
    last one received shows only in the counters.
    """
    missing = 0
    for cpu, first in enumerate(before):
        numbers = [first] + [event.seq for event in run.events if event.cpu == cpu]
        steps = [later - earlier for earlier, later in pairwise(numbers)]
        assert all(step > 0 for step in steps), "a sequence number came twice or out of order"
        missing += sum(step - 1 for step in steps)
    return missing


def seen_per_cpu(session):
    struct = session.layout.struct("event_counters")
    values = session.program.map("counters").lookup_cpus(bytes(4))
    return [struct.unpack(value)["seen"] for value in values]


def in_order(run):
    """Two buffers: within each CPU, numbers give the order of events, as times do."""
    run.events.sort(key=lambda event: (event.cpu, event.seq))
    for one, other in pairwise(run.events):
        assert one.cpu != other.cpu or one.time_ns <= other.time_ns


@pytest.mark.parametrize("kinds", [[], ["file_open"]])
def test_nothing_is_lost_when_there_is_room(kinds, session, trigger, place):
    session.configure(observe=kinds)
    before = seen_per_cpu(session)
    run = session.run([trigger, "openat", FLOOD, "missing"], cwd=place)

    in_order(run)
    assert FLOOD == len(run.of("file_open"))
    assert 0 == lost_by_numbers(before, run)
    assert balanced(run.counters)
    assert len(run.events) == run.counters.candidate + run.counters.record == run.counters.seen


@pytest.mark.parametrize(
    ("kinds", "dropped"), [([], "dropped_record"), (["file_open"], "dropped_candidate")]
)
def test_a_flood_of_a_tiny_buffer_nobody_reads(kinds, dropped, tiny, trigger, place):
    """Received and lost make up what was emitted, by the counters and by the numbers."""
    tiny.configure(observe=kinds)
    before = seen_per_cpu(tiny)
    run = tiny.run([trigger, "openat", FLOOD, "missing"], cwd=place, read=False)

    in_order(run)
    counters = run.counters
    lost = counters.dropped_candidate + counters.dropped_record
    assert FLOOD == len(run.lines)
    assert FLOOD < counters.seen
    assert balanced(counters)
    assert len(run.events) == counters.candidate + counters.record
    assert FLOOD - 100 < getattr(counters, dropped) <= lost
    after = sum(seen_per_cpu(tiny)) - sum(before)
    last = {event.cpu: event.seq for event in run.events}
    behind = sum(
        number - last.get(cpu, before[cpu]) for cpu, number in enumerate(seen_per_cpu(tiny))
    )
    assert after == counters.seen
    assert lost == lost_by_numbers(before, run) + behind


def test_a_flood_of_a_tiny_buffer_that_is_read(tiny, trigger, place):
    """The reader makes room now and then, so there are many gaps."""
    before = seen_per_cpu(tiny)
    run = tiny.run([trigger, "openat", 20011, "missing"], cwd=place)

    in_order(run)
    counters = run.counters
    last = {event.cpu: event.seq for event in run.events}
    behind = sum(
        number - last.get(cpu, before[cpu]) for cpu, number in enumerate(seen_per_cpu(tiny))
    )
    assert balanced(counters)
    assert len(run.events) == counters.candidate + counters.record
    assert counters.dropped_record > 0
    assert counters.dropped_record + counters.dropped_candidate == (
        lost_by_numbers(before, run) + behind
    )


def test_what_the_sensor_reports_as_lost(tiny, trigger, place):
    run = tiny.run([trigger, "openat", FLOOD, "missing"], cwd=place, read=False)
    again = tiny.run([trigger, "nothing", 0], cwd=place)

    assert run.counters.dropped_record > 0
    assert 0 == again.counters.dropped_record == again.counters.dropped_candidate
    assert 1 == len(again.of("process_exec")) == len(again.of("process_exit"))


def test_only_what_a_rule_may_match(session, trigger, place):
    session.configure("matched", observe=["file_unlink"])
    run = session.run([trigger, "unlink", 7], cwd=place)

    kinds = [event.kind for event in run.events]
    assert ["process_exec", *["file_unlink"] * 7, "process_exit"] == kinds
    assert 7 == run.counters.suppressed  # the files it made before
    assert 0 == run.counters.record
    assert balanced(run.counters)


def test_each_operation_once(session, trigger, place):
    """The level `unique`: the same program on the same file with the same outcome is one event."""
    session.configure("unique")
    run = session.run([trigger, "openat", 97, "there", os.O_CREAT | os.O_RDWR], cwd=place)

    created = [event.created for event in run.of("file_open")]
    assert [1, 0] == created
    assert 95 == run.counters.suppressed
    assert balanced(run.counters)


def test_each_operation_once_for_each_object(session, trigger, place):
    session.configure("unique")
    run = session.run([trigger, "openat", 97], cwd=place)
    again = session.run([trigger, "openat", 97], cwd=place)
    third = session.run([trigger, "openat", 97], cwd=place)

    # First each is created, then opened; then there is nothing new.
    opens = [len(each.of("file_open")) for each in (run, again, third)]
    assert [97, 97, 0] == opens
    assert 97 == third.counters.suppressed


def test_a_new_file_is_not_an_old_one(session, place):
    """The kernel uses the memory of an inode again as soon as its file is gone."""
    session.configure("unique")
    code = (
        "import os\n"
        "for number in range(97):\n"
        "    open(f'file-{number}', 'w').close()\n"
        "    os.unlink(f'file-{number}')"
    )
    run = session.run([sys.executable, "-I", "-S", "-c", code], cwd=place)

    created = {event.path for event in run.of("file_open") if event.created}
    assert {f"{place}/file-{number}" for number in range(97)} == created


def test_everything(session, trigger, place):
    session.configure("all")
    run = session.run([trigger, "openat", 97, "there", os.O_CREAT | os.O_RDWR], cwd=place)

    assert 97 == len(run.of("file_open"))
    assert 0 == run.counters.suppressed
