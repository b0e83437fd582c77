"""The `guard` command."""

# ruff: noqa: PLC0415  a command loads what it needs: `guard run` must start fast

from __future__ import annotations

import sys

import typer

from guard.cli import doctor, policy, run
from guard.cli.errors import report
from guard.errors import GuardError

_INTERRUPTED = 130

app = typer.Typer(
    name="guard",
    help="Watches what a coding agent really does, and stops what the policy forbids.",
    no_args_is_help=True,
    # Locals may be secrets of the environment.
    pretty_exceptions_enable=False,
)
# Everything after the first word is the command's: `guard run claude --help`.
app.command("run", context_settings={"allow_interspersed_args": False})(run.run)
app.command("doctor")(doctor.doctor)
app.add_typer(policy.app, name="policy")


@app.command()
def version() -> None:
    """Print guard's version."""
    from importlib.metadata import version as installed

    typer.echo(f"guard {installed('guard-ebpf')}")


def main() -> None:
    """Entry point of the console scripts."""
    try:
        app()
    except GuardError as error:
        sys.exit(report(error))
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
