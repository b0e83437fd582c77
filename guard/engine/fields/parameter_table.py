"""The parameters of every captured call, in Falco's order."""

from __future__ import annotations

from operator import attrgetter

from guard.engine import flags
from guard.engine.fields import descriptor, process
from guard.engine.fields.definition import Context, FieldType, Getter
from guard.engine.fields.parameters import (
    Parameter,
    dirfd,
    file_path,
    gid,
    local_text,
    missing,
    mode,
    named,
    number,
    pid,
    remote_text,
    result_name,
    signal_name,
    socket_tuple,
    text,
    uid,
    zero_or_one,
)
from guard.event import EXEC_MEMFD


def _event_argv(context: Context) -> str:
    return " ".join(context.event.argv[1:])  # type: ignore[attr-defined]  # execs only


def _event_program(context: Context) -> str | None:
    argv = context.event.argv  # type: ignore[attr-defined]  # execs only
    return argv[0] if argv else None


def _exec_flags(context: Context) -> int:
    is_memfd = context.event.exec_flags & EXEC_MEMFD != 0  # type: ignore[attr-defined]  # execs only
    return flags.portable_exec_flags(memfd=is_memfd)


def _io_uring_flags(context: Context) -> int:
    return flags.portable_io_uring_flags(context.event.setup_flags)  # type: ignore[attr-defined]  # io_uring_setup only


def _parent_pid(context: Context) -> int | None:
    parent = context.process.parent
    return None if parent is None else parent.pid


def _exit_status(shift: int, mask: int) -> Getter:
    get = attrgetter("event.exit_code")
    return lambda context: get(context) >> shift & mask


RES = Parameter("res", FieldType.INT64, attrgetter("event.res"), result_name)
_FD = Parameter(
    "fd", FieldType.INT64, lambda context: descriptor.number(context.event),
    descriptor.labelled_name,
)  # fmt: skip
_RES_FD = Parameter("res", FieldType.INT64, attrgetter("event.res"), descriptor.labelled_name)
_MODE, _CHMOD = mode("mode"), mode("mode", names=True)
_OPEN_FLAGS = named(
    "flags",
    lambda context: flags.portable_open_flags(
        context.event.open_flags,  # type: ignore[attr-defined]  # opens only
        created=bool(context.event.created),  # type: ignore[attr-defined]
    ),
    flags.OPEN_FLAGS,
)
_DEVICE = (number("dev", "event.dev", FieldType.UINT32), number("ino", "event.inode"))
_TUPLE = Parameter("tuple", FieldType.TEXT, socket_tuple)
_DATA = missing("data", FieldType.BYTES)
_RIGHTS = (number("cap_permitted", "event.cap_permitted"),
           number("cap_effective", "event.cap_effective"))  # fmt: skip


def _clone_flags(source: str, name: str = "flags") -> Parameter:
    get = attrgetter(source)
    return named(name, lambda context: flags.portable_clone_flags(get(context)), flags.CLONE_FLAGS)


_STATISTICS = tuple(
    map(missing, ("fdlimit", "pgft_maj", "pgft_min", "vm_size", "vm_rss", "vm_swap"))
)
_EXEC = (
    RES,
    Parameter("exe", FieldType.TEXT, _event_program),
    Parameter("args", FieldType.TEXT, _event_argv),
    number("tid", "event.tid", FieldType.INT64), pid("pid", "event.pid"),
    pid("ptid", "event.parent_pid"), text("cwd", "event.cwd"), *_STATISTICS,
    text("comm", "event.comm"), missing("cgroups", FieldType.TEXT),
    Parameter("env", FieldType.TEXT, lambda context: " ".join(context.event.env)),  # type: ignore[attr-defined]  # execs only
    number("tty", "event.tty", FieldType.UINT32), pid("vpgid", "event.vpgid"),
    uid("loginuid", "event.loginuid"),
    named(
        "flags",
        _exec_flags,
        flags.EXEC_FLAGS,
    ),
    missing("cap_inheritable"), *_RIGHTS,
    number("exe_ino", "event.inode"), number("exe_ino_ctime", "event.exe_ctime_ns"),
    number("exe_ino_mtime", "event.exe_mtime_ns"), uid("uid", "event.uid"),
    text("trusted_exepath", "event.path"), pid("pgid", "event.pgid"),
    gid("gid", "event.gid"), file_path("filename", "filename", "path"),
)  # fmt: skip
_CLONE = (
    pid("res", "event.child_pid"),
    Parameter("exe", FieldType.TEXT, lambda context: process.program(context.process)),
    Parameter("args", FieldType.TEXT, lambda context: process.arguments(context.process)),
    number("tid", "event.tid", FieldType.INT64), pid("pid", "event.pid"),
    Parameter("ptid", FieldType.INT64, _parent_pid),
    text("cwd", "process.cwd"), *_STATISTICS, text("comm", "process.name"),
    missing("cgroups", FieldType.TEXT), _clone_flags("event.clone_flags"),
    number("uid", "event.uid", FieldType.UINT32), number("gid", "event.gid", FieldType.UINT32),
    missing("vtid", FieldType.INT64), number("vpid", "event.child_vpid", FieldType.INT64),
    missing("pidns_init_start_ts"),
)  # fmt: skip
_EXIT_SIGNAL = _exit_status(0, 0x7F)
_TARGET = pid("pid", "event.target_pid")
_SIGNAL_NUMBER = attrgetter("event.signal")
_SIGNAL = Parameter("sig", FieldType.UINT32, _SIGNAL_NUMBER, signal_name(_SIGNAL_NUMBER))
_SIGNAL_TARGET = Parameter(
    "pid", FieldType.INT64, attrgetter("event.target_pid"), attrgetter("event.target_comm")
)
_SIGNAL_THREAD = Parameter("tid", FieldType.INT64, _SIGNAL_TARGET.raw, _SIGNAL_TARGET.resolved)
_DIRFD = dirfd("dirfd", "dirfd")
_PATH = file_path("path", "name", "path")
_PATH_AT = file_path("path", "name", "path", "dirfd")
_OLD, _NEW = file_path("oldpath", "name", "path"), file_path("newpath", "new_name", "new_path")
_OLD_AT = file_path("oldpath", "name", "path", "old_dirfd")
_NEW_AT = file_path("newpath", "new_name", "new_path", "new_dirfd")
_RENAME_AT = (
    RES, dirfd("olddirfd", "old_dirfd"), _OLD_AT, dirfd("newdirfd", "new_dirfd"), _NEW_AT,
)  # fmt: skip
_OWNER = (number("uid", "event.owner", FieldType.UINT32),
          number("gid", "event.group", FieldType.UINT32))  # fmt: skip
_LENGTH = number("size", "event.length", FieldType.UINT32)
_QUEUE = tuple(map(missing, ("queuepct", "queuelen", "queuemax")))
_MOUNT_FLAGS = named("flags", attrgetter("event.mount_flags"), flags.MOUNT_FLAGS)
_SAME_PATH = file_path("path", "path", "path")
_COMMAND = named("cmd", attrgetter("event.cmd"), flags.BPF_COMMANDS, is_enum=True)
_REQUEST = named(
    "request",
    lambda context: flags.portable_ptrace_request(context.event.request),  # type: ignore[attr-defined]  # ptrace only
    flags.PTRACE_REQUESTS,
    is_enum=True,
)
_OPEN = (_FD, file_path("name", "name", "path"))
_OPEN_AT = (_FD, _DIRFD, file_path("name", "name", "path", "dirfd"))

PARAMETERS: dict[str, tuple[Parameter, ...]] = {
    "clone": _CLONE, "clone3": _CLONE, "fork": _CLONE, "vfork": _CLONE,
    "execve": _EXEC, "execveat": _EXEC,
    "procexit": (
        number("status", "event.exit_code", FieldType.INT64),
        Parameter("ret", FieldType.INT64, _exit_status(8, 0xFF)),
        Parameter("sig", FieldType.UINT32, _EXIT_SIGNAL, signal_name(_EXIT_SIGNAL)),
        Parameter("core", FieldType.UINT32, _exit_status(7, 1), format=zero_or_one),
    ),
    "chdir": (RES, text("path", "event.path")),
    "fchdir": (RES, _FD),
    "setuid": (RES, uid("uid", "event.arg_id")),
    "setreuid": (RES, uid("ruid", "event.arg_id"), missing("euid", FieldType.UINT32)),
    "setresuid": (RES, uid("ruid", "event.arg_id"), missing("euid", FieldType.UINT32),
                  missing("suid", FieldType.UINT32)),
    "setgid": (RES, gid("gid", "event.arg_id")),
    "setregid": (RES, gid("rgid", "event.arg_id"), missing("egid", FieldType.UINT32)),
    "setresgid": (RES, gid("rgid", "event.arg_id"), missing("egid", FieldType.UINT32),
                  missing("sgid", FieldType.UINT32)),
    "ptrace": (RES, missing("addr"), _DATA, _REQUEST, _TARGET),
    "process_vm_readv": (RES, _TARGET, _DATA), "process_vm_writev": (RES, _TARGET, _DATA),
    "kill": (RES, _SIGNAL_TARGET, _SIGNAL),
    "tkill": (RES, _SIGNAL_THREAD, _SIGNAL),
    "tgkill": (RES, _SIGNAL_TARGET, missing("tid", FieldType.INT64), _SIGNAL),
    "unshare": (RES, _clone_flags("event.ns_flags")),
    "setns": (RES, _FD, _clone_flags("event.ns_flags", "nstype")),
    "open": (*_OPEN, _OPEN_FLAGS, _MODE, *_DEVICE),
    "openat": (*_OPEN_AT, _OPEN_FLAGS, _MODE, *_DEVICE),
    "openat2": (*_OPEN_AT, _OPEN_FLAGS, _MODE, missing("resolve", FieldType.UINT32), *_DEVICE),
    "creat": (*_OPEN, _MODE, *_DEVICE, missing("creat_flags", FieldType.UINT32)),
    "open_by_handle_at": (_FD, missing("mountfd", FieldType.INT64), _OPEN_FLAGS, _SAME_PATH,
                          *_DEVICE),
    "unlink": (RES, _PATH),
    "unlinkat": (RES, _DIRFD, file_path("name", "name", "path", "dirfd"),
                 named("flags", attrgetter("event.unlink_flags"), flags.UNLINK_FLAGS)),
    "rmdir": (RES, _PATH), "mkdir": (RES, _PATH, _MODE), "mkdirat": (RES, _DIRFD, _PATH_AT, _MODE),
    "rename": (RES, _OLD, _NEW),
    "renameat": _RENAME_AT,
    "renameat2": (*_RENAME_AT,
                  named("flags", attrgetter("event.rename_flags"), flags.RENAME_FLAGS)),
    "link": (RES, _OLD, _NEW),
    "linkat": (RES, dirfd("olddir", "old_dirfd"), _OLD_AT, dirfd("newdir", "new_dirfd"), _NEW_AT,
               named("flags", attrgetter("event.link_flags"), flags.LINK_FLAGS)),
    "symlink": (RES, text("target", "event.target"), file_path("linkpath", "name", "path")),
    "symlinkat": (RES, text("target", "event.target"), dirfd("linkdirfd", "dirfd"),
                  file_path("linkpath", "name", "path", "dirfd")),
    "chmod": (RES, file_path("filename", "name", "path"), _CHMOD), "fchmod": (RES, _FD, _CHMOD),
    "fchmodat": (RES, _DIRFD, file_path("filename", "name", "path", "dirfd"), _CHMOD),
    "fchmodat2": (RES, _DIRFD, file_path("filename", "name", "path", "dirfd"), _CHMOD),
    "chown": (RES, _PATH, *_OWNER), "lchown": (RES, _PATH, *_OWNER), "fchown": (RES, _FD, *_OWNER),
    "fchownat": (RES, _DIRFD, file_path("pathname", "name", "path", "dirfd"), *_OWNER,
                 missing("flags", FieldType.UINT32)),
    "connect": (RES, _TUPLE, _FD, Parameter("addr", FieldType.TEXT, remote_text)),
    "bind": (RES, Parameter("addr", FieldType.TEXT, local_text), _FD),
    "listen": (RES, _FD, number("backlog", "event.backlog", FieldType.INT32)),
    "accept": (_FD, _TUPLE, *_QUEUE),
    "accept4": (_FD, _TUPLE, *_QUEUE, number("flags", "event.accept_flags", FieldType.INT32)),
    "sendto": (RES, _DATA, _FD, _LENGTH, _TUPLE), "sendmsg": (RES, _DATA, _FD, _LENGTH, _TUPLE),
    "sendmmsg": (RES, _FD, _LENGTH, _DATA, _TUPLE),
    "dup": (_RES_FD, number("oldfd", "event.fd", FieldType.INT64)),
    "dup2": (_RES_FD, number("oldfd", "event.fd", FieldType.INT64),
             number("newfd", "event.new_fd", FieldType.INT64)),
    "dup3": (_RES_FD, number("oldfd", "event.fd", FieldType.INT64),
             number("newfd", "event.new_fd", FieldType.INT64),
             missing("flags", FieldType.UINT32)),
    "fcntl": (_RES_FD, number("fd", "event.fd", FieldType.INT64),
              missing("cmd", FieldType.UINT32), missing("arg")),
    "memfd_create": (_FD, text("name", "event.name"),
                     named("flags", attrgetter("event.memfd_flags"), flags.MEMFD_FLAGS)),
    "mount": (RES, text("dev", "event.source"), file_path("dir", "path", "path"),
              text("type", "event.fstype"), _MOUNT_FLAGS),
    "umount": (RES, file_path("name", "path", "path")),
    "umount2": (RES, file_path("name", "path", "path"),
                named("flags", attrgetter("event.mount_flags"), flags.UMOUNT_FLAGS)),
    "chroot": (RES, _SAME_PATH),
    "bpf": (_FD, _COMMAND),
    "init_module": (RES, missing("img", FieldType.BYTES), missing("length"),
                    text("uargs", "event.args")),
    "finit_module": (RES, _FD, text("uargs", "event.args"), missing("flags", FieldType.UINT32)),
    "delete_module": (RES, text("name", "event.args"), missing("flags", FieldType.UINT32)),
    "io_uring_setup": (
        RES, number("entries", "event.entries", FieldType.UINT32), missing("sq_entries"),
        missing("cq_entries"), named("flags", _io_uring_flags, flags.IO_URING_FLAGS),
        missing("sq_thread_cpu"), missing("sq_thread_idle"),
        missing("features", FieldType.UINT32),
    ),
}  # fmt: skip

BY_NAME: dict[str, dict[str, Parameter]] = {}
for _call, _parameters in PARAMETERS.items():
    for _parameter in _parameters:
        BY_NAME.setdefault(_parameter.name, {})[_call] = _parameter

# Names that only calls outside `PARAMETERS` have: known, and never with a value.
OTHER_NAMES = frozenset(
    "ID arg2 arg2_int arg2_str arg3 arg4 arg5 argument aux clockid cur domain dqb_bhardlimit "
    "dqb_bsoftlimit dqb_btime dqb_curspace dqb_ihardlimit dqb_isoftlimit dqb_itime dqi_bgrace "
    "dqi_flags dqi_igrace fd1 fd2 fd_in fd_out fdin fdout fds first how id in_fd initval "
    "interval key last len level mask max maxevents min_complete msgcontrol nativeID newcur "
    "newmax nr_args nsems nsops offin offout offset oldcur oldmax op opcode operation option "
    "optlen optname out_fd peer pgoffset pid_fd pos prot proto quota_fmt quota_fmt_out "
    "quotafilepath reaper_tid resource sem_flg_0 sem_flg_1 sem_num_0 sem_num_1 sem_op_0 "
    "sem_op_1 semflg semid semnum sigmask source special target_fd timeout to_submit val "
    "value_bytebuf value_charbuf whence".split()
)
