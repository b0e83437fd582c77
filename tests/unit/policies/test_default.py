"""The default policy does what its cases say, and its denials need no help from user space."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import yaml

import guard.policies
from guard.alert import Action
from guard.engine import cases, ir
from guard.engine.detector import Detector
from guard.engine.loader import LoadResult, load
from guard.engine.lower import lower
from guard.engine.source import Source

FOLDER = Path(guard.policies.__path__[0])
CASES = cases.read_cases(yaml.safe_load((FOLDER / "default_test.yaml").read_text()))


@cache
def loaded() -> LoadResult:
    path = FOLDER / "default.yaml"
    return load([Source(path.name, path.read_text())], cases.CONSTANTS)


def policy() -> ir.Policy:
    found = loaded().policy
    assert found is not None
    return found


@cache
def detector() -> Detector:
    return Detector(policy(), cases.CONSTANTS)


def test_loads_without_a_diagnostic() -> None:
    """Not even a warning: what is unused or odd in a shipped policy is a mistake."""
    assert () == tuple(item.message for item in loaded().diagnostics)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_case_holds(case: cases.Case) -> None:
    """Every case of default_test.yaml."""
    assert cases.check_case(case, detector()) is None


def test_every_rule_has_a_hit_and_a_miss() -> None:
    """A rule without a case is a rule that nobody tried."""
    assert [] == cases.untested((rule.name for rule in policy().rules), CASES)


def test_cases_name_rules_that_exist() -> None:
    """A case of a rule that was renamed would test nothing."""
    names = {rule.name for rule in policy().rules}
    assert set() == {case.rule for case in CASES if case.rule} - names


def test_denials_are_decided_in_the_kernel() -> None:
    """No clause of a deny rule is left to user space, and the whole policy fits."""
    plan = lower(policy(), cases.CONSTANTS)
    assert () == tuple(item.message for item in plan.diagnostics)
    denials = {rule.index for rule in policy().rules if rule.action is Action.DENY}
    assert {} == {
        rule.name: rule.residue for rule in plan.rules if rule.rule in denials and rule.residue
    }


def test_rules_tell_what_they_are_for() -> None:
    """A desc that says what the rule cannot see, a remedy, and a MITRE technique."""
    for rule in policy().rules:
        assert "Does not see:" in rule.description, rule.name
        assert rule.remedy.endswith("."), rule.name
        assert any(tag.startswith("T1") for tag in rule.tags), rule.name


def test_output_names_the_command_and_its_parents() -> None:
    """An alert without the command and who started it cannot be judged."""
    for rule in policy().rules:
        assert "%proc.cmdline" in rule.output, rule.name
        assert "%guard.lineage" in rule.output, rule.name
