"""Imports point down: the contract in pyproject.toml holds."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_import_contracts_are_kept():
    """Every contract of import-linter, and every package of guard has its layer."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout + result.stderr


# What the engine may take from modules that can also open, connect and ask the time.
PURE = re.compile(
    r"os\.(O_\w+|[RWXF]_OK|path\.\w+|fsencode|fsdecode)"
    r"|socket\.(AF|SOCK|IPPROTO)_\w+"
    r"|time\.(strftime|gmtime|localtime)"
)
ENGINE = sorted((ROOT / "guard" / "engine").rglob("*.py"))


@pytest.mark.parametrize("path", ENGINE, ids=lambda path: path.stem)
def test_the_engine_opens_no_file_and_reads_no_clock(path):
    """It takes constants and pure functions from `os`, `socket` and `time`, nothing else."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    inner = {node.value for node in nodes if isinstance(node, ast.Attribute)}
    used = [
        ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute) and node not in inner
    ]
    opened = [
        node
        for node in nodes
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open"
    ]
    impure = [
        text for text in used if re.match(r"(os|socket|time)\.", text) and not PURE.match(text)
    ]

    assert impure == []
    assert opened == []


def test_starting_guard_does_not_load_the_mcp_sdk():
    """`guard run` starts in tens of milliseconds; the SDK alone takes longer."""
    code = "import sys, guard.cli.main; print([m for m in sys.modules if m.split('.')[0] == 'mcp'])"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert result.stdout == "[]\n", result.stderr
