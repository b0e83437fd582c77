"""`guard run`: a command under guard."""

# ruff: noqa: FBT002, PLC0415  options are parameters; a command loads what it needs

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from guard import config


def run(
    command: Annotated[
        list[str], typer.Argument(metavar="COMMAND...", help="What to run, with its arguments.")
    ],
    policy: Annotated[
        str | None, typer.Option(help="Shipped policy, or path of one.  [default: default]")
    ] = None,
    rules: Annotated[
        list[Path] | None, typer.Option(help="More rules, loaded after the policy. Repeatable.")
    ] = None,
    workspace: Annotated[
        Path | None, typer.Option(help="Where the command may write.  [default: here]")
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="Run the command as this user.  [default: who called sudo]")
    ] = None,
    require: Annotated[
        config.Require | None,
        typer.Option(help="Refuse to start when this kernel cannot enforce so much."),
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="End the command after so long.")
    ] = None,
    linger: Annotated[
        config.Linger | None,
        typer.Option(help="Wait for or kill what outlives the command.  [default: kill]"),
    ] = None,
    allow_privileges: Annotated[
        bool, typer.Option("--allow-privileges", help="Let sudo and setuid programs work inside.")
    ] = False,
    record: Annotated[
        config.Record | None, typer.Option(help="Events to keep.  [default: unique]")
    ] = None,
    report_dir: Annotated[
        Path | None, typer.Option(help="Folder of the session record, new or empty.")
    ] = None,
    alerts: Annotated[
        config.AlertMode | None,
        typer.Option(help="Print alerts at once or at the end.  [default: auto]"),
    ] = None,
    alert_file: Annotated[
        Path | None, typer.Option(help="Also write alerts here, as JSON lines.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print alerts on stderr as Falco's JSON, nothing else.")
    ] = False,
    color: Annotated[config.Color | None, typer.Option(help="[default: auto]")] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No opening line and no summary.")
    ] = False,
) -> None:
    """Run COMMAND under guard; the exit code is the command's.

    124: --timeout passed. 125: guard could not start it. 126, 127: not executable, not found.
    """
    settings = config.load(
        {
            "command": tuple(command),
            "policy": policy,
            "rules": tuple(rules) if rules else None,
            "workspace": workspace,
            "user": user,
            "require": require,
            "timeout_s": timeout,
            "linger": linger,
            "allow_privileges": allow_privileges,
            "record": record,
            "report_dir": report_dir,
            "alerts": alerts,
            "alert_file": alert_file,
            "json": json,
            "color": color,
            "quiet": quiet,
        },
        os.environ,
    )
    from guard.session.checks import check_start
    from guard.session.loading import Loading

    check_start()
    loading = Loading(candidate_bytes=settings.candidate_bytes, record_bytes=settings.record_bytes)
    try:
        # After the kernel has something to do: these imports take as long.
        from guard.session.live import prepare
        from guard.session.session import Session

        session = Session(settings, os.environ, functools.partial(prepare, loading))
        sys.exit(session.run().exit_code)
    finally:
        loading.discard()
