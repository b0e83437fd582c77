"""Who the command is: the invoking user's own identity, environment, rights and nothing more."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

import pytest

from tests.e2e.harness import Place, Result

# Lines `key: value`; /proc/$$ is the shell, so `ls` sees its descriptors (and not in `$(…)`,
# which would add a pipe).
PROBE = """
echo "ids: $(id -u) $(id -g) $(id -G)"
echo "cwd: $(pwd -P)"
echo "umask: $(umask)"
printf fds: && ls -C /proc/$$/fd
grep -E '^(NoNewPrivs|CapEff|CapPrm|SigBlk|SigIgn):' /proc/self/status
env | sed 's/^/env:/'
"""

# 32 and 33, used for its threads: what started the tests may have left them ignored,
# and no program can change that.
_SIGNALS_OF_GLIBC = 0b11 << 31


def probe(result: Result) -> dict[str, str]:
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    found = dict(line.split(":", 1) for line in lines if not line.startswith("env:"))
    found |= dict(line.split("=", 1) for line in lines if line.startswith("env:"))
    return {name: value.strip() for name, value in found.items()}


def assert_user(seen: dict[str, str], place: Place) -> None:
    user = place.user
    groups = f"{user.gid} {user.group}"
    assert f"{user.uid} {user.gid} {groups}" == seen["ids"]
    assert str(user.workspace) == seen["cwd"]
    assert (str(user.home), user.name, user.name, "/bin/bash") == tuple(
        seen[f"env:{name}"] for name in ("HOME", "USER", "LOGNAME", "SHELL")
    )
    assert [] == [name for name in seen if name.startswith("env:SUDO_")]
    assert ("0000000000000000", "0000000000000000") == (seen["CapEff"], seen["CapPrm"])
    assert "1" == seen["NoNewPrivs"]
    assert ["0", "1", "2"] == seen["fds"].split()
    assert "0000000000000000" == seen["SigBlk"]
    assert int(seen["SigIgn"], 16) & ~_SIGNALS_OF_GLIBC == 0


def test_by_option(place: Place) -> None:
    """`--user`: a login's identity, in the caller's directory, with the caller's umask."""
    result = place.sh(PROBE, umask=0o27, env={"MINE": "x y"})
    seen = probe(result)
    assert_user(seen, place)
    assert "0027" == seen["umask"]
    assert "x y" == seen["env:MINE"]
    assert {"uid": place.user.uid, "name": place.user.name} == result.record.meta["user"]


def test_by_number(place: Place) -> None:
    assert_user(probe(place.sh(PROBE, user=str(place.user.uid))), place)


def test_by_the_environment_of_sudo(place: Place) -> None:
    """SUDO_UID says who called; nothing of sudo's reaches the command."""
    env = {
        "SUDO_UID": str(place.user.uid),
        "SUDO_GID": str(place.user.gid),
        "SUDO_USER": place.user.name,
        "SUDO_COMMAND": "guard run",
        "HOME": "/root",
        "USER": "root",
    }
    assert_user(probe(place.sh(PROBE, user=None, env=env)), place)


def test_no_setuid_program_gives_root(place: Place) -> None:
    """no_new_privs holds whatever the rules say; `su` itself is stopped by them."""
    program = place.user.home / "idroot"
    shutil.copy(shutil.which("id") or "/usr/bin/id", program)
    program.chmod(0o4755)
    result = place.run(program, "-u")
    assert str(place.user.uid) == result.out.strip()
    program.unlink()


def test_files_belong_to_the_user(place: Place) -> None:
    """What is made inside is the user's; the record is handed over when all is done."""
    result = place.sh("touch made; mkdir folder")
    for path in (place.user.workspace / "made", place.user.workspace / "folder", result.folder):
        assert place.user.uid == path.stat().st_uid
    assert {place.user.uid} == {path.stat().st_uid for path in result.folder.iterdir()}
    shutil.rmtree(place.user.workspace / "folder")
    (place.user.workspace / "made").unlink()


def test_record_is_closed_to_the_user_during_the_run(place: Place) -> None:
    """It cannot be read, listed, entered, or written while the session runs."""
    folder = Path("/var/tmp") / f"guard-e2e-record-{os.getpid()}"
    script = f"""
        cd {folder} && echo entered
        ls {folder} && echo listed
        cat {folder}/meta.json && echo read
        echo x >> {folder}/violations.jsonl && echo wrote
        mv {folder} {folder}.moved && echo moved
        echo done
    """
    try:
        result = place.sh(script, options=["--report-dir", folder])
        assert "done" == result.out.strip()
        assert 0o700 == folder.stat().st_mode & 0o777
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.skipif(shutil.which("sudo") is None, reason="needs sudo: apt-get install sudo")
def test_real_sudo(place: Place, tmp_path: Path) -> None:
    """The user's own shell calls `sudo guard run`; what sudo drops of the environment is there.

    The permission to do so is a file in a mount namespace of the test's own.
    """
    sudoers = tmp_path / "sudoers"
    sudoers.write_text(
        f"Defaults env_reset\nDefaults !syslog\nroot ALL=(ALL) ALL\n"
        f"{place.user.name} ALL=(root) NOPASSWD: ALL\n"
    )
    sudoers.chmod(0o440)
    record = tmp_path / "sudo-record"
    # sudo resets the environment: what guard itself needs goes over the border as words.
    needed = [
        f"{name}={value}"
        for name, value in place.environment.items()
        if name.startswith(("PYTHON", "GUARD_"))
    ]
    words = place.words("sh", "-c", PROBE, user=None, folder=record)
    call = shlex.join(["sudo", "-n", "env", *needed, *words])
    user = place.user
    enter = (
        f"mount --bind {sudoers} /etc/sudoers && exec setpriv --reuid={user.uid} "
        f"--regid={user.gid} --init-groups env AGENT_KEY=k1 HOME={user.home} "
        f"PATH={user.home}/bin:/usr/bin:/bin sh -c {shlex.quote(call)}"
    )
    seen = probe(place.command("unshare", "--mount", "sh", "-c", enter))
    assert_user(seen, place)
    assert "k1" == seen["env:AGENT_KEY"]
    assert f"{user.home}/bin:/usr/bin:/bin" == seen["env:PATH"]
    assert user.uid == record.stat().st_uid
