"""The session record: what is written is read again, and what was damaged is noticed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from guard.alert import Alert, Priority, Verdict
from guard.bpf.layout import Layout
from guard.errors import RecordError
from guard.event import Event, FileOpen, Process
from guard.store import record as store
from guard.store.reader import SessionRecord
from guard.store.record import RecordWriter, Stream, default_folder

OBJECT = Path(store.__file__).parents[1] / "bpf" / "guard.bpf.o"
needs_object = pytest.mark.skipif(not OBJECT.exists(), reason="run `make bpf`")


def make_alert(rule: str = "R") -> Alert:
    return Alert(
        rule=rule,
        priority=Priority.ERROR,
        time_ns=1_700_000_000_000_000_001,
        source="syscall",
        message="bytes \udcff",
        output_fields={"fd.name": "\udcff", "evt.res": None},
        tags=("t",),
        verdict=Verdict.KILLED,
    )


def make_open(layout: Layout, path: str, time_ns: int) -> bytes:
    struct = layout.struct("event_file_open")
    name = path.encode("utf-8", "surrogateescape")
    header = {
        "size": struct.size + len(name),
        "kind": layout.enum("event_kind")["EVENT_FILE_OPEN"],
        "call": layout.enum("event_call")["CALL_OPENAT"],
        "time_ns": time_ns,
    }
    return struct.pack({"header": header, "path_len": len(name)}) + name


@pytest.fixture
def writer(tmp_path: Path) -> RecordWriter:
    return RecordWriter(tmp_path / "session", {"id": "x"})


def test_alerts_come_back_with_every_byte(writer: RecordWriter) -> None:
    writer.append_alerts([make_alert("A"), make_alert("B")])
    writer.close()
    found = list(SessionRecord(writer.path).violations())
    assert [v["rule"] for v in found] == ["A", "B"]
    assert found[0]["message"] == "bytes \udcff"
    assert found[0]["verdict"] == "killed"
    assert found[0]["time"] == "2023-11-14T22:13:20.000000001Z"


def test_alert_is_on_disk_before_close(writer: RecordWriter) -> None:
    """A crash later loses nothing."""
    writer.append_alerts([make_alert()])
    assert SessionRecord(writer.path).verify().alerts == 1
    writer.close()


@pytest.mark.parametrize("damage", ["change", "remove", "cut"])
def test_damage_breaks_the_chain(writer: RecordWriter, damage: str) -> None:
    writer.append_alerts([make_alert(name) for name in "ABC"])
    writer.write_meta({"violations": {"count": writer.alerts, "head": writer.head}})
    writer.close()
    assert SessionRecord(writer.path).verify().intact
    file = writer.path / "violations.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    if damage == "change":
        lines[1] = lines[1].replace('"B"', '"X"')
    else:
        del lines[1 if damage == "remove" else 2]
    file.write_text("".join(lines))
    assert not SessionRecord(writer.path).verify().intact


def test_a_half_written_line_is_left_out(writer: RecordWriter) -> None:
    writer.append_alerts([make_alert()])
    writer.close()
    with (writer.path / "violations.jsonl").open("a") as file:
        file.write('{"schema": "gu')
    assert len(list(SessionRecord(writer.path).violations())) == 1


def test_process_chain_is_recorded(writer: RecordWriter) -> None:
    values = dict.fromkeys(Process.__dataclass_fields__, 0)
    values |= dict.fromkeys(("name", "exepath", "filename", "cwd", "user"), "t")  # type: ignore[dict-item]
    parent = Process(**{**values, "pid": 1, "parent": None, "argv": ("init",)})  # type: ignore[arg-type]
    child = Process(**{**values, "pid": 2, "parent": parent, "argv": ("a", "b")})  # type: ignore[arg-type]
    alert = make_alert()
    writer.append_alerts([Alert(**{**_fields(alert), "process": child})])  # type: ignore[arg-type]
    writer.close()
    [found] = SessionRecord(writer.path).violations()
    assert [(p["pid"], p["argv"]) for p in found["process"]] == [(2, ["a", "b"]), (1, ["init"])]


def _fields(alert: Alert) -> dict[str, object]:
    return {name: getattr(alert, name) for name in Alert.__dataclass_fields__}


@needs_object
def test_events_of_both_streams_come_back_by_time(writer: RecordWriter) -> None:
    layout = Layout.from_file(OBJECT)
    writer.set_layout(layout.btf, boot_offset_ns=1000)
    writer.append_events(Stream.RECORDS, make_open(layout, "/b", 20) + make_open(layout, "/a", 10))
    writer.append_events(Stream.CANDIDATES, make_open(layout, "/\udcff", 15))
    writer.close()
    events = list(SessionRecord(writer.path).events())
    assert [(e.path, e.time_ns) for e in opens(events)] == [
        ("/a", 1010), ("/\udcff", 1015), ("/b", 1020),
    ]  # fmt: skip


def opens(events: list[Event]) -> list[FileOpen]:
    assert all(isinstance(event, FileOpen) for event in events)
    return events  # type: ignore[return-value]


@needs_object
def test_a_cut_segment_is_readable_up_to_the_cut(writer: RecordWriter) -> None:
    layout = Layout.from_file(OBJECT)
    writer.set_layout(layout.btf, 0)
    for number in range(3):
        writer.append_events(Stream.RECORDS, make_open(layout, f"/{number}", number))
        writer.sync(now=True)
    writer.close()
    segment = writer.path / "events-0001.seg"
    segment.write_bytes(segment.read_bytes()[:-5])
    assert [e.path for e in opens(list(SessionRecord(writer.path).events()))] == ["/0", "/1"]


@needs_object
def test_segments_rotate(writer: RecordWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_SEGMENT_BYTES", 100)
    layout = Layout.from_file(OBJECT)
    writer.set_layout(layout.btf, 0)
    for number in range(7):
        writer.append_events(Stream.RECORDS, make_open(layout, f"/{number}", number))
        writer.sync(now=True)
    writer.close()
    assert len(list(writer.path.glob("events-*.seg"))) > 1
    assert len(list(SessionRecord(writer.path).events())) == 7


def test_only_the_owner_can_read(writer: RecordWriter) -> None:
    writer.append_alerts([make_alert()])
    writer.close()
    assert writer.path.stat().st_mode & 0o777 == 0o700
    assert (writer.path / "violations.jsonl").stat().st_mode & 0o777 == 0o600


def test_renaming_the_folder_does_not_redirect_the_record(writer: RecordWriter) -> None:
    """The guarded user may own the parent: what is put in the folder's place gets nothing."""
    moved = writer.path.with_name("moved")
    writer.path.rename(moved)
    writer.path.mkdir()
    writer.append_alerts([make_alert()])
    writer.write_meta({"id": "x"})
    writer.close()
    assert list(writer.path.iterdir()) == []
    assert SessionRecord(moved).verify().alerts == 1


def test_folder_in_use_is_refused(writer: RecordWriter) -> None:
    with pytest.raises(RecordError, match="already holds a session record"):
        RecordWriter(writer.path, {})


def test_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RecordError, match="cannot be written: Not a directory"):
        RecordWriter(tmp_path / "file" / "session", {})


def test_folder_that_is_no_record(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="is not a session record"):
        SessionRecord(tmp_path)


def test_other_schema_is_refused(writer: RecordWriter) -> None:
    writer.close()
    (writer.path / "meta.json").write_text(json.dumps({"schema": "guard/session/v9"}))
    with pytest.raises(RecordError, match="guard/session/v9"):
        SessionRecord(writer.path)


def test_callers_state_directory_is_not_used_under_sudo() -> None:
    """The guarded command could write there."""
    environ = {"XDG_STATE_HOME": "/home/u/.state"}
    assert default_folder("ID", environ) == Path("/home/u/.state/guard/sessions/ID")
    assert "/home/u" not in str(default_folder("ID", {**environ, "SUDO_UID": "1000"}))
