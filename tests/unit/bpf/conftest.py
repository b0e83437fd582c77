"""The built kernel object, for tests that need its type information."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard.bpf import build
from guard.bpf.layout import Layout


@pytest.fixture(scope="session")
def object_path() -> Path:
    if not build.OBJECT.exists():
        try:
            build.build()
        except build.BuildError as error:
            pytest.skip(f"the kernel object cannot be built: {error}")
    return build.OBJECT


@pytest.fixture(scope="session")
def layout(object_path: Path) -> Layout:
    return Layout.from_file(object_path)
