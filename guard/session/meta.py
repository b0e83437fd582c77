"""`meta.json`: what a session was, and how it ended."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from guard.config import Settings
from guard.enforce.plan import Enforcement
from guard.engine.constants import Constants
from guard.session.identity import Identity
from guard.session.instrument import Prepared, dropped
from guard.session.outcome import Outcome
from guard.session.reporter import Reporter
from guard.session.summary import Activity
from guard.store.record import RecordWriter


def opening(
    session: str, settings: Settings, user: Identity, constants: Constants, prepared: Prepared
) -> dict[str, object]:
    """What is known before the command starts."""
    system = os.uname()
    return {
        "id": session,
        "state": "running",
        "start": _now(),
        "command": list(settings.command),
        "user": {"uid": user.uid, "name": user.name},
        "workspace": constants.workspace,
        "home": constants.home,
        "host": {"name": system.nodename, "kernel": system.release, "machine": system.machine},
        "policy": dict(prepared.policy),
        "tier": prepared.instrument.tier,
        "rules": [_rule(rule) for rule in prepared.instrument.rules],
        "gaps": list(prepared.gaps),
        "recorded": settings.record.value,
        "privileges_allowed": settings.allow_privileges,
    }


def closing(
    outcome: Outcome, record: RecordWriter, reporter: Reporter, activity: Activity
) -> Mapping[str, object]:
    """What is known when everything has ended."""
    counters = outcome.counters
    return {
        "state": "ended",
        "end": _now(),
        "duration_s": round(outcome.duration_s, 3),
        "exit": {
            "code": outcome.exit_code,
            "signal": outcome.signal,
            "timed_out": outcome.timed_out,
        },
        "killed_leftovers": outcome.killed,
        "counters": {name: getattr(counters, name) for name in counters.__match_args__},
        "lost": dropped(outcome.counters),
        "alerts": {
            "priorities": {p.label: n for p, n in sorted(reporter.priorities.items())},
            "verdicts": {v.value: n for v, n in reporter.verdicts.items()},
        },
        "violations": {"count": record.alerts, "head": record.head},
        "problems": list(reporter.problems),
        "activity": activity.to_dict(),
    }


def _rule(enforcement: Enforcement) -> dict[str, str]:
    return {
        "rule": enforcement.rule,
        "wanted": enforcement.action.value,
        "gets": enforcement.effect.value,
        "reason": enforcement.reason,
    }


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
