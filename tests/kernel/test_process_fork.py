"""process_fork: every call that makes a process; a thread is none."""

import re
import sys

import pytest

pytestmark = pytest.mark.kernel
COUNT = 7
NEWUTS, NEWPID, SIGCHLD = 0x04000000, 0x20000000, 17


@pytest.mark.parametrize("call", ["fork", "vfork", "clone", "clone3"])
def test_made_by(call, session, trigger, place):
    run = session.run([trigger, call, COUNT], cwd=place)

    exits = {event.pid: event for event in run.of("process_exit")}
    for line, event in run.pairs("process_fork", COUNT):
        child = line["child_pid"]
        run.check(
            event,
            call=call,
            res=child,
            child_pid=child,
            child_vpid=child,
            child_start_ns=exits[child].start_ns,
            clone_flags=event.clone_flags,
        )
        # The lowest byte may hold the signal that the parent gets.
        assert 0 == event.clone_flags & ~0xFF


def test_clone_flags_name_new_namespaces(session, place):
    """Its pid in the new namespace is 1."""
    code = (
        "import ctypes, os\n"
        f"pid = ctypes.CDLL(None).syscall(56, {NEWPID | NEWUTS | SIGCHLD}, 0, 0, 0, 0)\n"
        "os._exit(0) if pid == 0 else os.waitpid(pid, 0)\n"
        "print(pid)"
    )
    run = session.run([sys.executable, "-I", "-S", "-c", code], cwd=place)

    (event,) = run.of("process_fork")
    child = int(re.sub(r"\s", "", run.output))
    (end,) = (e for e in run.of("process_exit") if e.pid == child)
    run.check(
        event,
        call="clone",
        res=child,
        child_pid=child,
        child_vpid=1,
        child_start_ns=end.start_ns,
        clone_flags=event.clone_flags,
    )
    assert NEWPID | NEWUTS == event.clone_flags & ~0xFF


def test_a_thread_is_no_process(session, trigger, place):
    run = session.run([trigger, "thread", COUNT], cwd=place)

    assert len(run.lines) == COUNT
    assert run.of("process_fork") == []
    assert [run.pid] == [event.pid for event in run.of("process_exit")]
