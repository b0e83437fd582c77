"""Outputs: placeholders, typed fields, and one safe line whatever the names hold."""

from __future__ import annotations

import json

import pytest

from guard.engine.fields import Context
from guard.engine.output import OutputIssue, OutputTemplate, one_line
from tests.unit.engine.events import CONSTANTS, make_event, make_process

PROCESS = make_process(
    name="cat", argv=("cat", "a b"), parent={"name": "bash", "parent": {"name": "claude"}}
)


def context(path="/etc/shadow", **members):
    return Context(make_event("file_open", path=path, fd=3, **members), PROCESS, CONSTANTS)


def parse(text):
    template = OutputTemplate.parse(text)
    assert isinstance(template, OutputTemplate), template
    return template


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("plain", "plain"),
        ("%proc.name reads %fd.name.", "cat reads /etc/shadow."),
        ("(%proc.name)", "(cat)"),
        ("%proc.aname[2]/%proc.aname[9]", "claude/<NA>"),
        ("%proc.aname", "bash claude"),
        ("%proc.pname%proc.name", "bashcat"),
        ("%proc.namex", "catx"),
        ("%fd.name[0]", "/etc/shadow[0]"),
        ("[%6proc.name]", "[cat   ]"),
        ("[%2proc.name]", "[ca]"),
        ("%evt.is_open_read %user.uid %fd.sip", "true 1000 <NA>"),
        ("%toupper(proc.name)!", "CAT!"),
        ('%concat(proc.name, "-(", proc.pname)', "cat-(bash"),
        ("%evt.arg.flags %evt.arg[flags]", "O_RDONLY O_RDONLY"),
        ("* lead\n", " lead"),
        ("  trimmed \n", "trimmed"),
        ("%container.id %container.image.repository", "s1 <NA>"),
    ],
)
def test_render(template, expected):
    assert parse(template).render(context()) == expected


@pytest.mark.parametrize(
    ("template", "marked", "help"),
    [
        ("100%", "%", ""),
        ("100% sure", "% ", ""),
        ("%%", "%%", ""),
        ("a %proc.nme b", "proc.nme", "did you mean `proc.name`?"),
        ("%evt.arg x", "evt.arg", "evt.arg[…]"),
        ("%fd.net", "fd.net", "fd.sip"),
        ("%tolower(proc.nam)", "proc.nam", "proc.name"),
        ("%tolower(proc.name", "tolower(proc.name", "add `)`"),
    ],
)
def test_mistakes_have_a_place(template, marked, help):
    issue = OutputTemplate.parse(template)
    assert isinstance(issue, OutputIssue)
    assert template[issue.span.start : issue.span.end] == marked
    assert help in issue.help


def test_fields_keep_their_types():
    template = parse(
        "%proc.name %user.uid %evt.is_open_read %fd.sip %proc.aname[1] %proc.aname "
        "%evt.time.iso8601 %toupper(proc.pname) %20fd.name"
    )
    assert template.fields(context()) == {
        "proc.name": "cat",
        "user.uid": 1000,
        "evt.is_open_read": True,
        "fd.sip": None,
        "proc.aname[1]": "bash",
        "proc.aname": "bash claude",
        "evt.time.iso8601": 1_600_000_000_000_000_001,
        "proc.pname": "bash",
        "fd.name": "/etc/shadow",
    }


def test_addresses_are_text_in_fields():
    event = make_event("network_connect", family=2, remote_addr="1.2.3.4", remote_port=443)
    fields = parse("%fd.sip:%fd.sport").fields(Context(event, PROCESS, CONSTANTS))
    assert fields == {"fd.sip": "1.2.3.4", "fd.sport": 443}


@pytest.mark.parametrize(
    "path",
    [
        "/a\nb",
        "/\x1b[2J",
        "/\x9b31m",
        "/\u202egnp.exe",
        "/\u2028x",
        "/\x7f",
        "/\udcff\udc80",
        '/"\\',
    ],
)
def test_a_message_is_one_printable_line(path):
    template = parse("file %fd.name")
    message = template.render(context(path))
    assert message.isprintable()
    decoded = json.loads(f'"{message}"')
    assert decoded == "file " + path.encode(errors="surrogateescape").decode(errors="replace")
    json.dumps(template.fields(context(path)), ensure_ascii=False).encode()


def test_one_line_leaves_ordinary_text_alone():
    assert one_line("cat /tmp/é 日本") == "cat /tmp/é 日本"
