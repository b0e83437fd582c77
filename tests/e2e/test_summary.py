"""What guard says about a run: how it is enforced before it, what was done after it."""

from __future__ import annotations

import re

from tests.e2e.harness import GUARD, Place


def test_opening_points_to_every_rules_effect(place: Place) -> None:
    """The command that it names lists as many rules that fall short as it counts."""
    opening = place.run("true").err.splitlines()[:2]
    assert re.fullmatch(r"guard: tier \w+, \d+ rules: (\d+ [a-z-]+(, )?)+", opening[0])
    told = re.fullmatch(r" {7}(\d+) get less than they ask for: guard (policy explain)", opening[1])
    assert told is not None
    listing = place.command(*GUARD, *told[2].split())
    table, _blank, _rest = listing.out.partition("\n[1] ")
    rows = re.findall(r"^(alert|deny|kill|freeze) +(\S+) +(\S.*)$", table, re.MULTILINE)
    assert int(told[1]) == sum(1 for asks, gets, _rule in rows if asks != gets)
    assert all(rule.endswith("]") for asks, gets, rule in rows if asks != gets)
    assert [] == [line for line in listing.out.splitlines() if len(line) > 80]


def test_files_outside_come_before_temporary_ones(place: Place) -> None:
    """Listed are those outside of the workspace; temporary and cached ones are counted."""
    script = """
        echo x > inside; echo x > ~/outside; mkdir -p ~/.cache/x; echo x > ~/.cache/x/y
        for n in 1 2 3; do f=$(mktemp /tmp/guard-e2e-XXXXXX); rm $f; done
        rm inside
    """
    result = place.sh(script)
    # ~/.cache, ~/.cache/x, ~/.cache/x/y and three from mktemp
    assert "\n  wrote outside  ~/outside and 6 temporary files\n" in result.err
    activity = result.record.meta["activity"]
    assert [f"{place.user.home}/outside"] == activity["written_outside"]
    assert 6 == activity["temporary_files"]


def test_a_write_that_was_stopped_is_none(place: Place) -> None:
    """A start file opened for appending by a process that dies of it was not written."""
    start_file = place.user.plant(".bashrc", "# mine\n", mode=0o644)
    result = place.sh("echo evil >> ~/.bashrc")
    assert "# mine\n" == start_file.read_text()
    assert ["Shell start file changed"] == result.rules
    assert "wrote outside" not in result.err


def test_lines_fit_a_terminal(place: Place) -> None:
    """guard's own lines, alerts aside, have 80 columns at most."""
    script = "for n in $(seq 40); do echo x > ~/a-long-name-of-a-file-$n; done"
    result = place.sh(script)
    lines = [line for line in result.err.splitlines() if not line[:1].isdecimal()]
    folder = str(result.folder)
    assert [] == [line for line in lines if len(line) > 80 and folder not in line]
    assert re.search(r"\n  wrote outside  ~/a-long.* and 3\d more\n", result.err)
