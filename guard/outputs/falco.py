"""Falco's JSON alert, so that everything made for Falco's output just works.

One object per line, keys sorted. guard adds `guard.action`, `guard.verdict` and
`guard.remedy` to the output fields.
"""

from __future__ import annotations

import json
import re
import time

from guard.alert import Alert, FieldValue

_NANOSECONDS = 1_000_000_000
_SURROGATES = re.compile("[\ud800-\udfff]")


def to_json(alert: Alert, hostname: str) -> str:
    """The alert as one line without its newline."""
    text = json.dumps(to_dict(alert, hostname), sort_keys=True, ensure_ascii=False)
    # Bytes that are not UTF-8 become U+FFFD, as in Falco.
    return _SURROGATES.sub("\ufffd", text)


def to_dict(alert: Alert, hostname: str) -> dict[str, object]:
    """The alert with Falco's keys."""
    fields: dict[str, FieldValue] = {"evt.time": alert.time_ns, **alert.output_fields}
    fields["guard.action"] = alert.action.value
    fields["guard.verdict"] = alert.verdict.value
    if alert.remedy:
        fields["guard.remedy"] = alert.remedy
    return {
        "hostname": hostname,
        "output": f"{local_time(alert.time_ns)}: {alert.priority.label} {alert.message}",
        "output_fields": fields,
        "priority": alert.priority.label,
        "rule": alert.rule,
        "source": alert.source,
        "tags": sorted(alert.tags),
        "time": utc_time(alert.time_ns),
    }


def utc_time(time_ns: int) -> str:
    """`2016-08-04T16:17:57.881781397Z`."""
    seconds, rest = divmod(time_ns, _NANOSECONDS)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:09d}Z"


def local_time(time_ns: int) -> str:
    """`16:17:57.881781397` in the local time zone."""
    seconds, rest = divmod(time_ns, _NANOSECONDS)
    return time.strftime("%H:%M:%S", time.localtime(seconds)) + f".{rest:09d}"
