"""One alert as a line of `violations.jsonl`, and the chain of hashes through them.

Each line holds, as `prev`, the SHA-256 of the line before it; the first holds
zeros. The number of lines and the hash of the last stand in `meta.json`, so a
line changed, removed or cut off at the end is noticed.
"""

from __future__ import annotations

import json
import time

from guard.alert import Alert
from guard.event import Event, Process

SCHEMA = "guard/violation/v1"
FIRST_HASH = "0" * 64


def to_line(alert: Alert, previous: str) -> str:
    r"""The alert as a JSON line; `previous` is the hash of the line before it.

    Bytes that are not UTF-8 survive as `\udcXX`.
    """
    return json.dumps(
        {
            "schema": SCHEMA,
            "prev": previous,
            "time": _utc(alert.time_ns),
            "time_ns": alert.time_ns,
            "rule": alert.rule,
            "priority": alert.priority.label,
            "action": alert.action.value,
            "verdict": alert.verdict.value,
            "message": alert.message,
            "remedy": alert.remedy,
            "source": alert.source,
            "tags": list(alert.tags),
            "output_fields": dict(alert.output_fields),
            "event": _event(alert.event),
            "process": _chain(alert.process),
        },
        separators=(",", ":"),
    )


def line_hash(line: str) -> str:
    """Hash of a line without its newline."""
    import hashlib  # noqa: PLC0415  loads OpenSSL, and most sessions end without an alert

    return hashlib.sha256(line.encode()).hexdigest()


def _utc(time_ns: int) -> str:
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:09d}Z"


def _event(event: Event | None) -> dict[str, object] | None:
    if event is None:
        return None
    values: dict[str, object] = {"kind": event.kind}
    for name in event.__match_args__:
        value = getattr(event, name)
        values[name] = value.hex() if isinstance(value, bytes) else value
    return values


def _chain(process: Process | None) -> list[dict[str, object]]:
    """The process and its ancestors, nearest first."""
    chain: list[dict[str, object]] = []
    while process is not None:
        chain.append(
            {
                "pid": process.pid,
                "name": process.name,
                "exepath": process.exepath,
                "argv": process.argv,
                "cwd": process.cwd,
                "user": process.user,
                "guarded": process.guarded,
            }
        )
        process = process.parent
    return chain
