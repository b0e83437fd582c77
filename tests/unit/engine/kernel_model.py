"""The kernel's side of a plan in a few lines of Python: bits of an event, then its terms.

Paths are taken as text, as if no symlink existed, and a call is only itself
(docs/decisions/0007). Everything else follows ``guard/bpf/match.h`` and ``decide.h``.
"""

from __future__ import annotations

import ipaddress
import os
import stat

from guard.engine.kernel_plan import (
    Call,
    KernelPlan,
    Name,
    NameMatch,
    OperationBit,
    Place,
    Port,
    Reach,
    Scope,
    Source,
    Term,
)
from guard.event import (
    Event,
    FileLink,
    FileOpen,
    FileRename,
    NetworkBind,
    NetworkListen,
    Process,
    ProcessExec,
    ProcessPtrace,
    ProcessVmWrite,
    SocketEvent,
)

_FAMILIES = {1: OperationBit.UNIX, 2: OperationBit.IPV4, 10: OperationBit.IPV6}
_O_PATH = 0o10000000
_PROTOCOLS = {6: OperationBit.TCP, 17: OperationBit.UDP}


class KernelModel:
    def __init__(self, plan: KernelPlan) -> None:
        self._plan = plan

    def decide(self, event: Event, process: Process) -> Term | None:
        """The first term that fits."""
        bits = self.bits(event, process)
        for term in self._plan.terms.get(event.kind, ()):
            if all(
                word & must == must and not word & must_not
                for word, must, must_not in zip(bits, term.must, term.must_not, strict=True)
            ):
                return term
        return None

    def bits(self, event: Event, process: Process) -> list[int]:
        words = [0] * 6
        for bit in _attributes(event):
            words[0] |= 1 << bit
        ancestors = []
        parent = process.parent
        while parent is not None:
            ancestors.append(parent)
            parent = parent.parent
        for placed in self._plan.predicates:
            sources = placed.predicate.sources
            if placed.is_program:
                for word, processes in ((3, [process]), (4, ancestors[:1]), (5, ancestors)):
                    if any(_runs(source, one) for source in sources for one in processes):
                        words[word] |= 1 << placed.bit
            elif any(_holds(source, event) for source in sources):
                words[placed.bit // 64] |= 1 << placed.bit % 64
        return words


def _attributes(event: Event) -> list[OperationBit]:
    bits = [OperationBit.SUCCEEDED if event.res >= 0 else OperationBit.FAILED]
    match event:
        case FileOpen():
            access = event.open_flags & 3
            if not event.open_flags & _O_PATH:
                bits += [OperationBit.OPEN_READ] if access != 1 else []
                bits += [OperationBit.OPEN_WRITE] if access else []
            if event.res >= 0:
                is_directory = stat.S_ISDIR(event.file_mode)
                bits.append(OperationBit.DIRECTORY if is_directory else OperationBit.REGULAR)
        case SocketEvent():
            if event.res == -115:
                bits[0] = OperationBit.SUCCEEDED
            bits += [_FAMILIES[event.family]] if event.family in _FAMILIES else []
            bits += [_PROTOCOLS[event.protocol]] if event.protocol in _PROTOCOLS else []
        case ProcessExec():
            bits += [OperationBit.EXEC_MEMFD] if event.exec_flags & 1 else []
        case ProcessPtrace() | ProcessVmWrite():
            bits += [OperationBit.TARGET_GUARDED] if event.target_guarded else []
    return bits


def _holds(source: Source, event: Event) -> bool:
    match source:
        case Call(name):
            return event.call == name
        case Place() | Name():
            path = _object_path(event)
            return bool(path) and at(source, path)
        case Reach(network):
            end = _end(event)
            return end is not None and end[0] in network
        case Port(number):
            end = _end(event)
            return end is not None and end[1] == number


def _runs(source: Source, process: Process) -> bool:
    if isinstance(source, Name) and source.match is NameMatch.PROGRAM:
        return process.name == source.text
    return isinstance(source, Place | Name) and at(source, process.exepath)


def at(source: Place | Name, path: str) -> bool:
    """Whether a path is where `source` says."""
    leaf = os.path.basename(path)
    if isinstance(source, Name):
        if source.match is NameMatch.SUFFIX:
            return leaf.endswith(source.text)
        return source.match is NameMatch.EXACT and leaf == source.text
    wanted = [part for part in source.path.split("/") if part]
    parts = [part for part in path.split("/") if part]
    depth = len(parts) - len(wanted)
    if depth < 0:
        return False
    if source.is_prefix:
        *folders, prefix = wanted
        if parts[: len(folders)] != folders or not parts[len(folders)].startswith(prefix):
            return False
    elif parts[: len(wanted)] != wanted:
        return False
    return bool(source.scope & (Scope.SELF, Scope.CHILD, Scope.BELOW)[min(depth, 2)])


def _object_path(event: Event) -> str:
    if event.kind in {"mount_change", "kernel_module", "network_send"}:
        return ""
    if isinstance(event, FileRename | FileLink):
        return event.new_path
    path = getattr(event, "path", "")
    return "" if path.startswith("\0") else path


def _end(event: Event) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int] | None:
    if not isinstance(event, SocketEvent) or event.family not in {2, 10}:
        return None
    local = isinstance(event, NetworkBind | NetworkListen)
    packed = event.local_addr if local else event.remote_addr
    port = event.local_port if local else event.remote_port
    return ipaddress.ip_address(packed[:4] if event.family == 2 else packed), port
