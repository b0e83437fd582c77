"""Runs the cases of a policy: `NAME_test.yaml` beside `NAME.yaml`."""

from __future__ import annotations

from pathlib import Path

from guard.data import dataclass
from guard.engine.cases import CONSTANTS, check_case, read_cases, untested
from guard.engine.detector import Detector
from guard.engine.diagnostics import Diagnostic, render
from guard.engine.nodes import Mapping, Node, Sequence, compose
from guard.errors import PolicyError
from guard.session import policy, rule_files


@dataclass(frozen=True, slots=True)
class Report:
    """What came out of the cases of one policy; no problems means all is well."""

    cases: int
    problems: tuple[str, ...]


def run(path: Path) -> Report:
    """Run the cases beside the policy file `path`.

    Raises `PolicyError` when a file has errors, `UsageError` when it cannot be
    read or a case is no case.
    """
    rules, _plan = policy.require(policy.load(rule_files.read([path]), CONSTANTS))
    [source] = rule_files.read([path.with_name(f"{path.stem}_test{path.suffix}")])
    diagnostics: list[Diagnostic] = []
    roots = compose(source, diagnostics)
    if diagnostics:
        raise PolicyError(f"`{source.name}` cannot be read\n{render(diagnostics)}")
    cases = [case for root in roots for case in read_cases(_plain(root))]
    problems = []
    for case in cases:
        wrong = check_case(case, Detector(rules, CONSTANTS))
        if wrong is not None:
            problems.append(f"{case.label}: {wrong}")
    names = [rule.name for rule in rules.rules]
    problems += [
        f"{name}: has no case that hits or none that misses" for name in untested(names, cases)
    ]
    unknown = dict.fromkeys(case.rule for case in cases if case.rule and case.rule not in names)
    problems += [f"{name}: the policy has no such rule" for name in unknown]
    return Report(len(cases), tuple(problems))


def _plain(node: Node) -> object:
    """Lists, dictionaries and texts; cases convert texts by the member's type."""
    if isinstance(node, Sequence):
        return [_plain(item) for item in node.items]
    if isinstance(node, Mapping):
        return {key: _plain(value) for key, value in node.entries.items()}
    return None if node.is_null else node.value
