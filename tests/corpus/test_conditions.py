"""The condition language as data: `conditions/*.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from guard.engine.parser import parse_condition
from guard.engine.syntax_issue import SyntaxIssue
from guard.engine.syntax_text import to_text

_FOLDER = Path(__file__).parent / "conditions"
_ACCEPTED_KEYS = {"condition", "text", "reads_back"}
_REJECTED_KEYS = {"condition", "line", "column", "length", "message", "help"}


def _cases(name: str, keys: set[str], required: set[str]) -> list[Any]:
    cases = yaml.safe_load((_FOLDER / name).read_text("utf-8"))
    for case in cases:
        assert required <= case.keys() <= keys, f"malformed case in {name}: {case}"
    assert len({case["condition"] for case in cases}) == len(cases), f"{name}: a case twice"
    return [pytest.param(case, id=case["condition"]) for case in cases]


@pytest.mark.parametrize(
    "case", _cases("accepted.yaml", _ACCEPTED_KEYS, _ACCEPTED_KEYS - {"reads_back"})
)
def test_condition_has_this_canonical_text(case):
    """A condition parses, and its canonical text means the same again."""
    tree = parse_condition(case["condition"])
    assert not isinstance(tree, SyntaxIssue), tree
    assert case["text"] == to_text(tree)
    if case.get("reads_back", True):
        again = parse_condition(case["text"])
        assert not isinstance(again, SyntaxIssue), again
        assert case["text"] == to_text(again)


@pytest.mark.parametrize("case", _cases("rejected.yaml", _REJECTED_KEYS, _REJECTED_KEYS - {"help"}))
def test_mistake_is_explained(case):
    """A mistake is found at its place, with these words."""
    condition = case["condition"]
    issue = parse_condition(condition)
    assert isinstance(issue, SyntaxIssue)
    before = condition[: issue.span.start]
    found = {
        "condition": condition,
        "line": before.count("\n") + 1,
        "column": len(before) - before.rfind("\n"),
        "length": issue.span.end - issue.span.start,
        "message": issue.message,
    }
    if issue.help:
        found["help"] = issue.help
    assert case == found
