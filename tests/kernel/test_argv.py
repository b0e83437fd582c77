"""The argument vector of any size: its size is exact, its first 4096 bytes are kept."""

import os

import pytest

from guard.event import FLAG_TRUNCATED

pytestmark = pytest.mark.kernel
COUNT = 3
KEPT = 4096
LONGEST = 131071  # of one argument, without its NUL
HEAD = len("trigger\0nothing\0000\0")


@pytest.mark.parametrize("size", [LONGEST, 1 << 16, KEPT - HEAD])
def test_a_vector_that_is_cut(size, session, trigger, place):
    run = session.run([trigger, "huge_argv", COUNT, size], cwd=place)

    events = [event for event in run.of("process_exec") if event.pid != run.pid]
    assert COUNT == len(events) == len(run.lines)
    for line, event in zip(run.lines, events, strict=True):
        assert HEAD + size + 1 == line["argv_size"] == event.argv_size
        assert ("trigger", "nothing", "0", "x" * (KEPT - HEAD)) == event.argv
        assert FLAG_TRUNCATED == event.flags
    assert COUNT == run.counters.truncated


def test_the_longest_that_is_not_cut(session, trigger, place):
    size = KEPT - HEAD - 1
    run = session.run([trigger, "huge_argv", COUNT, size], cwd=place)

    events = [event for event in run.of("process_exec") if event.pid != run.pid]
    assert [(KEPT, 0)] * COUNT == [(event.argv_size, event.flags) for event in events]
    assert {("trigger", "nothing", "0", "x" * size)} == {event.argv for event in events}


def test_128_kib_of_odd_arguments(session, trigger, place):
    """Arguments that are empty, not text, or hold a newline stay apart."""
    argv = (trigger, "nothing", "0", "", "\udcff\udcfe", "two\nlines", "\x1b[31m", "")
    run = session.run([*argv, *["y" * 127] * 1024], cwd=place)

    (event,) = run.of("process_exec")
    head = sum(len(os.fsencode(text)) + 1 for text in argv)
    assert argv == event.argv[: len(argv)]
    assert head + 1024 * 128 == event.argv_size
    assert KEPT == sum(len(os.fsencode(text)) + 1 for text in event.argv) - 1
