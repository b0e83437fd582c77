"""Names, operators and values are checked; every mistake has a code and a place."""

from __future__ import annotations

import pytest

from guard.engine import ir
from guard.engine.check import OPERATORS, Checker
from guard.engine.diagnostics import Code
from guard.engine.fields import FieldType
from guard.engine.fold import fold_constants
from guard.engine.parser import parse_condition
from tests.unit.engine.events import CONSTANTS

REJECTED = [
    ("fd.nam = x", Code.UNKNOWN_FIELD, "fd.nam", "did you mean"),
    ("proc.vmrss > 3", Code.UNKNOWN_FIELD, "proc.vmrss", "Falco has this field"),
    ("evt.arg.nam = x", Code.UNKNOWN_FIELD, "evt.arg.nam", "did you mean `evt.arg.name`"),
    ("evt.rawarg.flags = 1", Code.UNKNOWN_FIELD, "evt.rawarg.flags", "evt.arg.flags"),
    ("evt.arg = x", Code.FIELD_ARGUMENT, "evt.arg", "write `evt.arg[…]`"),
    ("fd.name[1] = x", Code.FIELD_ARGUMENT, "fd.name[1]", "write `fd.name` alone"),
    ("proc.aname[x] = y", Code.FIELD_ARGUMENT, "proc.aname[x]", ""),
    ("user.uid startswith 1", Code.UNFIT_OPERATOR, "startswith", "`=`"),
    ("fd.sip startswith 1", Code.UNFIT_OPERATOR, "startswith", "`=`"),
    ("evt.failed contains t", Code.UNFIT_OPERATOR, "contains", ""),
    ("proc.name bcontains ab", Code.UNFIT_OPERATOR, "bcontains", ""),
    ("user.uid = root", Code.BAD_VALUE, "root", ""),
    ("user.uid = -1", Code.BAD_VALUE, "-1", "values are 0 to"),
    ("fd.sport = 65536", Code.BAD_VALUE, "65536", ""),
    ("fd.sport = nonsense", Code.BAD_VALUE, "nonsense", ""),
    ("evt.failed = yes", Code.BAD_VALUE, "yes", ""),
    ("fd.sip = 1.2.3", Code.BAD_VALUE, "1.2.3", ""),
    ("fd.sip = 1.2.3.0/24", Code.BAD_VALUE, "1.2.3.0/24", "`net`"),
    ("fd.snet in (10.0.0.0/8, 1.2.3.4)", Code.BAD_VALUE, "1.2.3.4", "/32"),
    ('proc.name = "a\\x00b"', Code.BAD_VALUE, '"a\\x00b"', ""),
    ('proc.name regex "(a"', Code.BAD_REGEX, '"(a"', "RE2"),
    ('proc.name regex "a\\\\d"', Code.BAD_REGEX, '"a\\\\d"', "RE2"),
    ("evt.type = opennat", Code.UNKNOWN_EVENT, "opennat", "did you mean `openat`?"),
    ("evt.type in (open, nix)", Code.UNKNOWN_EVENT, "nix", ""),
    ("evt.type = val(proc.name)", Code.BAD_VALUE, "val(proc.name)", "when it is loaded"),
    ("proc.name = val(proc.aname)", Code.BAD_VALUE, "proc.aname", "several values"),
    ("user.uid = val(proc.name)", Code.BAD_VALUE, "val(proc.name)", "same type"),
    ("len(proc.name) = val(proc.pid)", Code.BAD_VALUE, "val(proc.pid)", "same type"),
    ("proc.name regex val(proc.exe)", Code.BAD_VALUE, "val(proc.exe)", ""),
    ("tolower(fd.ip) = a", Code.BAD_TRANSFORMER, "fd.ip", ""),
    ("tolower(proc.pid) = a", Code.BAD_TRANSFORMER, "tolower(proc.pid)", "charbuf"),
    ("concat(proc.name) = a", Code.BAD_TRANSFORMER, "concat(proc.name)", ""),
    ("tolower(proc.name, proc.exe) = a", Code.BAD_TRANSFORMER, "tolower(proc.name, proc.exe)", ""),
]


def check(text):
    return Checker().check(parse_condition(text))


@pytest.mark.parametrize(("text", "code", "marked", "help"), REJECTED)
def test_mistakes(text, code, marked, help):
    problems = [problem for problem in check(text).problems if problem.is_error]
    assert [problem.code for problem in problems] == [code]
    (problem,) = problems
    assert text[problem.span.start : problem.span.end] == marked
    assert help in problem.help
    assert not problem.message.endswith(".")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("user.uid = 0x10", (16,)),
        ("user.uid = 010", (8,)),
        ("fd.sport = https", (443,)),
        ("evt.failed = true", (True,)),
        ("proc.pid in (1, 2)", (1, 2)),
        ("evt.buffer bcontains 4a4b", (b"JK",)),
        ("evt.type in (open, openat)", ("open", "openat")),
        ("evt.type = userfaultfd", ("userfaultfd",)),
    ],
)
def test_values_get_the_type_of_the_field(text, values):
    checked = check(text)
    assert not checked.has_errors
    assert checked.expr.values == values


def test_all_mistakes_are_found_in_one_pass():
    problems = check("fd.nam = x and (user.uid = a or not evt.type = b)").problems
    assert [problem.code for problem in problems] == [
        Code.UNKNOWN_FIELD, Code.BAD_VALUE, Code.UNKNOWN_EVENT,
    ]  # fmt: skip


def test_advice_about_a_field_is_given_once_per_load():
    checker = Checker()
    first = checker.check(parse_condition("container.image.repository = a"))
    second = checker.check(parse_condition("container.image.repository = b"))
    assert [problem.code for problem in first.problems] == [Code.SUSPICIOUS_CONDITION]
    assert not first.has_errors
    assert second.problems == ()


@pytest.mark.parametrize("text", ["proc.name = proc.pname", "proc.name regex abc"])
def test_what_is_probably_not_meant_is_a_warning(text):
    (problem,) = check(text).problems
    assert not problem.is_error


def test_brackets_and_dots_name_the_same_parameter():
    brackets, dots = (
        check("evt.arg[flags] contains O_CREAT"),
        check("evt.arg.flags contains O_CREAT"),
    )
    assert brackets.expr.left == dots.expr.left


def test_a_condition_that_is_nested_too_deep_is_an_error():
    text = "proc.name = x"
    for _ in range(400):
        text = f"(proc.name = a or (proc.name = b and {text}))"
    found = parse_condition(text, max_nesting=2000)
    problems = Checker().check(found).problems
    assert [problem.code for problem in problems] == [Code.CONDITION_TOO_LARGE]


def test_operator_table_is_complete():
    assert set(OPERATORS) == set(FieldType)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fd.name startswith val(guard.home)", ("/home/dev",)),
        ('fd.name startswith concat(guard.home, "/.ssh")', ("/home/dev/.ssh",)),
    ],
)
def test_constants_of_the_session_become_values(text, expected):
    folded = fold_constants(check(text).expr, CONSTANTS)
    assert isinstance(folded, ir.Test)
    assert (folded.values, folded.operand) == (expected, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("guard.workspace startswith /home", True),
        ("agent.name = codex", False),
        ("container.id != host", True),
        ("agent.name = claude and guard.session = s1", True),
        ("agent.name = codex and proc.name = x", False),
        ("agent.name = claude or proc.name = x", True),
        ("not agent.name = claude", False),
    ],
)
def test_tests_of_constants_are_decided_at_load(text, expected):
    assert fold_constants(check(text).expr, CONSTANTS) == ir.Constant(expected)


def test_folding_keeps_what_depends_on_the_event():
    folded = fold_constants(check("agent.name = claude and proc.name = x").expr, CONSTANTS)
    assert isinstance(folded, ir.Test)
    assert folded.text == "proc.name = x"
