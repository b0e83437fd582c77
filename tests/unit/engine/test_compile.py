"""Closures agree with a plain interpreter, whatever the condition and the event."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.engine import ir
from guard.engine.check import Checker
from guard.engine.compile import Compiler, compile_condition
from guard.engine.fields import Context
from guard.engine.fold import fold_call, fold_constants
from guard.engine.parser import parse_condition
from tests.unit.engine.events import CONSTANTS, make_event, make_process
from tests.unit.engine.interpreter import evaluate

PATHS = [
    "/etc/shadow",
    "/etc",
    "/home/dev/.ssh/id_rsa",
    "/home/dev/project/a.py",
    "/x//y/",
    "",
    "/",
]
NAMES = ["bash", "cat", "GIT", "sshd", ""]
WORDS = [*PATHS, *NAMES, "id_rsa", ".ssh", "a", "é", "/home/*/.ssh", "[a-g]*", "?at"]
TEXT_FIELDS = [
    "fd.name", "fd.directory", "fd.filename", "proc.name", "proc.pname", "proc.aname",
    "proc.aname[1]", "proc.args", "proc.args[0]", "guard.home_path", "guard.workspace_path",
    "evt.type", "evt.res", "evt.arg.flags", "user.name", "tolower(proc.name)",
    "basename(fd.name)", "guard.home", "proc.env[HOME]",
]  # fmt: skip
PLAIN_TEXT = [name for name in TEXT_FIELDS if name != "evt.type"]
RHS = ["val(proc.pname)", "basename(proc.exepath)", "val(guard.workspace)", 'concat("/e", "tc")']


def _quote(word: str) -> str:
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _list(words: list[str]) -> str:
    return f"({', '.join(map(_quote, words))})"


_word = st.sampled_from(WORDS)
_words = st.lists(_word, max_size=4)
_calls = st.lists(st.sampled_from(["openat", "open", "connect", "execve", "unlink"]), min_size=1)
_text_operator = st.sampled_from(
    ["=", "!=", "contains", "icontains", "startswith", "endswith", "glob", "iglob"]
)
_tests = st.one_of(
    st.builds(lambda f: f"{f} exists", st.sampled_from(TEXT_FIELDS)),
    st.builds(
        lambda f, o, w: f"{f} {o} {_quote(w)}", st.sampled_from(PLAIN_TEXT), _text_operator, _word
    ),
    st.builds(
        lambda f, o, m, w: f"{f} {o} {m} {_list(w)}",
        st.sampled_from(PLAIN_TEXT), _text_operator,
        st.sampled_from(["oneof", "anyof", "allof"]), _words,
    ),
    st.builds(
        lambda f, o, w: f"{f} {o} {_list(w)}",
        st.sampled_from(PLAIN_TEXT), st.sampled_from(["in", "intersects", "pmatch"]), _words,
    ),
    st.builds(
        lambda f, o, r: f"{f} {o} {r}",
        st.sampled_from(PLAIN_TEXT), st.sampled_from(["=", "!=", "contains", "<", ">="]),
        st.sampled_from(RHS),
    ),
    st.builds(
        lambda f, o, n: f"{f} {o} {n}",
        st.sampled_from(["evt.num", "user.uid", "fd.num", "evt.rawres", "fd.port", "fd.sport"]),
        st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), st.sampled_from([0, 1, 3, 443, 1000]),
    ),
    st.builds(lambda o, c: f"evt.type {o} {c}", st.sampled_from(["=", "!="]),
              st.sampled_from(["openat", "connect", "execve"])),
    st.builds(lambda c: f"evt.type in ({', '.join(c)})", _calls),
    st.builds(
        lambda f, o, a: f"{f} {o} {a}",
        st.sampled_from(["fd.ip", "fd.sip", "fd.cip"]), st.sampled_from(["=", "!="]),
        st.sampled_from(["1.2.3.4", "10.0.0.1", "::1"]),
    ),
    st.builds(
        lambda f, o, a: f"{f} {o} {a}",
        st.sampled_from(["fd.net", "fd.snet"]), st.sampled_from(["=", "!="]),
        st.sampled_from(["1.0.0.0/8", "::/0", "0.0.0.0/0"]),
    ),
    st.builds(lambda f, v: f"{f} = {v}", st.sampled_from(["evt.is_open_write", "evt.failed"]),
              st.sampled_from(["true", "false"])),
)  # fmt: skip
_conditions = st.recursive(
    _tests,
    lambda inner: st.one_of(
        st.builds(lambda a: f"not ({a})", inner),
        st.builds(lambda parts: "(" + " and ".join(parts) + ")", st.lists(inner, min_size=2)),
        st.builds(lambda parts: "(" + " or ".join(parts) + ")", st.lists(inner, min_size=2)),
    ),
    max_leaves=8,
)
_grandparent = st.none() | st.builds(make_process, name=st.sampled_from(NAMES))
_parents = st.none() | st.builds(make_process, name=st.sampled_from(NAMES), parent=_grandparent)
_processes = st.builds(
    make_process, name=st.sampled_from(NAMES), parent=_parents, uid=st.sampled_from([0, 1000]),
    argv=st.lists(st.sampled_from(NAMES), max_size=3), env=st.lists(st.sampled_from(["HOME=/etc"])),
)  # fmt: skip
_events = st.one_of(
    st.builds(
        make_event, st.just("file_open"), call=st.sampled_from(["open", "openat"]),
        path=st.sampled_from(PATHS), open_flags=st.sampled_from([0, 1, 2, 0o101]),
        res=st.sampled_from([3, -2]), fd=st.just(3),
    ),
    st.builds(make_event, st.just("file_unlink"), path=st.sampled_from(PATHS)),
    st.builds(make_event, st.just("process_exec"), path=st.sampled_from(PATHS)),
    st.builds(
        make_event, st.just("network_connect"), family=st.sampled_from([1, 2]),
        remote_addr=st.sampled_from(["1.2.3.4", "10.0.0.1"]), remote_port=st.just(443),
        protocol=st.just(6), fd=st.just(3), path=st.sampled_from(["", "/run/x", "\0x"]),
    ),
)  # fmt: skip


def typed(text: str) -> ir.Expr:
    checked = Checker().check(parse_condition(text))
    assert not checked.has_errors, (text, checked.problems)
    return checked.expr


@given(_conditions, _events, _processes)
@settings(max_examples=200, deadline=None)
def test_closure_equals_interpreter(text, event, process):
    condition = typed(text)
    expected = evaluate(condition, Context(event, process, CONSTANTS, 1))
    for form in (
        condition,
        fold_constants(condition, CONSTANTS),
        fold_call(condition, event.call),
    ):
        assert compile_condition(form)(Context(event, process, CONSTANTS, 1)) == expected


@given(st.lists(_conditions, min_size=2, max_size=4), _events, _processes)
@settings(max_examples=50, deadline=None)
def test_conditions_compiled_together_do_not_disturb_each_other(texts, event, process):
    conditions = [typed(text) for text in texts for _ in range(2)]
    compiler = Compiler(conditions)
    context = Context(event, process, CONSTANTS, 1)
    for condition in conditions:
        expected = evaluate(condition, Context(event, process, CONSTANTS, 1))
        assert compiler.compile(condition)(context) == expected


def test_a_shared_subtree_is_computed_once_per_event():
    condition = typed("proc.aname = sshd and proc.cmdline contains x")
    context = Context(make_event("process_exit"), make_process(), CONSTANTS)
    matches = Compiler([condition, ir.Not(condition)]).compile(condition)
    assert not matches(context)
    remembered = [key for key in context.cache if isinstance(key, int)]
    assert len(remembered) == 1


@pytest.mark.parametrize("depth", [2, 140])
def test_deep_conditions_evaluate(depth):
    text = "proc.name = a"
    for level in range(depth):
        joiner = "and" if level % 2 else "or"
        text = f"(proc.name = b{level} {joiner} {text})"
    context = Context(make_event("process_exit"), make_process(name="zsh"), CONSTANTS)
    condition = typed(text)
    assert compile_condition(condition)(context) == evaluate(condition, context)
