"""Sessions side by side, and the world beside them."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path

from guard.store.reader import SessionRecord
from tests.e2e.harness import Place, eventually


def test_concurrent_sessions_do_not_see_each_other(place: Place) -> None:
    """Each has its own violations and its own events, and none those of a bystander."""
    for name in ("a", "b", "bystander"):
        place.user.plant(f".ssh/id_{name}", "secret\n")
    steal = "cat ~/.ssh/id_$0"
    script = f"{steal}; touch file-$0; until test -e go; do sleep 0.05; done; {steal}"
    runs = {name: place.start("sh", "-c", script, name) for name in ("a", "b")}
    workspace = place.user.workspace
    for name in runs:
        eventually((workspace / f"file-{name}").exists, what=f"{name} runs")
    assert 2 == len(place.sessions())
    subprocess.run(["cat", place.user.home / ".ssh/id_bystander"], check=True, capture_output=True)
    (workspace / "go").touch()
    for name, (process, _folder) in runs.items():
        out, _err = process.communicate(timeout=30)
        assert b"" == out, name
    for name, other in (("a", "b"), ("b", "a")):
        record = SessionRecord(runs[name][1])
        assert [str(place.user.home / f".ssh/id_{name}")] * 2 == [
            alert["output_fields"]["guard.path"] for alert in record.violations()
        ]
        paths = {getattr(event, "path", "") for event in record.events()}
        assert str(workspace / f"file-{name}") in paths
        assert not {path for path in paths if path.endswith((f"file-{other}", f"id_{other}"))}
        assert not {path for path in paths if "bystander" in path}
    for path in (*workspace.glob("file-?"), workspace / "go"):
        path.unlink()


# Empty file systems where programs leave things; whatever is there afterwards is new.
_IN_EMPTY_PLACES = """
places=
for at in /tmp /var/tmp /run /dev/shm "$STATE"; do
    case "$CHECKOUT" in "$at"/*) continue ;; esac  # guard itself must stay in sight
    mkdir -p "$at" && mount -t tmpfs -o mode=1777 none "$at" && places="$places $at"
done
pins=$(find /sys/fs/bpf | wc -l)
"$@" >&2
echo "code $?"
find $places ! -type d
echo "pins $(($(find /sys/fs/bpf | wc -l) - pins))"
"""


def test_nothing_is_left_in_the_system(place: Place) -> None:
    """No file outside of the report directory, no pinned BPF object, however it ends."""
    state = Path(pwd.getpwuid(os.geteuid()).pw_dir, ".local")
    checkout = Path(__file__).parents[2]
    prefix = (
        "env",
        f"STATE={state}",
        f"CHECKOUT={checkout}",
        "unshare",
        "--mount",
        "sh",
        "-c",
        _IN_EMPTY_PLACES,
        "sh",
    )
    report = place.user.folder / "report"
    for number, (command, code) in enumerate(
        [(["true"], 0), (["no-such-command"], 127), (["sh", "-c", "kill -9 $$"], 137)]
    ):
        options = ["--report-dir", report / str(number)]
        result = place.run(*command, prefix=prefix, options=options)
        assert f"code {code}\npins 0\n" == result.out, result.err
