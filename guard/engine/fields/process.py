"""proc.* and thread.*: the process behind the event and its ancestors.

An ancestor is the image the parent had when it forked: the chain of references
of `Process`. Indices count from the process itself, so 1 is its parent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import attrgetter

from guard.engine.fields.definition import (
    Argument,
    Context,
    FieldDef,
    FieldType,
    Flag,
    Getter,
    Many,
    Value,
    Values,
    field,
    memoised,
    unavailable,
)
from guard.event import EXEC_MEMFD, Process

_NO_REUSE = frozenset({Flag.NO_RHS, Flag.NO_TRANSFORMER})
_SHELLS = frozenset({"ash", "bash", "csh", "dash", "fish", "ksh", "sh", "tcsh", "zsh"})

CAPABILITIES = tuple(
    f"CAP_{name}"
    for name in (
        "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP "
        "LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER "
        "SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE "
        "SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP "
        "MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF "
        "CHECKPOINT_RESTORE"
    ).split()
)

_OfProcess = Callable[[Process], "Value | None"]


def arguments(process: Process) -> str:
    """argv without its first word, joined by blanks."""
    return " ".join(process.argv[1:])


def command_line(process: Process) -> str:
    """proc.name and the arguments."""
    return " ".join((process.name, *process.argv[1:]))


def program(process: Process) -> str:
    """argv[0], "" when there is none."""
    return process.argv[0] if process.argv else ""


def capability_names(mask: int) -> str:
    """Names of the bits joined by blanks, in bit order."""
    return " ".join(name for bit, name in enumerate(CAPABILITIES) if mask >> bit & 1)


def ancestors(process: Process) -> Iterator[Process]:
    """From the parent upwards."""
    parent = process.parent
    while parent is not None:
        yield parent
        parent = parent.parent


def index(argument: str) -> int:
    """An argument that counts from 0; raises `ValueError` with a message for other text."""
    if not (argument.isascii() and argument.isdigit()):
        raise ValueError(f"`{argument}` is not a number from 0 up")
    return int(argument)


def _of_process(get: _OfProcess) -> Getter:
    return lambda context: get(context.process)


def _of_parent(get: _OfProcess) -> Getter:
    def value(context: Context) -> Value | None:
        parent = context.process.parent
        return None if parent is None else get(parent)

    return value


def _of_ancestor(name: str, get: _OfProcess) -> Callable[[str | None], Getter]:
    def every(context: Context) -> Values:
        return tuple(map(get, ancestors(context.process)))  # type: ignore[return-value]  # one type per field

    every_memoised = memoised(name, every)

    def bind(argument: str | None) -> Getter:
        if argument is None:
            return every_memoised
        steps = index(argument)

        def one(context: Context) -> Value | None:
            process: Process | None = context.process
            for _ in range(steps):
                if process is None:
                    return None
                process = process.parent
            return None if process is None else get(process)

        return one

    return bind


def _bind_args(argument: str | None) -> Getter:
    if argument is None:
        return memoised("proc.args", _of_process(arguments))
    position = index(argument) + 1

    def one(context: Context) -> str | None:
        argv = context.process.argv
        return argv[position] if position < len(argv) else None

    return one


def _bind_ancestor_args(argument: str | None) -> Getter:
    if argument is not None:
        return _of_ancestor("proc.aargs", arguments)(argument)
    return lambda context: " ".join(map(arguments, ancestors(context.process)))


def _variable(process: Process, name: str) -> str:
    prefix = f"{name}="
    return next((word[len(prefix) :] for word in process.env if word.startswith(prefix)), "")


def _bind_env(argument: str | None) -> Getter:
    if argument is None:
        return lambda context: " ".join(context.process.env)
    return lambda context: _variable(context.process, argument)


def _bind_ancestor_env(argument: str | None) -> Getter:
    if argument is None or argument.isdigit():
        return _of_ancestor("proc.aenv", lambda process: " ".join(process.env))(argument)

    def nearest(context: Context) -> str:
        found = (_variable(process, argument) for process in ancestors(context.process))
        return next((value for value in found if value), "")

    return nearest


def _leader(attribute: str, get: _OfProcess) -> Getter:
    # The leader may have exited: then the eldest known member stands for it.
    ident = attrgetter(attribute)

    def value(context: Context) -> Value | None:
        found = context.process
        wanted = ident(found)
        for ancestor in ancestors(found):
            if found.pid == wanted or ident(ancestor) != wanted:
                break
            found = ancestor
        return get(found)

    return value


def _login_shell(context: Context) -> int | None:
    chain = (context.process, *ancestors(context.process))
    shells = [process.pid for process in chain if process.name in _SHELLS]
    return shells[-1] if shells else None


def _elapsed(context: Context, since_ns: int) -> int | None:
    boot_ns = context.constants.boot_time_ns
    return max(context.event.time_ns - boot_ns - since_ns, 0) if boot_ns else None


def _duration(context: Context) -> int | None:
    return _elapsed(context, context.process.start_ns)


def _parent_duration(context: Context) -> int | None:
    parent = context.process.parent
    return None if parent is None else _elapsed(context, parent.start_ns)


def _change_to_start(context: Context) -> int | None:
    boot_ns = context.constants.boot_time_ns
    process = context.process
    return max(boot_ns + process.start_ns - process.exe_ctime_ns, 0) if boot_ns else None


def _none(names: str, type: FieldType, doc: str) -> list[FieldDef]:
    return [unavailable(name, type, doc) for name in names.split()]


_name: _OfProcess = attrgetter("name")
_exepath: _OfProcess = attrgetter("exepath")
_pid: _OfProcess = attrgetter("pid")
_start: _OfProcess = attrgetter("start_ns")


def _ancestor_field(name: str, type: FieldType, doc: str, get: _OfProcess) -> FieldDef:
    return FieldDef(
        name, type, doc, _of_ancestor(name, get), Argument.OPTIONAL, _NO_REUSE,
        Many.ANCESTORS, cost=10,
    )  # fmt: skip


def _group_fields(prefix: str, attribute: str, leader: str) -> list[FieldDef]:
    return [
        field(f"{prefix}.name", FieldType.TEXT, f"proc.name of the {leader}",
              _leader(attribute, _name), cost=8),
        field(f"{prefix}.exe", FieldType.TEXT, f"proc.exe of the {leader}",
              _leader(attribute, program), cost=8),
        field(f"{prefix}.exepath", FieldType.TEXT, f"proc.exepath of the {leader}",
              _leader(attribute, _exepath), cost=8),
    ]  # fmt: skip


FIELDS: list[FieldDef] = [
    field("proc.name", FieldType.TEXT, "short name (comm), at most 15 bytes",
          attrgetter("process.name")),
    field("proc.pname", FieldType.TEXT, "proc.name of the parent", _of_parent(_name), cost=2),
    _ancestor_field("proc.aname", FieldType.TEXT, "proc.name of an ancestor", _name),
    field("proc.exe", FieldType.TEXT, "first word of the command, as given to the program",
          _of_process(program), cost=2),
    field("proc.pexe", FieldType.TEXT, "proc.exe of the parent", _of_parent(program), cost=3),
    _ancestor_field("proc.aexe", FieldType.TEXT, "proc.exe of an ancestor", program),
    field("proc.exepath", FieldType.TEXT, "resolved path of the executable",
          attrgetter("process.exepath")),
    field("proc.pexepath", FieldType.TEXT, "proc.exepath of the parent", _of_parent(_exepath),
          cost=2),
    _ancestor_field("proc.aexepath", FieldType.TEXT, "proc.exepath of an ancestor", _exepath),
    FieldDef("proc.args", FieldType.TEXT, "arguments joined by blanks; [n] is one of them, from 0",
             _bind_args, Argument.OPTIONAL, cost=3),
    FieldDef("proc.aargs", FieldType.TEXT, "arguments of an ancestor, or of all of them",
             _bind_ancestor_args, Argument.OPTIONAL, cost=10),
    field("proc.cmdline", FieldType.TEXT, "proc.name and the arguments",
          memoised("proc.cmdline", _of_process(command_line)), cost=4),
    field("proc.pcmdline", FieldType.TEXT, "proc.cmdline of the parent",
          memoised("proc.pcmdline", _of_parent(command_line)), cost=4),
    _ancestor_field("proc.acmdline", FieldType.TEXT, "proc.cmdline of an ancestor", command_line),
    field("proc.exeline", FieldType.TEXT, "proc.exe and the arguments",
          _of_process(lambda process: " ".join(process.argv)), cost=4),
    field("proc.cmdnargs", FieldType.UINT64, "number of arguments",
          _of_process(lambda process: max(len(process.argv) - 1, 0)), cost=2),
    field("proc.cmdlenargs", FieldType.UINT64, "length of the arguments together, without blanks",
          _of_process(lambda process: sum(map(len, process.argv[1:]))), cost=3),
    field("proc.cwd", FieldType.TEXT, "current directory, with a trailing slash",
          _of_process(lambda process: process.cwd.rstrip("/") + "/"), cost=2),
    FieldDef("proc.env", FieldType.TEXT, 'environment; [NAME] is one variable, "" when unset',
             _bind_env, Argument.OPTIONAL, cost=6),
    FieldDef("proc.aenv", FieldType.TEXT, "environment of an ancestor, or nearest value of NAME",
             _bind_ancestor_env, Argument.OPTIONAL, _NO_REUSE, Many.ANCESTORS, cost=12),
    field("proc.tty", FieldType.UINT32, "device number of the terminal, 0 without one",
          attrgetter("process.tty")),
    field("proc.pid", FieldType.INT64, "process id", attrgetter("process.pid")),
    field("proc.ppid", FieldType.INT64, "process id of the parent", _of_parent(_pid), cost=2),
    _ancestor_field("proc.apid", FieldType.INT64, "process id of an ancestor", _pid),
    field("proc.vpid", FieldType.INT64, "process id in its own pid namespace",
          attrgetter("process.vpid")),
    field("proc.pvpid", FieldType.INT64, "proc.vpid of the parent",
          _of_parent(attrgetter("vpid")), cost=2),
    field("proc.sid", FieldType.INT64, "session id of the process", attrgetter("process.sid")),
    field("proc.pgid", FieldType.INT64, "process group", attrgetter("process.pgid")),
    field("proc.vpgid", FieldType.INT64, "process group in its own pid namespace",
          attrgetter("process.vpgid")),
    field("proc.sname", FieldType.TEXT, "proc.name of the session leader",
          _leader("sid", _name), cost=8),
    *_group_fields("proc.sid", "sid", "session leader")[1:],
    *_group_fields("proc.pgid", "pgid", "process group leader"),
    *_group_fields("proc.vpgid", "vpgid", "process group leader"),
    field("proc.is_sid_leader", FieldType.BOOL, "the process leads its session",
          _of_process(lambda process: process.pid == process.sid), cost=2),
    field("proc.is_pgid_leader", FieldType.BOOL, "the process leads its group",
          _of_process(lambda process: process.pid == process.pgid), cost=2),
    field("proc.is_vpgid_leader", FieldType.BOOL, "proc.vpid equals proc.vpgid",
          _of_process(lambda process: process.vpid == process.vpgid), cost=2),
    field("proc.loginshellid", FieldType.INT64, "process id of the eldest shell", _login_shell,
          cost=10),
    field("proc.duration", FieldType.RELTIME, "ns since the process started", _duration, cost=3),
    field("proc.pid.ts", FieldType.RELTIME, "start of the process, ns since boot",
          attrgetter("process.start_ns")),
    field("proc.ppid.duration", FieldType.RELTIME, "ns since the parent started",
          _parent_duration, cost=3),
    field("proc.ppid.ts", FieldType.RELTIME, "start of the parent, ns since boot",
          _of_parent(_start), cost=2),
    field("proc.exe_ino", FieldType.INT64, "inode of the executable",
          attrgetter("process.exe_inode")),
    field("proc.exe_ino.ctime", FieldType.ABSTIME, "last change of the executable, epoch ns",
          attrgetter("process.exe_ctime_ns")),
    field("proc.exe_ino.mtime", FieldType.ABSTIME, "last write to the executable, epoch ns",
          attrgetter("process.exe_mtime_ns")),
    field("proc.exe_ino.ctime_duration_proc_start", FieldType.ABSTIME,
          "ns between proc.exe_ino.ctime and the start of the process", _change_to_start, cost=3),
    field("proc.is_exe_from_memfd", FieldType.BOOL, "the executable is an anonymous memfd",
          _of_process(lambda process: process.exec_flags & EXEC_MEMFD != 0), cost=2),
    field("thread.tid", FieldType.INT64, "thread id", attrgetter("event.tid")),
    field("thread.ismain", FieldType.BOOL, "the main thread",
          lambda context: context.event.tid == context.event.pid),
    field("thread.cap_permitted", FieldType.TEXT, "permitted capabilities, joined by blanks",
          memoised("thread.cap_permitted",
                   _of_process(lambda process: capability_names(process.cap_permitted))), cost=9),
    field("thread.cap_effective", FieldType.TEXT, "effective capabilities, joined by blanks",
          memoised("thread.cap_effective",
                   _of_process(lambda process: capability_names(process.cap_effective))), cost=9),
    *_none("proc.is_exe_upper_layer proc.is_exe_lower_layer proc.is_exe_writable",
           FieldType.BOOL, "where the executable lies is not recorded"),
    *_none("proc.stdin.name proc.stdin.type proc.stdout.name proc.stdout.type proc.stderr.name "
           "proc.stderr.type", FieldType.TEXT, "open descriptors are not tracked"),
    *_none("proc.nchilds proc.nthreads proc.pidns_init_start_ts", FieldType.UINT64,
           "not recorded"),
    *_none("proc.exe_ino.ctime_duration_pidns_start", FieldType.ABSTIME, "not recorded"),
    *_none("thread.vtid", FieldType.INT64, "not recorded"),
    *_none("thread.cap_inheritable thread.cgroups", FieldType.TEXT, "not recorded"),
    unavailable("thread.cgroup", FieldType.TEXT, "not recorded", Argument.REQUIRED),
]  # fmt: skip
