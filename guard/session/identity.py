"""Who the guarded command runs as, and with which environment."""

from __future__ import annotations

import contextlib
import os
import pwd
from collections.abc import Mapping
from pathlib import Path

from guard.data import dataclass
from guard.errors import UsageError

# What sudo sets by itself: never the user's own choice.
_SET_BY_SUDO = frozenset({"HOME", "LOGNAME", "MAIL", "PATH", "SHELL", "USER", "USERNAME"})
_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True)
class Identity:
    """A user with all that a login gives."""

    uid: int
    gid: int
    name: str
    home: str
    shell: str
    groups: tuple[int, ...]


def resolve(user: str | None, environ: Mapping[str, str]) -> Identity:
    """The user named or numbered `user`; by default the one who called sudo.

    Without sudo it is the user guard itself runs as. Raises `UsageError` for an
    unknown user.
    """
    if user is not None:
        return _lookup(user)
    sudo_uid = environ.get("SUDO_UID", "")
    return _lookup(sudo_uid if sudo_uid.isdecimal() else str(os.getuid()))


def environment(
    identity: Identity, environ: Mapping[str, str], invoker: Mapping[str, str]
) -> dict[str, str]:
    """Environment of the command.

    `environ` is guard's own; `invoker` is what the user's shell gave to sudo, or
    empty. sudo drops most of it, and an agent needs it: PATH, API keys, locale.
    It goes only to a process of the same user, so nothing is gained by it.
    """
    own = {name: value for name, value in environ.items() if not name.startswith("SUDO_")}
    if invoker:
        kept = {name: value for name, value in own.items() if name not in _SET_BY_SUDO}
        own = {**invoker, **kept}
    own.setdefault("PATH", _DEFAULT_PATH)
    own.pop("MAIL", None)
    own.update(HOME=identity.home, USER=identity.name, LOGNAME=identity.name, SHELL=identity.shell)
    return own


def invoker_environment(identity: Identity, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment that sudo was started with, when `identity` started it."""
    if environ.get("SUDO_UID") != str(identity.uid) or identity.uid == 0:
        return {}
    found: dict[str, str] = {}
    pid = os.getppid()
    # With a terminal of its own sudo runs as two processes; the outer has it.
    while pid > 1 and _is_sudo(pid):
        with contextlib.suppress(OSError):
            found = _parse_environment(Path(f"/proc/{pid}/environ").read_bytes()) or found
        pid = _parent(pid)
    return {name: value for name, value in found.items() if not name.startswith("SUDO_")}


def _lookup(user: str) -> Identity:
    try:
        entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except (KeyError, OverflowError):
        raise UsageError(f"unknown user `{user}`", help="list users with: getent passwd") from None
    return Identity(
        uid=entry.pw_uid,
        gid=entry.pw_gid,
        name=entry.pw_name,
        home=entry.pw_dir or "/",
        shell=entry.pw_shell or "/bin/sh",
        groups=tuple(os.getgrouplist(entry.pw_name, entry.pw_gid)),
    )


def _is_sudo(pid: int) -> bool:
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe")) == "sudo"
    except OSError:
        return False


def _parent(pid: int) -> int:
    try:
        # The name in parentheses may contain anything, parentheses too.
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def _parse_environment(data: bytes) -> dict[str, str]:
    pairs = (item.partition(b"=") for item in data.split(b"\0"))
    return {os.fsdecode(name): os.fsdecode(value) for name, equals, value in pairs if equals}
