"""The command line: bad input is one clear line and the right exit code, and leaves nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from guard.session.cgroup import SESSION_ID, mount_point, path_of

ROOT = Path(__file__).parents[3]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def guard(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "guard", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "TERM": "dumb"},
        **options,
    )


def leftovers() -> tuple[set[str], list[str]]:
    base = mount_point() / path_of().lstrip("/") / "guard"
    groups = {p.name for p in base.glob("*") if SESSION_ID.fullmatch(p.name)}
    watchers = subprocess.run(
        ["pgrep", "-f", "guard-watcher"], capture_output=True, text=True, check=False
    )
    return groups, watchers.stdout.split()


@needs_root
@pytest.mark.kernel
@pytest.mark.parametrize(
    ("arguments", "code", "message", "help"),
    [
        (["--", "no-such-command"], 127, "command not found: `no-such-command`", "searched as"),
        (["--", "/etc/passwd"], 126, "cannot execute `/etc/passwd`: Permission", "check the"),
        (["--policy", "defalt", "--", "true"], 125, "unknown policy `defalt`", "did you mean"),
        (["--policy", "/no/x.yaml", "--", "true"], 125, "rules file `/no/x.yaml`", "check the"),
        (["--rules", "/no/x.yaml", "--", "true"], 125, "rules file `/no/x.yaml`", "check the"),
        (["--user", "nosuch", "--", "true"], 125, "unknown user `nosuch`", "list users"),
        (["--workspace", "/no/dir", "--", "true"], 125, "workspace `/no/dir`", "name an"),
        (["--timeout", "-1", "--", "true"], 125, "timeout `-1`", "give a"),
    ],
)
def test_bad_input(arguments: list[str], code: int, message: str, help: str | None) -> None:
    before = leftovers()
    result = guard("run", "--quiet", *arguments)
    assert result.returncode == code
    first, *rest = result.stderr.splitlines()
    assert first.startswith(f"guard: {message}")
    assert [line[:6] for line in rest] == (["help: "] if help else [])
    assert not help or rest[0].startswith(f"help: {help}")
    assert leftovers() == before


@needs_root
@pytest.mark.kernel
def test_wrong_rules_are_shown_where_they_are(tmp_path: Path) -> None:
    rules = tmp_path / "mine.yaml"
    rules.write_text(
        "- rule: R\n  desc: d\n  condition: evt.typ = open\n  output: o\n  priority: ERROR\n"
    )
    result = guard("run", "--rules", rules, "--", "true")
    assert result.returncode == 125
    assert "guard: the policy has errors\n" in result.stderr
    assert f"{rules}:3:14: error" in result.stderr
    assert result.stdout == ""


@needs_root
@pytest.mark.kernel
def test_session_inside_a_session_is_refused() -> None:
    result = guard("run", "-q", "--", sys.executable, "-m", "guard", "run", "--", "true")
    assert result.returncode == 125
    assert "guard: already inside the guarded session" in result.stderr


@needs_root
@pytest.mark.kernel
def test_requiring_more_than_there_is_starts_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    result = guard("run", "--require", "block", "--", "touch", marker)
    if result.returncode == 0:
        pytest.skip("this kernel can block")
    assert result.returncode == 125
    assert "cannot block" in result.stderr
    assert not marker.exists()


def test_usage_errors_are_2() -> None:
    assert guard("run", "--no-such-option", "--", "true").returncode == 2
    assert guard("run").returncode == 2
    assert guard("no-such-command").returncode == 2


def test_options_after_the_command_are_the_commands() -> None:
    result = guard("run", "--help")
    assert result.returncode == 0
    assert "--require" in result.stdout


@needs_root
@pytest.mark.kernel
def test_command_line_is_passed_on_untouched() -> None:
    """With and without `--`, options after the first word belong to the command."""
    for separator in ([], ["--"]):
        result = guard("run", "-q", *separator, "echo", "--json", "-x", "--", "--policy")
        assert result.stdout == "--json -x -- --policy\n", result.stderr


@needs_root
@pytest.mark.kernel
def test_session_is_recorded(tmp_path: Path) -> None:
    result = guard("run", "--report-dir", tmp_path / "out", "--", "sh", "-c", "exit 3")
    assert result.returncode == 3
    meta = json.loads((tmp_path / "out" / "meta.json").read_text())
    assert meta["exit"]["code"] == 3
    assert meta["command"] == ["sh", "-c", "exit 3"]
    assert meta["lost"] == 0
    assert meta["policy"]["name"] == "default"
    assert list((tmp_path / "out").glob("events-*.seg"))
    assert [name for name in meta["activity"]["programs"] if name.endswith(("/sh", "/dash"))]


@needs_root
@pytest.mark.kernel
def test_doctor() -> None:
    """Every missing line has a remedy, and the exit code says how bad it is."""
    result = guard("doctor", "--json")
    found = json.loads(result.stdout)
    missing = [each for each in found["capabilities"] if not each["ok"]]
    assert all(each["remedy"] for each in missing)
    assert result.returncode == (0 if not missing else 1 if found["tier"] != "none" else 2)
    text = guard("doctor").stdout
    assert f"tier: {found['tier']}" in text
    assert text.count("\nmissing") == len(missing)


def test_policy_check_reports_and_counts(tmp_path: Path) -> None:
    good = guard("policy", "check", "default")
    assert good.returncode == 0, good.stderr
    assert "rules, no errors" in good.stdout
    (tmp_path / "bad.yaml").write_text("- rle: x\n")
    bad = guard("policy", "check", tmp_path / "bad.yaml")
    assert bad.returncode == 1
    assert "bad.yaml:1:" in bad.stderr


def test_policy_list_and_explain() -> None:
    assert "default" in guard("policy", "list").stdout
    rules = guard("policy", "list", "default").stdout.splitlines()
    assert len(rules) > 10
    name = rules[0].split(maxsplit=2)[2]
    explained = guard("policy", "explain", name)
    assert explained.stdout.startswith(name + "\n")
    assert "action" in explained.stdout
    missing = guard("policy", "explain", name[:-1])
    assert missing.returncode == 125
    assert f"help: did you mean `{name}`?" in missing.stderr


def test_policy_explain_without_a_rule_lists_all(tmp_path: Path) -> None:
    """What each asks for and gets, and notes that say why not more; extra files too."""
    (tmp_path / "mine.yaml").write_text(
        "- rule: Mine\n  desc: d\n  condition: evt.type = openat and fd.name = /x\n"
        "  output: o\n  priority: ERROR\n  action: deny\n"
    )
    result = guard("policy", "explain", "--rules", tmp_path / "mine.yaml")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert "deny    deny        Cloud metadata service contacted" in lines
    [mine] = [line for line in lines if "Mine" in line]
    assert mine.startswith("deny    kill        Mine [")
    assert mine[-3:] in {line[:3] for line in lines}
    assert max(map(len, lines)) <= 80


def test_policy_test_passes_for_what_is_shipped() -> None:
    result = guard("policy", "test")
    assert result.returncode == 0, result.stderr
    assert "0 problems" in result.stdout


def test_policy_test_fails_on_a_wrong_case(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        "- rule: R\n  desc: d\n  condition: evt.type = openat and fd.name = /x\n"
        "  output: o\n  priority: ERROR\n"
    )
    (tmp_path / "p_test.yaml").write_text(
        "- rule: R\n  hit:\n    - {event: file_open, path: /y}\n"
        "  miss:\n    - {event: file_open, path: /z}\n"
    )
    result = guard("policy", "test", tmp_path / "p.yaml")
    assert result.returncode == 120
    assert "R: hit 1: " in result.stderr


def test_version() -> None:
    assert guard("version").stdout.startswith("guard ")
