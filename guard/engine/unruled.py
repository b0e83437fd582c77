"""What is told of a kernel decision that no loaded rule made."""

from __future__ import annotations

from guard.alert import Priority
from guard.data import dataclass
from guard.event import FLAG_IO_URING, Event, FileOpen, ProcessFork


@dataclass(frozen=True, slots=True)
class Note:
    """The parts of an alert that a rule would give."""

    rule: str
    priority: Priority
    output: str
    remedy: str = ""


def note_on(event: Event) -> Note:
    """Why the kernel stopped `event`, which names no rule or one that is gone."""
    if event.rule:
        return _REPLACED
    match event:
        case ProcessFork():
            return _SHARED_TABLE
        case FileOpen() if event.flags & FLAG_IO_URING and not event.inode:
            return _DIRECT_OPEN
    return _NO_PATH


# The policy was replaced between the decision and now. A denial must not vanish
# with its rule.
_REPLACED = Note(
    "guard internal: decision of a replaced policy",
    Priority.WARNING,
    "An operation was stopped by a rule that is no longer loaded "
    "(call=%evt.type path=%guard.path fd=%fd.name process=%proc.cmdline)",
)
_UNJUDGED = "guard internal: operation could not be judged"
_NO_PATH = Note(
    _UNJUDGED,
    Priority.CRITICAL,
    "The directories above a file are too many to tell which rules apply "
    "(call=%evt.type path=%guard.path command=%proc.cmdline parents=%proc.aname user=%user.name)",
    "Use fewer than 8000 directories one below the other.",
)
_DIRECT_OPEN = Note(
    _UNJUDGED,
    Priority.CRITICAL,
    "io_uring opened a file into a table of its own, where no rule can look at it "
    "(call=%evt.type command=%proc.cmdline parents=%proc.aname user=%user.name)",
    "Open files without direct descriptors, or turn io_uring off in that program.",
)
_SHARED_TABLE = Note(
    _UNJUDGED,
    Priority.CRITICAL,
    "A new process shares its parent's descriptors and could hand over what it is killed for "
    "(call=%evt.type command=%proc.cmdline parents=%proc.aname user=%user.name)",
    "Start processes without CLONE_FILES: with fork, posix_spawn or as threads.",
)
