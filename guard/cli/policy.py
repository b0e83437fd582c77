"""`guard policy`: check, list, explain and test rules."""

# ruff: noqa: PLC0415  a command loads what it needs: `guard run` must start fast

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guard.errors import EXIT_POLICY_FAILED, UsageError

if TYPE_CHECKING:
    from guard.engine.constants import Constants

app = typer.Typer(name="policy", help="Check, list, explain and test rules.", no_args_is_help=True)

_Policy = Annotated[str, typer.Option(help="Shipped policy, or path of one.")]


@app.command()
def check(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Loaded in this order.")],
) -> None:
    """Load rule files and report everything that is wrong with them.

    Exit code 0 without errors, 1 with errors; warnings do not count.
    """
    from guard.engine.diagnostics import render
    from guard.session import policy, rule_files

    sources = rule_files.read([rule_files.find(file) for file in files])
    loaded = policy.load(sources, _constants())
    if loaded.diagnostics:
        typer.echo(render(loaded.diagnostics), err=True)
    if loaded.has_errors or loaded.policy is None:
        sys.exit(1)
    typer.echo(f"{len(loaded.policy.rules)} rules, no errors")


@app.command("list")
def list_(policy: Annotated[str | None, typer.Argument(metavar="POLICY")] = None) -> None:
    """List the shipped policies, or the rules of POLICY with what they ask for."""
    from guard.session import policy as policies
    from guard.session import rule_files

    if policy is None:
        for name, path in rule_files.shipped().items():
            typer.echo(f"{name:<12}{path}")
        return
    loaded = policies.load(rule_files.read([rule_files.find(policy)]), _constants())
    for rule in policies.require(loaded)[0].rules:
        typer.echo(f"{rule.priority.label:<14}{rule.action.value:<8}{rule.name}")


@app.command()
def explain(
    rule: Annotated[str | None, typer.Argument(help="Name of the rule.")] = None,
    policy: _Policy = "default",
    rules: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="More rules, loaded after it.")
    ] = None,
) -> None:
    """Show what a rule matches, what it does, and what of it the kernel decides.

    Without RULE: what every rule gets on a machine like this, and why not more.
    """
    from guard.engine.diagnostics import nearest
    from guard.session import policy as policies
    from guard.session import rule_files

    files = [rule_files.find(file) for file in (policy, *(rules or ()))]
    found, plan = policies.require(policies.load(rule_files.read(files), _constants()))
    if rule is None:
        typer.echo(policies.explain_all(found, plan))
        return
    names = {each.name: each for each in found.rules}
    if rule not in names:
        similar = nearest(rule, names)
        raise UsageError(
            f"policy `{policy}` has no rule `{rule}`",
            help=f"did you mean `{similar}`?" if similar else f"guard policy list {policy}",
        )
    typer.echo(policies.explain(names[rule], plan))


@app.command("test")
def run_cases(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="FILE...", help="Policies.  [default: shipped]")
    ] = None,
) -> None:
    """Run the cases in NAME_test.yaml beside each policy.

    Exit code 0 when all come out as written, 120 when one does not.
    """
    from guard.session import policy_test, rule_files

    failed = False
    for path in map(rule_files.find, files or rule_files.shipped()):
        report = policy_test.run(path)
        for problem in report.problems:
            typer.echo(str(problem), err=True)
        typer.echo(f"{path.name}: {report.cases} cases, {len(report.problems)} problems")
        failed = failed or bool(report.problems)
    if failed:
        sys.exit(EXIT_POLICY_FAILED)


def _constants() -> Constants:
    from guard.engine.constants import Constants

    # As a session would have them that were started here by this user.
    uid = os.environ.get("SUDO_UID", "")
    home = pwd.getpwuid(int(uid) if uid.isdecimal() else os.getuid()).pw_dir
    return Constants(home=os.path.realpath(home), workspace=str(Path.cwd()), session="", agent="")
