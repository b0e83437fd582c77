"""The mounts of this process, and under which other paths a mounted directory is seen."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from guard.data import dataclass

_MOUNTINFO = Path("/proc/self/mountinfo")
_ESCAPE = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """`root` of the file system `device` appears at `path`."""

    device: str  # major:minor
    root: bytes
    path: bytes
    kind: str


def read_mounts(source: Path = _MOUNTINFO) -> tuple[Mount, ...]:
    """All mounts in the order they were made."""
    return tuple(_parse(line) for line in source.read_bytes().splitlines())


def other_paths(mount: Mount, mounts: Sequence[Mount]) -> Iterable[bytes]:
    """Paths outside `mount` that lead to the same directory, as bind mounts make them."""
    for other in mounts:
        if other is mount or other.device != mount.device:
            continue
        rest = _below(mount.root, other.root)
        if rest is not None:
            yield other.path.rstrip(b"/") + rest or b"/"


def _below(path: bytes, folder: bytes) -> bytes | None:
    """What follows `folder` in `path`, with its slash; None when it is not below."""
    folder = folder.rstrip(b"/")
    if path != folder and not path.startswith(folder + b"/"):
        return None
    return path[len(folder) :].rstrip(b"/")


def _parse(line: bytes) -> Mount:
    words = line.split(b" ")
    kind = words[words.index(b"-", 6) + 1]
    return Mount(words[2].decode(), _unescape(words[3]), _unescape(words[4]), kind.decode())


def _unescape(text: bytes) -> bytes:
    return _ESCAPE.sub(lambda match: bytes((int(match[1], 8),)), text)
