"""The watcher: ends the session when guard itself is killed.

A process outside of the session's cgroup holds the reading end of a pipe whose
writing end only guard has. When guard dies, by SIGKILL too, the pipe ends and
the watcher kills the cgroup and removes it.

It is `/bin/sh` and not a fork of guard: 1 MB instead of guard's whole memory,
nothing shared with guard that could go wrong, and guard's descriptors (maps,
links, record) are not kept open by it. A process that waited on a pidfd would
need a program of its own; the pipe needs `read`.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

# Arguments: the cgroup. A line means guard ended in order and has cleaned up.
_SCRIPT = """
cd /
read -r line && exit 0
group=$1
n=0
while [ -d "$group" ] && [ $n -lt 500 ]; do
    if [ -e "$group/cgroup.kill" ]; then
        echo 1 > "$group/cgroup.kill"
    else
        find "$group" -name cgroup.procs -exec cat {} + | while read -r pid; do kill -9 "$pid"; done
    fi
    find "$group" -depth -type d -exec rmdir {} \\; 2>/dev/null
    n=$((n + 1))
    [ -d "$group" ] && sleep 0.01
done
rmdir "${group%/*}"
"""

# Everything a terminal or a user may send to guard's process group or session.
_BLOCKED = {
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP,
    signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE,
}  # fmt: skip


class Watcher:
    """A running watcher of one cgroup."""

    def __init__(self, cgroup: Path) -> None:
        self._cgroup = cgroup
        self.pid, self._pipe = self._start()

    def check(self, dead: int) -> None:
        """Start again when the process `dead` was the watcher: someone killed it."""
        if dead == self.pid:
            os.close(self._pipe)
            self.pid, self._pipe = self._start()

    def dismiss(self) -> None:
        """Tell the watcher that the session has been cleaned up, and reap it."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._pipe, b"done\n")
        os.close(self._pipe)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def _start(self) -> tuple[int, int]:
        read, write = os.pipe()
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            pid = os.posix_spawn(
                "/bin/sh",
                ["sh", "-c", _SCRIPT, "guard-watcher", str(self._cgroup)],
                {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, read, 0),
                    (os.POSIX_SPAWN_DUP2, null, 1),
                    (os.POSIX_SPAWN_DUP2, null, 2),
                ],
                setsid=True,
                setsigmask=_BLOCKED,
                setsigdef={signal.SIGPIPE},
            )
        finally:
            os.close(read)
            os.close(null)
        return pid, write
