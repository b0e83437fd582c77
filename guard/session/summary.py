"""What guard itself says on the terminal: one line at the start, a summary at the end."""

from __future__ import annotations

import ipaddress
import os
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from guard.config import DEFAULT_POLICY
from guard.enforce.plan import Enforcement
from guard.engine.constants import Constants
from guard.event import (
    VERDICT_DENIED,
    Event,
    FileLink,
    FileMkdir,
    FileOpen,
    FileRename,
    FileSymlink,
    FileTruncate,
    NetworkConnect,
    NetworkSend,
    ProcessExec,
)  # fmt: skip
from guard.outputs.escape import printable
from guard.session.instrument import Prepared, dropped
from guard.session.outcome import Outcome
from guard.session.reporter import Reporter
from guard.store.reader import SessionRecord

# Decoding 100 000 events takes a quarter of a second: nobody waits longer for a summary.
_SKIM_EVENTS = 100_000
_SHOWN = 5
_WIDTH = 79
_LABEL = 17  # columns before the value
_AF_INET, _AF_INET6 = 2, 10
_O_ACCMODE = os.O_WRONLY | os.O_RDWR
# Written all the time by honest work: counted, not listed.
_TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm", "/run/user")  # noqa: S108  only compared with
_HOME_TEMPORARY = (".cache", ".npm", ".cargo/registry", ".gradle/caches", ".m2/repository")


class Activity:
    """What a session did, as far as its record was skimmed."""

    def __init__(self) -> None:
        self.programs = Counter[str]()
        self.written_outside = Counter[str]()
        self.temporary = Counter[str]()  # below temporary and cache folders
        self.hosts = Counter[str]()  # that something was sent to
        self.refused = Counter[str]()  # that the kernel kept it from
        self.complete = True  # False: the record holds more than was looked at

    def to_dict(self) -> dict[str, object]:
        return {
            "programs": dict(self.programs.most_common()),
            "written_outside": sorted(self.written_outside),
            "temporary_files": len(self.temporary),
            "hosts": dict(self.hosts.most_common()),
            "refused": dict(self.refused.most_common()),
            "complete": self.complete,
        }


def activity(record: Path, constants: Constants) -> Activity:
    """Skim a session record."""
    found = Activity()
    events = SessionRecord(record).events()
    for event in islice(events, _SKIM_EVENTS):
        _count(found, event, constants)
    found.complete = next(events, None) is None
    return found


def opening(prepared: Prepared) -> str:
    """The lines before the command starts."""
    instrument = prepared.instrument
    lines = [f"guard: tier {instrument.tier}, {enforcement(instrument.rules)}"]
    name = printable(str(prepared.policy.get("name", DEFAULT_POLICY)))
    if less := sum(1 for rule in instrument.rules if rule.falls_short):
        of = "" if name == DEFAULT_POLICY else f" --policy {name}"
        lines.append(f"       {less} get less than they ask for: guard policy explain{of}")
    lines += [f"guard: {printable(gap)}" for gap in prepared.gaps]
    if prepared.warnings:
        warnings = _count_of(prepared.warnings, "warning")
        lines.append(f"guard: {warnings} about the rules: guard policy check {name}")
    return "\n".join(lines) + "\n"


def enforcement(rules: Iterable[Enforcement]) -> str:
    """`31 rules: 12 deny, 4 kill, 15 alert`: what they get, not what they ask for."""
    rules = list(rules)
    gets = Counter(rule.effect.value for rule in rules)
    text = ", ".join(f"{number} {what}" for what, number in gets.most_common())
    return f"{_count_of(len(rules), 'rule')}: {text}" if rules else "no rules"


def closing(outcome: Outcome, reporter: Reporter, found: Activity, constants: Constants) -> str:
    """The summary after the command and everything it left have ended."""
    end = "timed out" if outcome.timed_out else f"exit {outcome.exit_code}"
    lines = [f"guard: session {outcome.session}, {_duration(outcome.duration_s)}, {end}"]

    def row(label: str, text: str) -> None:
        lines.append(f"  {label:<{_LABEL - 2}}{text}")

    programs = Counter[str]()
    for path, number in found.programs.items():
        programs[os.path.basename(path)] += number
    row("ran", _list([name for name, _n in programs.most_common()], "nothing"))
    if found.written_outside or found.temporary:
        row("wrote outside", _written_outside(found, constants))
    if found.hosts:
        row("contacted", _list([host for host, _n in found.hosts.most_common()], ""))
    if found.refused:
        row("refused", _list([host for host, _n in found.refused.most_common()], ""))
    row("alerts", _alerts(reporter))
    if outcome.killed:
        row("left behind", f"{_count_of(outcome.killed, 'process')}, killed")
    lost = dropped(outcome.counters)
    made = outcome.counters.candidate + outcome.counters.record + lost
    row("lost events", f"{lost} of {made}, the record is incomplete" if lost else "0")
    if not found.complete:
        row("note", f"only the first {_SKIM_EVENTS} events are summed up here")
    for problem in reporter.problems:
        row("problem", printable(problem))
    row("record", printable(str(outcome.record)))
    return "\n".join(lines) + "\n"


def _count(found: Activity, event: Event, constants: Constants) -> None:
    if isinstance(event, ProcessExec):
        if event.res >= 0:
            found.programs[event.path] += 1
    elif isinstance(event, NetworkConnect | NetworkSend):
        if event.family in (_AF_INET, _AF_INET6) and event.remote_port:
            hosts = found.refused if event.verdict == VERDICT_DENIED else found.hosts
            hosts[_endpoint(event)] += 1
    else:
        path = _written(event)
        if path and event.res >= 0 and not _inside(path, constants.workspace):
            outside = found.temporary if _temporary(path, constants) else found.written_outside
            outside[path] += 1


def _written(event: Event) -> str:
    """The path of a file or name that the event made or changed, else ""."""
    if isinstance(event, FileOpen):
        if event.verdict and not (event.created or event.open_flags & os.O_TRUNC):
            return ""  # stopped before it could write
        changes = event.open_flags & (_O_ACCMODE | os.O_CREAT | os.O_TRUNC)
        # Devices are not files: /dev/null is written all the time.
        return event.path if changes and not event.path.startswith(("/dev/", "/proc/")) else ""
    if isinstance(event, FileRename | FileLink):
        return event.new_path
    if isinstance(event, FileMkdir | FileSymlink | FileTruncate):
        return event.path
    return ""


def _temporary(path: str, constants: Constants) -> bool:
    home = constants.home.rstrip("/")
    folders = (*_TEMPORARY, *(f"{home}/{name}" for name in _HOME_TEMPORARY))
    return any(_inside(path, folder) for folder in folders)


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _endpoint(event: NetworkConnect | NetworkSend) -> str:
    if event.family == _AF_INET:
        return f"{ipaddress.IPv4Address(event.remote_addr[:4])}:{event.remote_port}"
    return f"[{ipaddress.IPv6Address(event.remote_addr)}]:{event.remote_port}"


def _home(path: str, constants: Constants) -> str:
    if constants.home != "/" and _inside(path, constants.home):
        return "~" + path[len(constants.home) :]
    return path


def _written_outside(found: Activity, constants: Constants) -> str:
    """`~/.bashrc, /srv/x and 11 temporary files`."""
    paths = [_home(path, constants) for path in found.written_outside]
    if not found.temporary:
        return _list(paths, "")
    temporary = _count_of(len(found.temporary), "temporary file")
    if not paths:
        return temporary
    end = f" and {temporary}"
    return _list(paths, "", width=_WIDTH - len(end), last=", ") + end


def _count_of(number: int, what: str) -> str:
    """`1 rule`, `2 rules`, `3 processes`."""
    plural = "es" if what.endswith("s") else "s"
    return f"{number} {what}" if number == 1 else f"{number} {what}{plural}"


def _list(items: list[str], nothing: str, *, width: int = _WIDTH, last: str = " and ") -> str:
    """As many items as fit on the line, and how many more there are."""
    shown: list[str] = []
    for number, item in enumerate(map(printable, items)):
        more = len(items) - number - 1
        room = width - _LABEL - (len(f"{last}{more} more") if more else 0)
        if shown and (number >= _SHOWN or len(", ".join([*shown, item])) > room):
            return f"{', '.join(shown)}{last}{len(items) - number} more"
        shown.append(item)
    return ", ".join(shown) or nothing


def _alerts(reporter: Reporter) -> str:
    if not reporter.priorities:
        return "none"
    priorities = [f"{n} {p.label}" for p, n in sorted(reporter.priorities.items())]
    verdicts = [f"{n} {v.value}" for v, n in reporter.verdicts.items() if v.value != "alert"]
    text = ", ".join(priorities)
    return f"{text} ({', '.join(verdicts)})" if verdicts else text


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
