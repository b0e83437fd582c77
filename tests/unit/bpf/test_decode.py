"""Decoder turns records into events, and refuses everything that is not one."""

from __future__ import annotations

import ast
import contextlib
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import guard.event
from guard.bpf.decode import Decoder, boot_offset_ns, call_names
from guard.bpf.layout import Layout, Member
from guard.errors import RecordError, UnsupportedError
from guard.event import (
    CALLS,
    EVENT_CLASSES,
    FLAG_TEXT_PATH,
    FLAG_TRUNCATED,
    Event,
    FileOpen,
    FileUnlink,
    ProcessExec,
)

BOOT_NS = 1_700_000_000_000_000_000
NESTED = ("header", "socket")


@pytest.fixture(scope="session")
def decoder(layout: Layout) -> Decoder:
    return Decoder(layout, BOOT_NS)


def record(layout: Layout, cls: type[Event], values: dict, parts: dict[str, bytes]) -> bytes:
    """A record as the kernel would send it: `values` by member, `parts` by name."""
    layout_of = layout.struct("event_" + cls.kind)
    packed: dict = {"header": {}}
    for name, value in (
        values | {f"{part}_len": len(data) for part, data in parts.items()}
    ).items():
        holder = next((h for h in NESTED if name in _members(layout_of, h)), None)
        (packed.setdefault(holder, {}) if holder else packed)[name] = value
    tail = b"".join(parts.get(name, b"") for name in _part_names(layout_of))
    packed["header"] |= {
        "size": layout_of.size + len(tail),
        "kind": layout.enum("event_kind")["EVENT_" + cls.kind.upper()],
    }
    return layout_of.pack(packed) + tail


def _members(layout_of, holder: str) -> dict[str, Member]:
    member = layout_of.by_name.get(holder)
    return {} if member is None else member.nested.by_name


def _part_names(layout_of) -> list[str]:
    return [m.name.removesuffix("_len") for m in layout_of.members if m.name.endswith("_len")]


def _leaves(layout_of) -> list[Member]:
    leaves = []
    for member in layout_of.members:
        leaves += member.nested.members if member.nested else [member]
    skipped = ("pad", "size", "kind", "call")
    return [m for m in leaves if m.name not in skipped and not m.name.endswith("_len")]


def _value(member: Member) -> st.SearchStrategy:
    if member.is_bytes:
        return st.binary(min_size=member.size, max_size=member.size)
    bits = member.size * 8
    if member.name == "time_ns":
        return st.integers(0, 2**62)
    return (
        st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        if member.format.islower()
        else (st.integers(0, 2**bits - 1))
    )


@pytest.mark.parametrize("cls", EVENT_CLASSES, ids=lambda cls: cls.kind)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_every_member_arrives(layout: Layout, decoder: Decoder, cls, data):
    """For every kind: all numbers and all parts come out as they went in."""
    layout_of = layout.struct("event_" + cls.kind)
    calls = layout.enum("event_call")
    call = data.draw(st.sampled_from(CALLS[cls.kind]))
    values = {m.name: data.draw(_value(m), label=m.name) for m in _leaves(layout_of)}
    values["flags"] &= ~FLAG_TEXT_PATH  # paths joined from text are made plain: below
    parts = {name: data.draw(st.binary(min_size=1, max_size=40)) for name in _part_names(layout_of)}
    block = record(layout, cls, values | {"call": calls["CALL_" + call.upper()]}, parts)

    event = decoder.decode(block)

    assert type(event) is cls
    expected = dict(values, call=call, time_ns=values["time_ns"] + BOOT_NS)
    for name, raw in parts.items():
        text = raw.decode("utf-8", "surrogateescape")
        if name in ("argv", "env"):
            expected[name] = tuple(text.removesuffix("\0").split("\0"))
        elif name.endswith("comm"):
            expected[name] = text.split("\0")[0]
        else:
            expected[name] = text
    assert {f.name: getattr(event, f.name) for f in fields(event)} == expected
    assert event == cls(**expected)
    assert hash(event) == hash(cls(**expected))


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (FLAG_TEXT_PATH, "/a/c"),
        (0, "/a/./b/../c/"),
        (FLAG_TEXT_PATH | FLAG_TRUNCATED, "/a/./b/../c/"),
    ],
)
def test_a_path_joined_from_text_is_made_plain(layout, decoder, flags, expected):
    """Unless its beginning is lost; a path the kernel walked is plain already."""
    block = record(layout, FileUnlink, {"flags": flags}, {"path": b"/a/./b/../c/"})
    assert expected == decoder.decode(block).path


def test_decoded_events_are_frozen(layout: Layout, decoder: Decoder):
    event = decoder.decode(record(layout, FileOpen, {}, {"path": b"/x"}))
    with pytest.raises(AttributeError):
        event.pid = 1  # type: ignore[misc]


def test_absent_name_equals_the_path(layout: Layout, decoder: Decoder):
    event = decoder.decode(record(layout, FileOpen, {}, {"path": b"/etc/passwd"}))
    assert event.name == "/etc/passwd"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", ()),
        (b"ls\0-l\0", ("ls", "-l")),
        (b"ls\0-l", ("ls", "-l")),
        (b"ls\0\0", ("ls", "")),
        (b"\0", ("",)),
        (b"\xff\n\x1b\0", ("\udcff\n\x1b",)),
    ],
)
def test_argument_vector(layout: Layout, decoder: Decoder, raw, expected):
    event = decoder.decode(record(layout, ProcessExec, {}, {"argv": raw}))
    assert event.argv == expected


def test_block_of_many_records(layout: Layout, decoder: Decoder):
    """Records stand back to back, their sizes are not multiples of anything."""
    paths = [b"/" + b"a" * n for n in range(23)]
    block = b"".join(record(layout, FileOpen, {}, {"path": path}) for path in paths)
    assert [event.path.encode() for event in decoder.decode_all(block)] == paths
    assert decoder.decode_all(b"") == []


def test_decode_at_an_offset(layout: Layout, decoder: Decoder):
    first = record(layout, FileOpen, {}, {"path": b"/one"})
    second = record(layout, FileOpen, {}, {"path": b"/second"})
    assert decoder.decode(first + second, len(first)).path == "/second"


def test_time_is_moved_to_the_epoch_but_start_is_not(layout: Layout, decoder: Decoder):
    event = decoder.decode(record(layout, FileOpen, {"time_ns": 5, "start_ns": 7}, {}))
    assert (event.time_ns, event.start_ns) == (BOOT_NS + 5, 7)


def test_boot_offset_is_stable():
    assert abs(boot_offset_ns() - boot_offset_ns()) < 50_000_000


def resized(block: bytes, size: int) -> bytes:
    return size.to_bytes(4, "little") + block[4:]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda good: good[:5], id="header cut"),
        pytest.param(lambda good: good[:80], id="struct cut"),
        pytest.param(lambda good: good[:-1], id="part cut"),
        pytest.param(lambda good: resized(good, 64), id="size below the struct"),
        pytest.param(lambda good: resized(good, 0), id="size zero"),
        pytest.param(lambda good: resized(good, len(good) + 1), id="size beyond the end"),
        pytest.param(lambda good: resized(good, len(good) - 1), id="part beyond the size"),
        pytest.param(lambda good: good[:4] + b"\xee\xee" + good[6:], id="unknown kind"),
        pytest.param(lambda good: good[:4] + bytes(2) + good[6:], id="kind zero"),
    ],
)
def test_malformed_records_are_refused(layout: Layout, decoder: Decoder, damage):
    good = record(layout, FileOpen, {}, {"path": b"/etc/passwd"})
    with pytest.raises(RecordError, match="malformed event record at byte 0"):
        decoder.decode(damage(good))


def test_error_names_the_offset(layout: Layout, decoder: Decoder):
    good = record(layout, FileOpen, {}, {"path": b"/x"})
    with pytest.raises(RecordError, match=f"at byte {len(good)}"):
        decoder.decode_all(good + good[:-1])
    with pytest.raises(RecordError, match=f"at byte {len(good)}: it ends within its header"):
        decoder.decode_all(good + b"\1")


@given(block=st.binary(max_size=400))
def test_random_bytes_never_escape(decoder: Decoder, block):
    """Whatever the bytes: events or a RecordError, in bounded time."""
    with contextlib.suppress(RecordError):
        decoder.decode_all(block)


@given(data=st.data())
@settings(deadline=None)
def test_corrupted_records_never_read_outside(layout: Layout, decoder: Decoder, data):
    """One damaged record between two others: its text never shows the neighbours'."""
    cls = data.draw(st.sampled_from(EVENT_CLASSES))
    parts = dict.fromkeys(_part_names(layout.struct("event_" + cls.kind)), b"inside")
    good = bytearray(record(layout, cls, {}, parts))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    secret = b"NEIGHBOUR" * 9000
    try:
        event = decoder.decode(bytes(good) + secret)
    except RecordError:
        return
    size = int.from_bytes(good[:4], "little")
    if size <= len(good):
        assert "NEIGHBOUR" not in repr(event)


def test_every_event_struct_has_a_class(layout: Layout):
    """The structs of event.h and the classes of event.py are the same set."""
    helpers = {"event_header", "event_socket", "event_counters"}
    structs = {name for name in layout.struct_names() if name.startswith("event_")} - helpers
    assert structs == {"event_" + cls.kind for cls in EVENT_CLASSES}
    kinds = set(layout.enum("event_kind")) - {"EVENT_NONE", "EVENT_KIND_COUNT"}
    assert kinds == {"EVENT_" + cls.kind.upper() for cls in EVENT_CLASSES}


@pytest.mark.parametrize(
    ("prefix", "enum"),
    [("FLAG_", "event_flag"), ("VERDICT_", "event_verdict"), ("EXEC_", "exec_flag")],
)
def test_constants_equal_the_contract(layout: Layout, prefix, enum):
    """FLAG_*, VERDICT_* and EXEC_* of event.py are those of event.h, all of them."""
    tree = ast.parse(Path(guard.event.__file__).read_text())
    names = [n.targets[0].id for n in tree.body if isinstance(n, ast.Assign)]
    stated = {name: getattr(guard.event, name) for name in names if name.startswith(prefix)}
    assert stated == layout.enum(enum)


def test_calls_equal_the_contract(layout: Layout):
    """CALLS names every call of enum event_call, each for one kind."""
    stated = [call for calls in CALLS.values() for call in calls]
    assert len(stated) == len(set(stated))
    assert sorted(stated) == sorted(filter(None, call_names(layout)))
    assert list(CALLS) == [cls.kind for cls in EVENT_CLASSES]


def test_object_of_another_version_is_refused(layout: Layout, monkeypatch):
    other = Layout(layout.btf)
    wrong = other.struct("event_file_unlink")
    real = other.struct
    monkeypatch.setattr(other, "struct", lambda n: wrong if n == "event_file_open" else real(n))
    with pytest.raises(UnsupportedError, match="does not fit this version"):
        Decoder(other, 0)
