"""Names of flags and enumerations, and the portable values rules and outputs use.

Falco gives every flag a value of its own, the same on all architectures, and
the order of a table decides the order of the names in the text. Tables whose
portable values are the kernel's need no translation. The rest is translated by
the `portable_` functions.
"""

from __future__ import annotations

import os
from collections.abc import Mapping


def flags_text(value: int, table: Mapping[str, int]) -> str:
    """Names of the bits of `value` joined by `|`, the number when none is known."""
    names = []
    left = value
    for name, bits in table.items():
        if (left & bits == bits) if bits else value == 0:
            names.append(name)
            left &= ~bits
            if bits == value:
                break
    return "|".join(names) or str(value)


def enum_text(value: int, table: Mapping[str, int]) -> str:
    """Every name of exactly `value` joined by `|`, the number when there is none."""
    return "|".join(name for name, number in table.items() if number == value) or str(value)


def portable_open_flags(kernel_flags: int, *, created: bool = False) -> int:
    """Kernel O_* flags as in `OPEN_FLAGS`, where read access has a bit too."""
    value = {os.O_RDONLY: 1, os.O_WRONLY: 2}.get(kernel_flags & os.O_ACCMODE, 3)
    # O_SYNC holds O_DSYNC and O_TMPFILE holds O_DIRECTORY, hence the comparison.
    for kernel_bits, bits in _OPEN_BITS:
        if kernel_flags & kernel_bits == kernel_bits:
            value |= bits
    return value | (OPEN_FLAGS["O_F_CREATED"] if created else 0)


def portable_clone_flags(kernel_flags: int) -> int:
    """Kernel CLONE_* flags as in `CLONE_FLAGS`."""
    return sum(bits for kernel_bit, bits in _CLONE_BITS.items() if kernel_flags & kernel_bit)


def portable_ptrace_request(request: int) -> int:
    """Kernel PTRACE_* number as in `PTRACE_REQUESTS`, 0 for an unknown one."""
    return _PTRACE.get(request, 0)


def portable_io_uring_flags(kernel_flags: int) -> int:
    """Kernel IORING_SETUP_* flags as in `IO_URING_FLAGS`, which has one bit more in the middle."""
    return (kernel_flags & 0b11) | (kernel_flags & 0b1111100) << 1


def portable_exec_flags(*, memfd: bool) -> int:
    """What is known of an executable, as in `EXEC_FLAGS`."""
    return EXEC_FLAGS["EXE_FROM_MEMFD"] if memfd else 0


OPEN_FLAGS: dict[str, int] = {
    "O_LARGEFILE": 2048, "O_DIRECTORY": 1024, "O_DIRECT": 512, "O_TRUNC": 256, "O_SYNC": 128,
    "O_NONBLOCK": 64, "O_EXCL": 32, "O_DSYNC": 16, "O_APPEND": 8, "O_CREAT": 4, "O_RDWR": 3,
    "O_WRONLY": 2, "O_RDONLY": 1, "O_CLOEXEC": 4096, "O_NONE": 0, "O_TMPFILE": 8192,
    "O_F_CREATED": 16384, "FD_UPPER_LAYER": 32768, "FD_LOWER_LAYER": 65536,
}  # fmt: skip

CLONE_FLAGS: dict[str, int] = {
    "CLONE_FILES": 1, "CLONE_FS": 2, "CLONE_IO": 4, "CLONE_NEWIPC": 8, "CLONE_NEWNET": 16,
    "CLONE_NEWNS": 32, "CLONE_NEWPID": 64, "CLONE_NEWUTS": 128, "CLONE_PARENT": 256,
    "CLONE_PARENT_SETTID": 512, "CLONE_PTRACE": 1024, "CLONE_SIGHAND": 2048, "CLONE_SYSVSEM":
    4096, "CLONE_THREAD": 8192, "CLONE_UNTRACED": 16384, "CLONE_VM": 32768, "CLONE_INVERTED":
    65536, "NAME_CHANGED": 131072, "CLOSED": 262144, "CLONE_NEWUSER": 1048576,
    "CLONE_CHILD_CLEARTID": 8388608, "CLONE_CHILD_SETTID": 16777216, "CLONE_SETTLS": 33554432,
    "CLONE_STOPPED": 67108864, "CLONE_VFORK": 134217728, "CLONE_NEWCGROUP": 268435456,
    "CLONE_CHILD_IN_PIDNS": 536870912,
}  # fmt: skip

UNLINK_FLAGS: dict[str, int] = {
    "AT_REMOVEDIR": 512,
}  # fmt: skip

LINK_FLAGS: dict[str, int] = {
    "AT_SYMLINK_FOLLOW": 1024, "AT_EMPTY_PATH": 4096,
}  # fmt: skip

RENAME_FLAGS: dict[str, int] = {
    "RENAME_NOREPLACE": 1, "RENAME_EXCHANGE": 2, "RENAME_WHITEOUT": 4,
}  # fmt: skip

CHMOD_MODE: dict[str, int] = {
    "S_IXOTH": 1, "S_IWOTH": 2, "S_IROTH": 4, "S_IXGRP": 8, "S_IWGRP": 16, "S_IRGRP": 32,
    "S_IXUSR": 64, "S_IWUSR": 128, "S_IRUSR": 256, "S_ISVTX": 512, "S_ISGID": 1024, "S_ISUID":
    2048,
}  # fmt: skip

MOUNT_FLAGS: dict[str, int] = {
    "RDONLY": 1, "NOSUID": 2, "NODEV": 4, "NOEXEC": 8, "SYNCHRONOUS": 16, "REMOUNT": 32,
    "MANDLOCK": 64, "DIRSYNC": 128, "NOATIME": 1024, "NODIRATIME": 2048, "BIND": 4096, "MOVE":
    8192, "REC": 16384, "SILENT": 32768, "POSIXACL": 65536, "UNBINDABLE": 131072, "PRIVATE":
    262144, "SLAVE": 524288, "SHARED": 1048576, "RELATIME": 2097152, "KERNMOUNT": 4194304,
    "I_VERSION": 8388608, "STRICTATIME": 16777216, "LAZYTIME": 33554432, "NOSEC": 268435456,
    "BORN": 536870912, "ACTIVE": 1073741824, "NOUSER": 2147483648,
}  # fmt: skip

UMOUNT_FLAGS: dict[str, int] = {
    "FORCE": 1, "DETACH": 2, "EXPIRE": 4, "NOFOLLOW": 8,
}  # fmt: skip

MEMFD_FLAGS: dict[str, int] = {
    "MFD_CLOEXEC": 1, "MFD_ALLOW_SEALING": 2, "MFD_HUGETLB": 4,
}  # fmt: skip

EXEC_FLAGS: dict[str, int] = {
    "EXE_WRITABLE": 1, "EXE_UPPER_LAYER": 2, "EXE_FROM_MEMFD": 4, "EXE_LOWER_LAYER": 8,
}  # fmt: skip

IO_URING_FLAGS: dict[str, int] = {
    "IORING_SETUP_IOPOLL": 1, "IORING_SETUP_SQPOLL": 2, "IORING_SQ_NEED_WAKEUP": 4,
    "IORING_SETUP_SQ_AFF": 8, "IORING_SETUP_CQSIZE": 16, "IORING_SETUP_CLAMP": 32,
    "IORING_SETUP_ATTACH_RW": 64, "IORING_SETUP_R_DISABLED": 128,
}  # fmt: skip

PTRACE_REQUESTS: dict[str, int] = {
    "PTRACE_SINGLEBLOCK": 38, "PTRACE_SYSEMU_SINGLESTEP": 37, "PTRACE_SYSEMU": 36,
    "PTRACE_ARCH_PRCTL": 35, "PTRACE_SET_THREAD_AREA": 34, "PTRACE_GET_THREAD_AREA": 33,
    "PTRACE_OLDSETOPTIONS": 32, "PTRACE_SETFPXREGS": 31, "PTRACE_GETFPXREGS": 30,
    "PTRACE_SETFPREGS": 29, "PTRACE_GETFPREGS": 28, "PTRACE_SETREGS": 27, "PTRACE_GETREGS": 26,
    "PTRACE_SETSIGMASK": 25, "PTRACE_GETSIGMASK": 24, "PTRACE_PEEKSIGINFO": 23, "PTRACE_LISTEN":
    22, "PTRACE_INTERRUPT": 21, "PTRACE_SEIZE": 20, "PTRACE_SETREGSET": 19, "PTRACE_GETREGSET":
    18, "PTRACE_SETSIGINFO": 17, "PTRACE_GETSIGINFO": 16, "PTRACE_GETEVENTMSG": 15,
    "PTRACE_SETOPTIONS": 14, "PTRACE_SYSCALL": 13, "PTRACE_DETACH": 12, "PTRACE_ATTACH": 11,
    "PTRACE_SINGLESTEP": 10, "PTRACE_KILL": 9, "PTRACE_CONT": 8, "PTRACE_POKEUSR": 7,
    "PTRACE_POKEDATA": 6, "PTRACE_POKETEXT": 5, "PTRACE_PEEKUSR": 4, "PTRACE_PEEKDATA": 3,
    "PTRACE_PEEKTEXT": 2, "PTRACE_TRACEME": 1, "PTRACE_UNKNOWN": 0,
}  # fmt: skip

BPF_COMMANDS: dict[str, int] = {
    "BPF_MAP_CREATE": 0, "BPF_MAP_LOOKUP_ELEM": 1, "BPF_MAP_UPDATE_ELEM": 2,
    "BPF_MAP_DELETE_ELEM": 3, "BPF_MAP_GET_NEXT_KEY": 4, "BPF_PROG_LOAD": 5, "BPF_OBJ_PIN": 6,
    "BPF_OBJ_GET": 7, "BPF_PROG_ATTACH": 8, "BPF_PROG_DETACH": 9, "BPF_PROG_TEST_RUN": 10,
    "BPF_PROG_RUN": 10, "BPF_PROG_GET_NEXT_ID": 11, "BPF_MAP_GET_NEXT_ID": 12,
    "BPF_PROG_GET_FD_BY_ID": 13, "BPF_MAP_GET_FD_BY_ID": 14, "BPF_OBJ_GET_INFO_BY_FD": 15,
    "BPF_PROG_QUERY": 16, "BPF_RAW_TRACEPOINT_OPEN": 17, "BPF_BTF_LOAD": 18,
    "BPF_BTF_GET_FD_BY_ID": 19, "BPF_TASK_FD_QUERY": 20, "BPF_MAP_LOOKUP_AND_DELETE_ELEM": 21,
    "BPF_MAP_FREEZE": 22, "BPF_BTF_GET_NEXT_ID": 23, "BPF_MAP_LOOKUP_BATCH": 24,
    "BPF_MAP_LOOKUP_AND_DELETE_BATCH": 25, "BPF_MAP_UPDATE_BATCH": 26, "BPF_MAP_DELETE_BATCH":
    27, "BPF_LINK_CREATE": 28, "BPF_LINK_UPDATE": 29, "BPF_LINK_GET_FD_BY_ID": 30,
    "BPF_LINK_GET_NEXT_ID": 31, "BPF_ENABLE_STATS": 32, "BPF_ITER_CREATE": 33,
    "BPF_LINK_DETACH": 34, "BPF_PROG_BIND_MAP": 35,
}  # fmt: skip

# O_TMPFILE is two bits, and O_DIRECTORY is one of them.
_OPEN_BITS: tuple[tuple[int, int], ...] = (
    (os.O_CREAT, 4),
    (os.O_APPEND, 8),
    (os.O_DSYNC, 16),
    (os.O_EXCL, 32),
    (os.O_NONBLOCK, 64),
    (os.O_SYNC, 128),
    (os.O_TRUNC, 256),
    (os.O_DIRECT, 512),
    (os.O_DIRECTORY, 1024),
    (0o100000, 2048),  # O_LARGEFILE, which os says is 0 on 64-bit machines
    (os.O_CLOEXEC, 4096),
    (os.O_TMPFILE & ~os.O_DIRECTORY, 8192),
)

_CLONE_BITS: dict[int, int] = {
    0x100: 32768, 0x200: 2, 0x400: 1, 0x800: 2048, 0x2000: 1024, 0x4000: 134217728,
    0x8000: 256, 0x10000: 8192, 0x20000: 32, 0x40000: 4096, 0x80000: 33554432,
    0x100000: 512, 0x200000: 8388608, 0x800000: 16384, 0x1000000: 16777216,
    0x2000000: 268435456, 0x4000000: 128, 0x8000000: 8, 0x10000000: 1048576,
    0x20000000: 64, 0x40000000: 16, 0x80000000: 4,
}  # fmt: skip

_PTRACE: dict[int, int] = {
    **{request: request + 1 for request in range(10)},  # PTRACE_TRACEME … PTRACE_SINGLESTEP
    12: 26, 13: 27, 14: 28, 15: 29, 16: 11, 17: 12, 18: 30, 19: 31, 21: 32, 24: 13,
    25: 33, 26: 34, 30: 35, 31: 36, 32: 37, 33: 38,
    **{0x4200 + offset: 14 + offset for offset in range(12)},  # SETOPTIONS … SETSIGMASK
}  # fmt: skip
