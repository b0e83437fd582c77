"""Cases for rules: events that must hit a rule, and events that must miss it.

A file ``NAME_test.yaml`` beside ``NAME.yaml`` is a sequence of

.. code-block:: yaml

    - rule: Read a private key
      hit:
        - event: file_open
          path: $HOME/.ssh/id_rsa
          open_flags: O_RDONLY
          process: {exepath: /usr/bin/cat, parent: {name: claude}}
      miss:
        - {event: file_open, path: $WORKSPACE/main.c}

Keys of a case are members of the event (guard/event.py); what is not given is
0 or empty. ``$HOME`` and ``$WORKSPACE`` stand for the session's directories,
numbers may be written as O_RDWR|O_CREAT, addresses as usual. What is not given
of a process comes from its parent, of an exec from the event.
"""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
from collections.abc import Mapping as AbstractMapping
from collections.abc import Sequence as AbstractSequence
from dataclasses import dataclass, fields
from pathlib import Path

from guard.engine.constants import Constants
from guard.engine.detector import Detector
from guard.engine.diagnostics import Diagnostic, did_you_mean
from guard.engine.nodes import Mapping, Node, Scalar, Sequence, compose
from guard.engine.source import Location, Source
from guard.event import CALLS, EVENT_CLASSES, Event, Process, ProcessExec
from guard.session import policy

CONSTANTS = Constants(
    home="/home/user", workspace="/home/user/project", session="test", agent="claude"
)
_KINDS = {each.kind: each for each in EVENT_CLASSES}
_SYMBOLS: AbstractMapping[str, int] = {
    name: int(value)
    for module in (os, socket, signal)
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, int)
} | {"true": 1, "false": 0}
_TEXT = {"$HOME": CONSTANTS.home, "$WORKSPACE": CONSTANTS.workspace}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at one place of a test file, or with the rule it tests."""

    location: Location
    message: str
    help: str = ""

    def __str__(self) -> str:
        line, column = self.location.source.position(self.location.start)
        text = f"{self.location.source.name}:{line}:{column}: {self.message}"
        return f"{text}\n  help: {self.help}" if self.help else text


@dataclass(frozen=True, slots=True)
class Case:
    """One event by one process, and what is expected of it."""

    rule: str
    hits: bool
    event: Event
    process: Process
    location: Location


@dataclass(frozen=True, slots=True)
class Report:
    """What came out of the cases of one policy."""

    cases: int
    problems: tuple[Problem, ...]


def run(path: Path) -> Report:
    """Run the cases beside the policy file `path`.

    Raises `PolicyError` when the policy has errors, `UsageError` when a file
    cannot be read.
    """
    [source] = policy.read([path])
    [tests] = policy.read([path.with_name(f"{path.stem}_test{path.suffix}")])
    loaded, _plan = policy.require(policy.load([source], CONSTANTS))
    cases, problems = read_cases(tests)
    rules = {rule.name for rule in loaded.rules}
    named = {case.rule: case.location for case in cases}
    for name in named.keys() - rules:
        problems.append(Problem(named[name], f"no rule `{name}`", did_you_mean(name, rules)))
    for name in sorted(rules - named.keys()):
        problems.append(Problem(Location(tests, 0, 1), f"rule `{name}` has no case"))
    problems += failures(Detector(loaded, CONSTANTS), cases)
    return Report(len(cases), tuple(problems))


def read_cases(source: Source) -> tuple[list[Case], list[Problem]]:
    """The cases of a test file, and all that is wrong with it."""
    diagnostics: list[Diagnostic] = []
    roots = compose(source, diagnostics)
    start = Location(source, 0, 1)
    problems = [Problem(d.location or start, d.message, d.help) for d in diagnostics]
    cases: list[Case] = []
    for root in roots:
        for item in _items(root, problems):
            _read_item(item, cases, problems)
    return cases, problems


def failures(detector: Detector, cases: AbstractSequence[Case]) -> list[Problem]:
    """What does not come out as the cases say."""
    found = []
    for case in cases:
        matched = [alert.rule for alert in detector.match(case.event, case.process)]
        if (case.rule in matched) is not case.hits:
            instead = f"`{matched[0]}` matched" if matched else "no rule matched"
            verb = "hit" if case.hits else "miss"
            message = f"rule `{case.rule}` should {verb} this event, but {instead}"
            found.append(Problem(case.location, message))
    return found


class _WrongError(Exception):
    def __init__(self, node: Node, message: str, help: str = "") -> None:
        super().__init__(message)
        self.problem = Problem(node.location, message, help)


def _read_item(item: Node, cases: list[Case], problems: list[Problem]) -> None:
    try:
        entries = _mapping(item, ("rule", "hit", "miss"))
        rule = _scalar(entries.get("rule", item))
    except _WrongError as wrong:
        problems.append(wrong.problem)
        return
    for key in ("hit", "miss"):
        if key not in entries:
            problems.append(Problem(item.location, f"rule `{rule}` has no case to {key}"))
            continue
        for node in _items(entries[key], problems):
            try:
                event, process = _read_case(node)
            except _WrongError as wrong:
                problems.append(wrong.problem)
            else:
                cases.append(Case(rule, key == "hit", event, process, node.location))


def _read_case(node: Node) -> tuple[Event, Process]:
    entries = dict(_mapping(node, None))
    kind_node = entries.pop("event", node)
    kind = _scalar(kind_node)
    cls = _KINDS.get(kind)
    if cls is None:
        raise _WrongError(kind_node, f"unknown event kind `{kind}`", did_you_mean(kind, _KINDS))
    process_node = entries.pop("process", None)
    values = {"call": CALLS[kind][0], **_values(cls, entries, node)}
    if "remote_addr" in entries or "local_addr" in entries:
        address = _scalar(entries.get("remote_addr") or entries["local_addr"])
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        values = {"family": family, "type": socket.SOCK_STREAM, "protocol": 6, **values}
    event = cls(**{**_defaults(cls), **values})
    base = _DEFAULT_PROCESS
    if isinstance(event, ProcessExec):
        base = {
            **base,
            "exepath": event.path,
            "filename": event.filename or event.path,
            "argv": event.argv or (event.path,),
            "name": event.comm or os.path.basename(event.path)[:15],
            "cwd": event.cwd or base["cwd"],
            "exec_flags": event.exec_flags,
            "parent": Process(**{**_DEFAULT_PROCESS, "pid": 100}),  # type: ignore[arg-type]
        }
    return event, _process(process_node, base)


def _process(node: Node | None, base: AbstractMapping[str, object]) -> Process:
    if node is None:
        return Process(**base)  # type: ignore[arg-type]  # the keys are the fields
    entries = dict(_mapping(node, [field.name for field in fields(Process)]))
    parent_node = entries.pop("parent", None)
    inherited = dict(base)
    if parent_node is not None:
        pid = base["pid"]
        assert isinstance(pid, int)
        parent = _process(parent_node, {**_DEFAULT_PROCESS, "pid": pid - 1})
        for name in ("uid", "gid", "euid", "user", "group", "sid", "tty"):
            inherited[name] = getattr(parent, name)
        inherited["parent"] = parent
    values = _values(Process, entries, node)
    path = values.get("exepath")
    if isinstance(path, str):
        inherited |= {"name": os.path.basename(path)[:15], "filename": path, "argv": (path,)}
    elif isinstance(name := values.get("name"), str):
        path = f"/usr/bin/{name}"
        inherited |= {"exepath": path, "filename": path, "argv": (name,)}
    return Process(**{**inherited, **values})


# Any: the values are of the types of the fields.
def _values(cls: type, entries: AbstractMapping[str, Node], node: Node) -> dict[str, object]:
    types = {field.name: str(field.type) for field in fields(cls)}
    values = {}
    for name, value in entries.items():
        if name not in types:
            what = getattr(cls, "kind", "a process")
            raise _WrongError(
                value if isinstance(node, Scalar) else node,
                f"`{what}` has no member `{name}`",
                did_you_mean(name, types),
            )
        values[name] = _convert(value, types[name])
    return values


def _convert(node: Node, kind: str) -> object:
    if kind.startswith("tuple"):
        if isinstance(node, Sequence):
            return tuple(_expand(_scalar(item)) for item in node.items)
        return tuple(_expand(word) for word in _scalar(node).split())
    text = _scalar(node)
    if kind == "bytes":
        try:
            return ipaddress.ip_address(text).packed.ljust(16, b"\0")
        except ValueError:
            raise _WrongError(node, f"`{text}` is not an IP address") from None
    if kind == "str":
        return _expand(text)
    try:
        number = sum(_number(word.strip()) for word in text.split("|"))
    except ValueError:
        raise _WrongError(node, f"`{text}` is not a number or a constant of the system") from None
    return bool(number) if kind == "bool" else number


def _number(word: str) -> int:
    return _SYMBOLS[word] if word in _SYMBOLS else int(word, 0)


def _expand(text: str) -> str:
    for name, value in _TEXT.items():
        text = text.replace(name, value)
    return text


def _defaults(cls: type) -> dict[str, object]:
    zero: dict[str, object] = {"int": 0, "str": "", "bytes": bytes(16), "bool": False}
    values = {field.name: zero.get(str(field.type), ()) for field in fields(cls)}
    return values | {"time_ns": 1_700_000_000_000_000_000, "pid": 101, "tid": 101}


def _items(node: Node, problems: list[Problem]) -> AbstractSequence[Node]:
    if isinstance(node, Sequence):
        return node.items
    problems.append(Problem(node.location, "a sequence of items is expected here"))
    return ()


def _mapping(node: Node, known: AbstractSequence[str] | None) -> AbstractMapping[str, Node]:
    if not isinstance(node, Mapping):
        raise _WrongError(node, "a mapping of keys to values is expected here")
    for key in node.entries:
        if known is not None and key not in known:
            raise _WrongError(node.keys[key], f"unknown key `{key}`", did_you_mean(key, known))
    return node.entries


def _scalar(node: Node) -> str:
    if not isinstance(node, Scalar):
        raise _WrongError(node, "a single value is expected here")
    return node.value


_DEFAULT_PROCESS: AbstractMapping[str, object] = {
    **_defaults(Process),
    "parent": None,
    "name": "sh",
    "exepath": "/usr/bin/dash",
    "filename": "/bin/sh",
    "argv": ("sh",),
    "cwd": CONSTANTS.workspace,
    "uid": 1000,
    "gid": 1000,
    "euid": 1000,
    "loginuid": 1000,
    "user": "user",
    "group": "user",
    "login_user": "user",
    "guarded": True,
}
