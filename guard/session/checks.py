"""What must hold before anything is loaded or started."""

from __future__ import annotations

import os

from guard.errors import PrivilegeError, UsageError
from guard.session import cgroup


def check_start() -> None:
    """Raise `UsageError` inside a guarded session, `PrivilegeError` without root."""
    outer = cgroup.enclosing_session()
    if outer is not None:
        raise UsageError(
            f"already inside the guarded session {outer}",
            help="start guard outside; everything started here is guarded already",
        )
    if os.geteuid() != 0:
        raise PrivilegeError(
            "guard needs root to load its kernel programs",
            help="run it with sudo; the command itself runs as you: sudo guard run -- COMMAND",
        )
