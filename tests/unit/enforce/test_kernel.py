"""Encoding: every map entry of a plan, and the swap from one policy to the next."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

import pytest

from guard.alert import Action
from guard.enforce import kernel
from guard.enforce.kernel import Reporting, encode, hash_name
from guard.enforce.programs import program_words
from guard.enforce.tags import PathBits, PathTag, build_tree, pin_places
from guard.engine.lower import lower
from guard.errors import UnsupportedError
from guard.event import CALLS
from tests.unit.engine.lowering import CONSTANTS, policy, process


@dataclass
class Size:
    size: int


@dataclass
class FakeStruct:
    """Packs to the text of its values, so that tests can read it."""

    name: str
    size: int = 4
    by_name: dict = field(default_factory=dict)

    def pack(self, values):
        return repr(dict(values)).encode()

    def unpack(self, data):
        return ast.literal_eval(data.decode())


class FakeLayout:
    def struct(self, name):
        return FakeStruct(name, by_name={"generation": Size(2 if name == "edge_key" else 4)})

    def enum(self, name):
        if name == "event_kind":
            kinds = [f"EVENT_{kind.upper()}" for kind in CALLS]
            return {kind: n for n, kind in enumerate(["EVENT_NONE", *kinds, "EVENT_KIND_COUNT"])}
        if name == "event_call":
            calls = [call for each in CALLS.values() for call in each]
            return {f"CALL_{call.upper()}": n for n, call in enumerate(calls, 1)}
        assert name == "record_level"
        return {"RECORD_MATCHED": 0, "RECORD_UNIQUE": 1, "RECORD_ALL": 2}


def read(data):
    return ast.literal_eval(data.decode())


def encoded(plan, map_name, generation=1, **more):
    entries = encode(plan, FakeLayout(), generation, **more)
    return [(e.key, e.value) for e in entries if e.map == map_name]


def decoded(plan, map_name, **more):
    return [(read(key), read(value)) for key, value in encoded(plan, map_name, **more)]


def plan_of(*rules):
    plan = lower(policy(*rules), CONSTANTS)
    assert not plan.diagnostics
    return plan


def bit_of(plan, text):
    (found,) = [p.bit for p in plan.predicates if text in str(p.predicate)]
    return found


def words(bit):
    return [1 << bit - 64 * n if 64 * n <= bit < 64 * n + 64 else 0 for n in range(3)]


def test_hash_is_fnv1a():
    assert hash_name(b"") == 0xCBF29CE484222325
    assert hash_name(b"a") == 0xAF63DC4C8601EC8C
    assert hash_name(b"foobar") == 0x85944171F73967E8


def test_terms_are_written_for_every_kind_so_that_no_old_list_stays():
    plan = plan_of(("evt.type = ptrace", Action.KILL))

    entries = encoded(plan, "terms", generation=3)

    assert len(entries) == len(CALLS)
    filled = [(key, read(value)) for key, value in entries if b"count" in value]
    kind = list(CALLS).index("process_ptrace") + 1
    nothing = {"word": [0] * 6}
    assert filled == [
        (
            (len(CALLS) + 1 + kind).to_bytes(4, "little"),
            {"count": 1, "terms": [{"must": nothing, "must_not": nothing, "rule": 0, "action": 1}]},
        )
    ]


def test_a_suffix_is_hashed_from_its_end():
    plan = plan_of("evt.type = open and (fd.name endswith .pem or fd.filename = id)")

    entries = decoded(plan, "names")

    bits = {"object": words(bit_of(plan, ".pem")), "program": 0}
    assert sorted(entries, key=str) == sorted(
        [
            ({"name_hash": hash_name(b"mep."), "length": 4, "match": 1, "generation": 1}, bits),
            (
                {"name_hash": hash_name(b"id"), "length": 2, "match": 0, "generation": 1},
                {"object": words(bit_of(plan, "'id'")), "program": 0},
            ),
        ],
        key=str,
    )


def test_a_program_name_has_program_bits():
    plan = plan_of("evt.type = execve and proc.name = sudo")

    ((key, value),) = decoded(plan, "names")

    assert key["match"] == 2
    assert value == {"object": [0, 0, 0], "program": 1}


def test_a_network_carries_the_bits_of_the_networks_around_it():
    plan = plan_of(
        "evt.type = connect and fd.snet in (10.0.0.0/8)",
        "evt.type = connect and fd.sip = 10.1.2.3",
        "evt.type = connect and fd.sip = fd00::1",
    )

    found = {
        (key["family"], key["prefix_bits"], key["address"]): value["word"][0]
        for key, value in decoded(plan, "addresses")
    }

    wide, host, v6 = (1 << bit_of(plan, text) for text in ("10.0.0.0/8", "10.1.2.3", "fd00::1"))
    assert found == {
        (2, 72, bytes([10]).ljust(16, b"\0")): wide,
        (2, 96, bytes([10, 1, 2, 3]).ljust(16, b"\0")): wide | host,
        (10, 192, bytes([0xFD]) + bytes(14) + b"\1"): v6,
    }


def test_ports_and_calls_have_their_bits():
    plan = plan_of("evt.type in (sendto, sendmsg) and fd.sport in (22, 443)")

    ports = {key["port"]: value["word"] for key, value in decoded(plan, "ports")}
    calls = {key["call"]: value["word"] for key, value in decoded(plan, "call_bits")}

    assert ports == dict.fromkeys((22, 443), words(bit_of(plan, "Port")))
    numbers = FakeLayout().enum("event_call")
    assert calls == dict.fromkeys(
        (numbers["CALL_SENDTO"], numbers["CALL_SENDMSG"]), words(bit_of(plan, "Call"))
    )


def test_tags_edges_and_texts():
    plan = plan_of("evt.type = open and fd.name = /no/where")
    tree = build_tree(plan.predicates)
    tag = PathTag(PathBits(program=3), PathBits(), PathBits(), 9, prefix_lengths=4, has_edges=True)

    more = {"inodes": {77: tag}, "edges": tree.edges, "texts": tree.tags, "generation": 70000}

    ((key, value),) = decoded(plan, "inode_tags", **more)
    assert key == {"inode": 77, "generation": 70000}
    assert (value["node"], value["has_edges"], value["prefix_lengths"]) == (9, 1, 4)
    assert value["self"] == {"object": [0, 0, 0], "program": 3}
    edges = [key for key, _ in decoded(plan, "edges", **more)]
    assert {key["generation"] for key in edges} == {70000 & 0xFFFF}
    assert {key["name_hash"] for key in edges} == {hash_name(b"no"), hash_name(b"where")}
    lengths = {key["length"] for key, _ in decoded(plan, "text_tags", **more)}
    assert lengths == {0, 1, len("/no"), len("/no/where")}


def test_config_is_the_last_entry_and_holds_masks_and_lengths():
    plan = plan_of(
        ("evt.type = open and fd.name endswith .pem", Action.DENY),
        ("evt.type = open and fd.filename = id_rsa", Action.ALERT),
    )

    last = encode(plan, FakeLayout(), 5, reporting=Reporting(record_level="all"))[-1]

    config = read(last.value)
    assert (last.map, last.key) == ("config", bytes(4))
    assert (config["generation"], config["record_level"]) == (5, 2)
    assert config["suffix_lengths"] == [1 << 3, 0, 0, 0]
    assert config["name_lengths"] == [1 << 5, 0, 0, 0]
    assert config["path_mask"] == {"word": list(plan.path_mask)}
    kind = list(CALLS).index("file_open") + 1
    assert config["kinds_fail_closed"] == 1 << kind


class FakeMap:
    def __init__(self, log, name):
        self.log, self.name, self.data = log, name, {}

    def update(self, key, value):
        if self.name == "ports" and len(self.data) >= 3:
            raise UnsupportedError("full")
        self.log.append((self.name, key))
        self.data[key] = value

    def update_all(self, keys, values):
        for key, value in zip(keys, values, strict=True):
            self.update(key, value)

    def lookup(self, key):
        return self.data.get(key)

    def delete(self, key):
        return self.data.pop(key, None) is not None

    def keys(self):
        return iter(list(self.data))


class FakeProgram:
    layout = FakeLayout()

    def __init__(self):
        self.log, self.maps = [], {}
        self.map("config").data[bytes(4)] = repr(
            {
                "generation": 0,
                "path_mask": {"word": [0, 0, 0]},
                "name_excuses": {"word": [0, 0, 0]},
                "name_lengths": [0] * 4,
                "suffix_lengths": [0] * 4,
                "kinds_fail_closed": 0,
            }
        ).encode()

    def map(self, name):
        return self.maps.setdefault(name, FakeMap(self.log, name))

    def generations(self, name):
        return {read(key)["generation"] for key in self.map(name).keys()}  # noqa: SIM118

    @property
    def config(self):
        return read(self.map("config").lookup(bytes(4)))


@pytest.fixture
def program(monkeypatch):
    monkeypatch.setattr(kernel, "learn_inodes", lambda _, fds: [1000 + fd for fd in fds])
    return FakeProgram()


def test_apply_swaps_last_and_takes_the_old_policy_away(program, tmp_path):
    first = plan_of(f"evt.type = open and fd.name = {tmp_path} and proc.name = a")
    second = plan_of(f"evt.type = open and fd.name endswith .x and fd.directory = {tmp_path}")

    with pin_places(first) as old, pin_places(second) as new:
        assert kernel.apply(program, first, old) == 1
        written = len(program.log)
        assert kernel.apply(program, second, new) == 2

    names = [name for name, _ in program.log[written:]]
    assert set(names[-3:]) == {"config"}
    assert "config" not in names[:-3]
    for name in ("inode_tags", "edges", "text_tags", "names", "call_bits"):
        assert program.generations(name) == {2}
    assert program.config["generation"] == 2
    assert program.config["path_mask"] == {"word": list(second.path_mask)}


def test_a_policy_that_does_not_fit_leaves_the_old_one_in_force(program):
    first = plan_of("evt.type = connect and fd.sport in (1, 2)")
    second = plan_of("evt.type = connect and fd.sport in (3, 4)")

    with pin_places(first) as tags:
        kernel.apply(program, first, tags)
        with pytest.raises(UnsupportedError):
            kernel.apply(program, second, tags)

    assert program.config["generation"] == 1
    assert program.generations("ports") == {1}


def test_program_words_of_a_running_process():
    plan = plan_of(
        "evt.type = open and proc.exepath startswith /usr/bin/",
        "evt.type = open and proc.aname = bash",
        "evt.type = open and proc.exepath endswith /node",
    )
    tree = build_tree(plan.predicates)
    below, bash, node = (1 << bit_of(plan, text) for text in ("'/usr/bin'", "bash", "node"))
    shell = process("/bin/bash", process("/usr/bin/sudo"))

    assert program_words(plan, tree, process("/opt/node", shell)) == {
        "program": node,
        "parent": bash,
        "ancestors": bash | below,
    }
