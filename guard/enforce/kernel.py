"""The plan and its tags as bytes of the kernel's maps, and the swap to them.

`encode` is pure: it gives every entry of every map. `apply` writes a new
generation beside the one in force, makes it active by one store, and takes the
old one away. There is no moment without a policy.
"""

from __future__ import annotations

import ipaddress
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from guard.bpf.layout import Layout, Struct
from guard.bpf.program import Program, learn_inodes
from guard.data import dataclass
from guard.enforce.excuses import name_excuses
from guard.enforce.tags import Edge, PathBits, PathTag, PathTree, PinnedTags
from guard.engine.kernel_plan import (
    OBJECT_WORDS,
    WORD_BITS,
    Call,
    KernelPlan,
    Name,
    NameMatch,
    Place,
    Port,
    Reach,
    Term,
)
from guard.event import CALLS

_SEED = 0xCBF29CE484222325
_PRIME = 0x100000001B3
_WORD = (1 << WORD_BITS) - 1
_AF_INET, _AF_INET6 = 2, 10  # the module socket takes long to import
_FIXED_BITS = 64  # of an address key: generation and family
_MASK_WORDS = 4  # of a set of lengths

_NO_TAGS: Mapping[int, PathTag] = {}

# Maps whose keys carry the generation, and the struct of the key.
_KEYED = {
    "inode_tags": "inode_key",
    "edges": "edge_key",
    "text_tags": "text_key",
    "names": "name_key",
    "addresses": "address_key",
    "ports": "port_key",
    "call_bits": "call_key",
}


@dataclass(frozen=True, slots=True)
class Reporting:
    """What the kernel reports besides decisions, and when it wakes the reader."""

    record_level: str = "unique"  # matched, unique, all
    wake_bytes: int = 256 * 1024
    wake_interval_ns: int = 10_000_000
    capture_env: bool = False


@dataclass(frozen=True, slots=True)
class MapEntry:
    map: str
    key: bytes
    value: bytes


# Keys and values of many entries, by map.
Blocks = Mapping[str, tuple[list[bytes], list[bytes]]]
FIRST_GENERATION = 1


def hash_name(name: Iterable[int]) -> int:
    """FNV-1a, 64 bits, over bytes: how the kernel hashes names and paths."""
    value = _SEED
    for byte in name:
        value = (value ^ byte) * _PRIME & _WORD
    return value


def encode(
    plan: KernelPlan,
    layout: Layout,
    generation: int,
    *,
    inodes: Mapping[int, PathTag] = _NO_TAGS,
    edges: Iterable[Edge] = (),
    texts: Mapping[bytes, PathTag] | None = None,
    reporting: Reporting | None = None,
) -> list[MapEntry]:
    """Every entry of a policy; the last one, the only one of `config`, makes it active.

    `inodes` are tags by the kernel's address of the inode, `texts` by path.
    """
    encoder = _Encoder(plan, layout, generation)
    return [
        *encoder.terms(),
        *encoder.inode_tags(inodes),
        *encoder.edges(edges),
        *encoder.text_tags(texts or {}),
        *encoder.names(),
        *encoder.addresses(),
        *encoder.ports(),
        *encoder.call_bits(),
        encoder.config(reporting or Reporting()),
    ]


def encode_first(plan: KernelPlan, layout: Layout, tree: PathTree) -> Blocks:
    """What `encode` gives for a plan and its tree, for maps that are still empty.

    It depends on nothing else: not on inodes, and not on what is to be reported.
    """
    *data, _config = encode(plan, layout, FIRST_GENERATION, edges=tree.edges, texts=tree.tags)
    # New arrays are zero: the empty lists of terms, 50 KB each, are there already.
    return _blocks(entry for entry in data if any(entry.value))


def apply(
    program: Program,
    plan: KernelPlan,
    tags: PinnedTags,
    reporting: Reporting | None = None,
    *,
    first: Blocks | None = None,
) -> int:
    """Put a policy in force; returns its generation.

    `tags` must stay open as long as the policy is in force. `first` is what
    `encode_first` gave for plan and tree. Raises UnsupportedError when the
    policy does not fit the kernel's maps; the policy in force before then stays.
    """
    layout = program.layout
    old = layout.struct("policy_config").unpack(program.map("config").lookup(bytes(4)) or b"")
    generation: int = old["generation"] + 1
    is_first = generation == FIRST_GENERATION
    addresses = learn_inodes(program, list(tags.pins))
    encoder = _Encoder(plan, layout, generation)
    inodes = dict(zip(addresses, tags.pins.values(), strict=True))
    found = [_blocks([*encoder.inode_tags(inodes), *encoder.edges(tags.edges)])]
    if is_first:
        found.append(encode_first(plan, layout, tags.tree) if first is None else first)
    else:
        *data, _config = encode(
            plan, layout, generation, edges=tags.tree.edges, texts=tags.tree.tags
        )
        found.append(_blocks(data))
    config = encoder.config(reporting or Reporting())
    try:
        for blocks in reversed(found):
            for name, (keys, values) in blocks.items():
                program.map(name).update_all(keys, values)
    except BaseException:
        _forget(program, generation)
        raise
    for step in _config_steps(layout, old, config.value):
        program.map(config.map).update(config.key, step)
    if not is_first:
        _forget(program, old["generation"])
    return generation


def _blocks(entries: Iterable[MapEntry]) -> Blocks:
    found: defaultdict[str, tuple[list[bytes], list[bytes]]] = defaultdict(lambda: ([], []))
    for entry in entries:
        keys, values = found[entry.map]
        keys.append(entry.key)
        values.append(entry.value)
    return dict(found)


class _Encoder:
    """Entries of one policy in one generation."""

    def __init__(self, plan: KernelPlan, layout: Layout, generation: int) -> None:
        self._plan = plan
        self._layout = layout
        self._generation = generation
        self._kinds = layout.enum("event_kind")
        self._tags: dict[PathTag, bytes] = {}
        # The same by identity, which needs no hashing; it keeps the tags, so no identity recurs.
        self._same_tags: dict[int, tuple[PathTag, bytes]] = {}
        self._keys: dict[str, tuple[Struct, int]] = {}  # by map: key and generation in it

    def terms(self) -> Iterator[MapEntry]:
        """A list for every kind: one without terms must not keep an old list."""
        whole = self._layout.struct("term_list")
        empty = bytes(whole.size)
        for kind in CALLS:
            number = self._kind(kind)
            index = (self._generation & 1) * self._kinds["EVENT_KIND_COUNT"] + number
            terms = self._plan.terms.get(kind, ())
            value = empty
            if terms:
                value = whole.pack({"count": len(terms), "terms": list(map(_term, terms))})
            yield MapEntry("terms", index.to_bytes(4, "little"), value)

    def inode_tags(self, inodes: Mapping[int, PathTag]) -> Iterator[MapEntry]:
        for inode, tag in inodes.items():
            yield self._tagged("inode_tags", {"inode": inode}, tag)

    def edges(self, edges: Iterable[Edge]) -> Iterator[MapEntry]:
        for edge in edges:
            key = {
                "name_hash": hash_name(edge.name),
                "node": edge.node,
                "is_prefix": int(edge.is_prefix),
            }
            yield self._tagged("edges", key, edge.tag)

    def text_tags(self, texts: Mapping[bytes, PathTag]) -> Iterator[MapEntry]:
        for path, tag in texts.items():
            # The root is looked up as what precedes the first slash, and as itself.
            for text in (path,) if path else (b"", b"/"):
                key = {"path_hash": hash_name(text), "length": len(text)}
                yield self._tagged("text_tags", key, tag)

    def names(self) -> Iterator[MapEntry]:
        found: defaultdict[Name, PathBits] = defaultdict(PathBits)
        for placed in self._plan.predicates:
            bit = 1 << placed.bit
            bits = PathBits(program=bit) if placed.is_program else PathBits(operation=bit)
            for source in placed.predicate.sources:
                if isinstance(source, Name):
                    found[source] |= bits
        # The kernel stops at an exact name, but tries every suffix.
        for name, bits in found.items():
            text = os.fsencode(name.text)
            order = reversed(text) if name.match is NameMatch.SUFFIX else iter(text)
            key = {"name_hash": hash_name(order), "length": len(text), "match": int(name.match)}
            yield self._entry("names", key, "path_bits", _path_bits(bits))

    def addresses(self) -> Iterator[MapEntry]:
        bits: defaultdict[Reach, int] = defaultdict(int)
        for source, bit in self._operation_sources():
            if isinstance(source, Reach):
                bits[source] |= bit
        for reach in bits:
            network = reach.network
            # Only the longest entry that fits is found: it speaks for the wider ones.
            closed = 0
            for other, own in bits.items():
                if _contains(other.network, network):
                    closed |= own
            family = _AF_INET if network.version == 4 else _AF_INET6
            key = {
                "prefix_bits": _FIXED_BITS + network.prefixlen,
                "family": int(family),
                "address": network.network_address.packed.ljust(16, b"\0"),
            }
            yield self._entry("addresses", key, "object_bits", {"word": _words(closed)})

    def ports(self) -> Iterator[MapEntry]:
        bits: defaultdict[int, int] = defaultdict(int)
        for source, bit in self._operation_sources():
            if isinstance(source, Port):
                bits[source.number] |= bit
        for port, found in bits.items():
            yield self._entry("ports", {"port": port}, "object_bits", {"word": _words(found)})

    def call_bits(self) -> Iterator[MapEntry]:
        bits: defaultdict[str, int] = defaultdict(int)
        for source, bit in self._operation_sources():
            if isinstance(source, Call):
                bits[source.name] |= bit
        numbers = self._layout.enum("event_call")
        for call, found in bits.items():
            key = {"call": numbers[f"CALL_{call.upper()}"]}
            yield self._entry("call_bits", key, "object_bits", {"word": _words(found)})

    def config(self, reporting: Reporting) -> MapEntry:
        levels = self._layout.enum("record_level")
        names = [
            source
            for placed in self._plan.predicates
            for source in placed.predicate.sources
            if isinstance(source, Name)
        ]
        value = self._layout.struct("policy_config").pack(
            {
                "generation": self._generation,
                "record_level": levels[f"RECORD_{reporting.record_level.upper()}"],
                "wake_bytes": reporting.wake_bytes,
                "wake_interval_ns": reporting.wake_interval_ns,
                "capture_env": int(reporting.capture_env),
                "path_mask": {"word": list(self._plan.path_mask)},
                "name_excuses": {"word": _words(name_excuses(self._plan))},
                "name_lengths": _lengths(names, NameMatch.EXACT),
                "suffix_lengths": _lengths(names, NameMatch.SUFFIX),
                "kinds_fail_closed": sum(1 << self._kind(k) for k in self._plan.fail_closed),
            }
        )
        return MapEntry("config", bytes(4), value)

    def _kind(self, kind: str) -> int:
        return self._kinds[f"EVENT_{kind.upper()}"]

    def _operation_sources(self) -> Iterator[tuple[object, int]]:
        for placed in self._plan.predicates:
            for source in placed.predicate.sources:
                if not isinstance(source, Place | Name):
                    yield source, 1 << placed.bit

    def _tagged(self, map_name: str, key: Mapping[str, object], tag: PathTag) -> MapEntry:
        same = self._same_tags.get(id(tag))
        if same is not None:
            return MapEntry(map_name, self._key(map_name, key), same[1])
        value = self._tags.get(tag)
        if value is None:
            # A position has the same tag by inode, by name and by text.
            value = self._tags[tag] = self._layout.struct("path_tag").pack(
                {
                    "self": _path_bits(tag.itself),
                    "child": _path_bits(tag.child),
                    "below": _path_bits(tag.below),
                    "prefix_lengths": tag.prefix_lengths,
                    "node": tag.node,
                    "has_edges": int(tag.has_edges),
                }
            )
        self._same_tags[id(tag)] = tag, value
        return MapEntry(map_name, self._key(map_name, key), value)

    def _entry(
        self,
        map_name: str,
        key: Mapping[str, object],
        value_struct: str,
        value: Mapping[str, object],
    ) -> MapEntry:
        packed = self._layout.struct(value_struct).pack(value)
        return MapEntry(map_name, self._key(map_name, key), packed)

    def _key(self, map_name: str, key: Mapping[str, object]) -> bytes:
        known = self._keys.get(map_name)
        if known is None:
            struct = self._layout.struct(_KEYED[map_name])
            size = struct.by_name["generation"].size
            known = self._keys[map_name] = struct, _key_generation(size, self._generation)
        struct, generation = known
        return struct.pack({**key, "generation": generation})


def _term(term: Term) -> Mapping[str, object]:
    return {
        "must": {"word": list(term.must)},
        "must_not": {"word": list(term.must_not)},
        "rule": term.rule,
        "action": int(term.action),
    }


def _path_bits(bits: PathBits) -> Mapping[str, object]:
    return {"object": _words(bits.operation), "program": bits.program}


def _words(bits: int) -> list[int]:
    return [bits >> WORD_BITS * index & _WORD for index in range(OBJECT_WORDS)]


def _lengths(names: Iterable[Name], match: NameMatch) -> list[int]:
    lengths = {len(os.fsencode(name.text)) for name in names if name.match is match}
    found = sum(1 << length - 1 for length in lengths)
    return [found >> WORD_BITS * index & _WORD for index in range(_MASK_WORDS)]


def _contains(
    wide: ipaddress.IPv4Network | ipaddress.IPv6Network,
    narrow: ipaddress.IPv4Network | ipaddress.IPv6Network,
) -> bool:
    return (
        wide.version == narrow.version
        and wide.prefixlen <= narrow.prefixlen
        and narrow.network_address in wide
    )


def _key_generation(size: int, generation: int) -> int:
    # Edge keys have room for the low half only; two generations live at a time.
    return generation & (1 << 8 * size) - 1


def _config_steps(layout: Layout, old: Mapping[str, object], final: bytes) -> Sequence[bytes]:
    """The values that `config` takes, one after the other.

    The store is not atomic as a whole: while the generation changes, the other
    members must suit both policies.
    """
    struct = layout.struct("policy_config")
    new = struct.unpack(final)
    both = dict(new)
    for name in ("path_mask", "name_excuses"):
        both[name] = {"word": _either(old[name]["word"], new[name]["word"])}  # type: ignore[index]  # unpack gives nested mappings
    for name in ("name_lengths", "suffix_lengths"):
        both[name] = _either(old[name], new[name])  # type: ignore[arg-type]  # lists of int
    both["kinds_fail_closed"] = new["kinds_fail_closed"] | old["kinds_fail_closed"]
    before = {**both, "generation": old["generation"]}
    return [struct.pack(before), struct.pack(both), final]


def _either(first: Sequence[int], second: Sequence[int]) -> list[int]:
    return [a | b for a, b in zip(first, second, strict=True)]


def _forget(program: Program, generation: int) -> None:
    for map_name, struct_name in _KEYED.items():
        struct = program.layout.struct(struct_name)
        wanted = _key_generation(struct.by_name["generation"].size, generation)
        table = program.map(map_name)
        for key in list(table.keys()):
            if struct.unpack(key)["generation"] == wanted:
                table.delete(key)
