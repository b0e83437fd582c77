"""guard in a real terminal: job control, resizing, what is printed when, modes after a crash."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Place

pytestmark = pytest.mark.skipif(
    shutil.which("tmux") is None, reason="tmux is not installed: apt-get install tmux"
)
PROMPT = "ready$ "


class Terminal:
    """A shell of root's in a terminal of its own, in the place's control group."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._socket = str(place.folder / "tmux")
        self._lines = 0
        shell = f"env PS1='{PROMPT}' HISTFILE= bash --norc --noprofile"
        self._tmux("new-session", "-d", "-x", "120", "-y", "50", "-s", "t", shell)
        self.expect(re.escape(PROMPT.strip()))

    def run(self, *command: str, then: str = "") -> Path:
        """Type a line that runs a command under guard; returns the folder of its record."""
        self._lines += 1
        folder = self._place.folder / f"terminal-{self._lines}"
        line = self._place.folder / f"line-{self._lines}"
        # A script: the typed line itself must not look like the answer.
        line.write_text(shlex.join(self._place.words(*command, folder=folder)) + f"\n{then}\n")
        self.type(f". {line}", "Enter")
        return folder

    def type(self, *keys: str) -> None:
        self._tmux("send-keys", "-t", "t", *keys)

    def expect(self, pattern: str, timeout_s: float = 15.0) -> str:
        deadline = time.monotonic() + timeout_s
        while not re.search(pattern, screen := self.screen()):
            assert time.monotonic() < deadline, f"no {pattern!r} in\n{screen}"
            time.sleep(0.05)
        return screen

    def screen(self) -> str:
        return self._tmux("capture-pane", "-p", "-J", "-t", "t")

    def clear(self) -> None:
        self.type("clear", "Enter")
        time.sleep(0.2)

    def resize(self, width: int, height: int) -> None:
        self._tmux("resize-window", "-t", "t", "-x", str(width), "-y", str(height))

    def close(self) -> None:
        self._tmux("kill-server")

    def _tmux(self, *arguments: str) -> str:
        words = self._place._enter(["tmux", "-S", self._socket, "-f", "/dev/null", *arguments])
        return subprocess.run(
            words, capture_output=True, text=True, check=True, env=self._place.environment,
            cwd=self._place.user.workspace,
        ).stdout  # fmt: skip


@pytest.fixture
def terminal(place: Place) -> Iterator[Terminal]:
    shell = Terminal(place)
    yield shell
    shell.close()


def test_stop_and_continue(terminal: Terminal) -> None:
    """Ctrl-Z stops the job once; `fg` continues it; Ctrl-C ends it: code 130."""
    terminal.run(
        "sh", "-c", "echo BEGIN; read line; echo GOT-$line; exec sleep 92", then="echo code=$?"
    )
    terminal.expect("BEGIN")
    terminal.type("C-z")
    terminal.expect(r"\[1\]\+\s+Stopped")
    terminal.clear()
    terminal.type("jobs", "Enter")
    assert 1 == terminal.expect(r"\[1\]\+\s+Stopped").count("Stopped")
    terminal.clear()
    terminal.type("fg", "Enter")
    time.sleep(0.3)
    terminal.type("word", "Enter")
    terminal.expect("GOT-word")
    terminal.type("C-c")
    terminal.expect(r" exit 130\n")
    terminal.type("echo code=$?", "Enter")
    terminal.expect("code=130")


def test_resizing_reaches_the_command(terminal: Terminal) -> None:
    terminal.run(
        "bash", "-c", "trap 'echo SIZE $(stty size)' WINCH; echo BEGIN; "
        "for n in $(seq 100); do sleep 0.1; done",
    )  # fmt: skip
    terminal.expect("BEGIN")
    time.sleep(0.2)
    terminal.resize(90, 33)
    terminal.expect("SIZE 33 90")
    terminal.type("C-c")
    terminal.expect("record  ")


def test_modes_after_a_crash(terminal: Terminal) -> None:
    """A command killed in raw mode leaves the terminal as it was before."""
    terminal.run("sh", "-c", "stty raw -echo; kill -9 $$", then="stty -a")
    screen = terminal.expect(r"\bicanon\b")
    assert re.search(r"(?<!-)\becho\b", screen)
    assert "-icanon" not in screen


def test_alerts_wait_while_the_command_has_the_terminal(terminal: Terminal, place: Place) -> None:
    """The screen is the command's until it ends; then come the alerts and the summary."""
    place.user.plant(".ssh/id_screen", "planted-content\n")
    folder = terminal.run(
        "sh", "-c", "cat ~/.ssh/id_screen; echo ASK; read answer; echo BYE-$answer"
    )
    terminal.expect("ASK")
    while b"SSH" not in (folder / "violations.jsonl").read_bytes():
        time.sleep(0.05)
    time.sleep(0.2)
    assert "Critical" not in terminal.screen()
    terminal.type("now", "Enter")
    screen = terminal.expect("record  ")
    assert screen.index("BYE-now") < screen.index("Critical SSH private key")
    assert "planted-content" not in screen


def test_shell_with_job_control_inside(terminal: Terminal) -> None:
    """A shell that makes its own foreground groups works as ever."""
    terminal.run("env", "PS1=inner$ ", "bash", "--norc", "--noprofile", "-i")
    terminal.expect(r"inner\$")
    terminal.type("sleep 91", "Enter")
    time.sleep(0.3)
    terminal.type("C-z")
    terminal.expect(r"Stopped\s+sleep 91")
    terminal.type("kill %1; echo inner=$((40+2))", "Enter")
    terminal.expect("inner=42")
    terminal.type("exit 5", "Enter")
    terminal.expect(" exit 5\n")
