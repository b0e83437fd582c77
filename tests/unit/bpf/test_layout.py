"""Layout reads the C contract out of the object."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.bpf.layout import Layout
from guard.errors import UnsupportedError


def test_members_follow_the_header(layout: Layout):
    """Offsets, sizes and codes are those of struct event_header."""
    header = layout.struct("event_header")
    found = [(m.name, m.offset, m.size, m.format) for m in header.members[:4]]
    expected = [
        ("size", 0, 4, "I"),
        ("kind", 4, 2, "H"),
        ("call", 6, 2, "H"),
        ("time_ns", 8, 8, "Q"),
    ]
    assert found == expected
    assert header.by_name["res"].format == "q"


def test_enums_have_the_values_of_c(layout: Layout):
    assert layout.enum("event_kind")["EVENT_NONE"] == 0
    assert layout.enum("event_limit")["EVENT_PATH_MAX"] == 4096


def test_pack_nested_structs_and_arrays(layout: Layout):
    """What pack writes, unpack reads; what is not named is zero."""
    terms = layout.struct("term_list")
    data = terms.pack({"count": 2, "terms": [{"rule": 7, "must": {"word": [1, 2]}}, {"action": 3}]})
    assert len(data) == terms.size
    values = terms.unpack(data)
    assert values["count"] == 2
    assert values["terms"][0]["must"]["word"] == [1, 2, 0, 0, 0, 0]
    assert values["terms"][0]["rule"] == 7
    assert values["terms"][1] == {
        "must": {"word": [0] * 6},
        "must_not": {"word": [0] * 6},
        "rule": 0,
        "action": 3,
    }


def test_byte_arrays_are_bytes(layout: Layout):
    key = layout.struct("address_key")
    data = key.pack({"family": 2, "address": bytes([127, 0, 0, 1])})
    assert key.unpack(data)["address"] == bytes([127, 0, 0, 1]) + bytes(12)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"prefix": 1}, KeyError),
        ({"address": bytes(17)}, ValueError),
        ({"family": 1 << 32}, ValueError),
        ({"family": -1}, ValueError),
    ],
)
def test_pack_refuses_what_does_not_fit(layout: Layout, values, error):
    with pytest.raises(error):
        layout.struct("address_key").pack(values)


def test_array_longer_than_declared_is_refused(layout: Layout):
    with pytest.raises(ValueError, match="holds 6 items, not 7"):
        layout.struct("bits").pack({"word": [0] * 7})


@given(values=st.lists(st.integers(0, 2**64 - 1), min_size=6, max_size=6))
@settings(max_examples=20)
def test_words_round_trip(layout: Layout, values):
    bits = layout.struct("bits")
    assert bits.unpack(bits.pack({"word": values})) == {"word": values}


def test_unknown_names_are_key_errors(layout: Layout):
    with pytest.raises(KeyError, match="no struct event_nothing"):
        layout.struct("event_nothing")
    with pytest.raises(KeyError, match="no enum nothing"):
        layout.enum("nothing")


def test_layout_survives_without_its_object(layout: Layout):
    """The kept BTF is enough to read a recorded session later."""
    again = Layout(layout.btf)
    kept, made = again.struct("event_file_open"), layout.struct("event_file_open")
    assert made.size == kept.size
    assert [(m.name, m.offset, m.size) for m in made.members] == [
        (m.name, m.offset, m.size) for m in kept.members
    ]


def test_missing_object_names_the_remedy(tmp_path: Path):
    with pytest.raises(UnsupportedError, match="cannot be read") as caught:
        Layout.from_file(tmp_path / "none.o")
    assert "make bpf" in (caught.value.help or "")


@given(data=st.binary(max_size=256) | st.binary(max_size=64).map(b"\x7fELF\x02\x01".__add__))
@settings(max_examples=50)
def test_any_other_file_is_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("object") / "wrong.o"
    path.write_bytes(data)
    with pytest.raises(UnsupportedError, match="not a kernel object"):
        Layout.from_file(path)


@given(cut=st.floats(0, 1, exclude_max=True))
@settings(max_examples=20)
def test_truncated_object_is_refused_or_complete(tmp_path_factory, object_path: Path, cut):
    """A file cut anywhere gives the error of a broken object, never another exception."""
    data = object_path.read_bytes()
    path = tmp_path_factory.mktemp("object") / "cut.o"
    path.write_bytes(data[: int(len(data) * cut)])
    try:
        found = Layout.from_file(path)
    except UnsupportedError:
        return
    assert found.btf == Layout.from_file(object_path).btf
