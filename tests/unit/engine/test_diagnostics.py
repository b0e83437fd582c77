"""Messages: how they look, and what is suggested."""

from __future__ import annotations

import pytest

from guard.engine.diagnostics import Code, Diagnostic, Severity, nearest, render, sort
from guard.engine.source import Location, Source


def _diagnostic(text: str, part: str, **more) -> Diagnostic:
    source = Source("a.yaml", text)
    start = text.index(part)
    location = Location(source, start, start + len(part))
    return Diagnostic(Code.UNDEFINED_MACRO, "undefined macro `x`", location, **more)


def test_rendering():
    """Place, message, line, carets with a label, help."""
    diagnostic = _diagnostic(
        "- rule: r\n  condition: a and opne\n",
        "opne",
        label="not a macro",
        help="did you mean `open`?",
        item="rule `r`",
    )
    expected = """\
a.yaml:2:20: error: undefined macro `x` (in rule `r`) [undefined-macro]
    2 |   condition: a and opne
      |                    ^^^^ not a macro
  help: did you mean `open`?"""
    assert expected == render([diagnostic])


def test_place_behind_the_end_of_a_line_has_one_caret():
    """Something is missing there."""
    source = Source("a.yaml", "a and\nb")
    rendered = render([Diagnostic(Code.CONDITION_SYNTAX, "m", Location(source, 5, 5))])
    assert rendered.splitlines()[1:] == ["    1 | a and", "      |      ^"]


def test_range_over_lines_is_underlined_to_the_end_of_the_first():
    """One line is enough to find it."""
    source = Source("a.yaml", "ab cd\nef")
    rendered = render([Diagnostic(Code.CONDITION_SYNTAX, "m", Location(source, 3, 8))])
    assert rendered.splitlines()[1:] == ["    1 | ab cd", "      |    ^^"]


def test_carets_stand_below_wide_characters_and_tabs():
    """Columns are those of a terminal."""
    wide = render([_diagnostic("\t日本 x é́y", "y")]).splitlines()
    assert wide[1] == "    1 |  日本 x é́y"
    assert wide[2] == "      |          ^"


def test_long_line_is_cut_around_the_carets():
    """A line of a megabyte does not fill the terminal."""
    lines = render([_diagnostic("a" * 500_000 + " opne " + "b" * 500_000, "opne")]).splitlines()
    assert all(len(line) < 120 for line in lines)
    assert lines[1].index("opne") == lines[2].index("^^^^")


def test_control_characters_never_reach_the_terminal():
    """A rule file cannot write to the terminal through its messages."""
    source = Source("a\x1b[2J.yaml", "x \x1b[31m \x9b y\u202e")
    diagnostic = Diagnostic(
        Code.YAML_SYNTAX,
        "bad `\x1b]0;t\x07`",
        Location(source, 2, 6),
        help="line\nbreak",
        label="\x08",
        item="rule `\r`",
    )
    rendered = render([diagnostic])
    assert all(char.isprintable() or char == "\n" for char in rendered)
    assert "bad `\\x1b]0;t\\x07` (in rule `\\r`)" in rendered
    assert len(rendered.splitlines()) == 4


def test_order_and_limit():
    """By file as they came, then by place, errors first; the rest is counted."""
    one, two = Source("z", "abc"), Source("a", "abc")
    found = [
        Diagnostic(Code.UNUSED_MACRO, "3", Location(one, 2, 3), Severity.WARNING),
        Diagnostic(Code.UNDEFINED_MACRO, "4", Location(two, 0, 1)),
        Diagnostic(Code.UNDEFINED_MACRO, "2", Location(one, 2, 3)),
        Diagnostic(Code.UNDEFINED_MACRO, "1", None),
    ]
    assert ["1", "2", "3", "4"] == [diagnostic.message for diagnostic in sort(found)]
    rendered = render(found, limit=2)
    assert rendered.endswith("… and 2 more")
    assert "error: 1 [undefined-macro]" in rendered
    assert ": 3 " not in rendered


def test_rendering_nothing_is_empty():
    """No news is no output."""
    assert render([]) == ""


@pytest.mark.parametrize(
    ("word", "candidates", "expected"),
    [
        ("opne_write", ["open_read", "open_write"], "open_write"),  # swapped
        ("prioirty", ["priority", "property"], "priority"),
        ("contian", ["contains", "endswith"], "contains"),  # swapped and lost
        ("ExIsTs", ["exists"], "exists"),  # case is free
        ("adn", ["and", "or"], "and"),
        ("xyz", ["and", "or"], None),
        ("a", ["b"], None),  # every letter changed
        ("foo", [], None),
    ],
)
def test_nearest(word, candidates, expected):
    """Suggests what was meant, and nothing when nothing is near."""
    assert expected == nearest(word, candidates)


def test_codes_are_unique_kebab_case_and_have_falcos_code():
    """Codes are documented and searched for."""
    texts = [code.text for code in Code]
    assert len(set(texts)) == len(texts)
    assert all(text.replace("-", "").isalpha() and text.islower() for text in texts)
    assert all(code.falco.startswith("LOAD_") for code in Code)
