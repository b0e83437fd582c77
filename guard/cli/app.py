"""All commands, by typer; `guard run` on its own needs none of it."""
# ruff: noqa: PLC0415  a command loads what it needs

from __future__ import annotations

import sys

import typer

from guard.cli import doctor, policy, run

app = typer.Typer(
    name="guard",
    help="Watches what a coding agent really does, and stops what the policy forbids.",
    no_args_is_help=True,
    # Locals may be secrets of the environment.
    pretty_exceptions_enable=False,
)
app.command("doctor")(doctor.doctor)
app.add_typer(policy.app, name="policy")


# Here for the list of commands: `main` starts it without typer.
@app.command("run", add_help_option=False, context_settings={"ignore_unknown_options": True})
def run_(arguments: list[str]) -> None:
    """Run a command under guard: guard run -- COMMAND."""
    sys.exit(run.run(arguments))


@app.command()
def version() -> None:
    """Print guard's version."""
    from importlib.metadata import version as installed

    typer.echo(f"guard {installed('guard-ebpf')}")
