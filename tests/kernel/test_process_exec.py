"""process_exec: the program, what it was called with, and who it runs as."""

import errno
import os
import shutil
import sys
from pathlib import Path

import pytest

from guard.event import EXEC_MEMFD, EXEC_SECURE
from tests.kernel.harness import kernel_dev

pytestmark = pytest.mark.kernel
COUNT = 5
UNSET = 0xFFFFFFFF


def caps(pid, name):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1], 16)
    raise AssertionError(name)


def loginuid():
    try:
        return int(Path("/proc/self/loginuid").read_text())
    except FileNotFoundError:
        return UNSET


def of_program(path, **more):
    """What the file system tells about an executable."""
    stat = os.stat(path)
    return {
        "inode": stat.st_ino,
        "dev": kernel_dev(stat),
        "nlink": stat.st_nlink,
        "exe_mtime_ns": stat.st_mtime_ns,
        "exe_ctime_ns": stat.st_ctime_ns,
        "path": os.path.realpath(path),
        "filename": str(path),
    } | more


def of_process(run, pid, **more):
    """What a process of `run` inherits from the process that runs the tests."""
    return {
        "pid": pid,
        "vpid": pid,
        "pgid": os.getpgid(0),
        "vpgid": os.getpgid(0),
        "sid": os.getsid(0),
        "loginuid": loginuid(),
        "euid": 0,
        "cap_permitted": caps("self", "CapPrm"),
        "cap_effective": caps("self", "CapEff"),
        "exec_flags": 0,
        "env": (),
        "res": 0,
    } | more


def size(argv):
    return sum(len(os.fsencode(text)) + 1 for text in argv)


def own_tty():
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    number = int(fields[4])
    return os.major(number) << 8 | os.minor(number)


def test_the_command_itself(session, trigger, place):
    argv = (trigger, "nothing", "0")
    run = session.run(argv, cwd=place)

    (event,) = run.of("process_exec")
    start = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    assert event.parent_start_ns // 10_000_000 == int(start)
    run.check(
        event,
        call="execve",
        argv=argv,
        argv_size=size(argv),
        comm="trigger",
        cwd=str(place),
        parent_pid=os.getpid(),
        parent_start_ns=event.parent_start_ns,
        tty=own_tty(),
        **of_program(trigger),
        **of_process(run, run.pid),
    )


@pytest.mark.parametrize("call", ["execve", "execveat"])
def test_children_executed_by(call, session, trigger, place):
    """A program found by descriptor has the name /dev/fd/NUMBER, and the path of its file."""
    run = session.run([trigger, call, COUNT], cwd=place)

    events = [event for event in run.of("process_exec", call) if event.pid != run.pid]
    assert COUNT == len(events) == len(run.lines)
    for line, event in zip(run.lines, events, strict=True):
        argv = ("trigger", "nothing", "0", line["argument"])
        opened = [e.fd for e in run.of("file_open") if e.pid == event.pid]
        filename = line["path"] if call == "execve" else f"/dev/fd/{opened[0]}"
        run.check(
            event,
            call=call,
            argv=argv,
            argv_size=size(argv),
            comm="trigger",
            cwd=str(place),
            parent_pid=run.pid,
            parent_start_ns=run.start_of(run.pid),
            tty=own_tty(),
            **of_program(trigger, filename=filename),
            **of_process(run, line["pid"]),
        )


def test_a_symlink_is_resolved(session, trigger, place):
    (place / "alias").symlink_to(trigger)
    run = session.run([place / "alias", "nothing", 0], cwd=place)

    (event,) = run.of("process_exec")
    assert (trigger, str(place / "alias"), "alias") == (event.path, event.filename, event.comm)


def test_a_script_is_its_interpreter_with_the_name_of_the_script(session, place):
    script = place / "script"
    script.write_text("#!/bin/sh\n:\n")
    script.chmod(0o755)
    run = session.run([script, "argument"], cwd=place)

    (event,) = run.of("process_exec")
    assert os.path.realpath("/bin/sh") == event.path
    assert (str(script), "script") == (event.filename, event.comm)
    assert ("/bin/sh", str(script), "argument") == event.argv


def test_a_program_in_memory(session, trigger, place):
    run = session.run([trigger, "memfd_exec", COUNT], cwd=place)

    events = run.of("process_exec", "execveat")
    assert COUNT == len(events)
    for line, event in zip(run.lines, events, strict=True):
        assert (line["pid"], 0, EXEC_MEMFD) == (event.pid, event.nlink, event.exec_flags)
        assert ("trigger", "nothing", "0") == event.argv


def test_a_deleted_program_has_no_link(session, trigger, place):
    """Told apart from one in memory by its path."""
    shutil.copy(trigger, place / "gone")
    code = (
        "import os; f = os.open('gone', os.O_PATH | os.O_CLOEXEC); os.unlink('gone');"
        "os.execve(f, ['gone', 'nothing', '0'], {})"
    )
    run = session.run([sys.executable, "-I", "-S", "-c", code], cwd=place)

    event = run.of("process_exec")[-1]
    assert (0, str(place / "gone")) == (event.nlink, event.path)


def test_set_user_id_takes_effect(session, trigger, place):
    shutil.copy(trigger, place / "setuid")
    (place / "setuid").chmod(0o4755)
    run = session.run([place / "setuid", "nothing", 0], cwd=place, user=65534, group=65534)

    (event,) = run.of("process_exec")
    assert (65534, 0, EXEC_SECURE) == (event.uid, event.euid, event.exec_flags)


def test_the_environment_only_when_asked_for(session, trigger, place):
    session.configure(capture_env=1)
    run = session.run([trigger, "nothing", 0], cwd=place, env={"ONE": "1", "TWO": "two words"})

    (event,) = run.of("process_exec")
    # The shell that starts the command adds the directory it is in.
    assert (
        {"ONE=1", "TWO=two words"} <= set(event.env) <= {"ONE=1", "TWO=two words", f"PWD={place}"}
    )


def test_a_failure_is_no_event(session, trigger, place):
    code = (
        "import os\n"
        "try: os.execv('/missing/program', ['program'])\n"
        "except OSError as e: print(e.errno)"
    )
    run = session.run([sys.executable, "-I", "-S", "-c", code], cwd=place)

    assert str(errno.ENOENT) == run.output.strip()
    assert [] == [event for event in run.of("process_exec") if "missing" in event.filename]
