"""What this machine can do, found by doing it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from pathlib import Path

from guard.bpf import libbpf
from guard.bpf.probe import AttachSupport, probe_attach_types
from guard.bpf.program import Program
from guard.bpf.ring import RingBuffer
from guard.data import dataclass
from guard.errors import GuardError, UnsupportedError

TIER_TRACE = "trace"
TIER_NONE = "none"

_BTF = Path("/sys/kernel/btf/vmlinux")
# Bits of the capabilities that stand in for root: NET_ADMIN, SYS_ADMIN, PERFMON, BPF.
_CAPABILITIES = {12: "CAP_NET_ADMIN", 21: "CAP_SYS_ADMIN", 38: "CAP_PERFMON", 39: "CAP_BPF"}
_REQUIRED = frozenset({
    "privileges", "libbpf", "BTF", "kernel object", "cgroup2", "tp_btf", "iter", "cgroup hooks",
    "programs", "ring buffer",
})  # fmt: skip
_ATTACH_NAMES = {"tp_btf": "tp_btf", "iter": "iter", "cgroup": "cgroup hooks"}
_BLOCKING_NAMES = {"fmod_ret": "fmod_ret", "lsm": "BPF LSM"}


@dataclass(frozen=True, slots=True)
class Capability:
    """One thing guard can use. `remedy` says what to do when it is missing."""

    name: str
    ok: bool
    detail: str = ""
    remedy: str = ""

    @property
    def is_required(self) -> bool:
        """Guard cannot run without it."""
        return self.name in _REQUIRED


@dataclass(frozen=True, slots=True)
class Support:
    capabilities: tuple[Capability, ...]

    @property
    def tier(self) -> str:
        """`trace`, or `none` when something required is missing."""
        return TIER_NONE if self.missing else TIER_TRACE

    @property
    def missing(self) -> tuple[Capability, ...]:
        """Required and not there."""
        return tuple(item for item in self.capabilities if item.is_required and not item.ok)

    def find(self, name: str) -> Capability | None:
        return next((item for item in self.capabilities if item.name == name), None)


def assumed_support() -> Support:
    """For a session that has just loaded and attached its programs: nothing to probe."""
    return Support(())


def probe_support(
    object_path: Path,
    *,
    attach_types: Callable[[], Mapping[str, AttachSupport]] = probe_attach_types,
    landlock_abi: Callable[[], int] | None = None,
) -> Support:
    """Try everything. Takes about half a second; leaves nothing behind.

    `landlock_abi` gives the version of Landlock, 0 when there is none.
    """
    return Support((
        privileges(),
        library(),
        type_information(),
        kernel_object(object_path),
        *cgroup(),
        *attach(attach_types),
        *load(object_path),
        *((landlock(landlock_abi),) if landlock_abi else ()),
        io_uring(),
        terminal_injection(),
    ))  # fmt: skip


def privileges(status: Path = Path("/proc/self/status")) -> Capability:
    """Root in the initial user namespace, or its capabilities."""
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", status.read_text(), re.MULTILINE)
    held = int(found[1], 16) if found else 0
    lacking = [name for bit, name in _CAPABILITIES.items() if not held >> bit & 1]
    return Capability(
        "privileges",
        not lacking,
        f"missing {', '.join(lacking)}" if lacking else f"uid {os.geteuid()}",
        "run guard as root, for example with `sudo`" if lacking else "",
    )


def library() -> Capability:
    """libbpf and its version."""
    try:
        lib = libbpf.library()
    except UnsupportedError as error:
        return Capability("libbpf", ok=False, detail=error.message, remedy=error.help or "")
    return Capability("libbpf", ok=True, detail=lib.libbpf_version_string().decode())


def type_information(path: Path = _BTF) -> Capability:
    if path.exists():
        return Capability("BTF", ok=True, detail=f"{path.stat().st_size >> 10} KiB")
    return Capability(
        "BTF",
        ok=False,
        detail=f"{path} does not exist",
        remedy="use a kernel built with CONFIG_DEBUG_INFO_BTF, as all big distributions ship",
    )


def kernel_object(path: Path) -> Capability:
    if path.exists():
        return Capability("kernel object", ok=True, detail=path.name)
    return Capability(
        "kernel object",
        ok=False,
        detail=f"{path} does not exist",
        remedy="reinstall guard; in a source tree run `make bpf`",
    )


def cgroup(mounts: Path = Path("/proc/mounts")) -> Iterable[Capability]:
    """A cgroup2 hierarchy in which a group can be made, and what a group can do."""
    place = _cgroup_mount(mounts)
    if place is None:
        yield Capability(
            "cgroup2",
            ok=False,
            detail="not mounted",
            remedy="mount it: mount -t cgroup2 none /sys/fs/cgroup/unified",
        )
        return
    probe = place / f"guard-probe-{os.getpid()}"
    try:
        probe.mkdir()
    except OSError as error:
        yield Capability(
            "cgroup2",
            ok=False,
            detail=f"no group can be made in {place}: {error.strerror}",
            remedy="run guard as root; in a container, mount cgroup2 writable",
        )
        return
    try:
        files = set(os.listdir(probe))
    finally:
        probe.rmdir()
    yield Capability("cgroup2", ok=True, detail=str(place))
    for name, lost in (
        ("cgroup.kill", "without it tasks are killed one by one"),
        ("cgroup.freeze", "without it `action: freeze` does nothing"),
    ):
        has = name in files
        remedy = "" if has else f"use Linux 5.14 or newer; {lost}"
        yield Capability(name, has, "" if has else "the kernel does not offer it", remedy)


def attach(attach_types: Callable[[], Mapping[str, AttachSupport]]) -> Iterable[Capability]:
    """The ways to attach programs that guard uses, and those it would block with."""
    try:
        found = attach_types()
    except UnsupportedError as error:
        found = {}
        reason = error.message
    else:
        reason = "not tried"
    for key, name in (_ATTACH_NAMES | _BLOCKING_NAMES).items():
        one = found.get(key, AttachSupport(key, works=False, reason=reason))
        remedy = ""
        if not one.works and key in _BLOCKING_NAMES:
            remedy = "file operations are stopped by killing the process instead"
        elif not one.works:
            remedy = "use Linux 5.15 or newer with BPF tracing, outside of restricted containers"
        yield Capability(name, one.works, one.reason, remedy)


def load(object_path: Path) -> Iterable[Capability]:
    """Load guard's programs and map its event buffer."""
    is_loaded = False
    try:
        with Program.open(object_path) as program:
            program.load()
            is_loaded = True
            yield Capability("programs", ok=True, detail=f"{len(program.program_names)} loaded")
            ring = program.map("candidates")
            with closing(RingBuffer(ring.fd, ring.max_entries)):
                yield Capability("ring buffer", ok=True, detail=f"{ring.max_entries >> 10} KiB")
    except GuardError as error:
        name = "ring buffer" if is_loaded else "programs"
        yield Capability(name, ok=False, detail=error.message, remedy=error.help or "")
        if not is_loaded:
            yield Capability("ring buffer", ok=False, detail="the programs are not loaded")


def landlock(abi: Callable[[], int]) -> Capability:
    version = abi()
    if version > 0:
        return Capability("Landlock", ok=True, detail=f"ABI {version}")
    return Capability(
        "Landlock",
        ok=False,
        detail="not active",
        remedy="add `landlock` to the kernel's `lsm=` list for a second wall",
    )


def io_uring(setting: Path = Path("/proc/sys/kernel/io_uring_disabled")) -> Capability:
    """Whether programs may do file operations that pass no system call."""
    value = "0"
    with suppress(OSError):
        value = setting.read_text().strip()
    words = {"0": "allowed to all", "1": "allowed to a group", "2": "off"}
    return Capability(
        "io_uring",
        value != "0",
        words.get(value, value),
        "opens by io_uring are seen; to rule the rest out: sysctl kernel.io_uring_disabled=2"
        if value == "0"
        else "",
    )


def terminal_injection(
    setting: Path = Path("/proc/sys/dev/tty/legacy_tiocsti"),
) -> Capability:
    """Whether a program can type into the terminal it shares with the user."""
    value = "1"
    with suppress(OSError):
        value = setting.read_text().strip()
    is_off = value == "0"
    return Capability(
        "terminal injection",
        is_off,
        "TIOCSTI is off" if is_off else "TIOCSTI is on",
        "" if is_off else "sysctl dev.tty.legacy_tiocsti=0 (since Linux 6.2)",
    )


def _cgroup_mount(mounts: Path) -> Path | None:
    for line in mounts.read_text().splitlines():
        fields = line.split(" ")
        if fields[2] == "cgroup2":
            return Path(fields[1].encode().decode("unicode_escape"))
    return None
