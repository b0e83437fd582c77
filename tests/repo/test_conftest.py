"""A skip fails where every test is meant to run."""

import os
import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).parents[1] / "conftest.py"
TESTS = """
import pytest

def test_skips():
    pytest.skip("no such kernel")

@pytest.mark.xfail(reason="known")
def test_expected_failure():
    assert False
"""


def run(folder, *, require):
    (folder / "conftest.py").write_bytes(CONFTEST.read_bytes())
    (folder / "test_sample.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-ra", "--rootdir", folder]
    environ = os.environ | {"GUARD_REQUIRE": "1" if require else "", "TERM": "dumb"}
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, check=False
    )


def test_a_skip_is_a_skip_by_default(tmp_path):
    result = run(tmp_path, require=False)

    assert result.returncode == 0, result.stdout
    assert "1 skipped, 1 xfailed" in result.stdout


def test_a_skip_is_a_failure_when_every_test_is_required(tmp_path):
    result = run(tmp_path, require=True)

    assert result.returncode == 1, result.stdout
    assert "1 failed, 1 xfailed" in result.stdout
    assert "this was skipped: Skipped: no such kernel" in result.stdout


def test_a_skipped_module_is_a_failure_when_every_test_is_required(tmp_path):
    (tmp_path / "test_module.py").write_text(
        "import pytest\npytest.skip('no such module', allow_module_level=True)\n"
    )
    result = run(tmp_path, require=True)

    assert result.returncode != 0, result.stdout
    assert "no such module" in result.stdout
