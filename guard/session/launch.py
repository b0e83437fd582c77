"""Starting the guarded command: fork, enter the cgroup, drop privilege, exec.

The child does nothing before its parent has moved it into the session's cgroup
and had it tagged, so there is no moment at which the command runs unwatched.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from collections.abc import Callable, Mapping
from typing import NoReturn

from guard.data import dataclass
from guard.errors import EXIT_GUARD, EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND, LaunchError
from guard.session import syscalls
from guard.session.cgroup import SessionCgroup
from guard.session.identity import Identity

# Python ignores these for itself; no shell would hand them on like that.
_ALWAYS_DEFAULT = frozenset({signal.SIGPIPE, signal.SIGXFSZ})
_CHANGEABLE = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
_ERROR_FD = 3


@dataclass(frozen=True, slots=True)
class Command:
    """What to start, as whom.

    `ignored_signals` stay ignored, as `nohup` wants; all others get their
    default disposition.
    """

    argv: tuple[str, ...]
    identity: Identity
    environment: Mapping[str, str]
    allow_privileges: bool = False
    ignored_signals: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Child:
    pid: int
    pidfd: int


def ignored_signals() -> frozenset[int]:
    """Signals this process ignores, without those that Python itself ignores."""
    return frozenset(
        number
        for number in _CHANGEABLE
        if signal.getsignal(number) is signal.SIG_IGN and number not in _ALWAYS_DEFAULT
    )


def launch(command: Command, cgroup: SessionCgroup, tag: Callable[[int], None]) -> Child:
    """Start the command inside `cgroup` and return when it has been exec'd.

    `tag` gets a pidfd of the child, still waiting, and makes the sensor follow it.
    Raises `LaunchError` when the command cannot be started, and whatever `tag`
    or the cgroup raise; no process is left then.
    """
    barrier_read, barrier_write = os.pipe()
    error_read, error_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        # The parent's end of the barrier must not stay open here: if the parent
        # dies the read has to see the end of the file.
        os.close(barrier_write)
        _run_child(command, barrier_read, error_write)
    os.close(barrier_read)
    os.close(error_write)
    try:
        with os.fdopen(barrier_write, "wb", buffering=0) as barrier:
            pidfd = os.pidfd_open(pid)
            try:
                cgroup.add(pid)
                tag(pidfd)
                barrier.write(b".")
                with os.fdopen(error_read, "rb", closefd=False) as errors:
                    report = errors.read()
                if report:
                    raise _launch_error(command, report)
            except BaseException:
                os.close(pidfd)
                raise
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    finally:
        os.close(error_read)
    return Child(pid, pidfd)


def _launch_error(command: Command, report: bytes) -> LaunchError:
    stage, code, detail = report.decode(errors="replace").split(":", 2)
    reason = os.strerror(int(code))
    if stage != "exec":
        return LaunchError(
            f"cannot prepare the command ({stage}): {reason}", exit_status=EXIT_GUARD
        )
    name = command.argv[0]
    if int(code) in (errno.ENOENT, errno.ENOTDIR):
        return LaunchError(
            f"command not found: `{name}`",
            exit_status=EXIT_NOT_FOUND,
            help=f"searched as user {command.identity.name} in PATH {detail}" if detail else None,
        )
    return LaunchError(
        f"cannot execute `{name}`: {reason}",
        exit_status=EXIT_NOT_EXECUTABLE,
        help=f"check the file's permissions for user {command.identity.name}",
    )


def _run_child(command: Command, barrier: int, errors: int) -> NoReturn:
    stage, detail = "barrier", ""
    try:
        if os.read(barrier, 1) != b".":
            os._exit(EXIT_GUARD)
        stage = "signals"
        _reset_signals(command.ignored_signals)
        stage = "descriptors"
        os.dup2(errors, _ERROR_FD, inheritable=False)
        errors = _ERROR_FD
        syscalls.close_from(_ERROR_FD + 1)
        stage = "privileges"
        if not command.allow_privileges:
            syscalls.set_no_new_privs()
            syscalls.scope_signals()
        stage = "identity"
        identity = command.identity
        os.setgroups(identity.groups)
        os.setresgid(identity.gid, identity.gid, identity.gid)
        os.setresuid(identity.uid, identity.uid, identity.uid)
        stage = "exec"
        if "/" not in command.argv[0]:
            detail = command.environment.get("PATH", os.defpath)
        _exec(command)
    except OSError as error:
        os.write(errors, f"{stage}:{error.errno}:{detail}".encode(errors="replace")[:4000])
    finally:
        # Never back into the parent's code, its buffers or its exit handlers.
        os._exit(EXIT_GUARD)


def _reset_signals(ignored: frozenset[int]) -> None:
    signal.set_wakeup_fd(-1)
    for number in _CHANGEABLE:
        # The C library keeps two real-time signals for itself and refuses them.
        with contextlib.suppress(OSError):
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _exec(command: Command) -> NoReturn:
    """execvpe, but the reason that counts is the most telling one, as in a shell."""
    name = command.argv[0]
    if "/" in name:
        candidates = [name]
    else:
        path = command.environment.get("PATH", os.defpath)
        candidates = [os.path.join(directory or ".", name) for directory in path.split(":")]
    problem = OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    for candidate in candidates:
        try:
            os.execve(candidate, command.argv, command.environment)
        except OSError as error:
            if error.errno == errno.ENOEXEC:
                # A script without `#!`: what every shell and execvp do.
                os.execve("/bin/sh", ["sh", candidate, *command.argv[1:]], command.environment)
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                problem = error
    raise problem
