"""Work like an agent's, timed from inside: ``workload.py FOLDER RESULT``.

Makes a source tree in FOLDER, then times git, grep, gcc, compileall and npm on
it and writes seconds per step to RESULT as JSON. Needs no network.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

FILES = 3000
C_FILES = 20
QUIET = subprocess.DEVNULL


def main() -> None:
    folder, result = Path(sys.argv[1]), Path(sys.argv[2])
    make_tree(folder)
    steps: dict[str, Callable[[], None]] = {
        "git": lambda: git(folder),
        "grep": lambda: run(folder, "grep", "-r", "--", "needle", "."),
        "gcc": lambda: compile_c(folder),
        "compileall": lambda: run(folder, sys.executable, "-m", "compileall", "-q", "python"),
    }
    if shutil.which("npm"):
        steps["npm"] = lambda: npm(folder)
    seconds = {}
    for name, step in steps.items():
        start = time.perf_counter()
        step()
        seconds[name] = time.perf_counter() - start
    result.write_text(json.dumps(seconds))


def make_tree(folder: Path) -> None:
    for number in range(FILES):
        where = folder / "src" / f"d{number % 50:02}"
        where.mkdir(parents=True, exist_ok=True)
        (where / f"f{number}.txt").write_text(f"file {number}\nneedle\n" * 8)
    (folder / "c").mkdir()
    for number in range(C_FILES):
        (folder / "c" / f"m{number}.c").write_text(
            f'#include <stdio.h>\n#include <stdlib.h>\nint f{number}(void) {{ return puts("x"); }}'
        )
    (folder / "python").mkdir()
    for number in range(300):
        (folder / "python" / f"m{number}.py").write_text(
            f"def f(x):\n    return x + {number}\n" * 5
        )
    (folder / "package").mkdir()
    (folder / "package" / "package.json").write_text('{"name": "small", "version": "1.0.0"}')
    (folder / "package" / "index.js").write_text("module.exports = 1;\n")
    (folder / "app").mkdir()
    (folder / "app" / "package.json").write_text('{"name": "app", "version": "1.0.0"}')


def git(folder: Path) -> None:
    run(folder, "git", "init", "-q")
    run(folder, "git", "add", "-A")
    run(folder, "git", "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "all")
    run(folder, "git", "status", "--short")
    run(folder, "git", "log", "--stat")


def compile_c(folder: Path) -> None:
    for number in range(C_FILES):
        run(folder / "c", "gcc", "-c", f"m{number}.c")


def npm(folder: Path) -> None:
    cache = f"--cache={folder / 'npm-cache'}"
    run(
        folder / "app",
        "npm",
        "install",
        "--offline",
        "--no-audit",
        "--no-fund",
        cache,
        "../package",
    )


def run(where: Path, *command: str) -> None:
    subprocess.run(command, cwd=where, check=True, stdout=QUIET, stderr=QUIET)


if __name__ == "__main__":
    main()
