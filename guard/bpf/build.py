"""Compiles the kernel programs; the only place that knows how.

Used by the build hook, by ``make bpf`` (``python guard/bpf/build.py``) and by
``make lint`` (the same with ``--check``), before guard's dependencies exist:
nothing but the standard library here.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
SOURCE = FOLDER / "guard.bpf.c"
OBJECT = FOLDER / "guard.bpf.o"

# Where system call arguments lie is written down in syscall.bpf.c for these.
TARGET_ARCH = {"x86_64": "x86"}

# Errors only in `check`: another clang's new warning must not stop an installation.
WARNINGS = ("-Wall", "-Wextra", "-Wno-unused-parameter", "-Wno-sign-compare")


class BuildError(Exception):
    """The object cannot be made; the message says what to install or mend."""


def is_current() -> bool:
    """Whether the object exists and is newer than everything it is made from."""
    if not OBJECT.exists():
        return False
    made = OBJECT.stat().st_mtime_ns
    return all(source.stat().st_mtime_ns <= made for source in sources())


def sources() -> list[Path]:
    """The C files and headers of the object, and this file with its flags."""
    return [*FOLDER.glob("*.c"), *FOLDER.glob("*.h"), Path(__file__)]


def build() -> None:
    """Compile and strip the object; raises `BuildError`.

    The old object stays in place until the new one is complete.
    """
    clang = find_tool("clang")
    strip = find_tool("llvm-strip")
    fresh = OBJECT.with_suffix(f".{os.getpid()}.tmp")
    try:
        run([clang, *flags(), "-c", str(SOURCE), "-o", str(fresh)])
        # -g drops DWARF and keeps .BTF and .BTF.ext, which loading and decoding need.
        run([strip, "-g", str(fresh)])
        fresh.replace(OBJECT)
    finally:
        fresh.unlink(missing_ok=True)


def check() -> None:
    """Raise `BuildError` when the compiler has anything to say, warnings included."""
    run([find_tool("clang"), *flags(), "-Werror", "-fsyntax-only", str(SOURCE)])


def flags() -> list[str]:
    """Arguments of the compiler, without input and output."""
    machine = platform.machine()
    if machine not in TARGET_ARCH:
        raise BuildError(f"guard runs on x86_64, and does not know `{machine}` yet")
    return [
        "-g",
        "-O2",
        "-target",
        "bpf",
        "-mcpu=v3",  # 32-bit jumps and arithmetic: since Linux 5.1, below what guard needs
        f"-D__TARGET_ARCH_{TARGET_ARCH[machine]}",
        *WARNINGS,
        # Debian keeps asm/ below the host's triplet, which -target bpf does not search.
        "-idirafter",
        f"/usr/include/{machine}-linux-gnu",
        # Else the path of the build folder would be part of the object.
        f"-ffile-prefix-map={FOLDER.parent.parent}=.",
    ]


def find_tool(name: str) -> str:
    """Where `name` is on PATH: plain, or the newest with Debian's version suffix."""
    for candidate in (name, *(f"{name}-{version}" for version in range(22, 13, -1))):
        if path := shutil.which(candidate):
            return path
    raise BuildError(
        f"cannot compile the kernel programs: `{name}` is not installed\n"
        "help: apt-get install clang llvm libbpf-dev"
    )


def run(command: list[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise BuildError(f"`{command[0]}` failed\n{result.stderr.rstrip()}")


if __name__ == "__main__":
    try:
        if "--check" in sys.argv[1:]:
            check()
        elif not is_current():
            build()
    except BuildError as error:
        sys.exit(f"error: {error}")
