"""ProcessTable knows who did it, after exec, exit, reuse of pids and loss of events."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields, replace
from itertools import pairwise
from typing import get_type_hints

import pytest

from guard.event import (
    Event,
    FileOpen,
    Process,
    ProcessChdir,
    ProcessExec,
    ProcessExit,
    ProcessFork,
    ProcessSetuid,
)
from guard.processes import NameResolver, ProcessTable, ancestors, read_process

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
CLONE_PARENT, CLONE_THREAD = 0x8000, 0x10000
USERS = {0: "root", 1000: "ada", 1001: "ben"}

ZERO = {int: 0, str: "", bytes: bytes(16), tuple[str, ...]: ()}


def make(cls: type[Event], pid: int, start_ns: int, **values) -> Event:
    hints = get_type_hints(cls)
    empty = {field.name: ZERO[hints[field.name]] for field in fields(cls)}
    return cls(**(empty | {"pid": pid, "tid": pid, "start_ns": start_ns} | values))


def fork(parent: tuple[int, int], child: tuple[int, int], **values) -> Event:
    numbers = {"child_pid": child[0], "child_start_ns": child[1], "child_vpid": child[0]}
    return make(ProcessFork, *parent, **(numbers | values))


def execute(process: tuple[int, int], *argv: str, **values) -> Event:
    path = "/bin/" + argv[0]
    size = sum(len(argument) + 1 for argument in argv)
    image = {"path": path, "filename": path, "argv": argv, "comm": argv[0], "argv_size": size}
    return make(ProcessExec, *process, **(image | values))


@pytest.fixture
def names() -> NameResolver:
    return NameResolver(USERS.__getitem__, {0: "wheel", 1000: "staff"}.__getitem__)


@pytest.fixture
def table(names: NameResolver) -> ProcessTable:
    return ProcessTable(names)


AGENT, SHELL, CAT = (100, 7), (200, 11), (300, 13)


def test_exec_gives_the_image(table: ProcessTable):
    event = execute(
        AGENT, "node", "agent.js", uid=1000, gid=1000, euid=1000, loginuid=1001, cwd="/src", sid=9,
        pgid=8, vpid=3, tty=34816, inode=77, exec_flags=2, cap_permitted=5, env=("A=1",),
    )  # fmt: skip
    process = table.observe(event)
    assert (process.pid, process.start_ns) == AGENT
    assert (process.name, process.exepath) == ("node", "/bin/node")
    assert process.argv == ("node", "agent.js")
    assert (process.user, process.group, process.login_user) == ("ada", "staff", "ben")
    assert (process.cwd, process.sid, process.pgid, process.vpid) == ("/src", 9, 8, 3)
    assert (process.tty, process.exe_inode, process.exec_flags) == (34816, 77, 2)
    assert (process.cap_permitted, process.env) == (5, ("A=1",))
    assert process.guarded
    assert not process.argv_truncated
    assert table.observe(make(FileOpen, *AGENT)) is process


def test_unset_login_is_minus_one(table: ProcessTable):
    process = table.observe(execute(AGENT, "sh", loginuid=0xFFFFFFFF, uid=4242))
    assert (process.loginuid, process.login_user) == (-1, "<NA>")
    assert process.user == "<NA>"


def test_truncated_arguments_are_marked(table: ProcessTable):
    assert table.observe(execute(AGENT, "cc", "-c", argv_size=9000)).argv_truncated


def test_fork_copies_the_image(table: ProcessTable):
    """The fork is the parent's; the child has its image and refers to it."""
    agent = table.observe(execute(AGENT, "node"))
    assert table.observe(fork(AGENT, SHELL)) is agent
    child = table.find(SHELL[0])
    assert child is not None
    expected = replace(agent, pid=SHELL[0], start_ns=SHELL[1], vpid=SHELL[0], parent=agent)
    assert child == expected


def test_parent_is_as_it_was_at_the_fork(table: ProcessTable):
    """A parent's later exec does not change the history of its children."""
    table.observe(execute(AGENT, "node"))
    table.observe(fork(AGENT, SHELL))
    table.observe(execute(SHELL, "sh"))
    table.observe(execute(AGENT, "innocent"))
    shell = table.observe(make(FileOpen, *SHELL))
    assert [a.name for a in ancestors(shell)] == ["node"]


def test_chain_outlives_the_parents(table: ProcessTable):
    """More than seven generations, all dead but the last."""
    chain = [(100 + n, 1000 + n) for n in range(11)]
    table.observe(execute(chain[0], "p0"))
    for n, (parent, child) in enumerate(pairwise(chain), start=1):
        table.observe(fork(parent, child))
        table.observe(execute(child, f"p{n}"))
        table.observe(make(ProcessExit, *parent))
    last = table.observe(make(FileOpen, *chain[-1]))
    assert [a.name for a in ancestors(last)] == [f"p{n}" for n in range(9, -1, -1)]
    assert len(table) == 1


def test_exec_keeps_the_parent(table: ProcessTable):
    agent = table.observe(execute(AGENT, "node"))
    table.observe(fork(AGENT, SHELL))
    assert table.observe(execute(SHELL, "sh")).parent is agent


def test_threads_and_failures_are_no_processes(table: ProcessTable):
    agent = table.observe(execute(AGENT, "node"))
    table.observe(fork(AGENT, SHELL, clone_flags=CLONE_THREAD))
    table.observe(fork(AGENT, SHELL, res=-11))
    assert table.find(SHELL[0]) is None
    assert table.observe(execute(AGENT, "refused", res=-13)) is agent


def test_clone_parent_makes_a_sibling(table: ProcessTable):
    agent = table.observe(execute(AGENT, "node"))
    table.observe(fork(AGENT, SHELL))
    table.observe(fork(SHELL, CAT, clone_flags=CLONE_PARENT))
    child = table.find(CAT[0])
    assert child is not None
    assert child.parent is agent


def test_chdir_and_setuid_replace(table: ProcessTable):
    before = table.observe(execute(AGENT, "sh", cwd="/src"))
    moved = table.observe(make(ProcessChdir, *AGENT, path="/tmp"))
    assert (before.cwd, moved.cwd) == ("/src", "/tmp")
    assert table.observe(make(ProcessChdir, *AGENT, path="/no", res=-2)) is moved
    values = {"uid": 1001, "gid": 1000, "euid": 1001, "cap_effective": 1}
    changed = table.observe(make(ProcessSetuid, *AGENT, **values))
    assert (changed.uid, changed.user, changed.group, changed.euid) == (1001, "ben", "staff", 1001)
    assert changed.cap_effective == 1
    assert table.observe(make(ProcessSetuid, *AGENT, res=-1)) is changed


def test_exit_returns_the_process_and_forgets_it(table: ProcessTable):
    agent = table.observe(execute(AGENT, "node"))
    assert table.observe(make(ProcessExit, *AGENT)) is agent
    assert table.find(AGENT[0]) is None


def test_late_events_find_the_dead(table: ProcessTable):
    """A record that was overtaken by the exit still has its process."""
    agent = table.observe(execute(AGENT, "node"))
    table.observe(make(ProcessExit, *AGENT))
    assert table.observe(make(FileOpen, *AGENT)) is agent
    assert len(table) == 0


def test_reused_pid_is_another_process(table: ProcessTable):
    table.observe(execute(AGENT, "node"))
    other = table.observe(make(FileOpen, AGENT[0], 999, uid=1001))
    assert (other.start_ns, other.name, other.user) == (999, "", "ben")


def test_very_late_event_does_not_hide_the_living(table: ProcessTable):
    """An event of an earlier owner of the pid, long forgotten."""
    living = table.observe(execute((100, 5000), "node"))
    assert table.observe(make(FileOpen, 100, 7)).name == ""
    assert table.observe(make(FileOpen, 100, 5000)) is living


def test_endless_forking_keeps_both_ends(table: ProcessTable):
    """Memory is bounded; the nearest ancestors and the agent itself stay known."""
    table.observe(execute((1, 1), "agent"))
    for n in range(1, 500):
        table.observe(fork((n, n), (n + 1, n + 1)))
        table.observe(execute((n + 1, n + 1), f"p{n + 1}"))
        table.observe(make(ProcessExit, n, n))
    chain = [a.name for a in ancestors(table.observe(make(FileOpen, 500, 500)))]
    assert len(chain) <= 65
    assert chain[:20] == [f"p{n}" for n in range(499, 479, -1)]
    assert chain[-1] == "agent"


def test_lost_exits_do_not_fill_the_memory(table: ProcessTable, monkeypatch):
    monkeypatch.setattr("guard.processes._MAX_LIVE", 50)
    for pid in range(1, 200):
        table.observe(execute((pid, pid), "x"))
    assert len(table) == 50


def test_dead_entries_are_bounded(table: ProcessTable, monkeypatch):
    monkeypatch.setattr("guard.processes._MAX_EXITED", 5)
    for pid in range(1, 20):
        table.observe(execute((pid, pid), f"p{pid}"))
        table.observe(make(ProcessExit, pid, pid))
    assert table.observe(make(FileOpen, 19, 19)).name == "p19"
    assert table.observe(make(FileOpen, 14, 14)).name == ""


class Proc:
    """A /proc with the processes of a test: pid to (name, start, parent's pid)."""

    def __init__(self, processes: dict[int, tuple[str, int, int]]) -> None:
        self.processes = processes
        self.reads: list[int] = []

    def __call__(self, pid: int, names: NameResolver) -> tuple[Process, int] | None:
        self.reads.append(pid)
        if pid not in self.processes:
            return None
        name, start_ns, parent_pid = self.processes[pid]
        table = ProcessTable(names)
        process = table.observe(execute((pid, start_ns), name))
        return replace(process, guarded=False), parent_pid


def test_seeded_ancestors_are_outside(names: NameResolver):
    """Guard's own chain is read once; the agent continues it."""
    proc = Proc(
        {1: ("init", TICK_NS, 0), 50: ("bash", 2 * TICK_NS, 1), 60: ("guard", 3 * TICK_NS, 50)}
    )
    table = ProcessTable(names, proc)
    guard = table.seed(60)
    assert guard is not None
    assert [a.name for a in ancestors(guard)] == ["bash", "init"]
    exact = 3 * TICK_NS + 1234
    agent = table.observe(execute(AGENT, "node", parent_pid=60, parent_start_ns=exact))
    assert [(a.name, a.guarded) for a in ancestors(agent)] == [
        ("guard", False),
        ("bash", False),
        ("init", False),
    ]
    # The agent itself was asked for once: nothing had told of it.
    assert proc.reads == [60, 50, 1, AGENT[0]]


def test_gone_process_cannot_be_seeded(names: NameResolver):
    assert ProcessTable(names, Proc({})).seed(60) is None


def test_lost_fork_is_made_up_from_proc(names: NameResolver):
    """A process whose fork was lost is found by pid and start, below its known ancestor."""
    start = 5 * TICK_NS + 77
    proc = Proc({300: ("cat", 5 * TICK_NS, 200), 200: ("sh", 4 * TICK_NS, AGENT[0])})
    table = ProcessTable(names, proc)
    table.observe(execute(AGENT, "node"))
    proc.reads.clear()
    found = table.observe(make(FileOpen, 300, start))
    assert (found.name, found.start_ns, found.guarded) == ("cat", start, True)
    assert [(a.name, a.guarded) for a in ancestors(found)] == [("sh", True), ("node", True)]
    assert table.observe(make(FileOpen, 300, start)) is found
    assert proc.reads == [300, 200]


def test_proc_entry_of_another_start_is_not_it(names: NameResolver):
    """/proc already shows the next process of that pid: better no image than a wrong one."""
    table = ProcessTable(names, Proc({300: ("other", 9 * TICK_NS, 0)}))
    assert table.observe(make(FileOpen, 300, 5 * TICK_NS)).name == ""


def test_rounded_start_becomes_exact(names: NameResolver):
    """An entry read from /proc is the process of an event with the exact start."""
    proc = Proc({300: ("cat", 5 * TICK_NS, 0)})
    table = ProcessTable(names, proc)
    table.seed(300)
    found = table.observe(make(FileOpen, 300, 5 * TICK_NS + 9))
    assert (found.name, found.start_ns, found.guarded) == ("cat", 5 * TICK_NS + 9, True)
    assert proc.reads == [300]


def test_names_are_looked_up_once():
    asked = []

    def user_name(uid: int) -> str:
        asked.append(uid)
        return USERS[uid]

    names = NameResolver(user_name, lambda _: "g")
    assert [names.user(uid) for uid in (1000, 1000, 5, 5, 0xFFFFFFFF, -1)] == [
        "ada", "ada", "<NA>", "<NA>", "<NA>", "<NA>",
    ]  # fmt: skip
    assert asked == [1000, 5]


def test_own_process_from_proc():
    read = read_process(os.getpid(), NameResolver())
    assert read is not None
    process, parent_pid = read
    assert parent_pid == os.getppid()
    assert (process.pid, process.uid, process.cwd) == (os.getpid(), os.getuid(), os.getcwd())
    assert process.exepath == os.path.realpath(sys.executable)
    assert process.exe_inode == os.stat(sys.executable).st_ino
    assert (process.sid, process.pgid) == (os.getsid(0), os.getpgid(0))
    assert process.start_ns % TICK_NS == 0
    assert not process.guarded


def test_hostile_name_and_arguments_from_proc(tmp_path):
    """Parentheses, spaces and newlines in a name; bytes that are not text in an argument."""
    program = tmp_path / "a) R 1\n(b"
    program.symlink_to(sys.executable)
    code = b"import time; print(flush=True); time.sleep(60)"
    arguments = [os.fsencode(program), b"-c", code, b"\xff", b""]
    child = subprocess.Popen(arguments, stdout=subprocess.PIPE)
    assert child.stdout is not None
    try:
        child.stdout.read(1)
        read = read_process(child.pid, NameResolver())
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    assert read is not None
    process, parent_pid = read
    assert process.name == "a) R 1\n(b"
    assert process.argv[3:] == ("\udcff", "")
    assert parent_pid == os.getpid()


def test_absent_process_from_proc():
    assert read_process(2**22 + 1, NameResolver()) is None
