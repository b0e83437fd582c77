"""The `guard` command."""
# ruff: noqa: PLC0415  `guard run` starts without what the other commands need

from __future__ import annotations

import sys

from guard.cli.errors import report
from guard.errors import GuardError

_INTERRUPTED = 130


def main() -> None:
    """Entry point of the console scripts."""
    try:
        if sys.argv[1:2] == ["run"]:
            from guard.cli.run import run

            sys.exit(run(sys.argv[2:]))
        from guard.cli.app import app

        app()
    except GuardError as error:
        sys.exit(report(error))
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
