"""Job control in a real terminal: Ctrl-Z, fg, Ctrl-C, terminal modes, under tmux."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make cgroups"),
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]

FAKE = str(Path(__file__).with_name("guard_fake.py"))
PROMPT = "ready$ "


class Terminal:
    """A shell in a terminal of its own."""

    def __init__(self, folder: Path) -> None:
        self._socket = str(folder / "tmux")
        self._records = folder
        self._number = 0
        shell = f"env PS1='{PROMPT}' HISTFILE= bash --norc --noprofile"
        self._tmux("new-session", "-d", "-x", "120", "-y", "50", "-s", "t", shell)
        self.expect(re.escape(PROMPT.strip()))

    def guard(self, *command: str) -> str:
        """Shell text that runs a command under guard."""
        self._number += 1
        settings = json.dumps({"report_dir": str(self._records / str(self._number))})
        words = [sys.executable, FAKE, settings, *command]
        return " ".join(f"'{word}'" for word in words)

    def type(self, *keys: str) -> None:
        self._tmux("send-keys", "-t", "t", *keys)

    def run(self, text: str) -> None:
        # A script: the typed line itself must not look like the answer.
        script = self._records / f"line-{time.monotonic_ns()}"
        script.write_text(text + "\n")
        self.type(f". {script}", "Enter")

    def expect(self, pattern: str, timeout_s: float = 15.0) -> str:
        deadline = time.monotonic() + timeout_s
        while not re.search(pattern, screen := self.screen()):
            assert time.monotonic() < deadline, f"no {pattern!r} in\n{screen}"
            time.sleep(0.05)
        return screen

    def screen(self) -> str:
        return self._tmux("capture-pane", "-p", "-t", "t")

    def clear(self) -> None:
        self.type("clear", "Enter")
        time.sleep(0.2)

    def close(self) -> None:
        self._tmux("kill-server")

    def _tmux(self, *arguments: str) -> str:
        return subprocess.run(
            ["tmux", "-S", self._socket, "-f", "/dev/null", *arguments],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    shell = Terminal(tmp_path)
    yield shell
    shell.close()


def test_stop_and_foreground(terminal: Terminal) -> None:
    """Ctrl-Z stops the job once, `jobs` sees it, `fg` resumes it, the exit code arrives."""
    terminal.run(terminal.guard("sh", "-c", "echo BEGIN; read line; echo GOT-$line; exit 6"))
    terminal.expect("BEGIN")
    terminal.type("C-z")
    terminal.expect(r"\[1\]\+\s+Stopped")
    terminal.clear()
    terminal.type("jobs", "Enter")
    terminal.expect(r"\[1\]\+\s+Stopped")
    terminal.clear()
    terminal.type("fg", "Enter")
    time.sleep(0.5)
    terminal.type("word", "Enter")
    terminal.expect("GOT-word")
    terminal.expect("lost events")
    terminal.type("echo code=$?", "Enter")
    screen = terminal.expect(r"code=\d+")
    assert "code=6" in screen
    assert "Stopped" not in screen


def test_stop_twice(terminal: Terminal) -> None:
    terminal.run(terminal.guard("cat"))
    terminal.expect("guard: tier")
    # Until it answers, the command may not be there yet to be stopped.
    terminal.type("runs", "Enter")
    terminal.expect("runs\nruns")
    for _round in range(2):
        terminal.expect("guard: tier")
        terminal.type("C-z")
        terminal.expect(r"\[1\]\+\s+Stopped")
        terminal.clear()
        terminal.type("fg", "Enter")
        time.sleep(0.3)
        terminal.type("echoed", "Enter")
        terminal.expect("echoed\nechoed")
        terminal.type("clear-not-run", "Enter")
        if _round == 0:
            terminal.type("C-z")
            terminal.expect(r"\[1\]\+\s+Stopped")
            terminal.type("clear; echo guard: tier; fg", "Enter")
            time.sleep(0.5)
    terminal.type("C-d")
    terminal.expect("record  ")


def test_command_that_stops_itself(terminal: Terminal) -> None:
    terminal.run(terminal.guard("sh", "-c", "kill -STOP $$; echo RESUMED"))
    terminal.expect(r"Stopped")
    terminal.type("fg", "Enter")
    terminal.expect("RESUMED")


def test_interrupt_is_130(terminal: Terminal) -> None:
    terminal.run(terminal.guard("sleep", "100") + "\necho code=$?")
    terminal.expect("guard: tier")
    time.sleep(0.3)
    terminal.type("C-c")
    terminal.expect("code=130")


def test_crash_leaves_the_terminal_as_it_was(terminal: Terminal) -> None:
    """A command killed in raw mode: guard restores the modes."""
    terminal.run(terminal.guard("sh", "-c", "stty raw -echo; kill -9 $$") + "\nstty -a")
    assert re.search(r" echo ", terminal.expect("-?icanon"))
    assert "-icanon" not in terminal.screen()


def test_orderly_exit_may_change_the_terminal(terminal: Terminal) -> None:
    terminal.run(terminal.guard("stty", "-echo") + "\nstty -a; stty echo")
    terminal.expect("-echo ")


def test_interactive_shell_under_guard(terminal: Terminal) -> None:
    """A shell with its own job control and process groups works inside."""
    terminal.run(terminal.guard("bash", "--norc", "--noprofile", "-i"))
    terminal.expect("bash-|ready")
    time.sleep(0.3)
    terminal.type("sleep 100", "Enter")
    time.sleep(0.3)
    terminal.type("C-z")
    terminal.expect(r"Stopped\s+sleep 100")
    terminal.type("kill %1; echo inner=$((40+2))", "Enter")
    terminal.expect("inner=42")
    terminal.type("exit 5", "Enter")
    terminal.expect("record  ")
    terminal.type("echo code=$?", "Enter")
    terminal.expect("code=5")
