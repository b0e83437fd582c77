"""The `guard` command."""
# ruff: noqa: PLC0415  `guard run` starts without what the other commands need

from __future__ import annotations

import os
import sys

from guard.cli.errors import report
from guard.errors import GuardError

_INTERRUPTED = 130
_FIRST_FREE = 3  # descriptor


def main() -> None:
    """Entry point of the console scripts."""
    _occupy_standard_descriptors()
    try:
        if sys.argv[1:2] == ["run"]:
            from guard.cli.run import run

            status = run(sys.argv[2:])
            _flush()
            # Everything is closed; taking the interpreter apart would be a tenth of the start.
            os._exit(status)
        from guard.cli.app import app

        app()
    except GuardError as error:
        sys.exit(report(error))
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    finally:
        _flush()


def _occupy_standard_descriptors() -> None:
    """Keep 0, 1 and 2 from becoming files of guard's when the caller closed them.

    They are closed on exec: for the command they stay what they were.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < _FIRST_FREE:
        pass
    os.close(descriptor)
    # Python has None for a stream that was closed when it started.
    sys.stdin = sys.stdin or os.fdopen(0, encoding="utf-8")
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8")


def _flush() -> None:
    """A reader that has gone away or a full disk must not change the exit code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # What is still in Python's buffer goes here when the interpreter ends.
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
