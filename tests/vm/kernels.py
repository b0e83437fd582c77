"""Kernel packages: found with apt, downloaded once, unpacked below the cache."""

from __future__ import annotations

import fnmatch
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.vm.config import CACHE


@dataclass(frozen=True, slots=True)
class Kernel:
    """An unpacked kernel package."""

    release: str  # as `uname -r` prints it
    image: Path
    modules: Path


def fetch(pattern: str) -> Kernel:
    """The newest cached kernel whose package fits `pattern`, else the newest apt offers."""
    folder = CACHE / "kernels"
    folder.mkdir(parents=True, exist_ok=True)
    cached = [entry.name for entry in folder.iterdir() if (entry / "boot").is_dir()]
    names = fnmatch.filter(cached, pattern)
    if not names:
        names = fnmatch.filter(offered(), pattern)
        if not names:
            raise SystemExit(f"apt offers no package `{pattern}`: run `apt-get update` first")
        unpack(max(names, key=version), folder)
    return unpacked(folder / max(names, key=version))


def offered() -> list[str]:
    """Names of all packages apt knows."""
    return subprocess.run(
        ["apt-cache", "pkgnames", "linux-image-"], capture_output=True, text=True, check=True
    ).stdout.split()


def version(name: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", name))


def unpack(name: str, folder: Path) -> None:
    """Download `name` and unpack it; complete or not there at all."""
    print(f"downloading {name}", flush=True)
    target = folder / name
    fresh = folder / f"{name}.tmp"
    subprocess.run(["apt-get", "download", "-qq", name], cwd=folder, check=True)
    (package,) = folder.glob(f"{name}_*.deb")
    subprocess.run(["dpkg-deb", "-x", package, fresh], check=True)
    fresh.rename(target)
    package.unlink()


def unpacked(folder: Path) -> Kernel:
    (modules,) = (folder / "lib" / "modules").iterdir()
    return Kernel(modules.name, folder / "boot" / f"vmlinuz-{modules.name}", modules)
