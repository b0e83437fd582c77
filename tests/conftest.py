"""What all tests share: who may skip, and what the kernel ring needs."""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import Phase, settings

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

# A failing example is found and made small; explaining it besides can take minutes.
settings.register_profile(
    "guard", deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink]
)
settings.load_profile("guard")

OBJECT = Path(__file__).parents[1] / "guard" / "bpf" / "guard.bpf.o"

# A run that skips proves less than it seems to. Where everything is meant to
# run, a skip is a failure that says what is missing.
REQUIRE_ALL = os.environ.get("GUARD_REQUIRE") == "1"


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("kernel") is not None and (reason := kernel_ring_lacks()):
        pytest.skip(reason)


@functools.cache
def kernel_ring_lacks() -> str | None:
    """What stands between this machine and loading a program; None when nothing does."""
    if os.geteuid() != 0:
        return "loading programs into the kernel needs root"
    if not Path("/sys/kernel/btf/vmlinux").exists():
        return "this kernel has no BTF (/sys/kernel/btf/vmlinux)"
    if not OBJECT.exists():
        return "the kernel programs are not compiled: run `make bpf`"
    try:
        ctypes.CDLL("libbpf.so.1")
    except OSError:
        return "libbpf.so.1 is not installed: apt-get install libbpf1"
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return skip_as_failure((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return skip_as_failure((yield))


def skip_as_failure(report: Report) -> Report:
    """`report`, failed if it was a skip and none is allowed. An expected failure is no skip."""
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"GUARD_REQUIRE=1, and this was skipped: {reason}"
    return report
