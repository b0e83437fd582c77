"""A program that may not run: the process is dead before its first instruction."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.kernel.policy import in_force, rule, verdicts, was_killed

pytestmark = pytest.mark.kernel
PYTHON = (sys.executable, "-I", "-S", "-c")
RAN = "it has run"

# Commands in a directory that holds the program `bad` and `alias`, a symlink to it.
WAYS = {
    "by its path": ("./bad", RAN),
    "by a child": ("/bin/sh", "-c", f"./bad {RAN}; :"),
    "through a symlink": ("./alias", RAN),
    "found in PATH": ("/bin/sh", "-c", f"PATH=$PWD; bad {RAN}; :"),
    "by way of ..": ("/bin/sh", "-c", f"mkdir d; d/../bad {RAN}; :"),
    "by descriptor": (
        *PYTHON,
        f"import os; os.execve(os.open('bad', os.O_PATH), ['bad', '{RAN}'], {{}})",
    ),
    "through /proc/self/fd": ("/bin/sh", "-c", f"exec 3<bad; exec /proc/self/fd/3 {RAN}"),
    "after it was renamed": ("/bin/sh", "-c", f"mv bad good; ./good {RAN}; :"),
    "as an interpreter": (
        "/bin/sh", "-c",
        f"printf '#!%s {RAN}\n' $PWD/bad >script; chmod +x script; ./script; :",
    ),
    "through vfork": (*PYTHON, f"import subprocess; subprocess.run(['./bad', '{RAN}'])"),
    "through a bind mount": (
        "unshare", "-m", "/bin/sh", "-c", f": >other && mount --bind bad other && ./other {RAN}; :",
    ),
}  # fmt: skip


@pytest.fixture
def bad(place):
    """A program that prints its arguments."""
    program = place / "bad"
    shutil.copy(os.path.realpath("/bin/echo"), program)
    (place / "alias").symlink_to("bad")
    return program


def execs(program):
    return rule(f"evt.type in (execve, execveat) and proc.exepath = {program}")


@pytest.mark.parametrize("way", WAYS)
def test_works_unguarded(way, bad, place):
    ran = subprocess.run(
        WAYS[way], cwd=place, capture_output=True, text=True, timeout=20, check=True
    )
    assert RAN in ran.stdout


@pytest.mark.parametrize("way", WAYS)
def test_a_denied_program(way, session, bad, place):
    with in_force(session, execs(bad)):
        run = session.run(WAYS[way], cwd=place)

    (event,) = verdicts(run)
    assert "process_exec" == event.kind
    assert RAN not in run.output
    assert was_killed(run, event)


def test_a_denied_directory_of_programs(session, bad, place):
    with in_force(
        session, rule(f"evt.type in (execve, execveat) and proc.exepath pmatch ({place})")
    ):
        run = session.run(["./bad", RAN], cwd=place)

    assert RAN not in run.output
    assert was_killed(run, verdicts(run)[0])


def test_a_denied_name(session, bad, place):
    """The name a program is started by is that of the symlink."""
    with in_force(session, rule("evt.type in (execve, execveat) and proc.name = alias")):
        by_path = session.run(["./bad", RAN], cwd=place)
        by_name = session.run(["./alias", RAN], cwd=place)

    assert RAN in by_path.output
    assert was_killed(by_name, verdicts(by_name)[0])


def test_a_program_in_memory(session, trigger, place):
    with in_force(
        session, rule("evt.type in (execve, execveat) and proc.is_exe_from_memfd = true")
    ):
        run = session.run([trigger, "memfd_exec", 1], cwd=place)

    (event,) = verdicts(run)
    assert was_killed(run, event)


def test_a_copy_is_another_program(session, bad, place):
    """The limit of rules on paths; a rule on names goes further, and can be forged."""
    with in_force(session, execs(bad)):
        run = session.run(["/bin/sh", "-c", f"cp bad copy; ./copy {RAN}"], cwd=place)

    assert [] == verdicts(run)
    assert RAN in run.output


def test_a_program_that_is_installed_later(session, place):
    program = place / "later"
    with in_force(session, execs(program)):
        shutil.copy(os.path.realpath("/bin/echo"), program)
        run = session.run(["./later", RAN], cwd=place)

    assert RAN not in run.output
    assert was_killed(run, verdicts(run)[0])


def test_other_programs_run(session, bad, place):
    shutil.copy(bad, place / "good")
    with in_force(session, execs(bad)):
        run = session.run(["./good", RAN], cwd=place)

    assert f"{RAN}\n" == run.output
    assert [] == verdicts(run)
