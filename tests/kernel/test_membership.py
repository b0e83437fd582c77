"""Who is watched: the command, everything it starts, and nobody else, whatever they do."""

import os
import subprocess
import sys

import pytest

from tests.kernel.harness import Session, cgroup_root, wait_until

pytestmark = pytest.mark.kernel
PYTHON = (sys.executable, "-I", "-S", "-c")
STORM = 2003


def touched(run, place):
    """Names of the files that members were seen to open in `place`."""
    prefix = f"{place}/"
    return sorted(
        event.path.removeprefix(prefix)
        for event in run.of("file_open")
        if event.path.startswith(prefix)
    )


def test_children_and_grandchildren(session, place):
    code = "(: >child; (: >grandchild; (: >great-grandchild)))"
    run = session.run(["/bin/sh", "-c", code], cwd=place)

    assert ["child", "grandchild", "great-grandchild"] == touched(run, place)
    assert len(run.of("process_fork")) + 1 == len(run.of("process_exit"))


def test_a_daemon(session, place):
    """Forked twice, in a session of its own, adopted by another parent."""
    code = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(0.2)
        open("daemon", "w").close()
    os._exit(0)
os.wait()
"""
    run = session.run([*PYTHON, code], cwd=place)

    assert ["daemon"] == touched(run, place)
    assert 3 == len(run.of("process_exit"))


def test_threads(session, place):
    """Each with its own thread id; the process is one."""
    code = """
import threading
threads = [threading.Thread(target=lambda n=n: open(f"thread-{n}", "w").close()) for n in range(7)]
[t.start() for t in threads]
[t.join() for t in threads]
"""
    run = session.run([*PYTHON, code], cwd=place)

    opened = [e for e in run.of("file_open") if e.path.startswith(f"{place}/thread-")]
    assert 7 == len(opened) == len({event.tid for event in opened})
    assert {run.pid} == {event.pid for event in opened}
    assert run.pid not in {event.tid for event in opened}


def test_a_child_of_vfork(session, trigger, place):
    run = session.run([trigger, "vfork", 7], cwd=place)

    children = {line["child_pid"] for line in run.lines}
    assert children == {event.pid for event in run.of("process_exit")} - {run.pid}


def test_a_process_moved_to_another_cgroup(session, place):
    """Membership is the task's; the cgroup is only where it began."""
    code = f"""
import os
with open("{cgroup_root()}/cgroup.procs", "w") as file:
    file.write(str(os.getpid()))
open("moved", "w").close()
if os.fork() == 0:
    open("child", "w").close()
    os._exit(0)
os.wait()
print(open("/proc/self/cgroup").read())
"""
    run = session.run([*PYTHON, code], cwd=place)

    assert "0::/\n" in run.output, run.errors
    assert ["child", "moved"] == touched(run, place)


def test_a_child_made_in_another_cgroup(session, place):
    """clone3 with CLONE_INTO_CGROUP: the child is never in the session's cgroup."""
    code = f"""
import ctypes, os, struct
target = os.open("{cgroup_root()}", os.O_RDONLY)
how = struct.pack("<11Q", 0x200000000, 0, 0, 0, 17, 0, 0, 0, 0, 0, target)
pid = ctypes.CDLL(None).syscall(435, how, len(how))
if pid == 0:
    open("inside", "w").write(open("/proc/self/cgroup").read())
    os._exit(0)
os.waitpid(pid, 0)
print(pid)
"""
    run = session.run([sys.executable, "-I", "-c", code], cwd=place)

    child = int(run.output)
    assert "0::/\n" in (place / "inside").read_text()
    assert ["inside"] == touched(run, place)
    assert [child] == [event.child_pid for event in run.of("process_fork", "clone3")]


def test_a_child_in_its_own_pid_namespace(session, place):
    run = session.run(
        ["unshare", "--pid", "--fork", "/bin/sh", "-c", ": >inside; echo $$"], cwd=place
    )

    assert "1\n" == run.output
    (opened,) = (e for e in run.of("file_open") if e.path == f"{place}/inside")
    (fork,) = run.of("process_fork")
    # Its own children see it as 1; events speak of the pid the machine knows.
    assert (fork.child_pid, 1) == (opened.pid, fork.child_vpid)
    assert 1 != opened.pid


def test_a_process_outside_is_never_reported(session, trigger, place):
    """Not even one in the same cgroup, and not the parent that started the command."""
    outside = place / "outside"
    outside.mkdir()
    code = f'echo $$ >{session.cgroup}/cgroup.procs; exec "$0" openat 97'

    def run_outside():
        with subprocess.Popen(
            ["/bin/sh", "-c", code, trigger],
            cwd=outside,
            stdout=subprocess.DEVNULL,
        ):
            pass

    run = session.run(["sleep", "0.2"], cwd=place, meanwhile=run_outside)

    assert 97 == len(list(outside.iterdir()))
    assert {run.pid} == {event.pid for event in run.events}
    assert not any("outside" in event.path for event in run.of("file_open"))


def test_two_sessions_do_not_see_each_other(session, trigger, place):
    (place / "a").mkdir()
    (place / "b").mkdir()
    other = Session()
    try:
        theirs = other.start([trigger, "openat", 97], cwd=place / "b")
        run = session.run([trigger, "openat", 89], cwd=place / "a", meanwhile=theirs.go)
        events = []
        theirs.wait(30, lambda: events.extend(other.take()))
        events += other.take()
    finally:
        other.close()

    assert 89 == len(touched(run, place / "a"))
    assert {run.pid} == {event.pid for event in run.events}
    assert {theirs.process.pid} == {event.pid for event in events}
    opened = [event for event in events if event.kind == "file_open"]
    assert {str(place / "b")} == {os.path.dirname(event.path) for event in opened}
    assert 97 == len(opened)


def test_a_session_in_a_session(session, trigger, place):
    """A process may belong to two; each sees it."""
    inner = Session()
    try:
        started = inner.start([trigger, "openat", 7], cwd=place)
        session.guard(started.process.pid)
        started.go()
        events = []
        started.wait(30, lambda: events.extend(inner.take()))
        wait_until(lambda: not session.members())
        both = [
            sum(event.kind == "file_open" for event in seen)
            for seen in (events + inner.take(), session.take())
        ]
    finally:
        inner.close()

    assert [7, 7] == both


def test_reused_pids_are_told_apart(session, place):
    """A pid namespace of its own, whose next pid is set back again and again."""
    code = """
import os
seen = []
for _ in range(5):
    with open("/proc/sys/kernel/ns_last_pid", "w") as file:
        file.write("41")
    if (pid := os.fork()) == 0:
        os._exit(0)
    seen.append(pid)
    os.wait()
print(seen)
"""
    inside = 'mount -t proc proc /proc && exec "$0" -I -S -c "$1"'
    command = ["unshare", "-m", "--pid", "--fork", "/bin/sh", "-c", inside, sys.executable, code]
    run = session.run(command, cwd=place)

    assert f"{[42] * 5}\n" == run.output, run.errors
    forks = [event for event in run.of("process_fork") if event.child_vpid == 42]
    ends = {(event.pid, event.start_ns) for event in run.of("process_exit")}
    assert 5 == len(forks) == len({event.child_start_ns for event in forks})
    assert {(event.child_pid, event.child_start_ns) for event in forks} <= ends


def test_a_fork_storm(session, trigger, place):
    run = session.run([trigger, "fork", STORM], cwd=place)

    forks, ends = run.of("process_fork"), run.of("process_exit")
    assert STORM == len(run.lines)
    assert [line["child_pid"] for line in run.lines] == [event.child_pid for event in forks]
    assert STORM + 1 == len(ends)
    born = {(event.child_pid, event.child_start_ns) for event in forks}
    assert born | {(run.pid, run.start_of(run.pid))} == {(e.pid, e.start_ns) for e in ends}
    assert 0 == run.counters.errors == run.counters.dropped_candidate
    assert [] == session.members()


def test_a_storm_of_processes_at_once(session, place):
    """2003 children that live together, and are all gone in the end."""
    code = f"""
import os
read, write = os.pipe()
for _ in range({STORM}):
    if os.fork() == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
os.close(write)
for _ in range({STORM}):
    os.wait()
"""
    run = session.run([*PYTHON, code], cwd=place, timeout=60)

    assert (0, "") == (run.status, run.errors)
    assert STORM == len({event.child_pid for event in run.of("process_fork")})
    assert STORM + 1 == len(run.of("process_exit"))
    assert [] == session.members()


def test_a_process_that_replaces_its_leader(session, trigger, place):
    """exec from a thread gives the thread the process's id."""
    code = f"""
import os, threading
threading.Thread(target=os.execv, args=["{trigger}", ["trigger", "openat", "7"]]).start()
import time; time.sleep(9)
"""
    run = session.run([*PYTHON, code], cwd=place)

    assert 7 == len(run.lines)
    assert 7 == len(touched(run, place))
    assert [run.pid] == [event.pid for event in run.of("process_exit")]
