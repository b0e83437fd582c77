"""Settings: what the user may choose, each with its default.

`load` is the only way they are made: it takes the values given on the command
line, then ``GUARD_NAME`` from the environment, then the default, and checks
all of them. After it nothing about settings can be wrong.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Mapping
from pathlib import Path

from guard.data import dataclass
from guard.errors import UsageError

DEFAULT_POLICY = "default"


class Choice(enum.Enum):
    """A setting with a fixed set of words."""


class AlertMode(Choice):
    """When alerts are printed: at once, or after the command has ended."""

    AUTO = "auto"  # at the end when the command owns the terminal
    INLINE = "inline"
    END = "end"


class Color(Choice):
    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class Linger(Choice):
    """What happens to processes that outlive the command."""

    WAIT = "wait"
    KILL = "kill"


class Record(Choice):
    """Which events the session record keeps."""

    MATCHED = "matched"  # only those that some rule may match
    UNIQUE = "unique"  # each program, object and operation once
    ALL = "all"


class Require(Choice):
    """The least enforcement with which a session may start."""

    NOTHING = "nothing"
    BLOCK = "block"  # every enforcing rule refuses the operation itself


@dataclass(frozen=True, slots=True)
class Settings:
    """One session's settings."""

    command: tuple[str, ...]
    policy: str = DEFAULT_POLICY  # shipped name, or path of a file
    rules: tuple[Path, ...] = ()  # files loaded after the policy
    workspace: Path = Path()  # absolute; default: the working directory
    user: str | None = None  # default: who called sudo
    report_dir: Path | None = None  # default: below root's state directory
    require: Require = Require.NOTHING
    timeout_s: float | None = None
    linger: Linger = Linger.KILL
    linger_grace_s: float = 1.0  # time for leftovers before they are killed
    kill_grace_s: float = 2.0  # time between SIGTERM and SIGKILL after a timeout
    allow_privileges: bool = False  # sudo and setuid programs work inside
    record: Record = Record.UNIQUE
    candidate_bytes: int = 4 << 20  # size of the kernel's buffers, powers of two
    record_bytes: int = 8 << 20
    alerts: AlertMode = AlertMode.AUTO
    alert_file: Path | None = None  # alerts as JSON lines
    json: bool = False  # alerts on stderr as JSON lines
    color: Color = Color.AUTO
    quiet: bool = False  # no opening line, no summary


_PAGE = 4096


def load(values: Mapping[str, object], environ: Mapping[str, str]) -> Settings:
    """Settings from `values`, in which None means not given, and the environment.

    Raises `UsageError` for a value that cannot be.
    """
    chosen: dict[str, object] = {}
    for field in Settings.__match_args__:
        value = values.get(field)
        name = f"GUARD_{field.upper()}"
        if value is None and field in _FROM_ENVIRONMENT and environ.get(name):
            value = _convert(name, field, environ[name])
        if value is not None:
            chosen[field] = value
    chosen["workspace"] = _directory(chosen.get("workspace"))
    settings = Settings(**chosen)  # type: ignore[arg-type]  # keys and types are the fields'
    _check(settings)
    return settings


_FROM_ENVIRONMENT = {
    "policy": str,
    "report_dir": Path,
    "record": Record,
    "alerts": AlertMode,
    "color": Color,
    "candidate_bytes": int,
    "record_bytes": int,
}


def _convert(name: str, field: str, text: str) -> object:
    kind = _FROM_ENVIRONMENT[field]
    try:
        return kind(text)
    except ValueError:
        words = (
            ", ".join(item.value for item in kind) if issubclass(kind, enum.Enum) else "a number"
        )
        raise UsageError(f"{name} is `{text}`", help=f"set it to one of: {words}") from None


def _directory(value: object) -> Path:
    # realpath: the kernel sees resolved paths, and so must guard.workspace.
    path = Path(os.path.realpath(str(value) if value is not None else "."))
    if not path.is_dir():
        raise UsageError(
            f"workspace `{value}` is not a directory", help="name an existing directory"
        )
    return path


def _check(settings: Settings) -> None:
    if not settings.command:
        raise UsageError("no command given", help="write it after `--`: guard run -- COMMAND")
    if settings.timeout_s is not None and settings.timeout_s <= 0:
        raise UsageError(
            f"timeout `{settings.timeout_s:g}` is not positive", help="give a number of seconds"
        )
    for name in ("candidate_bytes", "record_bytes"):
        size = getattr(settings, name)
        if size < _PAGE or size & (size - 1):
            raise UsageError(f"{name} is {size}", help="use a power of two, 4096 or more")
