"""How a session ends: exit codes, signals, timeouts, and what outlives the command."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.harness import Place, eventually, is_running


@pytest.mark.parametrize(
    ("script", "code", "number"),
    [
        ("exit 0", 0, None),
        ("exit 7", 7, None),
        ("kill -TERM $$", 143, signal.SIGTERM),
        ("kill -KILL $$", 137, signal.SIGKILL),
        ("kill -SEGV $$", 139, signal.SIGSEGV),
    ],
)
def test_exit_code_is_the_commands(
    place: Place, script: str, code: int, number: int | None
) -> None:
    """The code as a shell gives it, in the record too."""
    result = place.sh(script)
    assert code == result.code
    assert {"code": code, "signal": number, "timed_out": False} == result.record.meta["exit"]
    assert f" exit {code}\n" in result.err


def test_timeout_kills_what_ignores_sigterm(place: Place) -> None:
    """124; SIGTERM first, SIGKILL when that is not heard; the whole session goes."""
    marker = place.user.workspace / "terminated"
    begin = time.monotonic()
    result = place.sh(
        f"trap 'touch {marker}' TERM; setsid sh -c 'trap \"\" TERM; sleep 97' & "
        "while :; do sleep 0.1; done",
        options=["--timeout", "0.5"],
    )
    assert 124 == result.code
    assert marker.exists()
    assert 2.5 <= time.monotonic() - begin < 20
    assert result.record.meta["exit"]["timed_out"]
    assert " timed out\n" in result.err
    marker.unlink()


def test_killing_guard_kills_the_session(place: Place) -> None:
    """SIGKILL of guard ends daemons with other process groups, sessions and parents too."""
    script = "setsid sh -c 'sleep 97 & echo $!'; (sleep 98 & echo $!); echo $$; exec sleep 99"
    process, folder = place.start("sh", "-c", script)
    assert process.stdout is not None
    pids = [int(process.stdout.readline()) for _ in range(3)]
    assert all(map(is_running, pids))
    process.kill()
    process.communicate()
    eventually(lambda: not any(map(is_running, pids)), what="the session is dead")
    eventually(lambda: not place.sessions(), what="its control group is gone")
    assert "running" == (folder / "meta.json").read_text().split('"state": "')[1].split('"')[0]


def test_killing_guard_during_its_start(place: Place) -> None:
    """At any moment between the first instruction and the command's: nothing is left."""
    ran = place.user.workspace / "ran"
    for delay_s in (0.05, 0.15, 0.25, 0.4):
        process, _folder = place.start("sh", "-c", f"touch {ran}; sleep 96")
        time.sleep(delay_s)
        process.kill()
        process.communicate()
        eventually(lambda: place.left() == ([], []), what=f"nothing is left after {delay_s} s")
    ran.unlink(missing_ok=True)


def test_sigterm_to_guard_reaches_the_command(place: Place) -> None:
    """It may end in its own way, and guard still sums up."""
    script = "trap 'echo got; exit 9' TERM; echo ready; while :; do sleep 0.05; done"
    process, _folder = place.start("sh", "-c", script)
    assert process.stdout is not None
    assert b"ready\n" == process.stdout.readline()
    process.terminate()
    out, err = process.communicate(timeout=20)
    assert (9, b"got\n") == (process.returncode, out)
    assert b" exit 9\n" in err


def test_sigterm_ends_a_command_that_does_not_care(place: Place) -> None:
    process, _folder = place.start("sh", "-c", "echo ready; exec sleep 95")
    assert process.stdout is not None
    process.stdout.readline()
    process.terminate()
    process.communicate(timeout=20)
    assert 143 == process.returncode


def test_leftovers_are_killed_by_default(place: Place) -> None:
    """Within the grace time, and said in the summary and the record."""
    result = place.sh("setsid sleep 94 & exit 3")
    assert 3 == result.code
    assert "1 process, killed" in result.err
    assert 1 == result.record.meta["killed_leftovers"]


def test_leftovers_that_end_in_time_are_not_killed(place: Place) -> None:
    done = place.user.workspace / "done"
    result = place.sh(f"setsid sh -c 'sleep 0.2; touch {done}' & exit 0")
    assert done.exists()
    assert 0 == result.record.meta["killed_leftovers"]
    done.unlink()


def test_leftovers_are_waited_for_if_asked(place: Place) -> None:
    """`--linger wait`: they are guarded to their end, longer than the grace time of a kill."""
    key = place.user.plant(".ssh/id_late", "secret\n")
    done = place.user.workspace / "done"
    script = f"setsid sh -c 'sleep 1.5; cat {key}; touch {done}' & exit 4"
    result = place.sh(script, options=["--linger", "wait"])
    assert 4 == result.code
    assert done.exists()
    assert ["SSH private key or configuration read"] == result.rules
    assert "secret" not in result.out
    done.unlink()


def test_interrupt_ends_the_waiting(place: Place) -> None:
    process, _folder = place.start(
        "sh", "-c", "setsid sleep 93 & echo ready", options=["--linger", "wait"]
    )
    assert process.stdout is not None
    process.stdout.readline()
    pid = process.pid
    eventually(lambda: len(place.pids()) == 3, what="guard, its watcher and the sleeper")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.5)
    Path(f"/proc/{pid}").stat()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert 0 == process.returncode
