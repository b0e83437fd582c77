"""Rule files by name or path, and their texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import guard.policies
from guard.engine.source import Source
from guard.errors import UsageError

_TEST_SUFFIX = "_test"


def shipped() -> dict[str, Path]:
    """The policies that come with guard, by name."""
    # Plain files beside the package: importlib.resources costs a tenth of the start-up time.
    folder = Path(guard.policies.__path__[0])
    return {
        path.stem: path
        for path in sorted(folder.glob("*.yaml"))
        if not path.stem.endswith(_TEST_SUFFIX)
    }


def find(policy: str) -> Path:
    """The file of a policy given by shipped name or by path; `UsageError` when there is none."""
    known = shipped()
    if policy in known:
        return known[policy]
    if "/" in policy or policy.endswith((".yaml", ".yml")):
        return Path(policy)
    from guard.engine.diagnostics import nearest  # noqa: PLC0415  only for the message

    similar = nearest(policy, known)
    hint = f"did you mean `{similar}`? " if similar else ""
    raise UsageError(
        f"unknown policy `{policy}`",
        help=f"{hint}shipped: {', '.join(known)}; or give the path of a .yaml file",
    )


def read(paths: Sequence[Path]) -> list[Source]:
    """Texts of rule files, in the order given; `UsageError` when one cannot be read."""
    sources = []
    for path in paths:
        try:
            sources.append(Source(str(path), path.read_text(encoding="utf-8")))
        except OSError as error:
            raise UsageError(
                f"rules file `{path}` cannot be read: {error.strerror}",
                help="check the path and its permissions",
            ) from error
        except UnicodeDecodeError as error:
            raise UsageError(
                f"rules file `{path}` is not UTF-8 at byte {error.start}",
                help="save it as UTF-8",
            ) from error
    return sources
