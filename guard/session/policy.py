"""From rule files to a loaded policy and its plan for the kernel."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from guard.data import dataclass
from guard.enforce.plan import Effect, enforcement
from guard.enforce.support import assumed_support
from guard.engine import ir
from guard.engine.constants import Constants
from guard.engine.diagnostics import Diagnostic, render
from guard.engine.kernel_plan import KernelPlan
from guard.engine.loader import load as load_rules
from guard.engine.lower import lower
from guard.engine.source import Source
from guard.errors import PolicyError

_WIDTH = 79
_NOTE = 140  # a clause may be a list of a hundred paths; `explain RULE` has it whole
_EFFECTS = {
    Effect.DENY: "the operation fails, nothing happens",
    Effect.KILL: "the process dies before it can use what it got",
    Effect.KILL_AFTER: "the process dies, the operation has been carried out",
    Effect.FREEZE: "the session stops, the operation has been carried out",
    Effect.ALERT: "reported only",
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of rule files. `policy` and `plan` are None when there are errors."""

    policy: ir.Policy | None
    plan: KernelPlan | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def has_errors(self) -> bool:
        return any(each.is_error for each in self.diagnostics)


def load(sources: Sequence[Source], constants: Constants) -> Loaded:
    """Load rule files and lower them for the kernel; never raises for what they hold."""
    result = load_rules(sources, constants)
    if result.policy is None:
        return Loaded(None, None, tuple(result.diagnostics))
    plan = lower(result.policy, constants)
    found = (*result.diagnostics, *plan.diagnostics)
    return Loaded(result.policy, plan, found)


def require(loaded: Loaded) -> tuple[ir.Policy, KernelPlan]:
    """The policy and its plan; `PolicyError` that holds all diagnostics when it has errors."""
    if loaded.has_errors or loaded.policy is None or loaded.plan is None:
        raise PolicyError(
            f"the policy has errors\n{render(loaded.diagnostics)}",
            help="nothing was started; check it again with: guard policy check FILE",
        )
    return loaded.policy, loaded.plan


def explain_all(rules: ir.Policy, plan: KernelPlan) -> str:
    """A table of all rules: what each asks for and gets here, with the reasons as notes."""
    support = assumed_support()
    lines = [f"tier {support.tier}", "", "asks    gets        rule"]
    notes: dict[str, int] = {}
    for each in enforcement(rules, plan, support):
        numbers = [
            notes.setdefault(kind.reason, len(notes) + 1) for kind in each.kinds if kind.reason
        ]
        marks = "".join(f" [{number}]" for number in sorted(set(numbers)))
        lines.append(f"{each.action.value:<8}{each.effect.value:<12}{each.rule}{marks}")
    if notes:
        lines.append("")
    for reason, number in notes.items():
        short = reason if len(reason) <= _NOTE else reason[: _NOTE - 1] + "…"
        lines += textwrap.wrap(
            short, _WIDTH, initial_indent=f"{f'[{number}]':<5}", subsequent_indent=" " * 5
        )
    lines += ["", *(f"{effect.value:<12}{text}" for effect, text in _EFFECTS.items())]
    return "\n".join(lines)


def explain(rule: ir.Rule, plan: KernelPlan) -> str:
    """A rule in words: what it asks for, and what of it the kernel decides."""
    lines = [
        rule.name,
        f"  {rule.description}" if rule.description else "",
        f"  priority   {rule.priority.label}",
        f"  action     {rule.action.value}",
        f"  written in {rule.file}:{rule.line}",
        f"  remedy     {rule.remedy}" if rule.remedy else "",
        f"  calls      {', '.join(sorted(rule.calls))}",
    ]
    lowered = next((each for each in plan.rules if each.rule == rule.index), None)
    for kind in lowered.kinds if lowered else ():
        decides = "decided in the kernel" if kind.is_exact else "decided after the kernel's report"
        lines.append(f"  {kind.kind}: {decides}")
    for residue in lowered.residue if lowered else ():
        lines.append(f"    left to user space: {residue.text} ({residue.reason})")
    return "\n".join(line for line in lines if line)
