"""What the kernel ring shares: the trigger, built once, and a session of loaded programs."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.kernel.harness", "tests.kernel.policy")

from tests.kernel.harness import Session  # noqa: E402  rewriting must be asked for before

TRIGGERS = Path(__file__).parent / "triggers"


@pytest.fixture(scope="session")
def trigger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The compiled trigger program, where any user can execute it."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("the trigger program needs a C compiler: apt-get install gcc")
    with tempfile.TemporaryDirectory(prefix="guard-trigger-") as folder:
        Path(folder).chmod(0o755)
        program = Path(folder) / "trigger"
        subprocess.run(
            [compiler, "-static", "-no-pie", "-O1", "-pthread", "-Wall", "-Wno-format-truncation",
             "-o", program, *sorted(TRIGGERS.glob("*.c"))],
            check=True,
            timeout=60,
        )  # fmt: skip
        yield str(program)


@pytest.fixture(scope="session")
def loaded() -> Iterator[Session]:
    session = Session()
    yield session
    session.close()


@pytest.fixture
def session(loaded: Session) -> Iterator[Session]:
    """Programs that record everything and know no rule."""
    loaded.configure()
    yield loaded
    loaded.configure()


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty directory that every user may enter and write; its path has no symlink."""
    with tempfile.TemporaryDirectory(prefix="guard-place-") as folder:
        path = Path(folder).resolve()
        path.chmod(0o777)
        yield path
