"""Meaning of conditions as data: `evaluation/*.yaml`.

A file is a list of groups: an event, the process behind it, and conditions
with what they give. `na` means that the field on the left has no value, so that
every comparison is false and its negation true.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from guard.engine import syntax
from guard.engine.check import Checker
from guard.engine.compile import compile_condition
from guard.engine.event_types import calls_of
from guard.engine.fields import Context
from guard.engine.fold import fold_constants
from guard.engine.parser import parse_condition
from tests.unit.engine.events import CONSTANTS, make_event, make_process
from tests.unit.engine.interpreter import evaluate

_FOLDER = Path(__file__).parent / "evaluation"
_KEYS = {"about", "event", "process", "true", "false", "na"}


def _cases() -> list[Any]:
    cases = []
    for path in sorted(_FOLDER.glob("*.yaml")):
        for group in yaml.load(path.read_text("utf-8"), _Loader):
            assert {"about", "event"} <= group.keys() <= _KEYS, f"malformed group in {path.name}"
            for expected in ("true", "false", "na"):
                for condition in group.get(expected, ()):
                    name = re.sub(r"\s+", " ", f"{path.stem}: {group['about']}: {condition}")
                    cases.append(pytest.param(group, condition, expected, id=name))
    return cases


class _Loader(yaml.SafeLoader):
    """Leaves `true` and `false` alone where they are keys."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in found if not tag.endswith(":bool")]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@pytest.mark.parametrize(("group", "text", "expected"), _cases())
def test_condition(group, text, expected):
    tree = parse_condition(text)
    assert isinstance(tree, syntax.Expr), tree
    checked = Checker().check(tree)
    assert not checked.has_errors, checked.problems
    members = dict(group["event"])
    event = make_event(members.pop("kind"), **members)
    context = Context(event, make_process(**group.get("process", {})), CONSTANTS, 1)
    folded = fold_constants(checked.expr, CONSTANTS)
    result = compile_condition(folded)(context)
    assert result == (expected == "true")
    assert result == evaluate(checked.expr, context)
    if result:
        assert event.call in calls_of(folded)
    if expected == "na":
        assert isinstance(tree, syntax.Check), "`na` is for one comparison"
        exists = syntax.Check(tree.span, tree.left, "exists", tree.operator_span)
        assert not evaluate(Checker().check(exists).expr, context)
