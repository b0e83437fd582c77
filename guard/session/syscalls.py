"""System calls the standard library does not offer, by ctypes.

Every function raises `OSError` as the functions of `os` do.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from collections.abc import Iterable

from guard.data import dataclass

_libc = ctypes.CDLL(None, use_errno=True)

_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38

# Numbers above 424 are the same on every architecture.
_NR_CLOSE_RANGE = 436
_NR_LANDLOCK_CREATE_RULESET = 444
_NR_LANDLOCK_RESTRICT_SELF = 446
_LANDLOCK_CREATE_RULESET_VERSION = 1
_LANDLOCK_SCOPE_SIGNAL = 2
_LANDLOCK_ABI_SCOPED = 6

_SFD_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
_SIGINFO_SIZE = 128
_SIGINFO = struct.Struct("=IiiII")  # signo, errno, code, pid, uid
SI_KERNEL = 128  # si_code of a signal the kernel made


@dataclass(frozen=True, slots=True)
class SignalInfo:
    """One received signal: number, si_code, and the sender's pid."""

    number: int
    code: int
    pid: int


def set_child_subreaper() -> None:
    """Orphans among the descendants become this process's children."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def set_no_new_privs() -> None:
    """No exec of this process or its descendants can raise privilege any more."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def close_from(first: int) -> None:
    """Close every descriptor from `first` on."""
    _check(_libc.syscall(_NR_CLOSE_RANGE, first, ctypes.c_uint(0xFFFFFFFF), 0))


def landlock_abi() -> int:
    """Version of the kernel's Landlock, 0 when it has none or it is not active."""
    version = _libc.syscall(_NR_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_CREATE_RULESET_VERSION)
    return max(int(version), 0)


def scope_signals() -> bool:
    """Forbid signals to processes outside of this one and its descendants.

    Irrevocable, and stays when guard is gone. False when the kernel's Landlock
    does not have it (before v6.12) or is not active. Needs no_new_privs or
    CAP_SYS_ADMIN.
    """
    if landlock_abi() < _LANDLOCK_ABI_SCOPED:
        return False
    # struct landlock_ruleset_attr: handled_access_fs, handled_access_net, scoped.
    attr = struct.pack("=QQQ", 0, 0, _LANDLOCK_SCOPE_SIGNAL)
    ruleset = _check(_libc.syscall(_NR_LANDLOCK_CREATE_RULESET, attr, len(attr), 0))
    try:
        _check(_libc.syscall(_NR_LANDLOCK_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)
    return True


def signalfd(signals: Iterable[signal.Signals]) -> int:
    """Descriptor that reads the given signals; they must be blocked."""
    # The C library's sigset_t is 128 bytes, one bit per signal from 1 on.
    mask = sum(1 << (number - 1) for number in signals).to_bytes(128, "little")
    return _check(_libc.signalfd(-1, mask, _SFD_FLAGS))


def read_signals(fd: int) -> list[SignalInfo]:
    """All signals waiting in a signalfd."""
    try:
        data = os.read(fd, _SIGINFO_SIZE * 32)
    except BlockingIOError:
        return []
    received = []
    for offset in range(0, len(data), _SIGINFO_SIZE):
        number, _errno, code, pid, _uid = _SIGINFO.unpack_from(data, offset)
        received.append(SignalInfo(number, code, pid))
    return received


def _prctl(option: int, value: int) -> None:
    # prctl reads unsigned longs; ctypes would pass ints with undefined upper halves.
    zero = ctypes.c_ulong(0)
    _check(_libc.prctl(option, ctypes.c_ulong(value), zero, zero, zero))


def _check(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(result)
