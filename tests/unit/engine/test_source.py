"""Places in sources, and texts assembled from pieces."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from guard.engine.nodes import Scalar, Sequence, compose
from guard.engine.source import Location, MappedText, Source


def test_positions_count_lines_and_columns_from_one():
    """Offsets are characters; a line break belongs to the line it ends."""
    source = Source("a.yaml", "ab\n\ncé😀d")
    assert [(1, 1), (1, 3), (2, 1), (3, 1), (3, 4), (3, 5)] == [
        source.position(offset) for offset in (0, 2, 3, 4, 7, 8)
    ]


def test_line_is_without_its_break():
    """Lines of every kind of file are shown clean."""
    source = Source("a.yaml", "one\r\ntwo\nthree")
    assert ["one", "two", "three", ""] == [source.line(number) for number in (1, 2, 3, 4)]


def test_location_reads_like_a_compiler_message():
    """Editors and terminals make file:line:column clickable."""
    location = Location(Source("dir/a.yaml", "x\n  yz"), 4, 6)
    assert str(location) == "dir/a.yaml:2:3"
    assert (location.name, location.line, location.column) == ("dir/a.yaml", 2, 3)


def test_joined_text_leads_back_to_each_source():
    """Every part keeps its own place, also through further joins and cuts."""
    first, second = Source("a", "0123456789"), Source("b", "abcdef")
    joined = MappedText.join(
        [
            MappedText.verbatim(first, 2, 5),
            MappedText.inserted(" and ", Location(second, 1, 3)),
            MappedText.verbatim(second, 3, 6),
        ]
    )
    assert joined.text == "234 and def"
    cut = MappedText.join([joined[1:], joined[:1]])
    assert cut.text == "34 and def2"
    assert (first, 3, 5) == _triple(cut.locate(0, 2))
    assert (second, 1, 3) == _triple(cut.locate(3, 4))
    assert (second, 4, 6) == _triple(cut.locate(8, 10))
    assert (first, 2, 3) == _triple(cut.locate(10, 11))


def test_place_behind_the_end_is_just_after_the_last_character():
    """What is missing at the end is shown there."""
    source = Source("a", "x and   ")
    assert (source, 5, 5) == _triple(MappedText.verbatim(source, 0, 5).locate(5, 5))


def test_range_over_two_sources_is_cut():
    """A place is always within one file."""
    first, second = Source("a", "xy"), Source("b", "z")
    text = MappedText.join([MappedText.verbatim(first, 0, 2), MappedText.verbatim(second, 0, 1)])
    assert (first, 1, 2) == _triple(text.locate(1, 3))


def test_thousands_of_nested_texts_are_located_without_recursion():
    """Lists may refer to lists to any depth."""
    source = Source("a", "x")
    text = MappedText.verbatim(source, 0, 1)
    for _ in range(20_000):
        text = text[0:1]
    assert (source, 0, 1) == _triple(text.locate())


_VALUES = st.text(
    st.sampled_from("ab  \n\t'\"\\#:,[]{}é😀%@-=\x85\u2028\xa0\x07"), min_size=1, max_size=40
)


@given(_VALUES, st.sampled_from([None, "'", '"', "|", ">"]), st.sampled_from([12, 80]))
def test_every_character_of_any_scalar_is_found_in_the_file(value, style, width):
    """What YAML copies is found exactly; an escape is found as a whole."""
    text = yaml.safe_dump(["before", value], default_style=style, width=width, allow_unicode=True)
    scalar = _scalar(text)
    assume(scalar.value == value)  # the dumper loses some line breaks
    mapped = scalar.text
    for offset, char in enumerate(value):
        if char in " \t\n\x85\u2028\u2029":
            continue
        location = mapped.locate(offset, offset + 1)
        written = text[location.start : location.end]
        assert (
            written == char
            or written in ("''", '\\"', "\\\\", "\\a", "\\_")
            or (written.startswith("\\") and len(written) in (4, 6, 10))
        ), (text, value, offset, written)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("a b\n    c\n\n    d", "a b c\nd"),
        ("'it''s\n    ''x'''", "it's 'x'"),
        ('"a\\x41\\u00e9 \\\n     b\\tc\\\n  d"', "aAé b\tcd"),
        ("|\n    a\n      b\n    c", "a\n  b\nc"),
        (">-\n    a\n    b\n\n      c\n    d\n", "a b\n\n  c\nd"),
        ("|2+ # why\n      a\n    b\n\n", "    a\n  b\n\n"),
        ("&anchor !!str >\n    a\n    b", "a b\n"),
    ],
)
def test_styles_by_hand(written, value):
    """Styles and features that the dumper never writes."""
    text = f"- before\n- {written}"
    scalar = _scalar(text)
    assert scalar.value.rstrip("\n") == value.rstrip("\n")
    mapped = scalar.text
    for offset, char in enumerate(value):
        if char not in " \t\n":
            location = mapped.locate(offset, offset + 1)
            found = text[location.start : location.end]
            assert found == char or found[0] in "\\'"
            # The same letter may stand twice: places never go back.
            assert offset == 0 or location.start >= mapped.locate(offset - 1, offset).start


def _scalar(text: str) -> Scalar:
    (root,) = compose(Source("a", text), [])
    assert isinstance(root, Sequence)
    scalar = root.items[1]
    assert isinstance(scalar, Scalar)
    return scalar


def _triple(location: Location) -> tuple[Source, int, int]:
    return location.source, location.start, location.end
