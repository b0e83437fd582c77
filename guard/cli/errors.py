"""How the command line says that guard cannot continue."""

from __future__ import annotations

import sys

from guard.errors import GuardError


def report(error: GuardError) -> int:
    """Print the error and its help on stderr; returns the exit status."""
    sys.stderr.write(f"guard: {error.message}\n")
    if error.help:
        sys.stderr.write(f"help: {error.help}\n")
    return error.exit_status
