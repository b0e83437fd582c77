"""What a session does without: imports are most of the time before a command starts."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Read rules, or are as slow as everything guard needs together.
NOT_NEEDED = {
    "dataclasses", "guard.engine.check", "guard.engine.documents", "guard.engine.loader",
    "guard.engine.lower", "guard.engine.output", "guard.engine.parser", "hashlib", "inspect",
    "lark", "mcp", "platform", "psutil", "re2", "shutil", "socket", "subprocess", "tempfile",
    "typer", "watchfiles", "yaml",
}  # fmt: skip

_RUN = """
import sys
from guard.cli.main import main
sys.argv = ["guard", "run", "--quiet", "--", "true"]
try:
    main()
finally:
    print(*sys.modules)
"""


@pytest.mark.kernel
def test_a_cached_policy_needs_little(tmp_path):
    environ = {
        "PATH": "/usr/bin:/bin",
        "GUARD_CACHE_DIR": str(tmp_path / "cache"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    for _time in range(2):
        ran = subprocess.run(
            [sys.executable, "-c", _RUN], env=environ, capture_output=True, text=True, check=True
        )
    assert NOT_NEEDED & set(ran.stdout.split()) == set()
