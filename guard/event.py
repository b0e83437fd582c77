"""What happened: one frozen dataclass per event kind, and the process that did it.

The field names are the member names of ``guard/bpf/event.h``: fixed members
first, then the variable parts (``path_len`` there is ``path`` here). Numbers
are the kernel's. Text is decoded as UTF-8 with surrogate escapes, so any bytes
survive; it is never safe to print as it is.

`Process` is a value: exec, chdir and setuid make a new one. A child refers to
its parent as it was when it forked, so an ancestor chain never changes under a
rule and outlives the parent.
"""

from __future__ import annotations

from typing import ClassVar

from guard.data import dataclass


@dataclass(frozen=True, slots=True)
class Process:
    """A process image: one program run by one process, from one exec to the next."""

    pid: int
    start_ns: int  # CLOCK_BOOTTIME; (pid, start_ns) is never reused
    parent: Process | None
    name: str  # comm as set by exec, at most 15 bytes
    exepath: str
    filename: str  # as passed to execve
    argv: tuple[str, ...]
    cwd: str
    uid: int
    gid: int
    euid: int
    loginuid: int  # -1 when unset
    user: str  # "<NA>" when unknown
    group: str
    login_user: str
    sid: int
    pgid: int
    vpid: int
    vpgid: int
    tty: int
    cap_permitted: int
    cap_effective: int
    exe_inode: int
    exe_ctime_ns: int
    exe_mtime_ns: int
    exec_flags: int  # EXEC_* of event.h
    env: tuple[str, ...] = ()
    argv_truncated: bool = False
    guarded: bool = True  # False: an ancestor outside the session


@dataclass(frozen=True, slots=True)
class Event:
    """Header of every event. Times are nanoseconds since the epoch, except `start_ns`."""

    kind: ClassVar[str] = ""

    time_ns: int
    seq: int
    cpu: int
    pid: int
    tid: int
    uid: int
    start_ns: int
    res: int
    gid: int
    rule: int  # 1 + index of the rule behind `verdict`, 0 without one
    verdict: int  # VERDICT_*
    flags: int  # FLAG_*
    call: str  # value of evt.type


FLAG_CANDIDATE = 1
FLAG_TRUNCATED = 2
FLAG_COMPAT = 4
FLAG_IO_URING = 8
FLAG_WALK_FAILED = 16
FLAG_TEXT_PATH = 32

VERDICT_NONE = 0
VERDICT_DENIED = 1
VERDICT_KILLED = 2

EXEC_MEMFD = 1
EXEC_SECURE = 2


@dataclass(frozen=True, slots=True)
class ProcessFork(Event):
    kind: ClassVar[str] = "process_fork"
    child_start_ns: int
    clone_flags: int
    child_pid: int
    child_vpid: int


@dataclass(frozen=True, slots=True)
class ProcessExec(Event):
    kind: ClassVar[str] = "process_exec"
    parent_start_ns: int
    inode: int
    exe_ctime_ns: int
    exe_mtime_ns: int
    cap_permitted: int
    cap_effective: int
    dev: int
    parent_pid: int
    vpid: int
    pgid: int
    vpgid: int
    sid: int
    tty: int
    loginuid: int
    euid: int
    nlink: int
    argv_size: int
    exec_flags: int
    path: str
    filename: str
    argv: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    comm: str


@dataclass(frozen=True, slots=True)
class ProcessExit(Event):
    kind: ClassVar[str] = "process_exit"
    exit_code: int


@dataclass(frozen=True, slots=True)
class ProcessChdir(Event):
    kind: ClassVar[str] = "process_chdir"
    path: str


@dataclass(frozen=True, slots=True)
class ProcessSetuid(Event):
    kind: ClassVar[str] = "process_setuid"
    cap_permitted: int
    cap_effective: int
    euid: int
    arg_id: int


@dataclass(frozen=True, slots=True)
class ProcessPtrace(Event):
    kind: ClassVar[str] = "process_ptrace"
    request: int
    target_pid: int
    target_guarded: int


@dataclass(frozen=True, slots=True)
class ProcessVmWrite(Event):
    kind: ClassVar[str] = "process_vm_write"
    target_pid: int
    target_guarded: int


@dataclass(frozen=True, slots=True)
class ProcessSignal(Event):
    kind: ClassVar[str] = "process_signal"
    target_pid: int
    target_uid: int
    signal: int
    target_comm: str


@dataclass(frozen=True, slots=True)
class ProcessNamespace(Event):
    kind: ClassVar[str] = "process_namespace"
    ns_flags: int
    fd: int


@dataclass(frozen=True, slots=True)
class FileOpen(Event):
    kind: ClassVar[str] = "file_open"
    inode: int
    dev: int
    open_flags: int
    mode: int
    file_mode: int
    fd: int
    dirfd: int
    created: int
    nlink: int
    path: str
    name: str


@dataclass(frozen=True, slots=True)
class FileUnlink(Event):
    kind: ClassVar[str] = "file_unlink"
    dirfd: int
    unlink_flags: int
    path: str
    name: str


@dataclass(frozen=True, slots=True)
class FileRename(Event):
    kind: ClassVar[str] = "file_rename"
    old_dirfd: int
    new_dirfd: int
    rename_flags: int
    path: str
    new_path: str
    name: str
    new_name: str


@dataclass(frozen=True, slots=True)
class FileMkdir(Event):
    kind: ClassVar[str] = "file_mkdir"
    dirfd: int
    mode: int
    path: str
    name: str


@dataclass(frozen=True, slots=True)
class FileRmdir(Event):
    kind: ClassVar[str] = "file_rmdir"
    path: str
    name: str


@dataclass(frozen=True, slots=True)
class FileLink(Event):
    kind: ClassVar[str] = "file_link"
    old_dirfd: int
    new_dirfd: int
    link_flags: int
    path: str
    new_path: str
    name: str
    new_name: str


@dataclass(frozen=True, slots=True)
class FileSymlink(Event):
    kind: ClassVar[str] = "file_symlink"
    dirfd: int
    target: str
    path: str
    name: str


@dataclass(frozen=True, slots=True)
class FileTruncate(Event):
    kind: ClassVar[str] = "file_truncate"
    length: int
    fd: int
    path: str
    name: str


@dataclass(frozen=True, slots=True)
class FileChmod(Event):
    kind: ClassVar[str] = "file_chmod"
    mode: int
    fd: int
    dirfd: int
    path: str
    name: str


@dataclass(frozen=True, slots=True)
class FileChown(Event):
    kind: ClassVar[str] = "file_chown"
    owner: int
    group: int
    fd: int
    dirfd: int
    path: str
    name: str


@dataclass(frozen=True, slots=True)
class SocketEvent(Event):
    """Addresses are 16 bytes, IPv4 in the first four; `type` is SOCK_*, `protocol` IPPROTO_*."""

    local_addr: bytes
    remote_addr: bytes
    local_port: int
    remote_port: int
    family: int
    type: int
    protocol: int
    fd: int


@dataclass(frozen=True, slots=True)
class NetworkConnect(SocketEvent):
    kind: ClassVar[str] = "network_connect"
    peer_inode: int
    path: str


@dataclass(frozen=True, slots=True)
class NetworkBind(SocketEvent):
    kind: ClassVar[str] = "network_bind"
    path: str


@dataclass(frozen=True, slots=True)
class NetworkListen(SocketEvent):
    kind: ClassVar[str] = "network_listen"
    backlog: int
    path: str


@dataclass(frozen=True, slots=True)
class NetworkAccept(SocketEvent):
    kind: ClassVar[str] = "network_accept"
    accept_flags: int
    path: str


@dataclass(frozen=True, slots=True)
class NetworkSend(SocketEvent):
    kind: ClassVar[str] = "network_send"
    length: int
    path: str


@dataclass(frozen=True, slots=True)
class FdDup(SocketEvent):
    kind: ClassVar[str] = "fd_dup"
    new_fd: int
    path: str


@dataclass(frozen=True, slots=True)
class MemfdCreate(Event):
    kind: ClassVar[str] = "memfd_create"
    memfd_flags: int
    name: str


@dataclass(frozen=True, slots=True)
class MountChange(Event):
    kind: ClassVar[str] = "mount_change"
    mount_flags: int
    source: str
    path: str
    fstype: str


@dataclass(frozen=True, slots=True)
class KernelBpf(Event):
    kind: ClassVar[str] = "kernel_bpf"
    cmd: int


@dataclass(frozen=True, slots=True)
class KernelModule(Event):
    kind: ClassVar[str] = "kernel_module"
    fd: int
    path: str
    args: str


@dataclass(frozen=True, slots=True)
class IoUringSetup(Event):
    kind: ClassVar[str] = "io_uring_setup"
    entries: int
    setup_flags: int


EVENT_CLASSES: tuple[type[Event], ...] = (
    ProcessFork,
    ProcessExec,
    ProcessExit,
    ProcessChdir,
    ProcessSetuid,
    ProcessPtrace,
    ProcessVmWrite,
    ProcessSignal,
    ProcessNamespace,
    FileOpen,
    FileUnlink,
    FileRename,
    FileMkdir,
    FileRmdir,
    FileLink,
    FileSymlink,
    FileTruncate,
    FileChmod,
    FileChown,
    NetworkConnect,
    NetworkBind,
    NetworkListen,
    NetworkAccept,
    NetworkSend,
    FdDup,
    MemfdCreate,
    MountChange,
    KernelBpf,
    KernelModule,
    IoUringSetup,
)

# evt.type values by event kind: the calls of enum event_call that produce it.
CALLS: dict[str, tuple[str, ...]] = {
    "process_fork": ("clone", "clone3", "fork", "vfork"),
    "process_exec": ("execve", "execveat"),
    "process_exit": ("procexit",),
    "process_chdir": ("chdir", "fchdir"),
    "process_setuid": (
        "setuid", "setreuid", "setresuid", "setfsuid",
        "setgid", "setregid", "setresgid", "setfsgid", "setgroups",
    ),
    "process_ptrace": ("ptrace",),
    "process_vm_write": ("process_vm_readv", "process_vm_writev"),
    "process_signal": (
        "kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal",
    ),
    "process_namespace": ("unshare", "setns"),
    "file_open": ("open", "openat", "openat2", "creat", "open_by_handle_at", "pidfd_getfd"),
    "file_unlink": ("unlink", "unlinkat"),
    "file_rename": ("rename", "renameat", "renameat2"),
    "file_mkdir": ("mkdir", "mkdirat"),
    "file_rmdir": ("rmdir",),
    "file_link": ("link", "linkat"),
    "file_symlink": ("symlink", "symlinkat"),
    "file_truncate": ("truncate", "ftruncate"),
    "file_chmod": ("chmod", "fchmod", "fchmodat", "fchmodat2"),
    "file_chown": ("chown", "lchown", "fchown", "fchownat"),
    "network_connect": ("connect",),
    "network_bind": ("bind",),
    "network_listen": ("listen",),
    "network_accept": ("accept", "accept4"),
    "network_send": ("sendto", "sendmsg", "sendmmsg"),
    "fd_dup": ("dup", "dup2", "dup3", "fcntl"),
    "memfd_create": ("memfd_create",),
    "mount_change": (
        "mount", "umount", "umount2", "pivot_root", "chroot", "move_mount",
        "open_tree", "fsopen", "fsmount", "mount_setattr",
    ),
    "kernel_bpf": ("bpf",),
    "kernel_module": ("init_module", "finit_module", "delete_module"),
    "io_uring_setup": ("io_uring_setup",),
}  # fmt: skip
