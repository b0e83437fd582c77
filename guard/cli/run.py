"""`guard run`: a command under guard.

Parsed by argparse and started without typer: importing typer and building its
parameters takes longer than everything else between the shell and the command.
"""
# ruff: noqa: PLC0415  what comes late is imported late: see above

from __future__ import annotations

import argparse
import functools
import gc
import os
from collections.abc import Sequence
from pathlib import Path

from guard import config

_EPILOG = """\
The exit code is the command's, 128+n when signal n ended it. 124: --timeout
passed. 125: guard could not start it. 126, 127: not executable, not found.
"""


def run(arguments: Sequence[str]) -> int:
    """Run what `arguments` (after `run`) ask for; returns the exit code.

    Raises `GuardError` when it cannot be started, `SystemExit` for wrong usage.
    """
    gc.disable()  # until the command runs: what is made before stays, see Session
    values = vars(_parser().parse_args(arguments))
    command = values["command"]
    if command[:1] == ["--"]:
        del command[0]
    if not command:
        _parser().error("no command given: guard run -- COMMAND")
    settings = config.load({**values, "command": tuple(command)}, os.environ)
    from guard.session.checks import check_start
    from guard.session.loading import Loading

    check_start()
    loading = Loading(candidate_bytes=settings.candidate_bytes, record_bytes=settings.record_bytes)
    try:
        # After the kernel has something to do: these imports take as long.
        from guard.session.live import prepare
        from guard.session.session import Session

        session = Session(settings, os.environ, functools.partial(prepare, loading, os.environ))
        return session.run().exit_code
    finally:
        loading.discard()


def _parser() -> argparse.ArgumentParser:
    """Options; a destination is the name of a setting, None means not given."""
    parser = argparse.ArgumentParser(
        prog="guard run",
        usage="guard run [OPTIONS] [--] COMMAND [ARGUMENT...]",
        description="Run a command under guard.",
        epilog=_EPILOG,
        formatter_class=_Help,
        allow_abbrev=False,
        argument_default=None,
    )
    # Everything after the first word is the command's: guard run claude --help.
    parser.add_argument("command", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    option = parser.add_argument
    option("--policy", metavar="NAME|FILE", help="shipped policy, or path of one (default)")
    option(
        "--rules", metavar="FILE", type=Path, action="append", help="more rules, loaded after it"
    )
    option("--workspace", metavar="DIR", type=Path, help="where the command may write (here)")
    option("--user", help="run the command as this user (who called sudo)")
    _choice(parser, "--require", config.Require, "refuse to start when the kernel enforces less")
    option(
        "--timeout", metavar="SECONDS", dest="timeout_s", type=float,
        help="end the command after so long",
    )  # fmt: skip
    _choice(parser, "--linger", config.Linger, "what to do with what outlives the command (kill)")
    option(
        "--allow-privileges", action="store_true", default=None,
        help="let sudo and setuid programs work inside",
    )  # fmt: skip
    _choice(parser, "--record", config.Record, "events to keep (unique)")
    option("--report-dir", metavar="DIR", type=Path, help="folder of the session record")
    _choice(parser, "--alerts", config.AlertMode, "print alerts at once or at the end (auto)")
    option("--alert-file", metavar="FILE", type=Path, help="also write alerts here, as JSON lines")
    option(
        "--json", action="store_true", default=None,
        help="print alerts on stderr as Falco's JSON, and nothing else",
    )  # fmt: skip
    _choice(parser, "--color", config.Color, "colour alerts (auto)")
    option(
        "-q", "--quiet", action="store_true", default=None, help="no opening line and no summary"
    )
    return parser


class _Help(argparse.RawDescriptionHelpFormatter):
    # Made for every option. Without a width it imports shutil to ask for the terminal's.
    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=79)


def _choice(
    parser: argparse.ArgumentParser,
    name: str,
    kind: type[config.Choice],
    help: str,
) -> None:
    # Words and not values in the help and in the error for a wrong one.
    words = [item.value for item in kind]
    parser.add_argument(
        name, type=lambda text: _member(kind, text), metavar="|".join(words), help=help
    )


def _member(kind: type[config.Choice], text: str) -> config.Choice:
    try:
        return kind(text)
    except ValueError:
        words = ", ".join(item.value for item in kind)
        raise argparse.ArgumentTypeError(f"`{text}` is not one of: {words}") from None
