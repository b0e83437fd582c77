"""What is left: alerts as Falco's JSON, a chained list of violations, and all events."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections import Counter
from pathlib import Path

from guard.event import EVENT_CLASSES, FileOpen, ProcessExec
from guard.store.reader import SessionRecord
from tests.e2e.harness import Place, Result

FALCO_KEYS = {
    "hostname", "output", "output_fields", "priority", "rule", "source", "tags", "time",
}  # fmt: skip


def alert_lines(result: Result) -> list[str]:
    return [line for line in result.err.splitlines() if re.match(r"\d\d:\d\d:\d\d ", line)]


def three_violations(place: Place, *options: object):
    for number in range(3):
        place.user.plant(f".ssh/id_{number}", "secret\n")
    return place.sh("for n in 0 1 2; do cat ~/.ssh/id_$n; done; echo end", options=options)


def test_a_stolen_key_never_reaches_the_output(place: Place) -> None:
    """Killed before it reads; the line names rule, program, parents, path, verdict, remedy."""
    key = place.user.plant(".ssh/id_test", "planted-secret\n")
    result = place.sh("cat ~/.ssh/id_test; echo survived")
    assert "survived\n" == result.out
    [line] = alert_lines(result)
    for part in (
        "Critical SSH private key or configuration read: ", f"path={key} ", "command=cat ",
        "program=/usr/bin/cat ", "lineage=sh > cat ", f"user={place.user.name})", " [killed] (",
    ):  # fmt: skip
        assert part in line
    [alert] = result.record.violations()
    assert ["cat", "sh"] == [process["name"] for process in alert["process"]][:2]
    assert "planted-secret" not in result.err


def test_json_is_falcos(place: Place) -> None:
    """Every line of stderr is one object with Falco's keys, and nothing else is there."""
    result = three_violations(place, "--json")
    alerts = [json.loads(line) for line in result.err.splitlines() if line[:1] == "{"]
    assert 3 == len(alerts)
    rest = [line for line in result.err.splitlines() if line[:1] != "{"]
    assert ["Killed"] * 3 == [line.strip() for line in rest], "the shell's own words only"
    for alert in alerts:
        assert FALCO_KEYS == set(alert)
        assert ("Critical", "syscall") == (alert["priority"], alert["source"])
        assert alert["output"].split(": ", 1)[1].startswith("Critical SSH secret opened (path=")
        assert alert["time"].endswith("Z")
        assert sorted(alert["tags"]) == alert["tags"]
        fields = alert["output_fields"]
        assert ("deny", "killed") == (fields["guard.action"], fields["guard.verdict"])
        assert isinstance(fields["evt.time"], int)
        assert fields["proc.cmdline"].startswith("cat ")


def test_chain_of_violations(place: Place, tmp_path: Path) -> None:
    """It verifies; a line changed, taken out, swapped or cut off does not."""
    result = three_violations(place)
    assert (3, True) == (result.record.verify().alerts, result.record.verify().intact)
    lines = (result.folder / "violations.jsonl").read_text().splitlines(keepends=True)
    assert [json.loads(line)["prev"] for line in lines] == [
        "0" * 64, *(hashlib.sha256(line.rstrip("\n").encode()).hexdigest() for line in lines[:-1])
    ]  # fmt: skip
    tampered = {
        "changed": [lines[0], lines[1].replace("id_1", "id_9"), lines[2]],
        "changed at the end": [*lines[:2], lines[2].replace("id_2", "id_9")],
        "taken out": [lines[0], lines[2]],
        "swapped": [lines[1], lines[0], lines[2]],
        "cut off": lines[:2],
        "emptied": [],
    }
    for what, text in tampered.items():
        copy = tmp_path / what
        shutil.copytree(result.folder, copy)
        (copy / "violations.jsonl").write_text("".join(text))
        assert not SessionRecord(copy).verify().intact, what


def test_events_are_all_there(place: Place) -> None:
    """As many as the kernel counted, with what was really done among them, in order."""
    script = "mkdir d; for n in $(seq 37); do echo $n > d/f$n; done; cat d/f1; rm -r d"
    result = place.sh(script, options=["--record", "all"])
    meta, events = result.record.meta, list(result.record.events())
    counters = meta["counters"]
    assert 0 == meta["lost"] == counters["dropped_candidate"] == counters["dropped_record"]
    assert len(events) == counters["candidate"] + counters["record"]
    assert counters["seen"] >= len(events)
    times = [event.time_ns for event in events]
    assert sorted(times) == times
    folder = f"{place.user.workspace}/d"
    written = Counter(
        event.path for event in events
        if isinstance(event, FileOpen) and event.path.startswith(folder) and event.open_flags & 1
    )  # fmt: skip
    assert written == Counter(f"{folder}/f{number}" for number in range(1, 38))
    executed = [event.path.rsplit("/", 1)[1] for event in events if isinstance(event, ProcessExec)]
    assert {"mkdir", "seq", "cat", "rm"} <= set(executed)
    kinds = {event.kind for event in events}
    assert {"process_fork", "process_exec", "process_exit", "file_mkdir", "file_unlink"} <= kinds
    assert kinds <= {each.kind for each in EVENT_CLASSES}
    users = {event.uid for event in events if event.kind != "process_setuid"}
    assert place.user.uid in users


def test_meta(place: Place) -> None:
    """What ran, as whom, where, under which policy, and how it ended."""
    meta = place.sh("exit 3").record.meta
    assert ("ended", ["sh", "-c", "exit 3"]) == (meta["state"], meta["command"])
    assert (str(place.user.workspace), str(place.user.home)) == (meta["workspace"], meta["home"])
    assert "default" == meta["policy"]["name"]
    assert 3 == meta["exit"]["code"]
    assert [] == meta["problems"]


def test_hostile_names_are_printed_escaped(place: Place) -> None:
    """Newlines and terminal escapes in a path stay in its line and move nothing."""
    name = "id_\x1b[31m\n\rred\x07\u202e"
    key = place.user.plant(f".ssh/{name}", "secret\n")
    result = place.sh("cat ~/.ssh/id_*ed*; true")
    [line] = alert_lines(result)
    assert f"{key.parent}/id_\\u001b[31m\\n\\rred\\u0007\\u202e " in line
    assert not set("\x1b\r\x07\u202e") & set(result.err)
    [alert] = result.record.violations()
    assert str(key) == alert["output_fields"]["guard.path"]
    key.unlink()


def test_names_that_are_not_text(place: Place) -> None:
    """Bytes that are not UTF-8 are shown as U+FFFD, as Falco does, and kept in the record."""
    place.user.plant(os.fsdecode(b".ssh/id_\xff"), "secret\n")
    script = r"""cat ~/.ssh/"$(printf 'id_\377')"; true"""
    plain = place.sh(script)
    assert "/.ssh/id_\ufffd " in plain.err
    [alert] = plain.record.violations()
    assert alert["event"]["path"].endswith("/.ssh/id_\udcff")
    result = place.sh(script, options=["--json"])
    assert "/.ssh/id_\ufffd" in json.loads(result.err.splitlines()[-1])["output"]
    assert result.record.verify().intact


def test_alert_file(place: Place, tmp_path: Path) -> None:
    """`--alert-file` has the same lines as `--json` prints, and stderr stays readable."""
    result = three_violations(place, "--alert-file", tmp_path / "alerts")
    lines = (tmp_path / "alerts").read_text().splitlines()
    assert ["SSH private key or configuration read"] * 3 == [json.loads(x)["rule"] for x in lines]
    assert 3 == len(alert_lines(result))
