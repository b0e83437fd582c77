"""The parameters of each call, as `evt.arg`, `evt.rawarg` and `evt.args` see them.

Names and positions are Falco's. A parameter that guard does not capture keeps
its place and has no value; its text is then `<NA>`, as in Falco.
"""

from __future__ import annotations

import errno
import signal
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter

from guard.engine import flags
from guard.engine.fields import descriptor, process
from guard.engine.fields.definition import Context, FieldType, Getter, Value
from guard.engine.paths import join
from guard.event import EXEC_MEMFD, CALLS, Process, SocketEvent

MISSING = "<NA>"
_UNSET_ID = 0xFFFFFFFF

_Format = Callable[[Value], str]


@dataclass(frozen=True, slots=True, eq=False)
class Parameter:
    """`raw` is the typed value, `format` its text, `resolved` a better text if there is one."""

    name: str
    type: FieldType
    raw: Getter
    resolved: Callable[[Context], str | None] | None = None
    format: _Format = str

    def text(self, context: Context) -> str:
        """What evt.arg gives."""
        if self.resolved is not None and (resolved := self.resolved(context)) is not None:
            return resolved
        return self._raw_text(context)

    def both(self, context: Context) -> str:
        """What evt.args gives: `name=raw(resolved)`."""
        raw = self._raw_text(context)
        resolved = self.resolved(context) if self.resolved is not None else None
        return f"{self.name}={raw}" + (f"({resolved})" if resolved not in {None, raw} else "")

    def _raw_text(self, context: Context) -> str:
        value = self.raw(context)
        # INVARIANT: no parameter is one of the many-valued fields
        return MISSING if value is None or value == "" else self.format(value)  # type: ignore[arg-type]


def error_name(result: int) -> str:
    """`0`, a positive number, or the name of the negative errno."""
    return str(result) if result >= 0 else errno.errorcode.get(-result, str(result))


def _result(context: Context) -> str | None:
    return error_name(context.event.res) if context.event.res < 0 else None


def _octal(value: Value) -> str:
    return f"0{value:o}" if value else "0"


def _yes(value: Value) -> str:
    return str(int(bool(value)))


def _signal(get: Getter) -> Callable[[Context], str | None]:
    def name(context: Context) -> str | None:
        try:
            return signal.Signals(get(context)).name  # type: ignore[arg-type]  # an int
        except ValueError:
            return None

    return name


def _user(get: Getter, id_of: Callable[[Process], int], name_of: Callable[[Process], str]) -> Callable[[Context], str]:
    # Names are known for the users of the process and its ancestors only.
    def name(context: Context) -> str:
        wanted = get(context)
        if wanted in {-1, _UNSET_ID}:
            return "<NONE>"
        for known in (context.process, *process.ancestors(context.process)):
            if id_of(known) == wanted:
                return name_of(known)
        return "root" if wanted == 0 else MISSING

    return name


def _command(get: Getter) -> Callable[[Context], str | None]:
    def name(context: Context) -> str | None:
        wanted = get(context)
        for known in (context.process, *process.ancestors(context.process)):
            if known.pid == wanted:
                return known.name
        return None

    return name


def _path(name: str, absolute: str, directory: str | None) -> Callable[[Context], str | None]:
    """A path as passed when absolute, else what it is seen from its directory."""
    passed, found = attrgetter(name), attrgetter(absolute)
    start = attrgetter(directory) if directory else None

    def text(context: Context) -> str | None:
        word = passed(context)
        if not word or word.startswith("/"):
            return word or found(context) or None
        if context.process.cwd and (start is None or start(context) == descriptor.AT_FDCWD):
            return join(context.process.cwd, word)
        return found(context) or None

    return text


def _directory(get: Getter) -> Callable[[Context], str | None]:
    return lambda context: "AT_FDCWD" if get(context) == descriptor.AT_FDCWD else None


def _tuple(context: Context) -> str | None:
    event = context.event
    return descriptor.socket_name(event) if isinstance(event, SocketEvent) else None


def _remote(context: Context) -> str | None:
    end = descriptor.remote_end(context.event)
    return f"{end[0]}:{end[1]}" if end else _tuple(context)


def _local(context: Context) -> str | None:
    end = descriptor.local_end(context.event)
    return f"{end[0]}:{end[1]}" if end else _tuple(context)


def _number(name: str, source: str, type: FieldType = FieldType.UINT64) -> Parameter:
    return Parameter(name, type, attrgetter(source))


def _text(name: str, source: str) -> Parameter:
    return Parameter(name, FieldType.TEXT, attrgetter(source))


def _named(
    name: str, get: Getter, table: dict[str, int], *, is_enum: bool = False
) -> Parameter:
    to_text = flags.enum_text if is_enum else flags.flags_text

    def resolved(context: Context) -> str | None:
        value = get(context)
        return to_text(value, table) if isinstance(value, int) else None

    return Parameter(name, FieldType.UINT32, get, resolved)


def _file(name: str, passed: str, absolute: str, directory: str | None = None) -> Parameter:
    raw = attrgetter(f"event.{passed}")
    where = f"event.{directory}" if directory else None
    resolved = _path(f"event.{passed}", f"event.{absolute}", where)
    return Parameter(name, FieldType.TEXT, raw, resolved)


def _dirfd(name: str, attribute: str) -> Parameter:
    get = attrgetter(f"event.{attribute}")
    return Parameter(name, FieldType.INT64, get, _directory(get))


def _pid(name: str, source: str) -> Parameter:
    get = attrgetter(source)
    return Parameter(name, FieldType.INT64, get, _command(get))


def _uid(name: str, source: str) -> Parameter:
    get = attrgetter(source)
    user = _user(get, attrgetter("uid"), attrgetter("user"))
    return Parameter(name, FieldType.UINT32, get, user)


def _gid(name: str, source: str) -> Parameter:
    get = attrgetter(source)
    group = _user(get, attrgetter("gid"), attrgetter("group"))
    return Parameter(name, FieldType.UINT32, get, group)


def _missing(name: str, type: FieldType = FieldType.UINT64) -> Parameter:
    return Parameter(name, type, lambda _: None)


def _mode(name: str, *, names: bool = False) -> Parameter:
    get = attrgetter("event.mode")
    if names:
        return _named(name, lambda context: get(context) & 0o7777, flags.CHMOD_MODE)
    return Parameter(name, FieldType.UINT32, get, format=_octal)


def _event_argv(context: Context) -> str:
    return " ".join(context.event.argv[1:])  # type: ignore[attr-defined]  # execs only


def _event_program(context: Context) -> str | None:
    argv = context.event.argv  # type: ignore[attr-defined]  # execs only
    return argv[0] if argv else None


def _exit_status(shift: int, mask: int) -> Getter:
    get = attrgetter("event.exit_code")
    return lambda context: get(context) >> shift & mask


RES = Parameter("res", FieldType.INT64, attrgetter("event.res"), _result)
_FD = Parameter(
    "fd", FieldType.INT64, lambda context: descriptor.number(context.event),
    descriptor.labelled_name,
)  # fmt: skip
_RES_FD = Parameter("res", FieldType.INT64, attrgetter("event.res"), descriptor.labelled_name)
_MODE, _CHMOD = _mode("mode"), _mode("mode", names=True)
_OPEN_FLAGS = _named(
    "flags",
    lambda context: flags.portable_open_flags(
        context.event.open_flags,  # type: ignore[attr-defined]  # opens only
        created=bool(context.event.created),  # type: ignore[attr-defined]
    ),
    flags.OPEN_FLAGS,
)
_DEVICE = (_number("dev", "event.dev", FieldType.UINT32), _number("ino", "event.inode"))
_TUPLE = Parameter("tuple", FieldType.TEXT, _tuple)
_DATA = _missing("data", FieldType.BYTES)
_RIGHTS = (_number("cap_permitted", "event.cap_permitted"),
           _number("cap_effective", "event.cap_effective"))  # fmt: skip


def _clone_flags(source: str, name: str = "flags") -> Parameter:
    get = attrgetter(source)
    return _named(name, lambda context: flags.portable_clone_flags(get(context)), flags.CLONE_FLAGS)


_STATISTICS = tuple(
    map(_missing, ("fdlimit", "pgft_maj", "pgft_min", "vm_size", "vm_rss", "vm_swap"))
)
_EXEC = (
    RES,
    Parameter("exe", FieldType.TEXT, _event_program),
    Parameter("args", FieldType.TEXT, _event_argv),
    _number("tid", "event.tid", FieldType.INT64), _pid("pid", "event.pid"),
    _pid("ptid", "event.parent_pid"), _text("cwd", "event.cwd"), *_STATISTICS,
    _text("comm", "event.comm"), _missing("cgroups", FieldType.TEXT),
    Parameter("env", FieldType.TEXT, lambda context: " ".join(context.event.env)),  # type: ignore[attr-defined]  # execs only
    _number("tty", "event.tty", FieldType.UINT32), _pid("vpgid", "event.vpgid"),
    _uid("loginuid", "event.loginuid"),
    _named(
        "flags",
        lambda context: flags.portable_exec_flags(memfd=bool(context.event.exec_flags & EXEC_MEMFD)),  # type: ignore[attr-defined]  # execs only
        flags.EXEC_FLAGS,
    ),
    _missing("cap_inheritable"), *_RIGHTS,
    _number("exe_ino", "event.inode"), _number("exe_ino_ctime", "event.exe_ctime_ns"),
    _number("exe_ino_mtime", "event.exe_mtime_ns"), _uid("uid", "event.uid"),
    _text("trusted_exepath", "event.path"), _pid("pgid", "event.pgid"),
    _gid("gid", "event.gid"), _file("filename", "filename", "path"),
)  # fmt: skip
_CLONE = (
    Parameter("res", FieldType.INT64, attrgetter("event.child_pid"), _command(attrgetter("event.child_pid"))),
    Parameter("exe", FieldType.TEXT, lambda context: process.program(context.process)),
    Parameter("args", FieldType.TEXT, lambda context: process.arguments(context.process)),
    _number("tid", "event.tid", FieldType.INT64), _pid("pid", "event.pid"),
    Parameter("ptid", FieldType.INT64, lambda context: context.process.parent.pid if context.process.parent else None),
    _text("cwd", "process.cwd"), *_STATISTICS, _text("comm", "process.name"),
    _missing("cgroups", FieldType.TEXT), _clone_flags("event.clone_flags"),
    _number("uid", "event.uid", FieldType.UINT32), _number("gid", "event.gid", FieldType.UINT32),
    _missing("vtid", FieldType.INT64), _number("vpid", "event.child_vpid", FieldType.INT64),
    _missing("pidns_init_start_ts"),
)  # fmt: skip
_TARGET = _pid("pid", "event.target_pid")
_SIGNAL_NUMBER = attrgetter("event.signal")
_SIGNAL = Parameter("sig", FieldType.UINT32, _SIGNAL_NUMBER, _signal(_SIGNAL_NUMBER))
_SIGNAL_TARGET = Parameter(
    "pid", FieldType.INT64, attrgetter("event.target_pid"), attrgetter("event.target_comm")
)
_DIRFD = _dirfd("dirfd", "dirfd")
_PATH = _file("path", "name", "path")
_PATH_AT = _file("path", "name", "path", "dirfd")
_OLD, _NEW = _file("oldpath", "name", "path"), _file("newpath", "new_name", "new_path")
_OLD_AT = _file("oldpath", "name", "path", "old_dirfd")
_NEW_AT = _file("newpath", "new_name", "new_path", "new_dirfd")
_OWNER = (_number("uid", "event.owner", FieldType.UINT32),
          _number("gid", "event.group", FieldType.UINT32))  # fmt: skip
_LENGTH = _number("size", "event.length", FieldType.UINT32)
_QUEUE = tuple(map(_missing, ("queuepct", "queuelen", "queuemax")))
_MOUNT_FLAGS = _named("flags", attrgetter("event.mount_flags"), flags.MOUNT_FLAGS)
_SAME_PATH = _file("path", "path", "path")
_COMMAND = _named("cmd", attrgetter("event.cmd"), flags.BPF_COMMANDS, is_enum=True)
_REQUEST = _named(
    "request",
    lambda context: flags.portable_ptrace_request(context.event.request),  # type: ignore[attr-defined]  # ptrace only
    flags.PTRACE_REQUESTS,
    is_enum=True,
)
_OPEN = (_FD, _file("name", "name", "path"))
_OPEN_AT = (_FD, _DIRFD, _file("name", "name", "path", "dirfd"))

PARAMETERS: dict[str, tuple[Parameter, ...]] = {
    "clone": _CLONE, "clone3": _CLONE, "fork": _CLONE, "vfork": _CLONE,
    "execve": _EXEC, "execveat": _EXEC,
    "procexit": (
        _number("status", "event.exit_code", FieldType.INT64),
        Parameter("ret", FieldType.INT64, _exit_status(8, 0xFF)),
        Parameter("sig", FieldType.UINT32, _exit_status(0, 0x7F), _signal(_exit_status(0, 0x7F))),
        Parameter("core", FieldType.UINT32, _exit_status(7, 1), format=_yes),
    ),
    "chdir": (RES, _text("path", "event.path")),
    "fchdir": (RES, _FD),
    "setuid": (RES, _uid("uid", "event.arg_id")),
    "setreuid": (RES, _uid("ruid", "event.arg_id"), _missing("euid", FieldType.UINT32)),
    "setresuid": (RES, _uid("ruid", "event.arg_id"), _missing("euid", FieldType.UINT32),
                  _missing("suid", FieldType.UINT32)),
    "setgid": (RES, _gid("gid", "event.arg_id")),
    "setregid": (RES, _gid("rgid", "event.arg_id"), _missing("egid", FieldType.UINT32)),
    "setresgid": (RES, _gid("rgid", "event.arg_id"), _missing("egid", FieldType.UINT32),
                  _missing("sgid", FieldType.UINT32)),
    "ptrace": (RES, _missing("addr"), _DATA, _REQUEST, _TARGET),
    "process_vm_readv": (RES, _TARGET, _DATA), "process_vm_writev": (RES, _TARGET, _DATA),
    "kill": (RES, _SIGNAL_TARGET, _SIGNAL),
    "tkill": (RES, Parameter("tid", FieldType.INT64, _SIGNAL_TARGET.raw, _SIGNAL_TARGET.resolved), _SIGNAL),
    "tgkill": (RES, _SIGNAL_TARGET, _missing("tid", FieldType.INT64), _SIGNAL),
    "unshare": (RES, _clone_flags("event.ns_flags")),
    "setns": (RES, _FD, _clone_flags("event.ns_flags", "nstype")),
    "open": (*_OPEN, _OPEN_FLAGS, _MODE, *_DEVICE),
    "openat": (*_OPEN_AT, _OPEN_FLAGS, _MODE, *_DEVICE),
    "openat2": (*_OPEN_AT, _OPEN_FLAGS, _MODE, _missing("resolve", FieldType.UINT32), *_DEVICE),
    "creat": (*_OPEN, _MODE, *_DEVICE, _missing("creat_flags", FieldType.UINT32)),
    "open_by_handle_at": (_FD, _missing("mountfd", FieldType.INT64), _OPEN_FLAGS, _SAME_PATH, *_DEVICE),
    "unlink": (RES, _PATH),
    "unlinkat": (RES, _DIRFD, _file("name", "name", "path", "dirfd"),
                 _named("flags", attrgetter("event.unlink_flags"), flags.UNLINK_FLAGS)),
    "rmdir": (RES, _PATH), "mkdir": (RES, _PATH, _MODE), "mkdirat": (RES, _DIRFD, _PATH_AT, _MODE),
    "rename": (RES, _OLD, _NEW),
    "renameat": (RES, _dirfd("olddirfd", "old_dirfd"), _OLD_AT, _dirfd("newdirfd", "new_dirfd"), _NEW_AT),
    "renameat2": (RES, _dirfd("olddirfd", "old_dirfd"), _OLD_AT, _dirfd("newdirfd", "new_dirfd"), _NEW_AT,
                  _named("flags", attrgetter("event.rename_flags"), flags.RENAME_FLAGS)),
    "link": (RES, _OLD, _NEW),
    "linkat": (RES, _dirfd("olddir", "old_dirfd"), _OLD_AT, _dirfd("newdir", "new_dirfd"), _NEW_AT,
               _named("flags", attrgetter("event.link_flags"), flags.LINK_FLAGS)),
    "symlink": (RES, _text("target", "event.target"), _file("linkpath", "name", "path")),
    "symlinkat": (RES, _text("target", "event.target"), _dirfd("linkdirfd", "dirfd"),
                  _file("linkpath", "name", "path", "dirfd")),
    "chmod": (RES, _file("filename", "name", "path"), _CHMOD), "fchmod": (RES, _FD, _CHMOD),
    "fchmodat": (RES, _DIRFD, _file("filename", "name", "path", "dirfd"), _CHMOD),
    "fchmodat2": (RES, _DIRFD, _file("filename", "name", "path", "dirfd"), _CHMOD),
    "chown": (RES, _PATH, *_OWNER), "lchown": (RES, _PATH, *_OWNER), "fchown": (RES, _FD, *_OWNER),
    "fchownat": (RES, _DIRFD, _file("pathname", "name", "path", "dirfd"), *_OWNER,
                 _missing("flags", FieldType.UINT32)),
    "connect": (RES, _TUPLE, _FD, Parameter("addr", FieldType.TEXT, _remote)),
    "bind": (RES, Parameter("addr", FieldType.TEXT, _local), _FD),
    "listen": (RES, _FD, _number("backlog", "event.backlog", FieldType.INT32)),
    "accept": (_FD, _TUPLE, *_QUEUE),
    "accept4": (_FD, _TUPLE, *_QUEUE, _number("flags", "event.accept_flags", FieldType.INT32)),
    "sendto": (RES, _DATA, _FD, _LENGTH, _TUPLE), "sendmsg": (RES, _DATA, _FD, _LENGTH, _TUPLE),
    "sendmmsg": (RES, _FD, _LENGTH, _DATA, _TUPLE),
    "dup": (_RES_FD, _number("oldfd", "event.fd", FieldType.INT64)),
    "dup2": (_RES_FD, _number("oldfd", "event.fd", FieldType.INT64),
             _number("newfd", "event.new_fd", FieldType.INT64)),
    "dup3": (_RES_FD, _number("oldfd", "event.fd", FieldType.INT64),
             _number("newfd", "event.new_fd", FieldType.INT64), _missing("flags", FieldType.UINT32)),
    "fcntl": (_RES_FD, _number("fd", "event.fd", FieldType.INT64), _missing("cmd", FieldType.UINT32),
              _missing("arg")),
    "memfd_create": (_FD, _text("name", "event.name"),
                     _named("flags", attrgetter("event.memfd_flags"), flags.MEMFD_FLAGS)),
    "mount": (RES, _text("dev", "event.source"), _file("dir", "path", "path"),
              _text("type", "event.fstype"), _MOUNT_FLAGS),
    "umount": (RES, _file("name", "path", "path")),
    "umount2": (RES, _file("name", "path", "path"),
                _named("flags", attrgetter("event.mount_flags"), flags.UMOUNT_FLAGS)),
    "chroot": (RES, _SAME_PATH),
    "bpf": (_FD, _COMMAND),
    "init_module": (RES, _missing("img", FieldType.BYTES), _missing("length"), _text("uargs", "event.args")),
    "finit_module": (RES, _FD, _text("uargs", "event.args"), _missing("flags", FieldType.UINT32)),
    "delete_module": (RES, _text("name", "event.args"), _missing("flags", FieldType.UINT32)),
    "io_uring_setup": (
        RES, _number("entries", "event.entries", FieldType.UINT32), _missing("sq_entries"), _missing("cq_entries"),
        _named("flags", lambda context: flags.portable_io_uring_flags(context.event.setup_flags), flags.IO_URING_FLAGS),  # type: ignore[attr-defined]  # io_uring_setup only
        _missing("sq_thread_cpu"), _missing("sq_thread_idle"), _missing("features", FieldType.UINT32),
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

