"""Launch: identity, environment, descriptors, signals and privilege of a real child."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard.errors import LaunchError
from guard.session import identity, launch
from guard.session.cgroup import SessionCgroup, enclosing_session, path_of
from guard.session.launch import Command

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make cgroups")

PROBE = """
import json, os, signal, sys
lines = open("/proc/self/status").read().splitlines()
status = dict(line.split(":\\t", 1) for line in lines if ":\\t" in line)
json.dump({
    "uid": os.getresuid(), "gid": os.getresgid(), "groups": sorted(os.getgroups()),
    "env": dict(os.environ), "cwd": os.getcwd(), "fds": sorted(os.listdir("/proc/self/fd")),
    "nnp": status["NoNewPrivs"], "blocked": status["SigBlk"], "ignored": status["SigIgn"],
    "umask": status["Umask"], "cgroup": open("/proc/self/cgroup").read(), "caps": status["CapEff"],
}, open(sys.argv[1], "w"))
"""


@pytest.fixture
def cgroup() -> Iterator[SessionCgroup]:
    group = SessionCgroup.create(f"20260101-000000-{os.getpid():06x}")
    yield group
    group.kill()
    assert group.remove()
    assert not group.path.exists()


def start(argv: list[str], cgroup: SessionCgroup, **changes: object) -> int:
    """Run a command to its end; its wait status."""
    user = identity.resolve("nobody", {})
    values: dict[str, object] = {
        "identity": user,
        "environment": identity.environment(user, {"PATH": "/usr/bin:/bin"}, {}),
    }
    command = Command(argv=tuple(argv), **{**values, **changes})  # type: ignore[arg-type]
    child = launch.launch(command, cgroup, lambda pidfd: None)
    os.close(child.pidfd)
    return os.waitpid(child.pid, 0)[1]


def probe(tmp_path: Path, cgroup: SessionCgroup, **changes: object) -> dict[str, object]:
    report = tmp_path / "report"
    report.touch()
    report.chmod(0o666)
    tmp_path.chmod(0o777)
    for parent in list(tmp_path.parents)[:3]:
        if parent.owner() == "root" and parent != Path("/tmp"):
            parent.chmod(0o755)
    assert start(["/usr/bin/python3", "-c", PROBE, str(report)], cgroup, **changes) == 0
    return json.loads(report.read_text())  # type: ignore[no-any-return]


def test_child_is_the_user_inside_the_cgroup(tmp_path: Path, cgroup: SessionCgroup) -> None:
    """The command has the user's ids, no capability and no way to get one."""
    user = identity.resolve("nobody", {})
    seen = probe(tmp_path, cgroup)
    assert seen["uid"] == [user.uid] * 3
    assert seen["gid"] == [user.gid] * 3
    assert seen["groups"] == sorted(user.groups)
    assert seen["nnp"] == "1"
    assert int(str(seen["caps"]), 16) == 0
    assert enclosing_session(str(seen["cgroup"]).strip().rpartition("0::")[2]) == cgroup.path.name


def test_child_inherits_directory_and_umask_but_no_descriptor(
    tmp_path: Path, cgroup: SessionCgroup
) -> None:
    leak = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(leak, True)
    old = os.umask(0o027)
    try:
        seen = probe(tmp_path, cgroup)
    finally:
        os.umask(old)
        os.close(leak)
    # 3 is the directory being listed, 4 the report.
    assert len(list(seen["fds"])) <= 5  # type: ignore[call-overload]
    assert str(leak) not in seen["fds"] or leak <= 4  # type: ignore[operator]
    assert seen["umask"] == "0027"
    assert seen["cwd"] == os.getcwd()


def test_child_gets_default_signals(tmp_path: Path, cgroup: SessionCgroup) -> None:
    """Python ignores SIGPIPE and guard blocks and ignores others: the command sees none of it."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})
    before = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    try:
        seen = probe(tmp_path, cgroup)
    finally:
        signal.signal(signal.SIGTSTP, before)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    assert int(str(seen["blocked"]), 16) == 0
    # Python itself ignores SIGPIPE (13) and SIGXFSZ (25) at its start.
    of_glibc = 0b11 << 31  # its own two signals stay as whoever started the tests left them
    assert int(str(seen["ignored"]), 16) & ~of_glibc == (1 << 12) | (1 << 24)


def test_inherited_ignored_signal_stays_ignored(tmp_path: Path, cgroup: SessionCgroup) -> None:
    """`nohup guard run` works as `nohup` alone."""
    seen = probe(tmp_path, cgroup, ignored_signals=frozenset({signal.SIGHUP}))
    assert int(str(seen["ignored"]), 16) & 1


def test_environment_is_the_users(tmp_path: Path, cgroup: SessionCgroup) -> None:
    user = identity.resolve("nobody", {})
    environment = identity.environment(
        user, {"PATH": "/sbin", "SUDO_UID": "1", "SUDO_COMMAND": "x", "TERM": "vt100"}, {}
    )
    seen = probe(tmp_path, cgroup, environment=environment)
    env = seen["env"]
    assert isinstance(env, dict)
    assert env["HOME"] == user.home
    assert env["USER"] == env["LOGNAME"] == "nobody"
    assert env["TERM"] == "vt100"
    assert not [name for name in env if name.startswith("SUDO_")]


def test_allow_privileges_leaves_no_new_privs_unset(tmp_path: Path, cgroup: SessionCgroup) -> None:
    assert probe(tmp_path, cgroup, allow_privileges=True)["nnp"] == "0"


def test_tag_comes_before_the_first_instruction(cgroup: SessionCgroup) -> None:
    """While `tag` runs the child is in the cgroup and still guard's own image."""
    seen = []

    def tag(pidfd: int) -> None:
        [pid] = cgroup.pids()
        seen.append(os.readlink(f"/proc/{pid}/exe"))

    user = identity.resolve(None, {})
    child = launch.launch(Command(("true",), user, os.environ), cgroup, tag)
    os.close(child.pidfd)
    os.waitpid(child.pid, 0)
    assert seen == [os.path.realpath(sys.executable)]


def test_unknown_command_is_127(cgroup: SessionCgroup) -> None:
    with pytest.raises(LaunchError, match="command not found: `no-such-command`") as caught:
        start(["no-such-command"], cgroup)
    assert caught.value.exit_status == 127
    assert not cgroup.populated()


def test_command_that_cannot_be_executed_is_126(tmp_path: Path, cgroup: SessionCgroup) -> None:
    with pytest.raises(LaunchError, match="Permission denied") as caught:
        start(["/etc/passwd"], cgroup)
    assert caught.value.exit_status == 126
    with pytest.raises(LaunchError) as caught:
        start(["/etc"], cgroup)
    assert caught.value.exit_status == 126


def test_script_without_interpreter_line_runs_in_sh(cgroup: SessionCgroup, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("exit $(($1 + 1))\n")
    script.chmod(0o755)
    user = identity.resolve(None, {})
    assert os.waitstatus_to_exitcode(start([str(script), "4"], cgroup, identity=user)) == 5


def test_failing_tag_leaves_nothing(cgroup: SessionCgroup) -> None:
    def tag(pidfd: int) -> None:
        raise LaunchError("no", exit_status=125)

    user = identity.resolve(None, {})
    descriptors = len(os.listdir("/proc/self/fd"))
    with pytest.raises(LaunchError, match="no"):
        launch.launch(Command(("true",), user, os.environ), cgroup, tag)
    assert not cgroup.populated()
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_own_group_is_not_a_session() -> None:
    assert enclosing_session() is None
    assert enclosing_session("/user.slice/guard/20260101-000000-00ff00/inner") == (
        "20260101-000000-00ff00"
    )
    assert path_of().startswith("/")
