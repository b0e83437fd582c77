"""Loading: sources in, a policy or the reasons against it out."""

from __future__ import annotations

from dataclasses import replace

from guard.alert import Action
from guard.engine.diagnostics import Code, Severity, render
from guard.engine.loader import load
from guard.engine.source import Source
from tests.unit.engine.events import CONSTANTS

RULE = """\
- rule: {name}
  desc: a rule
  condition: {condition}
  output: {output}
  priority: NOTICE
"""


def text(name="R", condition="evt.type = open", output="saw %proc.name", extra=""):
    return RULE.format(name=name, condition=condition, output=output) + extra


def loaded(*texts, constants=CONSTANTS):
    sources = [Source(f"{number}.yaml", each) for number, each in enumerate(texts)]
    return load(sources, constants)


def codes(result):
    return [diagnostic.code for diagnostic in result.diagnostics]


def test_a_policy_holds_rules_in_evaluation_order_with_their_place():
    result = loaded(text("A"), text("B", extra="  action: deny\n  remedy: ask\n"))
    assert result.policy is not None
    rules = result.policy.rules
    assert [(rule.name, rule.index) for rule in rules] == [("B", 0), ("A", 1)]
    first = rules[0]
    assert (first.action, first.remedy) == (Action.DENY, "ask")
    assert (first.file, first.line, first.calls) == ("1.yaml", 1, {"open"})
    assert result.policy.sources == ("0.yaml", "1.yaml")


def test_an_error_anywhere_gives_no_policy_and_all_errors():
    result = loaded(
        text("A", condition="fd.nam = x"),
        text("B", output="saw %nope.x"),
        text("C", condition="a b"),
    )
    assert result.policy is None
    assert codes(result) == [Code.UNKNOWN_FIELD, Code.BAD_OUTPUT, Code.CONDITION_SYNTAX]


def test_a_mistake_in_a_macro_is_reported_once_and_there():
    macro = "- macro: bad\n  condition: fd.nam = x\n"
    result = loaded(macro + text("A", "bad") + text("B", "bad and proc.name = x"))
    assert codes(result) == [Code.UNKNOWN_FIELD]
    assert render(result.diagnostics).startswith("0.yaml:2:14: error: unknown field `fd.nam`")


def test_a_mistake_in_an_output_points_into_it():
    result = loaded(text(output="file %fd.nme read"))
    assert render(result.diagnostics).startswith("0.yaml:4:17: error: unknown field `fd.nme`")


def test_skip_if_unknown_filter_leaves_the_rule_out_with_a_warning():
    extra = "  skip-if-unknown-filter: true\n"
    result = loaded(text("A", "fd.future = x", extra=extra) + text("B"))
    assert result.policy is not None
    assert [rule.name for rule in result.policy.rules] == ["B"]
    (warning,) = result.diagnostics
    assert (warning.code, warning.severity) == (Code.UNKNOWN_FILTER, Severity.WARNING)


def test_a_rule_about_calls_that_are_not_captured_is_a_warning():
    result = loaded(text(condition="evt.type = userfaultfd"))
    assert result.policy is not None
    assert "this rule can never match" in render(result.diagnostics)


def test_constants_of_the_session_are_folded_away():
    result = loaded(text(condition="evt.type = open and fd.name startswith val(guard.home)"))
    assert result.policy is not None
    assert result.policy.rules[0].condition.children[1].values == ("/home/dev",)


def test_a_revision_names_the_texts_and_what_they_mean_but_no_session():
    revision = loaded(text()).policy.revision
    assert loaded(text(), constants=replace(CONSTANTS, session="s2")).policy.revision == revision
    assert loaded(text(), constants=replace(CONSTANTS, home="/h")).policy.revision != revision
    assert loaded(text("S")).policy.revision != revision
    assert len(revision) == 64


def test_no_sources_are_an_empty_policy():
    result = load([], CONSTANTS)
    assert result.policy is not None
    assert result.policy.rules == ()
