"""Which system call is which: the map `calls` that sys_exit dispatches with.

The numbers are the kernel's ABI for x86-64 and i386 and never change. On i386
some calls have two numbers (16- and 32-bit ids, 32- and 64-bit offsets), and
socket calls may also come through socketcall(2).
"""

from __future__ import annotations

from collections.abc import Iterator

from guard.bpf.layout import Layout
from guard.event import CALLS

# evt.type: (number on x86-64, numbers on i386)
NUMBERS: dict[str, tuple[int | None, tuple[int, ...]]] = {
    "clone": (56, (120,)),
    "clone3": (435, (435,)),
    "fork": (57, (2,)),
    "vfork": (58, (190,)),
    "execve": (59, (11,)),
    "execveat": (322, (358,)),
    "chdir": (80, (12,)),
    "fchdir": (81, (133,)),
    "setuid": (105, (23, 213)),
    "setreuid": (113, (70, 203)),
    "setresuid": (117, (164, 208)),
    "setfsuid": (122, (138, 215)),
    "setgid": (106, (46, 214)),
    "setregid": (114, (71, 204)),
    "setresgid": (119, (170, 210)),
    "setfsgid": (123, (139, 216)),
    "setgroups": (116, (81, 206)),
    "ptrace": (101, (26,)),
    "process_vm_readv": (310, (347,)),
    "process_vm_writev": (311, (348,)),
    "kill": (62, (37,)),
    "tkill": (200, (238,)),
    "tgkill": (234, (270,)),
    "rt_sigqueueinfo": (129, (178,)),
    "rt_tgsigqueueinfo": (297, (335,)),
    "pidfd_send_signal": (424, (424,)),
    "unshare": (272, (310,)),
    "setns": (308, (346,)),
    "open": (2, (5,)),
    "openat": (257, (295,)),
    "openat2": (437, (437,)),
    "creat": (85, (8,)),
    "open_by_handle_at": (304, (342,)),
    "pidfd_getfd": (438, (438,)),
    "unlink": (87, (10,)),
    "unlinkat": (263, (301,)),
    "rename": (82, (38,)),
    "renameat": (264, (302,)),
    "renameat2": (316, (353,)),
    "mkdir": (83, (39,)),
    "mkdirat": (258, (296,)),
    "rmdir": (84, (40,)),
    "link": (86, (9,)),
    "linkat": (265, (303,)),
    "symlink": (88, (83,)),
    "symlinkat": (266, (304,)),
    "truncate": (76, (92, 193)),
    "ftruncate": (77, (93, 194)),
    "chmod": (90, (15,)),
    "fchmod": (91, (94,)),
    "fchmodat": (268, (306,)),
    "fchmodat2": (452, (452,)),
    "chown": (92, (182, 212)),
    "lchown": (94, (16, 198)),
    "fchown": (93, (95, 207)),
    "fchownat": (260, (298,)),
    "connect": (42, (362,)),
    "bind": (49, (361,)),
    "listen": (50, (363,)),
    "accept": (43, ()),
    "accept4": (288, (364,)),
    "sendto": (44, (369,)),
    "sendmsg": (46, (370,)),
    "sendmmsg": (307, (345,)),
    "dup": (32, (41,)),
    "dup2": (33, (63,)),
    "dup3": (292, (330,)),
    "fcntl": (72, (55, 221)),
    "memfd_create": (319, (356,)),
    "mount": (165, (21,)),
    "umount": (None, (22,)),
    "umount2": (166, (52,)),
    "pivot_root": (155, (217,)),
    "chroot": (161, (61,)),
    "move_mount": (429, (429,)),
    "open_tree": (428, (428,)),
    "fsopen": (430, (430,)),
    "fsmount": (432, (432,)),
    "mount_setattr": (442, (442,)),
    "bpf": (321, (357,)),
    "init_module": (175, (128,)),
    "finit_module": (313, (350,)),
    "delete_module": (176, (129,)),
    "io_uring_setup": (425, (425,)),
}

# First argument of socketcall(2), SYS_* of linux/net.h.
SOCKETCALLS: dict[str, int] = {
    "bind": 2,
    "connect": 3,
    "listen": 4,
    "accept": 5,
    "sendto": 11,
    "sendmsg": 16,
    "accept4": 18,
    "sendmmsg": 20,
}

# Program handle_NAME that builds the event. Kinds without one have a hook of their own,
# which still asks the map for the call behind it.
_HANDLERS: dict[str, str] = {
    "process_chdir": "process",
    "process_setuid": "process",
    "process_ptrace": "process",
    "process_vm_write": "process",
    "process_namespace": "process",
    "file_open": "open",
    "file_unlink": "path",
    "file_rename": "path",
    "file_mkdir": "path",
    "file_rmdir": "path",
    "file_link": "path",
    "file_symlink": "path",
    "file_truncate": "path",
    "file_chmod": "path",
    "file_chown": "path",
    "network_connect": "network",
    "network_bind": "network",
    "network_listen": "network",
    "network_accept": "network",
    "network_send": "network",
    "fd_dup": "network",
    "memfd_create": "system",
    "mount_change": "system",
    "kernel_bpf": "system",
    "kernel_module": "system",
    "io_uring_setup": "system",
}


def call_entries(layout: Layout) -> Iterator[tuple[int, bytes]]:
    """Index and packed struct call_entry of every observed call, for the map `calls`."""
    entry = layout.struct("call_entry")
    calls, kinds = layout.enum("event_call"), layout.enum("event_kind")
    handlers, abis = layout.enum("handler"), layout.enum("call_abi")
    for kind, names in CALLS.items():
        handler = handlers["HANDLER_" + _HANDLERS.get(kind, "none").upper()]
        for name in names:
            value = entry.pack(
                {
                    "handler": handler,
                    "call": calls["CALL_" + name.upper()],
                    "kind": kinds["EVENT_" + kind.upper()],
                }
            )
            for abi, number in _places(name):
                yield abis[abi] * abis["CALLS_PER_ABI"] + number, value


def _places(name: str) -> Iterator[tuple[str, int]]:
    native, compat = NUMBERS.get(name, (None, ()))
    if native is not None:
        yield "ABI_NATIVE", native
    for number in compat:
        yield "ABI_COMPAT", number
    if name in SOCKETCALLS:
        yield "ABI_SOCKETCALL", SOCKETCALLS[name]
