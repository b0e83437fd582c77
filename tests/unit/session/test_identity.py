"""Who the command runs as, and with which environment."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from guard.errors import UsageError
from guard.session import identity


def test_sudo_caller_is_the_default() -> None:
    entry = pwd.getpwnam("nobody")
    found = identity.resolve(None, {"SUDO_UID": str(entry.pw_uid)})
    assert (found.uid, found.gid, found.name) == (entry.pw_uid, entry.pw_gid, "nobody")
    assert identity.resolve(None, {}).uid == os.getuid()
    assert identity.resolve("nobody", {"SUDO_UID": "0"}).name == "nobody"


@pytest.mark.parametrize("user", ["nosuchuser", "4123456789", "99999999999999"])
def test_unknown_user(user: str) -> None:
    with pytest.raises(UsageError, match=f"unknown user `{user}`"):
        identity.resolve(user, {})


def test_users_environment_comes_back_except_what_sudo_was_told() -> None:
    """sudo drops API keys and PATH; `sudo X=1 guard run` sets X on purpose."""
    user = identity.resolve("nobody", {})
    own = {
        "PATH": "/sbin", "HOME": "/root", "X": "1", "TERM": "t", "MAIL": "/m", "SUDO_USER": "u",
    }  # fmt: skip
    invoker = {"PATH": "/home/u/bin:/bin", "API_KEY": "k", "X": "0", "HOME": "/home/u"}
    result = identity.environment(user, own, invoker)
    assert result["PATH"] == "/home/u/bin:/bin"
    assert result["API_KEY"] == "k"
    assert result["X"] == "1"
    assert result["HOME"] == user.home
    assert "SUDO_USER" not in result
    assert "MAIL" not in result


def test_without_sudo_there_is_no_invoker() -> None:
    user = identity.resolve("nobody", {})
    assert identity.invoker_environment(user, {}) == {}
    assert identity.invoker_environment(user, {"SUDO_UID": str(user.uid)}) == {}


def test_environment_is_read_from_sudo_itself(tmp_path: Path) -> None:
    """The process that matters is found by its program, through any number of them."""
    sudo = tmp_path / "sudo"
    shutil.copy("/bin/sh", sudo)
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from guard.session import identity\n"
        "user = identity.resolve('nobody', {})\n"
        "found = identity.invoker_environment(user, {'SUDO_UID': str(user.uid)})\n"
        "print(found.get('API_KEY'), 'SUDO_X' in found)"
    )
    python = f'{sys.executable} -c "$CODE" {Path(__file__).parents[3]}; :'
    inner = f"{sudo} -c '{python}'; :"
    result = subprocess.run(
        [sudo, "-c", inner],
        env={"API_KEY": "k", "SUDO_X": "1", "CODE": code, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "k False\n", result.stderr
