"""The session's control group: entry, `cgroup.kill`, `cgroup.freeze`.

It is made below the group guard itself runs in, so that whoever limits or ends
guard (systemd, a container) limits and ends the session too; below the root of
the cgroup2 mount when that is not possible. It belongs to root: tasks of the
session cannot leave it. Ancestors count: nested groups stay inside.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path

from guard.errors import PrivilegeError, UnsupportedError

_PARENT = "guard"
SESSION_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")
_SESSION_PATH = re.compile(rf"/{_PARENT}/({SESSION_ID.pattern})(?:/|$)")


def mount_point(mounts: str = "/proc/mounts") -> Path:
    """Where cgroup2 is mounted; on a hybrid host below the v1 hierarchies.

    Raises `UnsupportedError` when it is not mounted.
    """
    for line in Path(mounts).read_text().splitlines():
        fields = line.split(" ")
        if fields[2] == "cgroup2":
            return Path(fields[1].encode().decode("unicode_escape"))
    raise UnsupportedError(
        "no cgroup2 hierarchy is mounted",
        help="mount it: mount -t cgroup2 none /sys/fs/cgroup/unified",
    )


def path_of(pid: int | str = "self") -> str:
    """Path of a process's group in the cgroup2 hierarchy, `/` for the root."""
    for line in Path(f"/proc/{pid}/cgroup").read_text(errors="surrogateescape").splitlines():
        if line.startswith("0::"):
            return line[3:]
    return "/"


def enclosing_session(path: str | None = None) -> str | None:
    """Id of the guarded session this process, or the group `path`, belongs to."""
    found = _SESSION_PATH.search(path_of() if path is None else path)
    return found[1] if found else None


class SessionCgroup:
    """A cgroup2 directory that exists from `create` to `remove`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._events = os.open(path / "cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    @classmethod
    def create(cls, session_id: str, *, mount: Path | None = None) -> SessionCgroup:
        """Make the group `guard/SESSION_ID`.

        Raises `PrivilegeError` or `UnsupportedError` when that is not possible.
        """
        mount = mount or mount_point()
        places = dict.fromkeys([mount / path_of().lstrip("/"), mount])
        problem: OSError | None = None
        for place in places:
            try:
                return cls(_make(place / _PARENT, session_id))
            except OSError as error:
                problem = error
        assert problem is not None
        message = f"cannot make a control group below `{mount}`: {problem.strerror}"
        if isinstance(problem, PermissionError):
            raise PrivilegeError(message, help="run guard as root: sudo guard run …")
        raise UnsupportedError(message, help="in a container, mount cgroup2 writable")

    def fileno(self) -> int:
        """Descriptor of the directory, for attaching programs."""
        return self._fd

    @property
    def events_fd(self) -> int:
        """Descriptor that polls EPOLLPRI when `populated` changes."""
        return self._events

    @property
    def id(self) -> int:
        """The kernel's number for the group."""
        return os.fstat(self._fd).st_ino

    def add(self, pid: int) -> None:
        """Move a process into the group."""
        self._write("cgroup.procs", str(pid))

    def populated(self) -> bool:
        """Whether any task is left in the group or below it."""
        return b"populated 1" in os.pread(self._events, 256, 0)

    def pids(self) -> list[int]:
        """Processes in the group and below it."""
        found: list[int] = []
        for directory, _names, _files in os.walk(self.path):
            with contextlib.suppress(OSError):
                found += map(int, (Path(directory) / "cgroup.procs").read_text().split())
        return found

    def freeze(self) -> None:
        """Stop every task; SIGKILL still ends them."""
        self._write("cgroup.freeze", "1")

    def frozen(self) -> bool:
        return b"frozen 1" in os.pread(self._events, 256, 0)

    def kill(self) -> None:
        """SIGKILL to every task in the group and below it."""
        try:
            self._write("cgroup.kill", "1")
        except FileNotFoundError:
            # cgroup.kill: since Linux commit 661ee6280931 (v5.14). Without it a
            # fork bomb can win a round, so repeat until the group is empty.
            deadline = time.monotonic() + 5
            while (pids := self.pids()) and time.monotonic() < deadline:
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, 9)

    def remove(self, *, timeout_s: float = 5.0) -> bool:
        """Remove the empty group; False when tasks were still there after `timeout_s`."""
        os.close(self._events)
        os.close(self._fd)
        deadline = time.monotonic() + timeout_s
        while not _remove_tree(self.path):
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.005)
        # Other sessions may be there: then this fails, as it should.
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()
        return True

    def _write(self, name: str, text: str) -> None:
        fd = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=self._fd)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)


def _make(parent: Path, session_id: str) -> Path:
    # The last session of another guard may remove the parent in between.
    for _attempt in range(5):
        parent.mkdir(mode=0o755, exist_ok=True)
        try:
            (parent / session_id).mkdir(mode=0o755)
        except FileNotFoundError:
            continue
        return parent / session_id
    raise FileNotFoundError(2, "the parent group keeps disappearing", str(parent))


def _remove_tree(path: Path) -> bool:
    """Remove a group and those below it; False when a task is still in one."""
    try:
        for directory, _names, _files in os.walk(path, topdown=False):
            os.rmdir(directory)
    except FileNotFoundError:
        pass
    except OSError:
        return False
    return not path.exists()
