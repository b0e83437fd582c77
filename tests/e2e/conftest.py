"""What the end-to-end tests share: a user, and a place that must be empty afterwards."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.e2e.harness")

from tests.e2e import user as users  # noqa: E402  rewriting must be asked for before
from tests.e2e.harness import Place  # noqa: E402
from tests.e2e.user import User  # noqa: E402


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.kernel)


@pytest.fixture(scope="session")
def user() -> Iterator[User]:
    if shutil.which("useradd") is None:
        pytest.skip("users cannot be made: apt-get install passwd")
    made = users.make(os.getpid())
    yield made
    users.remove(made)


@pytest.fixture
def place(user: User, tmp_path: Path) -> Iterator[Place]:
    """Where guard runs; fails the test when a process or control group is left."""
    made = Place(user, tmp_path)
    yield made
    made.close()
