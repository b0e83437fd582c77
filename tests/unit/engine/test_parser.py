"""The tree of a condition: shape, places, limits. The language itself is in tests/corpus."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.engine.parser import MAX_NESTING, parse_condition
from guard.engine.syntax import (
    And,
    Check,
    Expr,
    Field,
    MacroRef,
    Not,
    OperandList,
    Or,
    Span,
    Text,
    TextList,
    Transformer,
)
from guard.engine.syntax_issue import SyntaxIssue
from guard.engine.syntax_text import to_text


def test_tree_and_spans():
    """Every node covers exactly what was written for it."""
    text = "not m or fd.name[1] startswith anyof (/a, 'b\\'c')"
    expected = Or(
        Span(0, 49),
        (
            Not(Span(0, 5), MacroRef(Span(4, 5), "m")),
            Check(
                Span(9, 49),
                Field(Span(9, 19), "fd.name", "1"),
                "startswith",
                Span(20, 30),
                "anyof",
                TextList(
                    Span(37, 49),
                    (Text(Span(38, 40), "/a"), Text(Span(42, 48), "b'c", quoted=True)),
                ),
            ),
        ),
    )
    assert expected == parse_condition(text)


def test_transformers():
    """Arguments of every kind, and the selector behind the call."""
    text = 'join(",", (a.b, 1))[c] = val(d.e)'
    expected = Check(
        Span(0, 33),
        Transformer(
            Span(0, 22),
            "join",
            (
                Text(Span(5, 8), ",", quoted=True),
                OperandList(Span(10, 18), (Field(Span(11, 14), "a.b"), Text(Span(16, 17), "1"))),
            ),
            "c",
        ),
        "=",
        Span(23, 24),
        None,
        Transformer(Span(25, 33), "val", (Field(Span(29, 32), "d.e"),)),
    )
    assert expected == parse_condition(text)


def test_chains_are_one_node():
    """`a and b and c` has three children; parentheses keep their own node."""
    tree = parse_condition("a and b and (c and d)")
    assert isinstance(tree, And)
    assert [MacroRef, MacroRef, And] == [type(child) for child in tree.children]


def test_base_moves_every_span():
    """Trees and issues of one load lie in one space of offsets."""
    tree = parse_condition("a.b in (x)", base=1000)
    assert isinstance(tree, Check)
    assert isinstance(tree.right, TextList)
    assert tree.span == Span(1000, 1010)
    assert tree.left.span == Span(1000, 1003)
    assert tree.operator_span == Span(1004, 1006)
    assert tree.right.items[0].span == Span(1008, 1009)
    for text, place in (
        ("a and", (1002, 1005)),
        ('a.b = "\\q"', (1007, 1009)),
        ("(" * 1001, (2000, 2001)),
    ):
        issue = parse_condition(text, base=1000)
        assert isinstance(issue, SyntaxIssue)
        assert Span(*place) == issue.span


def test_bytes_above_ascii_are_text():
    r"""`\xHH` gives bytes: valid UTF-8 becomes its character, the rest survives."""
    tree = parse_condition(r'a.b = "\xc3\xa9\xff"')
    assert isinstance(tree, Check)
    assert isinstance(tree.right, Text)
    assert tree.right.value == "é\udcff"


def test_nesting_has_a_limit():
    """A thousand levels parse and print, one more is an error at its parenthesis."""
    deep = "(" * MAX_NESTING + "a" + ")" * MAX_NESTING
    assert isinstance(parse_condition(deep), MacroRef)
    alternating = "not (a or " * MAX_NESTING + "b" + ")" * MAX_NESTING
    tree = parse_condition(alternating)
    assert not isinstance(tree, SyntaxIssue)
    assert to_text(tree) == alternating
    nested = "b64(" * MAX_NESTING + "a.b" + ")" * MAX_NESTING + " exists"
    call = parse_condition(nested)
    assert not isinstance(call, SyntaxIssue)
    assert to_text(call) == nested
    issue = parse_condition("(" + alternating + ")")
    assert isinstance(issue, SyntaxIssue)
    assert "more than 1000 deep" in issue.message
    assert issue.span.start == len("(") + len("not (a or ") * (MAX_NESTING - 1) + len("not ")


def test_parentheses_in_strings_are_not_nesting():
    """Only those of the language count."""
    text = " or ".join(["a.b[((((] = '((((' or a.b = \"((((\""] * 200)
    assert isinstance(parse_condition(text), Or)


def _cpu_seconds(text: str) -> float:
    start = time.process_time()
    parse_condition(text)
    return time.process_time() - start


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda n: " or ".join(["a.b = x"] * n), id="chain"),
        pytest.param(lambda n: "a.b in (" + ",".join(["x"] * n) + ")", id="list"),
        pytest.param(lambda n: "a.b in (" + ",".join(["x"] * n), id="list without an end"),
        pytest.param(lambda n: "not " * n + "a", id="not"),
        pytest.param(lambda n: "concat(" + "a.b," * n + "a.b) exists", id="arguments"),
        pytest.param(lambda n: "a and " * n, id="end missing"),
        pytest.param(lambda n: "a.b = x y" + " " * 20 * n + "z", id="blanks"),
        pytest.param(lambda n: "a.b = '" + "\\'" * 20 * n, id="quote missing"),
        pytest.param(lambda n: "a." * 20 * n, id="dots"),
    ],
)
def test_time_is_linear(make):
    """Eight times the text takes about eight times as long, also when it is wrong."""
    parse_condition("a")  # the grammar is made on first use
    small = max(min(_cpu_seconds(make(1_000)) for _ in range(3)), 0.002)
    large = min(_cpu_seconds(make(8_000)) for _ in range(3))
    assert large < 24 * small


_WORDS = st.sampled_from(
    [
        *"()[],='\"\\!<>&| \n.x5",
        "and ",
        "or ",
        "not ",
        "a.b",
        " = ",
        " in ",
        "(x, y)",
        " exists",
        "val(",
        "b64(",
        "oneof (",
        "'q'",
        "m",
        " startswith ",
        "0x1F",
        "é",
        "\0",
        "\ud800",
    ]
)


@settings(deadline=None)  # the first example makes the grammar
@given(st.lists(_WORDS, max_size=25).map("".join))
def test_any_text_gives_a_tree_or_an_issue_inside_it(text):
    """Nothing raises, places are within the text, canonical text is stable."""
    result = parse_condition(text)
    if isinstance(result, SyntaxIssue):
        assert 0 <= result.span.start <= result.span.end <= len(text)
        assert result.message
        assert result.message[0].islower() or result.message[0] == "`"
        assert not result.message.endswith(".")
    else:
        _check_spans(result, text)


def _check_spans(tree: Expr, text: str) -> None:
    pending = [tree]
    while pending:
        node = pending.pop()
        assert 0 <= node.span.start < node.span.end <= len(text)
        if isinstance(node, MacroRef):
            assert text[node.span.start : node.span.end] == node.name
        elif isinstance(node, Check):
            span = node.operator_span
            assert text[span.start : span.end] == node.operator
        else:
            children = (node.child,) if isinstance(node, Not) else node.children
            assert all(
                node.span.start <= child.span.start and child.span.end <= node.span.end
                for child in children
            )
            pending += children
