"""What guard says: an alert, how bad it is, and what was done about it."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from guard.data import dataclass
from guard.event import Event, Process

FieldValue = str | int | float | bool | None | list[str]


class Priority(enum.IntEnum):
    """Falco's priorities; smaller is more severe."""

    EMERGENCY = 0
    ALERT = 1
    CRITICAL = 2
    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFORMATIONAL = 6
    DEBUG = 7

    @property
    def label(self) -> str:
        """The word in alerts, as Falco writes it."""
        return self.name.capitalize()

    @classmethod
    def parse(cls, text: str) -> Priority:
        """The priority named by `text` in any case; `Info` is Informational.

        Raises `ValueError` for any other word.
        """
        word = text.strip().upper()
        try:
            return cls["INFORMATIONAL" if word == "INFO" else word]
        except KeyError:
            raise ValueError(f"unknown priority `{text}`") from None


class Action(enum.Enum):
    """What a rule asks for."""

    ALERT = "alert"
    DENY = "deny"
    KILL = "kill"
    FREEZE = "freeze"


class Verdict(enum.Enum):
    """What really happened to the operation. Never claims more than that."""

    ALERT = "alert"  # reported only
    DENIED = "denied"  # failed with an error, nothing happened
    KILLED = "killed"  # SIGKILL before the process ran another instruction
    KILLED_AFTER = "killed-after"  # SIGKILL after the operation had completed
    FROZEN = "frozen"  # the session was frozen after the operation had completed
    NOT_ENFORCED = "not-enforced"  # the action was asked for and did not take place


@dataclass(frozen=True, slots=True)
class Alert:
    """One rule matched one event."""

    rule: str
    priority: Priority
    time_ns: int  # since the epoch
    source: str  # "syscall", or "internal" for guard's own
    message: str  # the rule's output, fields filled in
    output_fields: Mapping[str, FieldValue]
    tags: tuple[str, ...]
    action: Action = Action.ALERT
    verdict: Verdict = Verdict.ALERT
    remedy: str = ""  # the rule's advice to the user and the agent
    event: Event | None = None
    process: Process | None = None
