"""Rules and events for tests of lowering."""

from __future__ import annotations

import dataclasses

from guard.alert import Action, Priority
from guard.engine import ir
from guard.engine.check import Checker
from guard.engine.constants import Constants
from guard.engine.event_types import calls_of
from guard.engine.fold import fold_constants
from guard.engine.parser import parse_condition
from guard.engine.syntax_issue import SyntaxIssue
from guard.event import CALLS, EVENT_CLASSES, Event, Process

CONSTANTS = Constants(home="/home/ann", workspace="/home/ann/work", session="s1", agent="bot")
CLASSES = {cls.kind: cls for cls in EVENT_CLASSES}


def rule(condition: str, action: Action = Action.ALERT, index: int = 0) -> ir.Rule:
    expr = parse_condition(condition)
    assert not isinstance(expr, SyntaxIssue), expr
    checked = Checker().check(expr)
    assert not checked.has_errors, checked.problems
    folded = fold_constants(checked.expr, CONSTANTS)
    return ir.Rule(
        index=index,
        name=f"rule {index}",
        condition=folded,
        output="",
        priority=Priority.WARNING,
        action=action,
        tags=(),
        description="",
        remedy="",
        calls=calls_of(folded),
    )


def policy(*rules: tuple[str, Action] | str) -> ir.Policy:
    pairs = [(item, Action.ALERT) if isinstance(item, str) else item for item in rules]
    return ir.Policy(
        tuple(rule(condition, action, index) for index, (condition, action) in enumerate(pairs)),
        revision="",
    )


def event(kind: str, **values: object) -> Event:
    """An event of `kind`; what is not given is zero or empty."""
    cls = CLASSES[kind]
    empty = {"str": "", "int": 0, "bytes": bytes(16), "tuple[str, ...]": ()}
    filled = {field.name: empty[str(field.type)] for field in dataclasses.fields(cls)}
    filled["call"] = CALLS[kind][0]
    return cls(**(filled | values))  # type: ignore[arg-type]  # by type above


def process(
    exepath: str = "/usr/bin/cat", parent: Process | None = None, **values: object
) -> Process:
    empty = {"str": "", "int": 0, "bool": False, "tuple[str, ...]": (), "Process | None": None}
    filled = {field.name: empty[str(field.type)] for field in dataclasses.fields(Process)}
    filled |= {"exepath": exepath, "name": exepath.rpartition("/")[2][:15], "parent": parent}
    return Process(**(filled | values))  # type: ignore[arg-type]  # by type above
