"""What this kernel lets us attach, found by doing it.

Feature bits and lists lie: a kernel may list BPF LSM and refuse its programs. So
a program of two instructions is loaded and attached to a rarely used hook, where
it lets everything pass, and is gone again before the function returns.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from guard.bpf import libbpf
from guard.data import dataclass

_TRACING, _LSM, _CGROUP_SOCK_ADDR = 26, 29, 18
_RAW_TP, _FENTRY, _MODIFY_RETURN, _LSM_MAC, _ITER, _INET4_CONNECT = 23, 24, 26, 27, 28, 10

_LOG_BYTES = 4096


@dataclass(frozen=True, slots=True)
class AttachSupport:
    """One way to attach a program; `reason` says why it does not work here."""

    name: str
    works: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Probe:
    name: str
    program_type: int
    attach_type: int
    hook: str  # its name in the kernel's type information, "" when the type needs none
    result: int  # what the program returns: no objection


_PROBES = (
    _Probe("tp_btf", _TRACING, _RAW_TP, "sched_process_exit", 0),
    _Probe("iter", _TRACING, _ITER, "task_file", 0),
    _Probe("cgroup", _CGROUP_SOCK_ADDR, _INET4_CONNECT, "", 1),
    _Probe("fentry", _TRACING, _FENTRY, "security_sb_statfs", 0),
    _Probe("fmod_ret", _TRACING, _MODIFY_RETURN, "security_sb_statfs", 0),
    _Probe("lsm", _LSM, _LSM_MAC, "sb_statfs", 0),
)

# Attached by an object of their own, made when there is something to attach to.
_LOAD_ONLY = frozenset({"iter", "cgroup"})


def probe_attach_types() -> dict[str, AttachSupport]:
    """Support for tp_btf, iter, cgroup, fentry, fmod_ret and lsm programs, by name.

    Attaching works even where nothing calls the hook: that `lsm` programs also run needs
    `bpf` in the kernel's list of active security modules.
    Raises UnsupportedError when libbpf is missing.
    """
    return {probe.name: _try(probe) for probe in _PROBES}


def _try(probe: _Probe) -> AttachSupport:
    lib = libbpf.library()
    libbpf.messages.clear()
    options = libbpf.ProgLoadOpts(
        sz=ctypes.sizeof(libbpf.ProgLoadOpts), expected_attach_type=probe.attach_type
    )
    if probe.hook:
        found = lib.libbpf_find_vmlinux_btf_id(probe.hook.encode(), probe.attach_type)
        if found < 0:
            why = f"the kernel does not describe the hook `{probe.hook}`"
            return AttachSupport(probe.name, works=False, reason=why)
        options.attach_btf_id = found
    log = ctypes.create_string_buffer(_LOG_BYTES)
    options.log_level, options.log_size = 1, _LOG_BYTES
    options.log_buf = ctypes.cast(log, ctypes.c_char_p)
    code = _return(probe.result)
    program = lib.bpf_prog_load(
        probe.program_type, b"guard_probe", b"GPL", code, len(code) // 8, ctypes.byref(options)
    )
    if program < 0:
        return _refused(probe, "load", libbpf.last_errno(), log.value)
    try:
        if probe.name not in _LOAD_ONLY:
            link = lib.bpf_raw_tracepoint_open(None, program)
            if link < 0:
                return _refused(probe, "attach", libbpf.last_errno(), b"")
            os.close(link)
    finally:
        os.close(program)
    return AttachSupport(probe.name, works=True)


def _return(result: int) -> bytes:
    """``r0 = result; exit``."""
    return struct.pack("<BBhiBBhi", 0xB7, 0, 0, result, 0x95, 0, 0, 0)


def _refused(probe: _Probe, action: str, code: int, log: bytes) -> AttachSupport:
    reason = f"{action}: {libbpf.error_text(code)}"
    lines = log.decode(errors="replace").splitlines()
    detail = [line for line in lines if line and not line.startswith("processed ")]
    if code == errno.EPERM and os.geteuid() != 0:
        reason += " (not root)"
    elif detail:
        reason += f" ({detail[-1]})"
    return AttachSupport(probe.name, works=False, reason=reason)
