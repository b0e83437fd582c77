"""Honest work of thousands of files comes out as it does without guard, and loses nothing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.harness import Place

# Everything that varies from run to run is held still, so that results can be compared.
WORK = r"""
set -e
export GIT_AUTHOR_DATE='2026-01-01T00:00:00Z' GIT_COMMITTER_DATE='2026-01-01T00:00:00Z'
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
umask 022
mkdir "$1" && cd "$1"
seq 3000 | while read -r n; do
    d=src/d$((n % 50)); [ -d $d ] || mkdir -p $d
    printf 'file %s\nneedle\n' "$n" > $d/f$n.txt
done
mkdir c py package app
for n in $(seq 20); do echo "int f$n(int x) { return x * $n; }" > c/m$n.c; done
for n in $(seq 100); do echo "def f(x): return x + $n" > py/m$n.py; done
echo '{"name": "small", "version": "1.0.0"}' > package/package.json
echo 'module.exports = 1' > package/index.js
echo '{"name": "app", "version": "1.0.0"}' > app/package.json

git init -q -b main
git add -A
git -c user.name=x -c user.email=x@x commit -qm all
git rev-parse HEAD
git status --short
grep -r needle src | sort | sha256sum
for n in $(seq 20); do gcc -O1 -c c/m$n.c -o c/m$n.o; done
gcc -shared -o c/all.so c/*.o
sha256sum c/*.o
/usr/bin/python3 -m compileall -q --invalidation-mode unchecked-hash py
sha256sum py/__pycache__/*
if command -v npm > /dev/null; then
    (cd app && npm install --offline --no-audit --no-fund --no-update-notifier \
        --cache "$PWD/../cache" ../package && cat package-lock.json && ls -la node_modules | wc -l)
    (cd app && node -e 'console.log(require("small"))')
fi
find . -path ./cache -prune -o -path ./.git -prune -o -type f -print | sort | sha256sum
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not all(map(shutil.which, ("git", "gcc"))) or not Path("/usr/bin/python3").exists(),
    reason="needs git, gcc and python3: apt-get install git gcc python3",
)
def test_work_is_the_same_and_nothing_is_lost(place: Place) -> None:
    """git, grep, gcc, compileall and npm: the same output, exit code 0, no alert, 0 lost."""
    user, workspace = place.user, place.user.workspace
    result = place.sh(WORK, "sh", "guarded")
    assert 0 == result.code, result.err
    home = {"HOME": str(user.home), "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
    unguarded = subprocess.run(
        ["setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", "--init-groups",
         "sh", "-c", WORK, "sh", "unguarded"],
        cwd=workspace, env=home, capture_output=True, text=True, check=True, timeout=60,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert normal(unguarded.stdout) == normal(result.out)
    assert len(result.out.splitlines()) > 20
    meta = result.record.meta
    assert 0 == meta["lost"] == meta["counters"]["errors"]
    assert [] == result.rules
    assert meta["counters"]["seen"] > 6000
    assert "  lost events    0\n" in result.err
    for name in ("guarded", "unguarded"):
        shutil.rmtree(workspace / name)


def normal(output: str) -> list[str]:
    """Without the time that npm takes."""
    return [line.partition(" in ")[0] for line in output.splitlines()]
