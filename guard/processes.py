"""ProcessTable: who did it. Keeps the image of every process of a session.

Built from the session's own life-cycle events. What they do not tell (guard's
ancestors, processes whose events were lost) is read from /proc once, when it is
first needed. A child refers to its parent as it was at the fork, so ancestor
chains stay true after exec, exit and reuse of a pid.
"""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Callable, Iterator

from guard.data import replace
from guard.event import (
    Event,
    Process,
    ProcessChdir,
    ProcessExec,
    ProcessExit,
    ProcessFork,
    ProcessSetuid,
)

UNKNOWN_NAME = "<NA>"
UNSET_ID = 0xFFFFFFFF

_CLONE_PARENT = 0x8000
_CLONE_THREAD = 0x10000
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_MAX_LIVE = 32768
_MAX_EXITED = 1024
# A chain longer than the first is cut to the ends of the second length each: a shell that
# forks and exits for ever would otherwise keep every one of its generations in memory.
_MAX_DEPTH = 64
_KEPT_DEPTH = 24


class NameResolver:
    """Names of users and groups, each looked up once. Ids without a name are `<NA>`."""

    def __init__(
        self,
        user_name: Callable[[int], str] = lambda uid: pwd.getpwuid(uid).pw_name,
        group_name: Callable[[int], str] = lambda gid: grp.getgrgid(gid).gr_name,
    ) -> None:
        """The functions raise KeyError for an id without a name."""
        self._user_name = user_name
        self._group_name = group_name
        self._users: dict[int, str] = {UNSET_ID: UNKNOWN_NAME, -1: UNKNOWN_NAME}
        self._groups: dict[int, str] = {UNSET_ID: UNKNOWN_NAME, -1: UNKNOWN_NAME}

    def user(self, uid: int) -> str:
        return _cached(self._users, self._user_name, uid)

    def group(self, gid: int) -> str:
        return _cached(self._groups, self._group_name, gid)


# Reads a process that exists now: (the process without its parent, the parent's pid).
Snapshot = Callable[[int, NameResolver], tuple[Process, int] | None]


class ProcessTable:
    """All processes of one session, by pid, with what is known of their ancestors."""

    def __init__(self, names: NameResolver, snapshot: Snapshot | None = None) -> None:
        """`snapshot` is `read_process` for a live session, None for a recorded one."""
        self._names = names
        self._snapshot = snapshot
        self._live: dict[int, Process] = {}
        self._exited: dict[tuple[int, int], Process] = {}

    def __len__(self) -> int:
        return len(self._live)

    def seed(self, pid: int) -> Process | None:
        """Read a process and its ancestors, all outside the session; None if it is gone."""
        return self._seed(pid, None, guarded=False)

    def find(self, pid: int) -> Process | None:
        """The live process of this pid, as far as known."""
        return self._live.get(pid)

    def observe(self, event: Event) -> Process:
        """Learn from `event`; returns the process that did it, as it is after the event.

        For a fork that is the parent, for an exit the process as it last was.
        """
        process = self._live.get(event.pid)
        if process is None or process.start_ns != event.start_ns:
            process = self._identify(process, event)
        match event:
            case ProcessExec():
                return self._exec(process, event)
            case ProcessFork():
                self._fork(process, event)
            case ProcessExit():
                self._exit(process)
            case ProcessChdir() if event.res >= 0:
                return self._put(replace(process, cwd=event.path))
            case ProcessSetuid() if event.res >= 0:
                return self._setuid(process, event)
        return process

    def _exec(self, process: Process, event: ProcessExec) -> Process:
        if event.res < 0:
            return process
        parent = process.parent
        if parent is None and event.parent_pid:
            parent = self._parent(event)
        names = self._names
        kept_bytes = sum(len(_encode(argument)) + 1 for argument in event.argv)
        return self._put(
            Process(
                pid=event.pid,
                start_ns=event.start_ns,
                parent=parent,
                name=event.comm,
                exepath=event.path,
                filename=event.filename,
                argv=event.argv,
                cwd=event.cwd,
                uid=event.uid,
                gid=event.gid,
                euid=event.euid,
                loginuid=_signed_id(event.loginuid),
                user=names.user(event.uid),
                group=names.group(event.gid),
                login_user=names.user(event.loginuid),
                sid=event.sid,
                pgid=event.pgid,
                vpid=event.vpid,
                vpgid=event.vpgid,
                tty=event.tty,
                cap_permitted=event.cap_permitted,
                cap_effective=event.cap_effective,
                exe_inode=event.inode,
                exe_ctime_ns=event.exe_ctime_ns,
                exe_mtime_ns=event.exe_mtime_ns,
                exec_flags=event.exec_flags,
                env=event.env,
                argv_truncated=event.argv_size > kept_bytes,
            )
        )

    def _fork(self, parent: Process, event: ProcessFork) -> None:
        if event.clone_flags & _CLONE_THREAD or event.child_pid == event.pid or event.res < 0:
            return
        sibling = bool(event.clone_flags & _CLONE_PARENT)
        self._put(
            replace(
                parent,
                pid=event.child_pid,
                start_ns=event.child_start_ns,
                vpid=event.child_vpid,
                parent=parent.parent if sibling else _shortened(parent),
            )
        )

    def _exit(self, process: Process) -> None:
        self._live.pop(process.pid, None)
        # Records of the last moments may still be on their way from another CPU's buffer.
        self._exited[process.pid, process.start_ns] = process
        if len(self._exited) > _MAX_EXITED:
            del self._exited[next(iter(self._exited))]

    def _setuid(self, process: Process, event: ProcessSetuid) -> Process:
        return self._put(
            replace(
                process,
                uid=event.uid,
                gid=event.gid,
                euid=event.euid,
                user=self._names.user(event.uid),
                group=self._names.group(event.gid),
                cap_permitted=event.cap_permitted,
                cap_effective=event.cap_effective,
            )
        )

    def _identify(self, known: Process | None, event: Event) -> Process:
        """The process of an event whose pid is unknown, or known with another start.

        Without any source for it, a process with little but its ids.
        """
        exited = self._exited.get((event.pid, event.start_ns))
        if exited is not None:
            return exited
        if known is not None and _same_start(known.start_ns, event.start_ns):
            return self._put(replace(known, start_ns=event.start_ns, guarded=True))
        if known is not None and known.start_ns > event.start_ns:
            return _placeholder(event, self._names)
        seeded = self._seed(event.pid, event.start_ns, guarded=True)
        return seeded or self._put(_placeholder(event, self._names))

    def _parent(self, event: ProcessExec) -> Process | None:
        known = self._live.get(event.parent_pid)
        if known is not None and _same_start(known.start_ns, event.parent_start_ns):
            return known
        exited = self._exited.get((event.parent_pid, event.parent_start_ns))
        return exited or self._seed(event.parent_pid, event.parent_start_ns, guarded=False)

    def _seed(self, pid: int, start_ns: int | None, *, guarded: bool) -> Process | None:
        """Read `pid` and its ancestors up to one that is known.

        `start_ns` guards against reuse of the pid. What lies between a guarded process and a
        guarded ancestor is guarded.
        """
        if self._snapshot is None:
            return None
        found: list[Process] = []
        parent: Process | None = None
        while pid and len(found) < _MAX_DEPTH:
            parent = self._live.get(pid) if found else None
            if parent is not None:
                break
            read = self._snapshot(pid, self._names)
            if read is None:
                break
            process, pid = read
            if not found and start_ns is not None:
                if not _same_start(process.start_ns, start_ns):
                    return None
                process = replace(process, start_ns=start_ns)
            found.append(process)
        for index, process in enumerate(reversed(found), start=1):
            last = index == len(found)
            inside = (guarded and last) or (parent is not None and parent.guarded)
            parent = self._put(replace(process, parent=parent, guarded=inside))
        return parent if found else None

    def _put(self, process: Process) -> Process:
        if process.pid not in self._live and len(self._live) >= _MAX_LIVE:
            # Exits were lost. A living process that goes with them is read again when needed.
            del self._live[next(iter(self._live))]
        self._live[process.pid] = process
        return process


def ancestors(process: Process) -> Iterator[Process]:
    """Parent, its parent, and so on."""
    parent = process.parent
    while parent is not None:
        yield parent
        parent = parent.parent


def read_process(pid: int, names: NameResolver) -> tuple[Process, int] | None:
    """The process as /proc shows it, without its parent, and the parent's pid.

    None when it does not exist. `start_ns` is exact to the clock tick only, see `_same_start`.
    What /proc hides (another user's executable, a kernel thread's) is left empty.
    """
    folder = f"/proc/{pid}/"
    try:
        # The name is in parentheses and may hold any character, also these.
        head, _, tail = _read(folder + "stat").rpartition(")")
        status = dict(line.split(":\t", 1) for line in _read(folder + "status").splitlines())
    except (OSError, ValueError):
        return None
    parent_pid, pgid, sid, tty = (int(text) for text in tail.split()[1:5])
    start_ns = int(tail.split()[19]) * _TICK_NS
    uid, euid = (int(text) for text in status["Uid"].split()[:2])
    gid = int(status["Gid"].split()[0])
    loginuid = _signed_id(int(_read_or_empty(folder + "loginuid") or UNSET_ID))
    exepath = _link(folder + "exe")
    command = _read_or_empty(folder + "cmdline")
    inode, ctime_ns, mtime_ns = _file_times(folder + "exe")
    process = Process(
        pid=pid,
        start_ns=start_ns,
        parent=None,
        name=head.partition("(")[2],
        exepath=exepath,
        filename=exepath,
        argv=tuple(command.removesuffix("\0").split("\0")) if command else (),
        cwd=_link(folder + "cwd"),
        uid=uid,
        gid=gid,
        euid=euid,
        loginuid=loginuid,
        user=names.user(uid),
        group=names.group(gid),
        login_user=names.user(loginuid),
        sid=sid,
        pgid=pgid,
        vpid=_innermost(status.get("NSpid"), pid),
        vpgid=_innermost(status.get("NSpgid"), pgid),
        tty=tty,
        cap_permitted=int(status["CapPrm"], 16),
        cap_effective=int(status["CapEff"], 16),
        exe_inode=inode,
        exe_ctime_ns=ctime_ns,
        exe_mtime_ns=mtime_ns,
        exec_flags=0,
        guarded=False,
    )
    return process, parent_pid


def _same_start(known_ns: int, actual_ns: int) -> bool:
    """Whether a start from an event is that of a known process, perhaps read from /proc."""
    return known_ns == actual_ns or known_ns == actual_ns - actual_ns % _TICK_NS


def _shortened(process: Process) -> Process:
    chain = [process, *ancestors(process)]
    if len(chain) <= _MAX_DEPTH:
        return process
    parent: Process | None = None
    for each in reversed(chain[:_KEPT_DEPTH] + chain[-_KEPT_DEPTH:]):
        parent = replace(each, parent=parent)
    assert parent is not None
    return parent


def _placeholder(event: Event, names: NameResolver) -> Process:
    return Process(
        pid=event.pid,
        start_ns=event.start_ns,
        parent=None,
        name="",
        exepath="",
        filename="",
        argv=(),
        cwd="",
        uid=event.uid,
        gid=event.gid,
        euid=event.uid,
        loginuid=-1,
        user=names.user(event.uid),
        group=names.group(event.gid),
        login_user=UNKNOWN_NAME,
        sid=0,
        pgid=0,
        vpid=event.pid,
        vpgid=0,
        tty=0,
        cap_permitted=0,
        cap_effective=0,
        exe_inode=0,
        exe_ctime_ns=0,
        exe_mtime_ns=0,
        exec_flags=0,
    )


def _cached(known: dict[int, str], look_up: Callable[[int], str], number: int) -> str:
    name = known.get(number)
    if name is None:
        try:
            name = look_up(number)
        except KeyError:
            name = UNKNOWN_NAME
        known[number] = name
    return name


def _signed_id(number: int) -> int:
    return -1 if number == UNSET_ID else number


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _read(path: str) -> str:
    with open(path, "rb") as file:
        return file.read().decode("utf-8", "surrogateescape")


def _read_or_empty(path: str) -> str:
    try:
        return _read(path)
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _file_times(path: str) -> tuple[int, int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_ctime_ns, found.st_mtime_ns


def _innermost(numbers: str | None, default: int) -> int:
    return int(numbers.split()[-1]) if numbers else default
