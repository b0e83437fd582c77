"""A user that exists for the tests only, with a home and a workspace outside of /tmp.

The default policy lets an agent write below /tmp, and a home there would hide that.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class User:
    """`group` is a second group of the user; `folder` holds everything and is deleted with it."""

    name: str
    uid: int
    gid: int
    group: int
    home: Path
    folder: Path

    @property
    def workspace(self) -> Path:
        return self.home / "project"

    def plant(self, path: str, text: str, *, mode: int = 0o600) -> Path:
        """Write a file of this user's below the home."""
        file = self.home / path
        missing = [folder for folder in file.parents if not folder.exists()]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        for each in (file, *missing):
            os.chown(each, self.uid, self.gid)
        return file


def make(number: int) -> User:
    """Make the user; `number` tells it from those of other test runs."""
    base = Path("/home") if Path("/home").is_dir() else Path("/var")
    folder = Path(tempfile.mkdtemp(prefix="guard-e2e-", dir=base))
    folder.chmod(0o755)
    name = f"guarde2e{number}"
    home = folder / "home"
    _run("groupadd", f"{name}x")
    _run(
        "useradd", "--no-create-home", "--home-dir", home, "--shell", "/bin/bash",
        "--user-group", "--groups", f"{name}x", name,
    )  # fmt: skip
    entry = pwd.getpwnam(name)
    groups = os.getgrouplist(name, entry.pw_gid)
    [second] = [each for each in groups if each != entry.pw_gid]
    for path in (home, home / "project"):
        path.mkdir()
        os.chown(path, entry.pw_uid, entry.pw_gid)
    return User(name, entry.pw_uid, entry.pw_gid, second, home, folder)


def remove(user: User) -> None:
    """Remove the user, the groups and all files."""
    _run("userdel", user.name)
    _run("groupdel", f"{user.name}x")
    shutil.rmtree(user.folder)


def _run(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True, capture_output=True)
