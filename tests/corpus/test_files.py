"""Rule files as data: `files/*.yaml`.

A case has files (name to text), and what comes of them: `rules` maps names to
canonical conditions, `diagnostics` is every error and warning as
`file:line:column code: message`, and nothing else; `warnings: ignored` leaves
the warnings out. `attributes` checks more of a rule.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from guard.engine.diagnostics import Diagnostic, sort
from guard.engine.documents import read_items
from guard.engine.items import Item
from guard.engine.resolve import ResolvedRule, resolve
from guard.engine.source import Source
from guard.engine.syntax_text import to_text

_FOLDER = Path(__file__).parent / "files"
_KEYS = {"name", "files", "rules", "diagnostics", "attributes", "warnings"}


def _cases() -> list[Any]:
    cases = []
    for path in sorted(_FOLDER.glob("*.yaml")):
        for case in yaml.safe_load(path.read_text("utf-8")):
            assert {"name", "files"} <= case.keys() <= _KEYS, f"malformed case in {path}: {case}"
            assert case.get("warnings", "ignored") == "ignored"
            cases.append(pytest.param(case, id=f"{path.stem}: {case['name']}"))
    return cases


@pytest.mark.parametrize("case", _cases())
def test_files_amount_to_this(case):
    """Files give these rules and these diagnostics, and nothing else."""
    items: list[Item] = []
    found: list[Diagnostic] = []
    for name, text in case["files"].items():
        more, diagnostics = read_items(Source(name, text))
        items += more
        found += diagnostics
    rules, diagnostics = resolve(items)
    found += diagnostics
    if case.get("warnings") == "ignored":
        found = [diagnostic for diagnostic in found if diagnostic.is_error]
    assert case.get("diagnostics", []) == [_line(diagnostic) for diagnostic in sort(found)]
    if "rules" in case:
        assert case["rules"] == {rule.name: to_text(rule.expr) for rule in rules}
    for name, attributes in case.get("attributes", {}).items():
        (rule,) = (rule for rule in rules if rule.name == name)
        assert attributes == {key: _plain(rule, key) for key in attributes}


def _line(diagnostic: Diagnostic) -> str:
    return f"{diagnostic.location} {diagnostic.code.text}: {diagnostic.message}"


def _plain(rule: ResolvedRule, key: str) -> object:
    value = getattr(rule, key)
    if key == "output":
        return value.text
    if key == "priority":
        return value.label
    if key == "action":
        return value.value
    return list(value) if isinstance(value, tuple) else value
