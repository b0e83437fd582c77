"""ReadyPolicy: from the cache the same as from the rules, and made again when anything differs."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from guard.bpf.layout import Layout
from guard.engine.constants import Constants
from guard.engine.fields import FIELDS, Context
from guard.engine.fields.definition import Flag
from guard.engine.source import Source
from guard.errors import PolicyError
from guard.session import policy, ready
from guard.session.cache import Cache
from guard.session.loading import layout
from guard.session.ready import ReadyPolicy

CONSTANTS = Constants(home="/home/dev", workspace="/home/dev/work", session="1", agent="node")
RULES = """
- rule: Read secret
  desc: a secret is read
  condition: evt.type in (open, openat) and guard.home_path pmatch (.ssh) and evt.arg.flags exists
  output: secret (%fd.name %proc.env)
  priority: ERROR
  action: kill
- rule: Network
  desc: somebody is called
  condition: evt.type = connect and fd.snet = 10.0.0.0/8
  output: call (%fd.name)
  priority: NOTICE
"""


@pytest.fixture
def store(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture(scope="module")
def btf() -> Layout:
    return layout()


@pytest.fixture
def loads(monkeypatch) -> list[None]:
    """Grows by one whenever rules are loaded."""
    found: list[None] = []
    real = policy.load

    def counted(sources, constants):
        found.append(None)
        return real(sources, constants)

    monkeypatch.setattr(policy, "load", counted)
    return found


def get(store, btf, text=RULES, constants=CONSTANTS, name="rules.yaml") -> ReadyPolicy:
    return ready.ready([Source(name, text)], constants, btf, store)


def test_the_second_time_no_rule_is_read(store, btf, loads):
    first = get(store, btf)
    second = get(store, btf)
    assert len(loads) == 1
    for name in ("revision", "warnings", "enforcements", "plan", "spelled", "first"):
        assert getattr(second, name) == getattr(first, name)
    assert second.needs_environment
    assert (
        second.rules() == policy.require(policy.load([Source("rules.yaml", RULES)], CONSTANTS))[0]
    )


def test_fields_are_those_of_the_registry(store, btf):
    """They are compared by identity, so a copy would be another field."""
    get(store, btf)
    condition = get(store, btf).rules().rules[0].condition
    names = {part.left.definition.name: part.left.definition for part in condition.children}
    assert {"guard.home_path", "evt.arg.flags"} <= names.keys()
    assert names["guard.home_path"] is FIELDS["guard.home_path"]


@pytest.mark.parametrize(
    "change",
    [
        {"constants": replace(CONSTANTS, home="/home/eve")},
        {"constants": replace(CONSTANTS, workspace="/srv")},
        {"constants": replace(CONSTANTS, agent="python")},
        {"text": RULES.replace("10.0", "10.1")},
        {"name": "other.yaml"},
    ],
)
def test_every_input_counts(store, btf, loads, change):
    get(store, btf)
    get(store, btf, **change)
    assert len(loads) == 2


def test_another_session_is_the_same_policy(store, btf, loads):
    get(store, btf)
    get(store, btf, constants=replace(CONSTANTS, session="2", hostname="h", boot_time_ns=1))
    assert len(loads) == 1


@pytest.mark.parametrize("field", ["guard.session", "container.id"])
def test_a_policy_about_the_session_is_made_for_each(store, btf, loads, field):
    text = RULES.replace("evt.arg.flags exists", f"{field} != 2")
    assert (
        get(store, btf, text).rules().rules
        != get(store, btf, text, replace(CONSTANTS, session="2")).rules().rules
    )
    assert len(loads) == 2


def test_all_fields_about_the_session_are_known():
    names = set()
    for name, field in FIELDS.items():
        if Flag.CONSTANT in field.flags:
            values = {
                field.extract(Context(None, None, replace(CONSTANTS, session=session)))
                for session in ("1", "2")
            }
            if len(values) == 2:
                names.add(name)
    assert names == set(ready.SESSION_FIELDS)


def test_another_guard_makes_its_own(store, btf, loads, monkeypatch):
    """Every source file and the kernel object count by inode, size and times."""
    assert {"event.py", "condition.lark", "guard.bpf.o"} <= {
        os.path.basename(path) for path, *_rest in ready._installation()
    }
    get(store, btf)
    monkeypatch.setattr(ready, "_installation", list)
    get(store, btf)
    assert len(loads) == 2


@pytest.mark.parametrize("value", [b"", b"junk", pickle.dumps("a text"), b"cguard.no\nsuch\n."])
def test_an_entry_that_is_no_policy_is_replaced(store, btf, loads, value):
    store.store(ready._key([Source("rules.yaml", RULES)], CONSTANTS), value)
    get(store, btf)
    get(store, btf)
    assert len(loads) == 1


def test_symlinks_are_followed_every_time(store, btf, loads, tmp_path):
    """What a place leads to now counts, not what it led to when the rules were read."""
    constants = replace(CONSTANTS, home=str(tmp_path))
    (tmp_path / "real").mkdir()
    (tmp_path / ".ssh").mkdir()
    get(store, btf, constants=constants)
    (tmp_path / ".ssh").rmdir()
    (tmp_path / ".ssh").symlink_to("real")

    found = get(store, btf, constants=constants)

    real = os.fsencode(tmp_path / "real")
    assert real in found.tree.tags
    assert found.first["text_tags"] != ([], [])
    assert found.spelled == get(store, btf, constants=constants).spelled
    assert len(loads) == 1


def test_errors_are_never_kept(store, btf, loads):
    text = RULES.replace("evt.arg.flags", "evt.arg_flags")
    for _time in range(2):
        with pytest.raises(PolicyError, match=r"evt\.arg_flags"):
            get(store, btf, text)
    assert len(loads) == 2
