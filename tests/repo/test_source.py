"""Nothing unfinished and nothing private in the tree."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# One letter in brackets, or this file would be its own finding.
UNFINISHED = re.compile(r"\b(TOD[O]|FIXM[E]|XX[X]|HAC[K])\b")
# A registry's address in a lock file or a script ties the tree to one place.
HOSTS = re.compile(r"\bpyp[i]\.org|registry\.npmj[s]|\bdeb\.debia[n]\.org")
SKIPPED = {".png", ".gz", ".zst", ".o"}


def tracked():
    """Files git has or would add."""
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-coz", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(
        path
        for name in listed.stdout.split("\0")
        if name and (path := ROOT / name).is_file() and path.suffix not in SKIPPED
    )


@pytest.mark.parametrize(
    "pattern", [UNFINISHED, HOSTS], ids=["mark of unfinished work", "registry host"]
)
def test_no_file_has_a(pattern):
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in tracked()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]

    assert found == []


def test_every_lint_exception_says_why():
    """`noqa` and `type: ignore` name a code; the reason stands behind it or in pyproject."""
    bare = re.compile(r"#\s*(noqa(?!:)|type:\s*ignore(?!\[))")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked()
        if path.suffix == ".py" and path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if bare.search(line)
    ]

    assert found == []
