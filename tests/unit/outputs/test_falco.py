"""The JSON alert has Falco's shape."""

from __future__ import annotations

import json

import pytest

from guard.alert import Action, Alert, Priority, Verdict
from guard.outputs import falco

ALERT = Alert(
    rule="open_from_cat",
    priority=Priority.WARNING,
    time_ns=1_470_327_477_881_781_397,
    source="syscall",
    message="An open was seen (command=cat /dev/null)",
    output_fields={"proc.cmdline": "cat /dev/null", "fd.lport": None, "proc.args": ["a"]},
    tags=("testing", "filesystem"),
    action=Action.DENY,
    verdict=Verdict.KILLED,
    remedy="r",
)


def test_keys_and_values_are_falcos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(falco.time, "localtime", falco.time.gmtime)
    assert json.loads(falco.to_json(ALERT, "host")) == {
        "hostname": "host",
        "output": "16:17:57.881781397: Warning An open was seen (command=cat /dev/null)",
        "output_fields": {
            "evt.time": 1470327477881781397,
            "proc.cmdline": "cat /dev/null",
            "fd.lport": None,
            "proc.args": ["a"],
            "guard.action": "deny",
            "guard.verdict": "killed",
            "guard.remedy": "r",
        },
        "priority": "Warning",
        "rule": "open_from_cat",
        "source": "syscall",
        "tags": ["filesystem", "testing"],
        "time": "2016-08-04T16:17:57.881781397Z",
    }


def test_keys_are_sorted_on_one_line() -> None:
    text = falco.to_json(ALERT, "host")
    assert "\n" not in text
    assert list(json.loads(text)) == sorted(json.loads(text))


def test_bytes_that_are_not_utf8_become_replacement_characters() -> None:
    alert = Alert("r", Priority.DEBUG, 0, "syscall", "x\udcffy\n", {}, ())
    assert json.loads(falco.to_json(alert, "h"))["output"].endswith("Debug x\ufffdy\n")
