"""Items to rules that stand alone. What refers to what is in tests/corpus/files."""

from __future__ import annotations

import itertools
import time

from guard.engine.diagnostics import Code
from guard.engine.documents import read_items
from guard.engine.expand import MAX_LENGTH
from guard.engine.macros import MAX_DEPTH
from guard.engine.resolve import ResolvedRule, SourceMap, resolve
from guard.engine.source import MappedText, Source
from guard.engine.syntax import And, Check, Span, TextList


def _resolve(*texts: str) -> tuple[tuple[ResolvedRule, ...], list[tuple[Code, str]]]:
    items = []
    for number, text in enumerate(texts):
        more, diagnostics = read_items(Source(f"{number}.yaml", text))
        assert diagnostics == ()
        items += more
    rules, diagnostics = resolve(items)
    return rules, [(found.code, str(found.location)) for found in diagnostics if found.is_error]


def _rule(condition: str, name: str = "r") -> str:
    return f"- {{rule: {name}, desc: d, output: o, priority: info, condition: '{condition}'}}\n"


def test_nodes_know_their_file_wherever_they_end_up():
    """A node from a macro in one file and a list in another leads back to both."""
    rules, errors = _resolve(
        "- macro: m\n  condition: >\n    evt.type in\n      (calls)\n",
        "- list: calls\n  items:\n    - open\n    - openat\n",
        _rule("fd.name exists and m"),
    )
    assert errors == []
    (rule,) = rules
    assert isinstance(rule.expr, And)
    first, second = rule.expr.children
    assert isinstance(first, Check)
    assert isinstance(second, Check)
    assert isinstance(second.right, TextList)
    where = rule.condition_source
    assert str(where.locate(first.left.span)) == "2.yaml:1:61"
    assert str(where.locate(second.left.span)) == "0.yaml:3:5"
    assert str(where.locate(second.operator_span)) == "0.yaml:3:14"
    assert str(where.locate(second.right.items[1].span)) == "1.yaml:4:7"
    assert where.text(second.right.items[1].span) == "openat"


def test_end_of_a_text_is_not_the_start_of_the_next():
    """A place behind the last character stays in its own file."""
    first, second = Source("a", "xy"), Source("b", "z")
    where = SourceMap([], [])
    assert [0, 3] == [
        where.add(MappedText.verbatim(first, 0, 2)),
        where.add(MappedText.verbatim(second, 0, 1)),
    ]
    assert ["a:1:3", "b:1:1"] == [str(where.locate(Span(at, at))) for at in (2, 3)]


def test_bodies_are_shared():
    """A macro is one object in all rules, so what is known of it is kept once."""
    rules, _ = _resolve(
        "- {macro: m, condition: a.b exists and c.d exists}\n"
        + _rule("m or x.y exists", "r")
        + _rule("not m", "s")
    )
    assert rules[0].expr.children[0] is rules[1].expr.child  # type: ignore[union-attr]


def test_macros_of_macros_are_limited():
    """Doubling forty times would never end; it is one error, at once."""
    text = "- {macro: m0, condition: a.b exists}\n"
    for level in range(1, 40):
        text += f"- {{macro: m{level}, condition: m{level - 1} and m{level - 1}}}\n"
    rules, errors = _resolve(text + _rule("m39"))
    assert rules == ()
    assert errors == [(Code.CONDITION_TOO_LARGE, "0.yaml:19:11")]  # m18: 2^18 > 250 000


def test_depth_over_macros_is_limited():
    """A chain of macros is as deep as the same thing written out."""
    text = "- {macro: m0, condition: a.b exists}\n"
    for level in range(1, MAX_DEPTH):
        text += f"- {{macro: m{level}, condition: not m{level - 1}}}\n"
    rules, errors = _resolve(text + _rule(f"m{MAX_DEPTH - 1}"))
    assert (len(rules), errors) == (1, [])
    rules, errors = _resolve(text + _rule(f"not m{MAX_DEPTH - 1}"))
    assert (len(rules), [code for code, _ in errors]) == (0, [Code.CONDITION_TOO_LARGE])


def test_long_chain_of_macros_needs_no_recursion():
    """Ten thousand names that stand for each other are fine."""
    text = "- {macro: m0, condition: a.b exists}\n"
    for level in range(1, 10_000):
        text += f"- {{macro: m{level}, condition: m{level - 1}}}\n"
    rules, errors = _resolve(text + _rule("m9999"))
    assert (len(rules), errors) == (1, [])


def test_lists_of_lists_are_limited():
    """A list that multiplies is an error of the conditions that use it, not a full memory."""
    names = [f"l{level}" for level in range(30)]
    text = ""
    for name, later in itertools.pairwise(names):
        text += f"- {{list: {name}, items: [{', '.join([later] * 9)}]}}\n"
    text += "- {list: l29, items: [x]}\n"
    start = time.process_time()
    rules, errors = _resolve(text + _rule("a.b in (l0)") + _rule("a.b in (l27)", "s"))
    assert ["s"] == [rule.name for rule in rules]
    assert [Code.CONDITION_TOO_LARGE] == [code for code, _ in errors]
    assert time.process_time() - start < 20
    assert 9**8 > MAX_LENGTH  # the case is one


def test_order_is_that_of_first_definition():
    """A later file that changes a rule does not move it."""
    rules, errors = _resolve(
        _rule("a.b exists", "one") + _rule("a.b exists", "two"),
        _rule("a.b exists", "three") + _rule("c.d exists", "one"),
    )
    assert errors == []
    assert ["one", "two", "three"] == [rule.name for rule in rules]
    assert ["1.yaml", "0.yaml", "1.yaml"] == [rule.file for rule in rules]


def test_a_large_policy_resolves_quickly():
    """A hundred rules and three hundred macros take well below half a second."""
    text = "".join(f"- {{list: l{n}, items: [a{n}, b{n}, c{n}, d{n}, e{n}]}}\n" for n in range(100))
    for number in range(300):
        text += (
            f"- {{macro: m{number}, condition: 'evt.type in (open, openat) and "
            f"proc.name in (l{number % 100}) or fd.name startswith /x{number}'}}\n"
        )
    for number in range(100):
        condition = " and ".join(f"not m{(number * 3 + step) % 300}" for step in range(6))
        text += _rule(condition + ' and proc.pname != "x y" and fd.num > 3', f"r{number}")
    start = time.process_time()
    rules, errors = _resolve(text)
    assert (len(rules), errors) == (100, [])
    assert time.process_time() - start < 0.5
