"""Bad input: one clear line, the next step, the right exit code, and nothing left behind."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.e2e.harness import GUARD, Place, Result

BROKEN = """\
- rule: First
  desc: d
  condition: evt.typ = open
  output: o
  priority: ERROR
- rule: Second
  desc: d
  condition: evt.type = open and (fd.name = /x
  output: "%no.such.field"
  priority: LOUD
"""


def assert_refused(result: Result, code: int, message: str, help: str) -> None:
    """One line of guard's, the next step, no record, and no word on stdout."""
    assert code == result.code, result.err
    assert [f"guard: {message}"] == [line[: len(message) + 7] for line in result.said]
    assert [f"help: {help}"] == [
        line[: len(help) + 6] for line in result.err.splitlines() if line.startswith("help: ")
    ]
    assert "Traceback" not in result.err
    assert "" == result.out
    assert not result.folder.exists()


@pytest.mark.parametrize(
    ("options", "message", "help"),
    [
        (["--policy", "defalt"], "unknown policy `defalt`", "did you mean `default`?"),
        (["--policy", "/no/x.yaml"], "rules file `/no/x.yaml` cannot be read: No such", "check"),
        (["--rules", "/"], "rules file `/` cannot be read: Is a directory", "check the path"),
        (["--user", "nosuchuser"], "unknown user `nosuchuser`", "list users with: getent passwd"),
        (["--user", "4294967290"], "unknown user `4294967290`", "list users with: getent passwd"),
        (["--workspace", "/no/dir"], "workspace `/no/dir` is not a directory", "name an existing"),
        (["--timeout", "0"], "timeout `0` is not positive", "give"),
    ],
)
def test_wrong_option(place: Place, options: list[str], message: str, help: str) -> None:
    """Exit code 125; the command never starts."""
    ran = place.user.workspace / "ran"
    user = None if "--user" in options else ""
    assert_refused(place.run("touch", ran, options=options, user=user), 125, message, help)
    assert not ran.exists()


def test_wrong_setting_in_the_environment(place: Place) -> None:
    result = place.run("true", env={"GUARD_RECORD_BYTES": "5000"})
    assert_refused(result, 125, "record_bytes is 5000", "use a power of two")
    result = place.run("true", env={"GUARD_RECORD": "everything"})
    assert_refused(result, 125, "GUARD_RECORD is `everything`", "set it to one of: matched")


def test_not_root(place: Place) -> None:
    """Says how to call it; only reading is allowed here, as the tree may be root's own."""
    as_user = (
        "setpriv", f"--reuid={place.user.uid}", f"--regid={place.user.gid}", "--clear-groups",
        "--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search",
    )  # fmt: skip
    result = place.run("true", prefix=as_user, user=None)
    assert_refused(result, 125, "guard needs root to load its kernel programs", "run it with sudo")


def test_rules_that_cannot_be_read(place: Place, tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"- list: caf\xe9\n  items: []\n")
    result = place.run("true", options=["--rules", latin])
    assert_refused(result, 125, f"rules file `{latin}` is not UTF-8 at byte 11", "save it as UTF-8")


def test_rules_with_errors_show_all_of_them(place: Place, tmp_path: Path) -> None:
    """Each with its file, line and column, and nothing runs."""
    rules = tmp_path / "mine.yaml"
    rules.write_text(BROKEN)
    result = place.run("true", options=["--rules", rules])
    assert 125 == result.code
    assert ["guard: the policy has errors"] == result.said
    for line in (3, 8, 10):
        assert f"{rules}:{line}:" in result.err
    assert result.err.rstrip().splitlines()[-1].startswith("help: nothing was started; check it")
    assert not result.folder.exists()


def test_command_not_found(place: Place) -> None:
    """127, and where it was looked for; the record says that nothing ran."""
    result = place.run("no-such-command", options=["-q"])
    assert 127 == result.code
    assert ["guard: command not found: `no-such-command`"] == result.said
    assert f"help: searched as user {place.user.name} in PATH /usr/" in result.err
    assert 2 == len(result.err.splitlines())
    meta = json.loads((result.folder / "meta.json").read_text())
    assert "failed" == meta["state"]
    assert ["command not found: `no-such-command`"] == meta["problems"]


@pytest.mark.parametrize("path", ["/etc/passwd", "/etc"])
def test_command_not_executable(place: Place, path: str) -> None:
    result = place.run(path, options=["-q"])
    assert 126 == result.code
    assert [f"guard: cannot execute `{path}`: Permission denied"] == result.said
    assert f"help: check the file's permissions for user {place.user.name}" in result.err


def test_command_that_only_root_may_execute(place: Place) -> None:
    """The user's rights count, not guard's."""
    program = place.user.plant("project/private", "#!/bin/sh\n", mode=0o700)
    os.chown(program, 0, 0)
    assert 126 == place.run(program, options=["-q"]).code


def test_requiring_more_than_the_kernel_gives(place: Place) -> None:
    """`--require block` names a rule that would only be killed for, and starts nothing."""
    ran = place.user.workspace / "ran"
    result = place.run("touch", ran, options=["--require", "block"])
    if result.code == 0:
        pytest.skip("this kernel can block all that the default policy denies")
    assert_refused(result, 125, "this machine cannot block what `SSH private key ", "see all")
    assert not ran.exists()


def test_inside_a_session(place: Place) -> None:
    """A second guard inside is refused and names the session around it."""
    result = place.run(*GUARD, "run", "--", "true", user=None)
    assert 125 == result.code
    outer = result.record.meta["id"]
    assert f"guard: already inside the guarded session {outer}" in result.said
    assert "help: start guard outside; everything started here is guarded already" in result.err


def test_report_folder_in_use(place: Place) -> None:
    """A record is never written over."""
    first = place.run("true")
    before = (first.folder / "meta.json").read_bytes()
    result = place.run("true", options=["--report-dir", first.folder])
    assert 125 == result.code
    assert [f"guard: `{first.folder}` already holds a session record"] == result.said
    assert before == (first.folder / "meta.json").read_bytes()


def test_alert_file_that_cannot_be_written(place: Place) -> None:
    result = place.run("true", options=["--alert-file", "/no/dir/alerts"])
    assert 125 == result.code
    assert ["guard: alert file `/no/dir/alerts` cannot be written: No such file or directory"] == (
        result.said
    )


def test_kernel_programs_that_are_missing(place: Place) -> None:
    """As after a broken installation; seen in a mount namespace of the test's own."""
    hide = 'mount --bind /dev/null {} && exec "$@"'
    target = Path(__file__).parents[2] / "guard/bpf/guard.bpf.o"
    prefix = ("unshare", "--mount", "sh", "-c", hide.format(f"'{target}'"), "sh")
    result = place.run("true", prefix=prefix)
    assert 125 == result.code
    assert 1 == len(result.said), result.err
    assert str(target) in result.said[0]
    assert "help: " in result.err
    assert "Traceback" not in result.err


def test_kernel_without_btf(place: Place) -> None:
    """The same for the kernel's own type information."""
    hide = 'mount -t tmpfs none /sys/kernel/btf && exec "$@"'
    result = place.run("true", prefix=("unshare", "--mount", "sh", "-c", hide, "sh"))
    assert 125 == result.code
    assert 1 == len(result.said), result.err
    assert "BTF" in result.said[0]
    assert "help: " in result.err
    assert "Traceback" not in result.err
