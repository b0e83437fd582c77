"""Session: real processes, signals and cgroups; the kernel's side is a fake."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard.session.cgroup import SESSION_ID, mount_point, path_of
from guard.store.reader import SessionRecord

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make cgroups")

FAKE = str(Path(__file__).with_name("guard_fake.py"))


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = session_groups()
    yield
    eventually(lambda: session_groups() <= before)


def session_groups() -> set[str]:
    base = mount_point() / path_of().lstrip("/") / "guard"
    return {p.name for p in base.glob("*-*-*") if SESSION_ID.fullmatch(p.name)}


def eventually(condition: object, timeout_s: float = 5.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def arguments(tmp_path: Path, *command: str, **settings: object) -> list[str]:
    settings.setdefault("report_dir", str(tmp_path / "record"))
    return [sys.executable, FAKE, json.dumps(settings), *command]


def run(tmp_path: Path, *command: str, **settings: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments(tmp_path, *command, **settings),
        capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def start(tmp_path: Path, *command: str, **settings: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        arguments(tmp_path, *command, **settings),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("exit 0", 0),
        ("exit 7", 7),
        ("kill -TERM $$", 143),
        ("kill -SEGV $$", 139),
        ("kill -KILL $$", 137),
        ("kill -PIPE $$", 141),
    ],
)
def test_exit_code_is_the_commands(tmp_path: Path, script: str, expected: int) -> None:
    assert run(tmp_path, "sh", "-c", script).returncode == expected


def test_unknown_command(tmp_path: Path) -> None:
    result = run(tmp_path, "no-such-command")
    assert result.returncode == 127
    assert "guard: command not found: `no-such-command`\nhelp: " in result.stderr


def test_unknown_user(tmp_path: Path) -> None:
    result = run(tmp_path, "true", user="nosuchuser")
    assert result.returncode == 125
    assert result.stderr.startswith("guard: unknown user `nosuchuser`\nhelp: ")


def test_used_report_directory_is_refused(tmp_path: Path) -> None:
    assert run(tmp_path, "true").returncode == 0
    result = run(tmp_path, "true")
    assert result.returncode == 125
    assert "already holds a session record" in result.stderr


def test_streams_are_the_commands(tmp_path: Path) -> None:
    """stdin and stdout pass untouched; what guard says is on stderr."""
    result = subprocess.run(
        arguments(tmp_path, "cat"), input="héllo", capture_output=True, text=True, check=True
    )
    assert result.stdout == "héllo"
    assert "session 2" in result.stderr


def test_timeout_is_124(tmp_path: Path) -> None:
    begin = time.monotonic()
    result = run(tmp_path, "sleep", "60", timeout_s=0.3)
    assert result.returncode == 124
    assert time.monotonic() - begin < 5


def test_timeout_kills_what_ignores_sigterm(tmp_path: Path) -> None:
    script = "trap '' TERM; while :; do sleep 0.1; done"
    result = run(tmp_path, "sh", "-c", script, timeout_s=0.3, kill_grace_s=0.3)
    assert result.returncode == 124


def test_leftovers_are_killed_after_a_grace(tmp_path: Path) -> None:
    begin = time.monotonic()
    result = run(tmp_path, "sh", "-c", "setsid sleep 77 & exit 3", linger_grace_s=0.2)
    assert result.returncode == 3
    assert "left behind    1 process, killed" in result.stderr
    assert time.monotonic() - begin < 5


def test_leftovers_are_waited_for(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    script = f"setsid sh -c 'sleep 0.5; touch {marker}' &"
    assert run(tmp_path, "sh", "-c", script, linger="wait").returncode == 0
    assert marker.exists()


def test_killing_guard_kills_the_session(tmp_path: Path) -> None:
    """SIGKILL cannot be handled: the watcher does what is left to do."""
    guard = start(tmp_path, "sh", "-c", "setsid sleep 1234 & echo $!; exec sleep 1234")
    assert guard.stdout is not None
    sleeper = int(guard.stdout.readline())
    guard.kill()
    guard.communicate()
    eventually(lambda: not Path(f"/proc/{sleeper}").exists() or _is_zombie(sleeper))
    eventually(lambda: not session_groups())


def _is_zombie(pid: int) -> bool:
    return ") Z" in Path(f"/proc/{pid}/stat").read_text()


def test_killing_guard_during_start_leaves_nothing(tmp_path: Path) -> None:
    guard = start(tmp_path, "true", slow_prepare=30)
    eventually(session_groups)
    guard.kill()
    guard.communicate()
    eventually(lambda: not session_groups())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_signals_to_guard_reach_the_command(tmp_path: Path, number: signal.Signals) -> None:
    script = f"trap 'echo got; exit 9' {number.name[3:]}; echo ready; while :; do sleep 0.05; done"
    guard = start(tmp_path, "sh", "-c", script)
    assert guard.stdout is not None
    assert guard.stdout.readline() == "ready\n"
    guard.send_signal(number)
    assert guard.stdout.readline() == "got\n"
    guard.communicate()
    assert guard.returncode == 9


def test_interrupt_is_left_to_the_command(tmp_path: Path) -> None:
    """guard survives SIGINT: the command may handle it and go on."""
    guard = start(tmp_path, "sh", "-c", "echo ready; sleep 0.6; exit 4")
    assert guard.stdout is not None
    guard.stdout.readline()
    guard.send_signal(signal.SIGINT)
    guard.communicate()
    assert guard.returncode == 4


def test_interrupt_ends_lingering(tmp_path: Path) -> None:
    guard = start(tmp_path, "sh", "-c", "setsid sleep 60 & echo ready", linger="wait")
    assert guard.stdout is not None
    guard.stdout.readline()
    time.sleep(0.5)
    guard.send_signal(signal.SIGINT)
    guard.communicate(timeout=5)
    assert guard.returncode == 0


def test_nested_guard_is_refused(tmp_path: Path) -> None:
    inner = arguments(tmp_path, "true", report_dir=str(tmp_path / "inner"))
    result = run(tmp_path, *inner)
    assert result.returncode == 125
    assert "already inside the guarded session" in result.stderr


def test_alert_is_printed_escaped_and_recorded(tmp_path: Path) -> None:
    result = run(tmp_path, "true", events=2)
    line = "Critical Fake rule: a \\x1b[31mred\\x1b[0m\\npath [denied] (do something else)"
    assert result.stderr.count(line) == 2
    assert "alerts         2 Critical (2 denied)" in result.stderr
    record = SessionRecord(tmp_path / "record")
    assert [v["verdict"] for v in record.violations()] == ["denied", "denied"]
    assert record.verify().intact
    assert record.meta["state"] == "ended"
    assert record.meta["exit"] == {"code": 0, "signal": None, "timed_out": False}


def test_json_alerts_are_all_there_is_on_stderr(tmp_path: Path) -> None:
    result = run(tmp_path, "true", events=1, json=True, alert_file=str(tmp_path / "alerts"))
    [line] = result.stderr.splitlines()
    assert json.loads(line)["rule"] == "Fake rule"
    assert (tmp_path / "alerts").read_text() == result.stderr


def test_loss_is_an_alert_and_in_the_summary(tmp_path: Path) -> None:
    result = run(tmp_path, "true", dropped=3)
    assert "3 events lost" in result.stderr
    assert "lost events    3 of 10, the record is incomplete" in result.stderr
    assert SessionRecord(tmp_path / "record").meta["lost"] == 3


def test_quiet_says_nothing_without_alerts(tmp_path: Path) -> None:
    assert run(tmp_path, "true", quiet=True).stderr == ""


def test_record_is_handed_to_the_user_afterwards(tmp_path: Path) -> None:
    run(tmp_path, "true", user="nobody")
    folder = tmp_path / "record"
    assert folder.owner() == "nobody"
    assert (folder / "violations.jsonl").owner() == "nobody"
    assert folder.stat().st_mode & 0o777 == 0o700
