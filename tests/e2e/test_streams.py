"""The command's streams are its own: pipes, closed descriptors, no other output on stdout."""

from __future__ import annotations

import subprocess

from tests.e2e.harness import Place


def test_in_a_pipe(place: Place) -> None:
    """Input reaches the command, its output the next one, and nothing is added."""
    result = place.shell("printf 'x\\ny\\n' | GUARD -- cat | wc -c")
    assert (0, "4\n") == (result.code, result.out.replace(" ", ""))
    assert "guard: session " in result.err


def test_binary_input_of_a_megabyte(place: Place) -> None:
    data = bytes(range(256)) * 4096
    process, _folder = place.start("cat", stdin=subprocess.PIPE)
    out, err = process.communicate(data, timeout=60)
    assert data == out, err.decode()


def test_reader_that_goes_away(place: Place) -> None:
    """The command dies of SIGPIPE as it would alone, and guard says so."""
    result = place.shell("GUARD -- yes | head -n 1; exit ${PIPESTATUS[0]}")
    assert (141, "y\n") == (result.code, result.out)
    assert " exit 141\n" in result.err


def test_closed_input(place: Place) -> None:
    """What is closed for guard is closed for the command: no descriptor takes its place."""
    result = place.shell("GUARD -- sh -c 'ls /proc/$$/fd; :' <&-")
    assert (0, "1\n2\n") == (result.code, result.out), result.err


def test_closed_error_output(place: Place) -> None:
    """guard has nowhere to talk to: the command runs, its code arrives, the record is whole."""
    key = place.user.plant(".ssh/id_quiet", "secret\n")
    result = place.shell(f"GUARD -- sh -c 'cat {key}; exit 5' 2>&-")
    assert (5, "") == (result.code, result.out)
    assert ["SSH private key or configuration read"] == result.rules
    assert "ended" == result.record.meta["state"]


def test_closed_output(place: Place) -> None:
    # Not `ls`: while its output is redirected to 2, the shell has a 1.
    result = place.shell("GUARD -- sh -c '[ -e /proc/$$/fd/1 ]; exit $?' >&-")
    assert 1 == result.code, result.err
    assert "Traceback" not in result.err


def test_full_error_output(place: Place) -> None:
    """An error stream that cannot be written ends nothing."""
    result = place.shell("GUARD -- sh -c 'exit 6' 2>/dev/full")
    assert 6 == result.code
    assert "ended" == result.record.meta["state"]


def test_quiet(place: Place) -> None:
    result = place.sh("echo out", options=["-q"])
    assert ("out\n", "") == (result.out, result.err)
