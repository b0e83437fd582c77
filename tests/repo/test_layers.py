"""Imports point down: the contract in pyproject.toml holds."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_import_contracts_are_kept():
    """Every contract of import-linter, and every package of guard has its layer."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout + result.stderr


def test_starting_guard_does_not_load_the_mcp_sdk():
    """`guard run` starts in tens of milliseconds; the SDK alone takes longer."""
    code = "import sys, guard.cli.main; print([m for m in sys.modules if m.split('.')[0] == 'mcp'])"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert result.stdout == "[]\n", result.stderr
