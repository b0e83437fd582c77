"""Every field has a value of its type, or none, for every event; and the facts of Falco hold."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest

from guard.engine.event_names import CAPTURED
from guard.engine.fields import FIELDS, Argument, Context, FieldType, Flag, Many, lookup
from guard.engine.fields.parameter_table import BY_NAME, OTHER_NAMES, PARAMETERS
from guard.engine.fields.registry import FALCO_ONLY
from guard.event import CALLS, EVENT_CLASSES
from tests.unit.engine.events import CONSTANTS, make_event, make_process

PYTHON_TYPES = {
    FieldType.TEXT: str, FieldType.BYTES: bytes, FieldType.BOOL: bool, FieldType.LIST: tuple,
    FieldType.ADDRESS: (IPv4Address, IPv6Address), FieldType.NETWORK: (IPv4Address, IPv6Address),
}  # fmt: skip
CONTEXTS = [
    Context(
        make_event(cls.kind, call=call, res=res, verdict=verdict, **members),
        make_process(parent={"name": "sh", "parent": {"name": "init"}}, argv=("a", "b c")),
        CONSTANTS,
    )
    for cls in EVENT_CLASSES
    for call in CALLS[cls.kind]
    for res, verdict in ((0, 0), (-2, 0), (-13, 1))
    for members in (
        [{"family": family} for family in (1, 2, 10)] if hasattr(cls, "family") else [{}]
    )
]


def value(name, context, argument=None):
    definition = lookup(name)
    assert definition is not None
    return definition.extract(context, argument)


def context(kind, process=None, **members):
    return Context(make_event(kind, **members), make_process(**(process or {})), CONSTANTS)


def test_every_field_has_its_type_for_every_event():
    names = [*FIELDS, *(f"evt.arg.{name}" for name in BY_NAME)]
    names += [f"evt.rawarg.{name}" for name in BY_NAME if lookup(f"evt.rawarg.{name}")]
    for name in names:
        definition = lookup(name)
        argument = "0" if definition.argument is Argument.REQUIRED else None
        get = definition.bind(argument)
        expected = PYTHON_TYPES.get(definition.type, int)
        for each in CONTEXTS:
            found = get(each)
            if found is None:
                continue
            assert Flag.UNAVAILABLE not in definition.flags
            items = found if definition.has_many(argument) else (found,)
            assert all(isinstance(item, expected) for item in items), (name, each.event, found)


def test_every_field_is_documented_and_called_by_its_family():
    families = {"evt", "syscall", "proc", "thread", "user", "group", "fd", "fs", "guard", "agent",
                "container", "k8s"}  # fmt: skip
    for name, definition in FIELDS.items():
        assert definition.name == name
        assert definition.doc
        assert name.partition(".")[0] in families
    assert not FALCO_ONLY & set(FIELDS)


def test_parameters_belong_to_captured_calls_and_names_are_either_known_or_other():
    assert set(PARAMETERS) <= CAPTURED
    assert not OTHER_NAMES & set(BY_NAME)
    for call, parameters in PARAMETERS.items():
        names = [parameter.name for parameter in parameters]
        assert len(names) == len(set(names)), call


@pytest.mark.parametrize(
    ("kind", "members", "expected"),
    [
        ("file_open", {"path": "/home/dev/.ssh/k"}, ("/home/dev/.ssh/k", ".ssh/k", None)),
        ("file_open", {"path": "/home/dev/project/a"}, ("/home/dev/project/a", "project/a", "a")),
        ("file_open", {"path": "/home/dev"}, ("/home/dev", "", None)),
        ("file_open", {"path": "/home/developer/x"}, ("/home/developer/x", None, None)),
        ("file_rename", {"path": "/a", "new_path": "/home/dev/b"}, ("/home/dev/b", "b", None)),
        ("process_exec", {"path": "/usr/bin/git"}, ("/usr/bin/git", None, None)),
        ("network_connect", {"family": 1, "path": "/run/x"}, ("/run/x", None, None)),
        ("network_connect", {"family": 1, "path": "\0x"}, (None, None, None)),
        ("network_connect", {"family": 2}, (None, None, None)),
        ("process_fork", {}, (None, None, None)),
    ],
)  # fmt: skip
def test_guard_path(kind, members, expected):
    each = context(kind, **members)
    names = ("guard.path", "guard.home_path", "guard.workspace_path")
    assert tuple(value(name, each) for name in names) == expected


def test_guard_source_path_is_the_old_path():
    each = context("file_rename", path="/home/dev/project/a", new_path="/tmp/b")
    names = ("guard.source_path", "guard.source_home_path", "guard.source_workspace_path")
    assert [value(name, each) for name in names] == ["/home/dev/project/a", "project/a", "a"]
    assert value("guard.source_path", context("file_open", path="/a")) is None


@pytest.mark.parametrize(
    ("kind", "members", "expected"),
    [
        ("file_open", {"path": "/etc/passwd", "fd": 3},
         {"name": "/etc/passwd", "directory": "/etc", "filename": "passwd", "num": 3,
          "typechar": "f", "type": "file", "l4proto": None, "sip": None}),
        ("file_open", {"path": "/x", "fd": 3}, {"directory": "/", "filename": "x"}),
        ("file_open", {"path": "/etc", "fd": 3, "file_mode": 0o40755},
         {"typechar": "d", "directory": "/etc", "filename": None}),
        ("file_open", {"path": "/tmp/#1", "fd": 3, "file_mode": 0o100600, "open_flags": 0o20200002},
         {"typechar": "f", "type": "file", "filename": "#1"}),
        ("file_open", {"path": "/tmp", "res": -13, "verdict": 1, "open_flags": 0o20200002},
         {"typechar": "f", "type": "file"}),
        ("file_open", {"path": "/tmp", "res": -13, "verdict": 1, "open_flags": 0o200000},
         {"typechar": "d", "type": "directory"}),
        ("file_open", {"path": "/etc/no", "res": -2},
         {"name": "/etc/no", "directory": "/etc", "filename": None, "type": None,
          "typechar": "f", "num": -1}),
        ("file_open", {"path": "/etc/no", "res": -13, "verdict": 1},
         {"name": "/etc/no", "filename": "no", "type": "file", "num": -1}),
        ("file_unlink", {"path": "/x", "call": "unlink"}, {"name": None, "num": None}),
        ("file_unlink", {"path": "/x", "call": "unlinkat", "dirfd": 5},
         {"name": "", "num": 5, "type": None}),
        ("network_connect",
         {"family": 2, "local_addr": "10.0.0.5", "local_port": 4000, "remote_addr": "1.2.3.4",
          "remote_port": 443, "protocol": 6, "type": 1, "fd": 7},
         {"name": "10.0.0.5:4000->1.2.3.4:443", "type": "ipv4", "typechar": "4", "num": 7,
          "l4proto": "tcp", "sip": IPv4Address("1.2.3.4"), "sport": 443, "cport": 4000,
          "rip": IPv4Address("1.2.3.4"), "lport": 4000, "sproto": "https", "connected": True,
          "is_server": False, "sockfamily": "ip", "directory": None}),
        ("network_accept",
         {"family": 10, "local_addr": "::1", "local_port": 80, "remote_addr": "::2",
          "remote_port": 9, "res": 8, "protocol": 262, "type": 1},
         {"name": "::2:9->::1:80", "sport": 80, "cport": 9, "lport": 80, "rport": 9, "num": 8,
          "l4proto": "tcp", "is_server": True, "typechar": "6"}),
        ("network_listen", {"family": 2, "local_addr": "0.0.0.0", "local_port": 80, "fd": 3},
         {"name": "0.0.0.0:80", "sport": 80, "cip": None, "rip": None}),
        ("network_send", {"family": 2, "remote_addr": "8.8.8.8", "remote_port": 53, "type": 2,
                          "protocol": 17},
         {"l4proto": "udp", "connected": False, "name_changed": True, "sport": 53}),
        ("network_connect", {"family": 1, "path": "/run/x"},
         {"name": "/run/x", "type": "unix", "sip": None, "sockfamily": "unix", "l4proto": None}),
        ("network_connect", {"family": 1, "path": "\0x"}, {"name": "@x"}),
        ("fd_dup", {"family": 2, "remote_addr": "1.2.3.4", "remote_port": 9, "fd": 5, "new_fd": 0},
         {"type": "ipv4", "rport": 9, "sip": None, "num": 0, "name": "0.0.0.0:0->1.2.3.4:9"}),
        ("memfd_create", {"name": "x", "res": 3}, {"typechar": "m", "name": "x", "num": 3}),
    ],
)  # fmt: skip
def test_fd_fields(kind, members, expected):
    each = context(kind, **members)
    assert {name: value(f"fd.{name}", each) for name in expected} == expected


def test_two_ended_fields_have_both_ends_and_exist_for_any_descriptor():
    connect = context("network_connect", family=2, remote_addr="1.2.3.4", remote_port=443)
    assert value("fd.ip", connect) == (IPv4Address("0.0.0.0"), IPv4Address("1.2.3.4"))
    assert value("fd.port", connect) == (0, 443)
    assert value("fd.ip", context("file_open", path="/x")) == ()
    assert value("fd.ip", context("file_unlink", path="/x")) is None


def test_process_fields():
    chain = {"name": "claude", "pid": 10, "sid": 10, "argv": ("claude", "-p"),
             "parent": {"name": "sshd", "pid": 5, "sid": 5}}  # fmt: skip
    each = context(
        "file_open", {"name": "cat", "argv": ("/bin/cat", "-n", "x y"), "parent": chain, "sid": 10,
                      "pid": 20, "cap_effective": 0b11, "env": ("A=1", "B=2"),
                      "start_ns": 1_000, "exec_flags": 1},
        path="/x", time_ns=CONSTANTS.boot_time_ns + 5_000,
    )  # fmt: skip
    expected = {
        "proc.name": "cat", "proc.pname": "claude", "proc.exe": "/bin/cat", "proc.pexe": "claude",
        "proc.args": "-n x y", "proc.cmdline": "cat -n x y", "proc.exeline": "/bin/cat -n x y",
        "proc.pcmdline": "claude -p", "proc.cwd": "/home/dev/project/", "proc.ppid": 10,
        "proc.aname": ("claude", "sshd"), "proc.sname": "claude", "proc.cmdnargs": 2,
        "proc.cmdlenargs": 5, "proc.env": "A=1 B=2", "proc.duration": 4_000,
        "proc.is_exe_from_memfd": True, "thread.cap_effective": "CAP_CHOWN CAP_DAC_OVERRIDE",
        "thread.cap_permitted": "", "proc.aargs": "-p ",
    }  # fmt: skip
    assert {name: value(name, each) for name in expected} == expected
    indexed = {
        ("proc.aname", "0"): "cat", ("proc.aname", "2"): "sshd", ("proc.aname", "3"): None,
        ("proc.args", "0"): "-n", ("proc.args", "1"): "x y", ("proc.args", "2"): None,
        ("proc.env", "B"): "2", ("proc.env", "C"): "", ("proc.aenv", "C"): "",
    }  # fmt: skip
    assert {key: value(key[0], each, key[1]) for key in indexed} == indexed


def test_a_process_without_parent_has_no_parent_fields():
    each = context("file_open", path="/x")
    assert [value(name, each) for name in ("proc.pname", "proc.pcmdline", "proc.ppid")] == [
        None
    ] * 3
    assert value("proc.aname", each) == ()


@pytest.mark.parametrize(
    ("kind", "members", "name", "expected"),
    [
        ("file_open", {"path": "/x", "open_flags": 0o1101}, "flags", "O_TRUNC|O_CREAT|O_WRONLY"),
        ("file_open", {"path": "/x", "open_flags": 0o2000000}, "flags", "O_RDONLY|O_CLOEXEC"),
        ("file_open", {"path": "/x", "mode": 0o644}, "mode", "0644"),
        ("file_open", {"path": "/etc/passwd", "fd": 3}, "fd", "<f>/etc/passwd"),
        ("file_open", {"call": "openat", "path": "/x"}, "dirfd", "AT_FDCWD"),
        ("file_open", {"path": "/etc/x", "name": "/etc/../etc/x"}, "name", "/etc/../etc/x"),
        ("file_open", {"path": "/r/a", "name": "../a"}, "name", "/home/dev/a"),
        ("file_open", {"call": "openat", "dirfd": 4, "path": "/r/a", "name": "a"}, "name", "/r/a"),
        ("file_open", {"path": "/x"}, "target", None),
        ("file_chmod", {"path": "/x", "mode": 0o4755}, "mode",
         "S_IXOTH|S_IROTH|S_IXGRP|S_IRGRP|S_IXUSR|S_IWUSR|S_IRUSR|S_ISUID"),
        ("file_unlink", {"call": "unlinkat", "path": "/x", "unlink_flags": 512}, "flags",
         "AT_REMOVEDIR"),
        ("file_symlink", {"path": "/l", "target": "/etc/shadow"}, "target", "/etc/shadow"),
        ("file_rename", {"path": "/a", "new_path": "/b", "name": "/a", "new_name": "/b"},
         "newpath", "/b"),
        ("process_setuid", {"arg_id": 0}, "uid", "root"),
        ("process_setuid", {"arg_id": 1000}, "uid", "dev"),
        ("process_setuid", {"arg_id": 4242}, "uid", "<NA>"),
        ("process_setuid", {"arg_id": 0xFFFFFFFF}, "uid", "<NONE>"),
        ("process_ptrace", {"request": 4}, "request", "PTRACE_POKETEXT"),
        ("process_ptrace", {"request": 0x4206}, "request", "PTRACE_SEIZE"),
        ("process_signal", {"signal": 9}, "sig", "SIGKILL"),
        ("process_namespace", {"ns_flags": 0x10000000}, "flags", "CLONE_NEWUSER"),
        ("kernel_bpf", {"cmd": 5}, "cmd", "BPF_PROG_LOAD"),
        ("process_exec", {"argv": ("ls", "-l", "a b")}, "args", "-l a b"),
        ("process_exec", {"argv": ()}, "exe", "<NA>"),
        ("file_mkdir", {"path": "/d", "res": -17}, "res", "EEXIST"),
        ("mount_change", {"path": "/m", "mount_flags": 4096}, "flags", "BIND"),
    ],
)  # fmt: skip
def test_evt_arg(kind, members, name, expected):
    assert value(f"evt.arg.{name}", context(kind, **members)) == expected


def test_evt_args_writes_raw_values_and_what_they_mean():
    each = context(
        "file_open", call="openat", path="/etc/passwd", fd=3, open_flags=0o2000000, inode=9
    )
    assert value("evt.args", each) == (
        "fd=3(<f>/etc/passwd) dirfd=-100(AT_FDCWD) name=/etc/passwd "
        "flags=4097(O_RDONLY|O_CLOEXEC) mode=0 dev=0 ino=9"
    )
    assert value("evt.arg", each, "1") == "AT_FDCWD"
    assert value("evt.arg", each, "99") is None


@pytest.mark.parametrize(
    ("call", "members", "expected"),
    [
        ("openat", {"open_flags": 0}, (True, False, False, False)),
        ("openat", {"open_flags": 1}, (False, True, False, False)),
        ("openat", {"open_flags": 0o10000000}, (False, False, False, False)),
        ("openat", {"open_flags": 0o10000002}, (False, False, False, False)),
        ("pidfd_getfd", {"open_flags": 2}, (True, True, False, False)),
        ("openat", {"open_flags": 2, "res": -2}, (True, True, False, False)),
        ("openat", {"open_flags": 0o101, "mode": 0o755, "created": 1}, (False, True, True, True)),
        ("creat", {"open_flags": 0o1101, "mode": 0o755, "created": 1}, (False, False, True, True)),
    ],
)
def test_is_open(call, members, expected):
    each = context("file_open", call=call, path="/x", **members)
    names = ("read", "write", "create", "exec")
    assert tuple(value(f"evt.is_open_{name}", each) for name in names) == expected


def test_is_open_is_false_and_not_missing_elsewhere():
    assert value("evt.is_open_write", context("file_unlink", path="/x")) is False


def test_results():
    failed = context("file_unlink", path="/x", res=-2)
    assert [value(f"evt.{name}", failed) for name in ("res", "rawres", "failed")] == [
        "ENOENT", -2, True,
    ]  # fmt: skip
    assert value("evt.res", context("file_unlink", path="/x")) == "SUCCESS"
    assert value("evt.res", context("process_exit")) is None


@pytest.mark.parametrize(
    ("kind", "members", "expected"),
    [
        ("file_open", {"path": "/x", "fd": 3}, ("/x", None, None)),
        ("file_open", {"path": "/x", "res": -2}, (None, None, None)),
        ("file_rename", {"path": "/a", "new_path": "/b"}, (None, "/a", "/b")),
        ("file_link", {"path": "/a", "new_path": "/b"}, (None, "/b", "/a")),
        ("file_symlink", {"path": "/l", "target": "x"}, (None, "/l", "/home/dev/project/x")),
        ("mount_change", {"source": "/dev/sda", "path": "/m"}, (None, "/dev/sda", "/m")),
        ("process_exec", {"path": "/bin/ls"}, (None, None, None)),
    ],
)
def test_fs_path(kind, members, expected):
    each = context(kind, **members)
    names = ("name", "source", "target")
    assert tuple(value(f"fs.path.{name}", each) for name in names) == expected


def test_time_fields():
    each = context("process_exit", time_ns=1_470_327_477_881_781_397)
    assert value("evt.time.iso8601", each) == "2016-08-04T16:17:57.881781397+0000"
    assert value("evt.rawtime.ns", each) == 881_781_397


def test_ancestor_fields_stand_for_many_only_without_index():
    definition = lookup("proc.aname")
    assert definition.many is Many.ANCESTORS
    assert definition.has_many(None)
    assert not definition.has_many("1")
