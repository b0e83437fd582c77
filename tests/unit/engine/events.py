"""Events and processes for tests: name what matters, the rest is neutral."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Mapping

from guard.engine.constants import Constants
from guard.event import CALLS, EVENT_CLASSES, Event, Process

CONSTANTS = Constants(
    home="/home/dev",
    workspace="/home/dev/project",
    session="s1",
    agent="claude",
    hostname="host",
    boot_time_ns=1_000_000_000_000,
)
CLASSES = {cls.kind: cls for cls in EVENT_CLASSES}

_NEUTRAL = {"int": 0, "str": "", "bytes": bytes(16), "tuple[str, ...]": ()}
# -1 is what the kernel programs write where a call has no descriptor.
_DEFAULTS = {"call": None, "fd": -1, "dirfd": -100, "old_dirfd": -100, "new_dirfd": -100}


def make_event(kind: str, **members: object) -> Event:
    """An event of `kind`; addresses may be text, `call` is by default its first call."""
    cls = CLASSES[kind]
    values: dict[str, object] = {}
    for field in dataclasses.fields(cls):
        value = members.pop(field.name, _DEFAULTS.get(field.name))
        if value is None:
            value = CALLS[kind][0] if field.name == "call" else _NEUTRAL[str(field.type)]
        if field.name.endswith("_addr") and isinstance(value, str):
            value = ipaddress.ip_address(value).packed.ljust(16, b"\0")
        if field.type == "tuple[str, ...]":
            value = tuple(value)
        values[field.name] = value
    assert not members, f"{kind} has no {', '.join(members)}"
    if kind.startswith("file_") and values.get("name") == "":
        values["name"] = values["path"]
    values["time_ns"] = values["time_ns"] or 1_600_000_000_000_000_001
    return cls(**values)


def make_process(**members: object) -> Process:
    """A process of user dev; `parent` may be a mapping of members too."""
    name = str(members.get("name", "bash"))
    parent = members.get("parent")
    defaults: dict[str, object] = {
        "pid": 100, "start_ns": 5_000_000_000, "parent": None, "name": name,
        "exepath": f"/usr/bin/{name}", "filename": f"/usr/bin/{name}", "argv": (name,),
        "cwd": "/home/dev/project", "uid": 1000, "gid": 1000, "euid": 1000, "loginuid": -1,
        "user": "dev", "group": "dev", "login_user": "<NA>", "sid": 90, "pgid": 95,
        "vpid": 100, "vpgid": 95, "tty": 0, "cap_permitted": 0, "cap_effective": 0,
        "exe_inode": 7, "exe_ctime_ns": 0, "exe_mtime_ns": 0, "exec_flags": 0,
    }  # fmt: skip
    values = {**defaults, **members}
    if isinstance(parent, Mapping):
        values["parent"] = make_process(**parent)
    for key in ("argv", "env"):
        values[key] = tuple(values.get(key, ()))
    return Process(**values)
