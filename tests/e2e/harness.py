"""Runs guard in a control group of its own, and sees what it leaves there."""

from __future__ import annotations

import itertools
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from guard.session.cgroup import mount_point
from guard.store.reader import SessionRecord
from tests.e2e.user import User

ROOT = Path(__file__).parents[2]
GUARD = (sys.executable, "-m", "guard")
TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Result:
    """A finished run. `err` is everything on stderr, guard's lines and the command's."""

    code: int
    out: str
    err: str
    folder: Path  # where the record was asked for

    @property
    def record(self) -> SessionRecord:
        return SessionRecord(self.folder)

    @property
    def rules(self) -> list[str]:
        """The rules that alerted, in order."""
        return [alert["rule"] for alert in self.record.violations()]

    @property
    def said(self) -> list[str]:
        """guard's own lines, without the one it opens with."""
        lines = [line for line in self.err.splitlines() if line.startswith("guard: ")]
        return [line for line in lines if not line.startswith("guard: tier ")]


class Place:
    """One test's control group, folder for records, and user."""

    def __init__(self, user: User, folder: Path) -> None:
        self.user = user
        self.folder = folder
        self.group = mount_point() / f"guard-e2e-{os.getpid()}-{time.monotonic_ns()}"
        self.group.mkdir()
        self._numbers = itertools.count(1)

    @property
    def environment(self) -> dict[str, str]:
        """guard's environment: nothing of the test run's own but what finds guard."""
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            # Not the machine's: every test user would leave an entry there.
            "GUARD_CACHE_DIR": str(self.user.folder / "cache"),
            "LANG": "C.UTF-8",
            "TERM": "dumb",
        }

    def run(
        self,
        *command: object,
        options: Sequence[object] = (),
        user: str | None = "",
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        **popen: object,
    ) -> Result:
        """`guard run OPTIONS -- COMMAND` to its end.

        `user` is given as --user: "" for the test's user, None for no such option.
        `prefix` are words before guard's own. Input is empty unless asked otherwise.
        """
        popen.setdefault("stdin", subprocess.DEVNULL)
        process, folder = self.start(
            *command, options=options, user=user, env=env, prefix=prefix, **popen
        )
        try:
            out, err = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            process.communicate()
            raise
        return Result(process.returncode, _text(out), _text(err), folder)

    def start(
        self,
        *command: object,
        options: Sequence[object] = (),
        user: str | None = "",
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        **popen: object,
    ) -> tuple[subprocess.Popen[bytes], Path]:
        """The same, still running, and the folder of its record."""
        folder = self.folder / f"record-{next(self._numbers)}"
        words = [*prefix, *self.words(*command, options=options, user=user, folder=folder)]
        settings: dict[str, object] = {
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "cwd": self.user.workspace,
            "env": {**self.environment, **(env or {})},
            **popen,
        }
        process = subprocess.Popen(self._enter(words), **settings)  # type: ignore[call-overload]
        return process, folder

    def words(
        self,
        *command: object,
        options: Sequence[object] = (),
        user: str | None = "",
        folder: Path,
    ) -> list[str]:
        """The words of a call of guard."""
        who = [] if user is None else ["--user", user or self.user.name]
        return [*GUARD, "run", "--report-dir", *map(str, (folder, *who, *options, "--", *command))]

    def sh(self, script: str, *arguments: object, **options: object) -> Result:
        """Run a shell script as the user; `arguments` are its $0, $1 and so on."""
        return self.run("sh", "-c", script, *arguments, **options)  # type: ignore[arg-type]

    def shell(self, script: str) -> Result:
        """Run a line of bash in which `GUARD --` stands for guard, its options and `--`."""
        folder = self.folder / f"record-{next(self._numbers)}"
        call = shlex.join(self.words(folder=folder))
        return self.command("bash", "-c", script.replace("GUARD --", call), folder=folder)

    def command(self, *words: object, folder: Path | None = None) -> Result:
        """Run some other program that will start guard."""
        result = subprocess.run(
            self._enter([str(word) for word in words]),
            capture_output=True, stdin=subprocess.DEVNULL, cwd=self.user.workspace,
            env=self.environment, timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
        found = folder or self.folder
        return Result(result.returncode, _text(result.stdout), _text(result.stderr), found)

    def sessions(self) -> list[Path]:
        """Control groups of sessions running here."""
        return [path for path in (self.group / "guard").glob("*") if path.is_dir()]

    def pids(self) -> list[int]:
        """Every process started here that still runs."""
        return [
            int(pid)
            for procs in self.group.rglob("cgroup.procs")
            for pid in procs.read_text().split()
        ]

    def left(self) -> tuple[list[int], list[Path]]:
        """Processes and control groups that are here."""
        return self.pids(), [path for path in self.group.iterdir() if path.is_dir()]

    def close(self) -> None:
        """Assert that nothing is left, and remove the group."""
        try:
            eventually(lambda: self.left() == ([], []), what=f"{self.left} is empty")
        finally:
            self.kill()
            for folder, _names, _files in os.walk(self.group, topdown=False):
                os.rmdir(folder)

    def kill(self) -> None:
        (self.group / "cgroup.kill").write_text("1")
        eventually(lambda: not self.pids(), what="all are dead")

    def _enter(self, words: Sequence[str]) -> list[str]:
        enter = 'echo $$ > "$0" && exec "$@"'
        return ["/bin/sh", "-c", enter, str(self.group / "cgroup.procs"), *words]


def eventually(condition: Callable[[], object], *, what: str = "", timeout_s: float = 10.0) -> None:
    """Wait until `condition` holds; fails the test when it does not."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"did not happen in time: {what or condition}"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def _text(data: bytes | None) -> str:
    return "" if data is None else data.decode(errors="surrogateescape")
