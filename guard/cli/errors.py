"""How the command line says that guard cannot continue."""

from __future__ import annotations

import sys

from guard.errors import GuardError


def report(error: GuardError) -> int:
    """Print the error and its help on stderr; returns the exit status."""
    print(f"guard: {error.message}", file=sys.stderr)
    if error.help:
        print(f"help: {error.help}", file=sys.stderr)
    return error.exit_status
