"""Lowering: the kernel plan means what the rules mean."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from guard.alert import Action
from guard.engine import kernel_plan
from guard.engine.compile import compile_condition
from guard.engine.fields import Context
from guard.engine.kernel_plan import (
    FIRST_BIT,
    MAX_TERMS,
    NameMatch,
    OperationBit,
    TermAction,
)
from guard.engine.lower import RULE_LIMIT, lower
from guard.event import CALLS
from tests.unit.engine.kernel_model import KernelModel
from tests.unit.engine.lowering import CONSTANTS, event, policy, process, rule

POLICY_H = Path(__file__).parents[3] / "guard" / "bpf" / "policy.h"

PATHS = [
    "/", "/x", "/etc", "/etc/passwd", "/etc/cron", "/etc/cron.d/job", "/etc/conf.d/a.pem",
    "/home/ann", "/home/ann/.ssh", "/home/ann/.ssh/id_rsa", "/home/ann/id_rsa", "/home/annex/y",
    "/home/ann/work", "/home/ann/work/.env", "/home/ann/work/src/.env", "/.env",
    "/home/ann/.bashrc", "/usr/bin/git", "/usr/bin/sudo", "/tmp/a.pem",
]  # fmt: skip
VALUES = [
    *PATHS, "/etc/", "/home/", "/etc/c", "/home/ann/.", ".pem", "/.env", "/id_rsa", "/.ssh/id_rsa",
    "etc", "", "/etc//passwd", "/etc/.", "*.pem", "*/.env", "**/.env", "/etc/*", "/etc/*.pem",
    "/home/*/.env", "/etc/c*b", "*a*b", "/e?c", "id_rsa", ".ssh", ".env", "work", "src/", "git",
    "sudo", ".ssh/", "work/*/.env", "x*", "*", "/",
]  # fmt: skip
TEXT_FIELDS = [
    "fd.name", "fd.directory", "fd.filename", "guard.path", "guard.home_path",
    "guard.workspace_path", "guard.source_path", "fs.path.name", "fs.path.source",
    "fs.path.target", "proc.name", "proc.pname", "proc.aname", "proc.aname[1]", "proc.aname[2]",
    "proc.exepath", "proc.pexepath", "proc.aexepath", "proc.cmdline",
]  # fmt: skip
O_PATH, O_TMPFILE = 0o10000000, 0o20200002
OPERATORS = ["=", "!=", "startswith", "endswith", "contains", "glob", "in", "pmatch"]
OTHERS = [
    "evt.type = openat", "evt.type != unlinkat", "evt.type in (open, rename, connect, fchmod)",
    "evt.is_open_read = true", "evt.is_open_write = false", "evt.is_open_write = true",
    "evt.rawres >= 0", "evt.rawres < 0", "evt.rawres = 0", "evt.rawres != -2", "evt.failed = true",
    "evt.res = SUCCESS", "evt.res != SUCCESS", "evt.res = ENOENT", "evt.num > 0", "evt.num = 0",
    "fd.num >= 0", "fd.num = -1", "fd.num = 3", "fd.num != -1", "fd.typechar = f",
    "fd.typechar in (4, 6)", "fd.typechar != u", "fd.type = file", "fd.type in (directory, ipv4)",
    "fd.sockfamily = ip", "fd.l4proto = tcp", "fd.l4proto != tcp", "fd.l4proto in (udp, raw)",
    "fd.sip = 10.0.0.1", "fd.sip != 10.0.0.1", "fd.snet in (10.0.0.0/8, fd00::/8)",
    "fd.rip = fd00::1", "fd.lip = 10.0.0.1", "fd.cip = 10.0.0.1", "fd.ip = 10.0.0.1",
    "fd.net = 10.0.0.0/8", "fd.sport = 443", "fd.sport != 443", "fd.rport in (443, 80)",
    "fd.lport = 443", "fd.cport = 443", "fd.port = 443", "fd.sport > 400", "fd.sip exists",
    "fd.name exists", "guard.path exists", "guard.home_path exists",
    "guard.workspace_path exists", "guard.target_guarded = true", "guard.target_guarded = false",
    "proc.is_exe_from_memfd = true", "proc.pname exists", "user.uid = 0",
    "fd.name startswith anyof (/etc/, /home/)", "fd.name endswith oneof (.pem, pem)",
    "guard.path != allof (/x, /etc)", "fs.path.name exists", "fd.directory exists",
    "fd.filename exists", "proc.is_exe_upper_layer = true", "evt.dir = <",
]  # fmt: skip


def quoted(value: str) -> str:
    return f'"{value}"'


@st.composite
def comparisons(draw):
    if draw(st.booleans()):
        return draw(st.sampled_from(OTHERS))
    field = draw(st.sampled_from(TEXT_FIELDS))
    operator = draw(st.sampled_from(OPERATORS))
    if operator in {"in", "pmatch"}:
        items = draw(st.lists(st.sampled_from(VALUES), min_size=1, max_size=3))
        return f"{field} {operator} ({', '.join(map(quoted, items))})"
    return f"{field} {operator} {quoted(draw(st.sampled_from(VALUES)))}"


conditions = st.recursive(
    comparisons(),
    lambda inner: st.one_of(
        inner.map("not ({})".format),
        st.lists(inner, min_size=2, max_size=3).map(lambda items: f"({' and '.join(items)})"),
        st.lists(inner, min_size=2, max_size=3).map(lambda items: f"({' or '.join(items)})"),
    ),
    max_leaves=6,
)

programs = st.sampled_from(["/usr/bin/git", "/usr/bin/sudo", "/tmp/a.pem", "/x"])


@st.composite
def processes(draw):
    found = None
    for path in draw(st.lists(programs, min_size=1, max_size=4)):
        found = process(path, found)
    return found


@st.composite
def events(draw):
    kind = draw(
        st.sampled_from([
            "file_open", "file_unlink", "file_rename", "file_link", "file_symlink", "file_chmod",
            "file_chown", "file_truncate", "file_mkdir", "process_exec", "process_exit",
            "process_chdir", "process_ptrace", "network_connect", "network_bind",
            "network_listen", "network_accept", "network_send", "fd_dup", "mount_change",
            "kernel_module", "memfd_create",
        ])
    )  # fmt: skip
    call = draw(st.sampled_from(CALLS[kind]))
    values: dict[str, object] = {"call": call, "res": draw(st.sampled_from([0, 3, -2, -13]))}
    path = draw(st.sampled_from(PATHS))
    if kind.startswith("network") or kind == "fd_dup":
        family = draw(st.sampled_from([1, 2, 10, 16]))
        addresses = [bytes((10, 0, 0, 1)) + bytes(12), b"\xfd" + bytes(14) + b"\1", bytes(16)]
        if family != 1:
            path = ""
        values |= {
            "family": family,
            "type": draw(st.sampled_from([1, 2])),
            "protocol": draw(st.sampled_from([6, 17, 1])) if family in {2, 10} else 0,
            "local_addr": draw(st.sampled_from(addresses)),
            "remote_addr": draw(st.sampled_from(addresses)),
            "local_port": draw(st.sampled_from([443, 22])),
            "remote_port": draw(st.sampled_from([443, 22])),
        }
        if kind == "network_accept":
            values["res"] = 4
        elif kind == "network_connect":
            values["res"] = draw(st.sampled_from([0, -111, -115]))
    if kind in {"process_exec", "process_chdir"}:
        values["res"] = 0
    if kind not in {"process_exit", "process_ptrace", "memfd_create"}:
        values["path"] = path
    if kind in {"file_rename", "file_link"}:
        values["new_path"] = draw(st.sampled_from(PATHS))
    if kind in {"file_chmod", "file_chown", "file_truncate"}:
        values["fd"] = 3 if call[0] == "f" and not call.endswith(("at", "at2")) else -1
    if kind == "file_open":
        is_directory = path in {"/", "/etc", "/home/ann"}
        values |= {
            "open_flags": draw(st.sampled_from([0, 1, 2, 0o10000000, 0o200000, 0o20200002])),
            "fd": values["res"] if values["res"] >= 0 else -1,
            "file_mode": 0o040755 if is_directory else 0o100644,
        }
    if kind == "process_ptrace":
        values["target_guarded"] = draw(st.integers(0, 1))
    if kind == "process_exec":
        values["exec_flags"] = draw(st.integers(0, 1))
    return event(kind, **values)


@settings(max_examples=300, deadline=None)
@example('fd.name pmatch ("*")', event("file_open", path="/x"), process())
@example('proc.aexepath glob "*"', event("process_exit"), process())
@example("not evt.is_open_read = true", event("file_open", path="/x", open_flags=O_PATH), process())
@example(
    "fd.typechar = f",
    event("file_open", path="/x", open_flags=O_TMPFILE, file_mode=0o100600),
    process(),
)
@example("evt.rawres < 0", event("network_connect", res=-115, family=2), process())
@given(conditions, events(), processes())
def test_the_kernel_decides_as_user_space_does(condition, event, process):
    """A kill in the kernel is a match; a match is at least reported."""
    if event.kind == "process_exec":
        process = type(process)(**{
            **{name: getattr(process, name) for name in process.__slots__},
            "exepath": event.path, "name": event.path.rpartition("/")[2][:15],
            "exec_flags": event.exec_flags,
        })  # fmt: skip
    rules = policy((condition, Action.KILL))
    plan = lower(rules, CONSTANTS)
    matches = compile_condition(rules.rules[0].condition)(Context(event, process, CONSTANTS))

    term = KernelModel(plan).decide(event, process)

    assert matches <= (term is not None), plan
    if term is not None and term.action is TermAction.KILL:
        assert matches, plan


def test_the_numbers_are_those_of_policy_h():
    text = re.sub(r"/\*.*?\*/", "", POLICY_H.read_text(), flags=re.DOTALL)

    def enum(name):
        body = re.search(rf"enum {name} {{(.*?)}}", text, re.DOTALL)[1]
        values, following = {}, 0
        for item in filter(None, map(str.strip, body.split(","))):
            word, _, value = item.partition(" = ")
            following = int(value) if value else following
            values[word] = following
            following += 1
        return values

    limits = enum("policy_limit")
    assert {f"BIT_{bit.name}": bit.value for bit in OperationBit} == enum("operation_bit")
    assert {f"ACTION_{one.name}": one.value for one in TermAction} == enum("policy_action")
    assert {f"NAME_{one.name}": one.value for one in NameMatch} == enum("name_match")
    for name, limit in {
        "WORDS": "POLICY_WORDS",
        "OBJECT_WORDS": "POLICY_OBJECT_WORDS",
        "PROGRAM_WORD": "POLICY_PROGRAM_WORD",
        "PARENT_WORD": "POLICY_PARENT_WORD",
        "ANCESTOR_WORD": "POLICY_ANCESTOR_WORD",
        "FIRST_BIT": "POLICY_FIRST_BIT",
        "MAX_TERMS": "POLICY_MAX_TERMS",
        "MAX_EDGES": "POLICY_MAX_EDGES",
        "NAME_MAX": "POLICY_NAME_MAX",
        "PREFIX_MAX": "POLICY_PREFIX_MAX",
    }.items():
        assert getattr(kernel_plan, name) == limits[limit]


def test_equal_predicates_share_a_bit():
    plan = lower(
        policy(
            "evt.type = open and fd.name in (/a, /b)",
            "evt.type = unlink and guard.path in (/b, /a)",
        ),
        CONSTANTS,
    )

    places = [p for p in plan.predicates if p.predicate.family is kernel_plan.Family.PATH]
    assert len(places) == 1
    assert plan.path_mask[0] == 1 << places[0].bit


def test_a_program_has_one_bit_for_itself_parent_and_ancestors():
    plan = lower(
        policy("evt.type in (execve, execveat) and proc.name=a and proc.pname=a and proc.aname=a"),
        CONSTANTS,
    )

    (term,) = plan.terms["process_exec"]
    assert term.must == (0, 0, 0, 1, 1, 1)


def test_what_decides_stands_before_what_only_reports():
    """An alert or a superset must never hide a denial that comes later."""
    plan = lower(
        policy(
            ("evt.type = open", Action.ALERT),
            ("evt.type = open and fd.name = /a and user.uid = 0", Action.KILL),
            ("evt.type = open and fd.name = /a", Action.DENY),
            ("evt.type = open and fd.name = /b", Action.KILL),
        ),
        CONSTANTS,
    )

    actions = [(term.action, term.rule) for term in plan.terms["file_open"]]
    assert actions == [(TermAction.DENY, 2), (TermAction.KILL, 3), (TermAction.OBSERVE, 0)]


def test_kinds_whose_denials_need_a_path_fail_closed():
    plan = lower(
        policy(
            ("evt.type = open and fd.name = /a", Action.DENY),
            ("evt.type = unlink and guard.path = /a", Action.ALERT),
            ("evt.type = ptrace", Action.KILL),
        ),
        CONSTANTS,
    )

    assert plan.fail_closed == {"file_open"}


def test_too_many_alternatives_widen_a_kill_and_refuse_a_denial():
    pairs = " and ".join(
        f"(fd.name = /{letter} or evt.is_open_write = true and proc.name = {letter})"
        for letter in "abcdefgh"
    )
    condition = f"evt.type = open and {pairs}"

    killing = lower(policy((condition, Action.KILL)), CONSTANTS)
    denying = lower(policy((condition, Action.DENY)), CONSTANTS)

    assert len(killing.terms["file_open"]) <= RULE_LIMIT
    assert all(term.action is TermAction.WAKE for term in killing.terms["file_open"])
    assert not killing.diagnostics
    assert "too many alternatives" in denying.diagnostics[0].message


def test_alerts_are_widened_when_a_kind_has_too_many_terms():
    many = [
        " or ".join(
            f"(evt.type = open and fd.name = /{n} and fd.filename = {n}{i})" for i in range(20)
        )
        for n in range(60)
    ]

    plan = lower(policy(*many), CONSTANTS)

    assert not plan.diagnostics
    assert 0 < len(plan.terms["file_open"]) <= MAX_TERMS


def test_alerts_lose_comparisons_before_denials_do():
    alerts = [f"evt.type = open and fd.name = /{n}" for n in range(200)]
    deny = ("evt.type = open and fd.name = /secret", Action.DENY)

    plan = lower(policy(*alerts, deny), CONSTANTS)

    assert not plan.diagnostics
    assert plan.rules[200].kinds[0].is_exact
    assert max(placed.bit for placed in plan.predicates) < 192
    assert min(placed.bit for placed in plan.predicates) >= FIRST_BIT
    assert "more comparisons than the kernel has bits" in plan.rules[199].residue[0].reason


def test_denials_beyond_the_bits_are_refused():
    rules = [(f"evt.type = open and fd.name = /{n}", Action.DENY) for n in range(200)]

    plan = lower(policy(*rules), CONSTANTS)

    assert plan.diagnostics
    assert "bits" in plan.diagnostics[0].message


def test_a_refusal_names_the_rule_the_clause_and_a_way_out():
    plan = lower(policy(("evt.type = open and fd.name contains key", Action.DENY)), CONSTANTS)

    (diagnostic,) = plan.diagnostics
    assert "`fd.name contains key`" in diagnostic.message
    assert "rule `rule 0`" in diagnostic.item
    assert "action: kill" in diagnostic.help


@pytest.mark.parametrize("kind", CALLS)
def test_every_kind_can_be_observed(kind):
    plan = lower(policy(f"evt.type = {CALLS[kind][0]}"), CONSTANTS)

    assert set(plan.terms) == {kind}


def test_a_plan_does_not_depend_on_the_order_of_sets():
    conditions = [
        "evt.type in (open, unlink) and guard.path in (/a, /b, /c) and proc.name in (x, y)"
    ]

    first, second = (lower(policy(*conditions), CONSTANTS) for _ in range(2))

    assert first == second
    assert rule(conditions[0]).calls == {"open", "unlink"}
