"""Exceptions: guard cannot continue.

A bad policy is not an exception: it is a list of diagnostics. What is here
names the file, the kernel feature or the privilege that is missing.

::

    GuardError              message, help, exit_status
    ├── UsageError          what was asked for cannot be: unknown user, policy, command
    ├── PolicyError         a policy has errors; carries the rendered diagnostics
    ├── UnsupportedError    this kernel or machine lacks something
    ├── PrivilegeError      not enough privilege
    ├── LaunchError         the command could not be started (126, 127)
    └── RecordError         the session record cannot be written or read
"""

from __future__ import annotations

EXIT_USAGE = 2
EXIT_POLICY_FAILED = 120
EXIT_TIMEOUT = 124
EXIT_GUARD = 125
EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127


class GuardError(Exception):
    """Base of all; `help` is the next step for the user, `exit_status` the process's."""

    exit_status = EXIT_GUARD

    def __init__(self, message: str, *, help: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.help = help


class UsageError(GuardError):
    """The request names something that does not exist or contradicts itself."""


class PolicyError(GuardError):
    """A policy did not load; the message holds every rendered diagnostic."""


class UnsupportedError(GuardError):
    """A kernel feature, program or file that guard needs is missing."""


class PrivilegeError(GuardError):
    """The caller lacks a privilege."""


class LaunchError(GuardError):
    """The guarded command could not be started.

    `exit_status` is 127 when it was not found and 126 when it cannot be executed.
    """

    def __init__(self, message: str, *, exit_status: int, help: str | None = None) -> None:
        super().__init__(message, help=help)
        self.exit_status = exit_status


class RecordError(GuardError):
    """The session record cannot be written or read."""
