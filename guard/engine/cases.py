"""Cases of a policy: events that a rule must match, and events that it must not.

A file of cases is a list of items::

    - rule: Shell start file changed
      hit:
        - {event: file_open, path: ~/.bashrc, open_flags: O_WRONLY|O_APPEND}
      miss:
        - {event: file_open, path: ~/.bashrc}
    - quiet:
        - {event: process_exec, path: /usr/bin/git, argv: [git, status]}

`hit`    the rule makes the alert
`miss`   it does not; another rule may
`quiet`  no rule makes an alert

A case is an event: `event` is its kind, `call` the value of evt.type (by
default the first call of the kind that modern programs make), and the other
keys are members of its class in ``guard/event.py``. `process` is who did it,
with the members of `Process`; its `parent` likewise. What is left out gets a
neutral value: a process of the session's user, started by a shell of the agent,
that succeeds with what it does. `note` may say why the case is there.

Numbers may be written as names joined by `|` (O_RDWR|O_CREAT, SIGTERM,
EXEC_MEMFD); addresses as text (169.254.169.254). `~` and `$workspace` at the
start of a text stand for /home/dev and /home/dev/project.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import signal
import socket
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol, TypeVar

from guard.alert import Alert
from guard.data import dataclass
from guard.engine.constants import Constants
from guard.engine.diagnostics import nearest
from guard.errors import UsageError
from guard.event import (
    CALLS,
    EVENT_CLASSES,
    EXEC_MEMFD,
    EXEC_SECURE,
    Event,
    FileOpen,
    Process,
    ProcessExec,
    SocketEvent,
)

CONSTANTS = Constants(
    home="/home/dev", workspace="/home/dev/project", session="case", agent="agent"
)
USER_ID = 1000
USER_NAME = "dev"

_CLASSES = {event.kind: event for event in EVENT_CLASSES}
_DEFAULT_CALLS = {
    "process_fork": "clone3", "file_open": "openat", "file_unlink": "unlinkat",
    "file_rename": "renameat2", "file_mkdir": "mkdirat", "file_link": "linkat",
    "file_symlink": "symlinkat", "file_chmod": "fchmodat", "file_chown": "fchownat",
    "network_accept": "accept4", "fd_dup": "dup2", "process_vm_write": "process_vm_writev",
}  # fmt: skip
_NAMES: dict[str, int] = {
    **{name: value for name, value in vars(os).items() if name.startswith("O_")},
    **{name: value for name, value in vars(stat).items() if name.startswith("S_I")},
    **{
        name: int(value)
        for name, value in vars(socket).items()
        if name.startswith(("AF_", "SOCK_", "IPPROTO_"))
    },
    **{item.name: item.value for item in signal.Signals},
    "EXEC_MEMFD": EXEC_MEMFD, "EXEC_SECURE": EXEC_SECURE,
    "PTRACE_TRACEME": 0, "PTRACE_ATTACH": 16, "PTRACE_SEIZE": 0x4206,
    "CLONE_NEWNS": 0x20000, "CLONE_NEWUSER": 0x10000000,
}  # fmt: skip
_NEUTRAL: dict[str, object] = {
    "int": 0, "str": "", "bool": False, "bytes": bytes(16), "tuple[str, ...]": (),
}  # fmt: skip

_Built = TypeVar("_Built", bound=Event | Process)


class Matcher(Protocol):
    """What runs a case: the Detector."""

    def match(self, event: Event, process: Process) -> list[Alert]: ...


@dataclass(frozen=True, slots=True)
class Case:
    """One event and what is expected of it; `rule` "" stands for all rules."""

    rule: str
    is_hit: bool
    number: int  # among the hits or misses of its rule, from 1
    event: Event
    process: Process

    @property
    def label(self) -> str:
        """Names the case in messages."""
        if not self.rule:
            return f"quiet {self.number}"
        return f"{self.rule}: {'hit' if self.is_hit else 'miss'} {self.number}"


def read_cases(items: object) -> list[Case]:
    """The cases in the parsed text of a file; `UsageError` names what is wrong in which."""
    return list(_read(items))


def check_case(case: Case, detector: Matcher) -> str | None:
    """What went wrong, None when the case holds. Give each case a detector of its own policy."""
    found = [alert.rule for alert in detector.match(case.event, case.process)]
    if case.is_hit and case.rule not in found:
        return f"no alert of this rule, but {_quoted(found)}"
    if not case.is_hit and (case.rule in found or (not case.rule and found)):
        return f"alert of {_quoted(found)}"
    return None


def untested(rules: Iterable[str], cases: Iterable[Case]) -> list[str]:
    """Rules without a hit or without a miss."""
    seen = {(case.rule, case.is_hit) for case in cases}
    return [rule for rule in rules if not {(rule, True), (rule, False)} <= seen]


def _read(items: object) -> Iterator[Case]:
    quiet = 0
    if not isinstance(items, list):
        raise UsageError("a file of cases is a list")
    for item in items:
        if not isinstance(item, Mapping) or set(item) - {"rule", "hit", "miss", "quiet"}:
            raise UsageError(
                f"`{item}` is no case", help="an item has `rule`, `hit` and `miss`, or `quiet`"
            )
        for case in item.get("quiet") or ():
            quiet += 1
            yield _case("", case, is_hit=False, number=quiet)
        for key in ("hit", "miss"):
            for number, case in enumerate(item.get(key) or (), 1):
                yield _case(str(item["rule"]), case, is_hit=key == "hit", number=number)


def _case(rule: str, case: object, *, is_hit: bool, number: int) -> Case:
    where = f"{rule or 'quiet'}, {'hit' if is_hit else 'miss'} {number}"
    if not isinstance(case, Mapping):
        raise UsageError(f"{where}: `{case}` is no event")
    members = {str(key): value for key, value in case.items() if key != "note"}
    kind = members.pop("event", None)
    event_class = _CLASSES.get(str(kind))
    if event_class is None:
        raise UsageError(f"{where}: unknown event `{kind}`", help=_similar(str(kind), _CLASSES))
    call = str(
        members.pop("call", _DEFAULT_CALLS.get(event_class.kind, CALLS[event_class.kind][0]))
    )
    if call not in CALLS[event_class.kind]:
        raise UsageError(
            f"{where}: `{call}` makes no event `{kind}`",
            help=f"one of {', '.join(CALLS[event_class.kind])}",
        )
    described = members.pop("process", None) or {}
    if event_class is ProcessExec:
        shared = {"path": "exepath", "argv": "argv", "exec_flags": "exec_flags"}
        image = {name: members[key] for key, name in shared.items() if key in members}
        described = {**image, **described}
    process = _process(described, where, _PARENT)
    event = _event(event_class, call, members, process, where)
    return Case(rule, is_hit, number, event, process)


def _event(
    event_class: type[Event], call: str, members: dict[str, object], process: Process, where: str
) -> Event:
    defaults: dict[str, object] = {
        "seq": 1,
        "pid": process.pid,
        "tid": process.pid,
        "uid": process.uid,
        "gid": process.gid,
        "start_ns": process.start_ns,
    }
    if issubclass(event_class, FileOpen):
        defaults |= {"res": 3, "file_mode": stat.S_IFREG | 0o644, "nlink": 1, "dirfd": -100}
    if issubclass(event_class, ProcessExec):
        defaults |= {"path": process.exepath, "filename": process.filename, "argv": process.argv}
        defaults |= {"cwd": process.cwd, "comm": process.name, "nlink": 1}
        defaults |= {"exec_flags": process.exec_flags}
    if issubclass(event_class, SocketEvent):
        defaults |= _socket_defaults(members)
    event = _build(event_class, members, {**defaults, "call": call}, where)
    if isinstance(event, FileOpen):
        name = event.name or event.path
        fd = event.res if event.res >= 0 else -1
        event = dataclasses.replace(event, name=name, fd=fd)
    return event


def _socket_defaults(members: Mapping[str, object]) -> dict[str, object]:
    address = str(members.get("remote_addr", members.get("local_addr", "127.0.0.1")))
    if "path" in members:
        return {"family": socket.AF_UNIX, "type": socket.SOCK_STREAM, "fd": 3}
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = _number(members.get("type", socket.SOCK_STREAM))
    protocol = socket.IPPROTO_TCP if kind == socket.SOCK_STREAM else socket.IPPROTO_UDP
    return {"family": int(family), "type": kind, "protocol": int(protocol), "fd": 3}


def _process(members: object, where: str, parent: Process | None) -> Process:
    if not isinstance(members, Mapping):
        raise UsageError(f"{where}: `{members}` is no process")
    given = {str(key): value for key, value in members.items()}
    above = given.pop("parent", None)
    if above is not None:
        parent = _process(above, where, parent)
    exepath = _text(given.get("exepath") or f"/usr/bin/{given.get('name', 'program')}")
    name = str(given.get("name", exepath.rpartition("/")[2]))[:15]
    uid = _number(given.get("uid", USER_ID))
    user = USER_NAME if uid == USER_ID else "root" if uid == 0 else "<NA>"
    defaults: dict[str, object] = {
        "pid": parent.pid + 1 if parent else 100,
        "start_ns": parent.start_ns + 1 if parent else 1,
        "parent": parent,
        "name": name,
        "exepath": exepath,
        "filename": exepath,
        "argv": (name,),
        "cwd": CONSTANTS.workspace,
        "uid": uid,
        "gid": uid,
        "euid": uid,
        "loginuid": USER_ID,
        "user": user,
        "group": user,
        "login_user": USER_NAME,
        "guarded": True,
    }
    return _build(Process, given, defaults, where)


def _build(
    data_class: type[_Built], given: dict[str, object], defaults: Mapping[str, object], where: str
) -> _Built:
    types = {item.name: str(item.type) for item in dataclasses.fields(data_class)}
    if unknown := next((key for key in given if key not in types), None):
        raise UsageError(
            f"{where}: {data_class.__name__} has no member `{unknown}`",
            help=_similar(unknown, types),
        )
    values: dict[str, object] = {
        name: defaults.get(name, _NEUTRAL.get(type_name)) for name, type_name in types.items()
    }
    for key, value in given.items():
        values[key] = _convert(value, types[key], f"{where}, `{key}`")
    make: Callable[..., _Built] = data_class
    return make(**values)


def _convert(value: object, type_name: str, where: str) -> object:
    try:
        match type_name:
            case "int":
                return _number(value)
            case "bool":
                return value in {True, "true", "yes"}
            case "bytes":
                return ipaddress.ip_address(str(value)).packed.ljust(16, b"\0")
            case "str":
                return _text(value)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from error
    if not isinstance(value, list | tuple):
        raise UsageError(f"{where}: `{value}` is no list")
    return tuple(_text(item) for item in value)


def _number(value: object) -> int:
    if isinstance(value, int):
        return int(value)
    number = 0
    for word in str(value).split("|"):
        known = _NAMES.get(word.strip())
        number |= int(word, 0) if known is None else known
    return number


def _text(value: object) -> str:
    text = str(value)
    if text == "~" or text.startswith("~/"):
        return CONSTANTS.home + text[1:]
    if text.startswith("$workspace"):
        return CONSTANTS.workspace + text.removeprefix("$workspace")
    return text


def _similar(word: str, known: Iterable[str]) -> str:
    similar = nearest(word, list(known))
    return f"did you mean `{similar}`?" if similar else f"known: {', '.join(known)}"


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none at all"


# Who starts the processes of cases: the agent, then a shell of its own.
_AGENT = _process({"name": "agent", "argv": ["agent"]}, "agent", None)
_PARENT = _process({"name": "bash", "argv": ["bash", "-c", "work"]}, "shell", _AGENT)
