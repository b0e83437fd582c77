"""Settings: command line before environment before default, all checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard import config
from guard.errors import UsageError


def test_precedence() -> None:
    environ = {"GUARD_POLICY": "from-env", "GUARD_RECORD_BYTES": "8192"}
    settings = config.load({"command": ("a",), "policy": "given"}, environ)
    assert settings.policy == "given"
    assert settings.record_bytes == 8192
    assert config.load({"command": ("a",)}, environ).policy == "from-env"
    assert config.load({"command": ("a",)}, {}).policy == "default"


def test_workspace_is_resolved(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    settings = config.load({"command": ("a",), "workspace": tmp_path / "link"}, {})
    assert settings.workspace == tmp_path.resolve()
    assert config.load({"command": ("a",)}, {}).workspace == Path.cwd()


@pytest.mark.parametrize(
    ("values", "environ", "message"),
    [
        ({"command": ()}, {}, "no command"),
        ({"workspace": "/no/such"}, {}, "`/no/such` is not a directory"),
        ({"timeout_s": -1.0}, {}, "not positive"),
        ({"record_bytes": 5000}, {}, "record_bytes is 5000"),
        ({}, {"GUARD_COLOR": "pink"}, "GUARD_COLOR is `pink`"),
        ({}, {"GUARD_RECORD_BYTES": "x"}, "GUARD_RECORD_BYTES is `x`"),
    ],
)
def test_wrong_values(values: dict[str, object], environ: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        config.load({"command": ("a",), **values}, environ)
