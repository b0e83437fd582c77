"""From the names of policies to a loaded policy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import guard.policies
from guard.data import dataclass
from guard.engine import ir
from guard.engine.constants import Constants
from guard.engine.diagnostics import Diagnostic, nearest, render
from guard.engine.kernel_plan import KernelPlan
from guard.engine.loader import load as load_rules
from guard.engine.lower import lower
from guard.engine.source import Source
from guard.errors import PolicyError, UsageError

_TEST_SUFFIX = "_test"


def shipped() -> dict[str, Path]:
    """The policies that come with guard, by name."""
    # Plain files beside the package: importlib.resources costs a tenth of the start-up time.
    folder = Path(guard.policies.__path__[0])
    return {
        path.stem: path
        for path in sorted(folder.glob("*.yaml"))
        if not path.stem.endswith(_TEST_SUFFIX)
    }


def find(policy: str) -> Path:
    """The file of a policy given by shipped name or by path; `UsageError` when there is none."""
    known = shipped()
    if policy in known:
        return known[policy]
    if "/" in policy or policy.endswith((".yaml", ".yml")):
        return Path(policy)
    similar = nearest(policy, known)
    hint = f"did you mean `{similar}`? " if similar else ""
    raise UsageError(
        f"unknown policy `{policy}`",
        help=f"{hint}shipped: {', '.join(known)}; or give the path of a .yaml file",
    )


def read(paths: Sequence[Path]) -> list[Source]:
    """Texts of rule files, in the order given; `UsageError` when one cannot be read."""
    sources = []
    for path in paths:
        try:
            sources.append(Source(str(path), path.read_text(encoding="utf-8")))
        except OSError as error:
            raise UsageError(
                f"rules file `{path}` cannot be read: {error.strerror}",
                help="check the path and its permissions",
            ) from error
        except UnicodeDecodeError as error:
            raise UsageError(
                f"rules file `{path}` is not UTF-8 at byte {error.start}",
                help="save it as UTF-8",
            ) from error
    return sources


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
