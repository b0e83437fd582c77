"""From rule files to a policy: all stages of the engine in their order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from guard.data import dataclass, replace
from guard.engine import ir
from guard.engine.check import Checker, Problem
from guard.engine.constants import Constants
from guard.engine.diagnostics import Code, Diagnostic, Severity, sort
from guard.engine.documents import read_items
from guard.engine.event_types import calls_of
from guard.engine.fold import fold_constants
from guard.engine.index import evaluation_order
from guard.engine.items import Item
from guard.engine.output import OutputIssue, OutputTemplate
from guard.engine.resolve import ResolvedRule, resolve
from guard.engine.source import Source

_UNKNOWN_FILTER = frozenset({Code.UNKNOWN_FIELD, Code.UNKNOWN_EVENT})


@dataclass(frozen=True, slots=True)
class LoadResult:
    """`policy` is None when a diagnostic is an error."""

    policy: ir.Policy | None
    diagnostics: tuple[Diagnostic, ...]  # in the order of files and lines
    sources: tuple[Source, ...]


def load(sources: Sequence[Source], constants: Constants) -> LoadResult:
    """The policy that `sources` make together, later files changing earlier ones.

    Every mistake is found, not only the first. A rule's index is its place in
    evaluation order: rules that enforce stand before rules that only alert.
    """
    diagnostics: list[Diagnostic] = []
    items: list[Item] = []
    for source in sources:
        found, problems = read_items(source)
        items += found
        diagnostics += problems
    resolved, problems = resolve(items)
    diagnostics += problems
    rules = list(_rules(resolved, constants, diagnostics))
    ordered = sort(_in_order_of(sources, _unique(diagnostics)))
    policy = None
    if not any(diagnostic.is_error for diagnostic in ordered):
        in_order = sorted(rules, key=evaluation_order)
        policy = ir.Policy(
            tuple(replace(rule, index=index) for index, rule in enumerate(in_order)),
            _revision(sources, constants),
            tuple(source.name for source in sources),
        )
    return LoadResult(policy, tuple(ordered), tuple(sources))


def _rules(
    resolved: Iterable[ResolvedRule], constants: Constants, diagnostics: list[Diagnostic]
) -> Iterable[ir.Rule]:
    checker = Checker()
    for index, rule in enumerate(resolved):
        checked = checker.check(rule.expr)
        unknown = next((p for p in checked.problems if p.code in _UNKNOWN_FILTER), None)
        if unknown is not None and rule.skip_if_unknown_filter:
            skipped = replace(
                unknown,
                code=Code.UNKNOWN_FILTER,
                message=f"{unknown.message}, so the rule is left out",
                severity=Severity.WARNING,
            )
            diagnostics.append(_diagnostic(rule, skipped))
            continue
        diagnostics += [_diagnostic(rule, problem) for problem in checked.problems]
        template = OutputTemplate.parse(rule.output.text)
        if isinstance(template, OutputIssue):
            diagnostics.append(_bad_output(rule, template))
        if checked.has_errors or isinstance(template, OutputIssue) or not rule.enabled:
            continue
        condition = fold_constants(checked.expr, constants)
        calls = calls_of(condition)
        if not calls:
            diagnostics.append(_never_matches(rule))
        yield _typed(rule, index, condition, calls)


def _typed(rule: ResolvedRule, index: int, condition: ir.Expr, calls: frozenset[str]) -> ir.Rule:
    return ir.Rule(
        index=index,
        name=rule.name,
        condition=condition,
        output=rule.output.text,
        priority=rule.priority,
        action=rule.action,
        tags=rule.tags,
        description=rule.description,
        remedy=rule.remedy,
        calls=calls,
        file=rule.file,
        line=rule.line,
    )


def _diagnostic(rule: ResolvedRule, problem: Problem) -> Diagnostic:
    return Diagnostic(
        problem.code,
        problem.message,
        rule.condition_source.locate(problem.span),
        problem.severity,
        help=problem.help,
        item=f"rule `{rule.name}`",
    )


def _bad_output(rule: ResolvedRule, issue: OutputIssue) -> Diagnostic:
    return Diagnostic(
        Code.BAD_OUTPUT,
        issue.message,
        rule.output.locate(issue.span.start, issue.span.end),
        help=issue.help,
        item=f"rule `{rule.name}`",
    )


def _never_matches(rule: ResolvedRule) -> Diagnostic:
    return Diagnostic(
        Code.SUSPICIOUS_CONDITION,
        "this rule can never match",
        rule.location,
        Severity.WARNING,
        help="guard captures none of the calls it asks for, or its condition is always false",
        item=f"rule `{rule.name}`",
    )


def _in_order_of(sources: Sequence[Source], diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    place = {id(source): number for number, source in enumerate(sources)}

    def key(diagnostic: Diagnostic) -> int:
        return place[id(diagnostic.location.source)] if diagnostic.location else -1

    return sorted(diagnostics, key=key)


def _unique(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    # A mistake in a macro is found again in every rule that uses it.
    unique: dict[object, Diagnostic] = {}
    for found in diagnostics:
        place = found.location
        where = (place.source, place.start, place.end) if place else None
        unique.setdefault((found.code, found.message, where), found)
    return list(unique.values())


def _revision(sources: Iterable[Source], constants: Constants) -> str:
    """Names a policy: its texts and what they mean here, but not which session it is in."""
    digest = hashlib.sha256()
    texts = [constants.home, constants.workspace, constants.agent]
    for text in [*texts, *(source.text for source in sources)]:
        data = text.encode("utf-8", "surrogateescape")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()
