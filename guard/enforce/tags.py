"""Where the places of a policy are in the file tree of this machine.

place      a path the policy names; every spelling of it is one: as written,
           with the symlinks of its directories resolved, wholly resolved
position   a node of the tree of all spellings. Its bits are closed: they hold
           what places above it say about it
edge       the step from a position to the next one by name: for what does not
           exist yet, and for what is replaced by another file of that name
pin        an O_PATH descriptor that keeps the inode of an existing position

The kernel finds the deepest pinned inode above a file, then follows edges; a
path seen only as text starts at the deepest position in `texts` instead.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

from guard.enforce.mounts import Mount, inner_mounts, read_mounts
from guard.engine.kernel_plan import MAX_EDGES, KernelPlan, Place, PlacedPredicate, Scope
from guard.errors import PolicyError, UnsupportedError

_O_PIN = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class PathBits:
    """Bits for an operation on a path (words 0..2) and for a program run from it."""

    operation: int = 0
    program: int = 0

    def __or__(self, other: PathBits) -> PathBits:
        return PathBits(self.operation | other.operation, self.program | other.program)

    def __bool__(self) -> bool:
        return bool(self.operation or self.program)


NO_BITS = PathBits()


@dataclass(frozen=True, slots=True)
class PathTag:
    """What the kernel learns at a position: bits of itself, its entries, what is deeper.

    Bit n-1 of `prefix_lengths`: some edge matches names by their first n bytes.
    """

    itself: PathBits
    child: PathBits
    below: PathBits
    node: int
    has_edges: bool = False
    prefix_lengths: int = 0

    def __or__(self, other: PathTag) -> PathTag:
        """Both tags on one inode. The edges of only one of them can be followed."""
        first, second = (self, other) if self.has_edges else (other, self)
        return replace(
            first,
            itself=first.itself | second.itself,
            child=first.child | second.child,
            below=first.below | second.below,
        )


@dataclass(frozen=True, slots=True)
class Edge:
    """From position `node` by `name`, or by any name that starts with it."""

    node: int
    name: bytes
    is_prefix: bool
    tag: PathTag


@dataclass(frozen=True, slots=True)
class PathTree:
    """Everything about places that does not depend on which inodes exist."""

    tags: Mapping[bytes, PathTag]  # by path text; the root is b""
    edges: tuple[Edge, ...]


@dataclass(slots=True)
class PinnedTags:
    """A path tree and the inodes its positions have now. Close it to let them go."""

    tree: PathTree
    pins: dict[int, PathTag]  # descriptor -> tag of its inode
    paths: dict[int, bytes] = field(default_factory=dict)

    def close(self) -> None:
        for descriptor in self.pins:
            os.close(descriptor)
        self.pins.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def pin_places(plan: KernelPlan, mounts: Sequence[Mount] | None = None) -> PinnedTags:
    """Find the plan's places in the file tree as it is now.

    `mounts` defaults to those of this process. Raises PolicyError for a place
    that lies too far below any existing directory, UnsupportedError when there
    are more places than descriptors.
    """
    tree = build_tree(plan.predicates)
    pinned = PinnedTags(tree, {})
    inodes: dict[tuple[int, int], int] = {}
    mounted = read_mounts() if mounts is None else mounts
    inner = {mount: _tag_at(tree, mount) for mount in inner_mounts(mounted)}
    try:
        for path, tag in tree.tags.items():
            _pin(pinned, inodes, path or b"/", tag)
        for path, mount_tag in inner.items():
            if mount_tag is not None:
                _pin(pinned, inodes, path, mount_tag)
    except BaseException:
        pinned.close()
        raise
    return pinned


def build_tree(predicates: Iterable[PlacedPredicate]) -> PathTree:
    """The tree of all spellings of the places in `predicates`.

    Looks symlinks up in the file system. Raises PolicyError for a place more
    than MAX_EDGES names below the deepest directory that exists.
    """
    spelled = _spell(predicates)
    own = _Own(spelled)
    positions: dict[tuple[bytes, ...], None] = {(): None}
    for parts, is_prefix, _, _ in spelled:
        whole = parts[:-1] if is_prefix else parts
        first = max(len(whole) - MAX_EDGES, 0)
        for length in range(first, len(whole) + 1):
            positions[whole[:length]] = None
    nodes = {parts: number for number, parts in enumerate(sorted(positions), 1)}
    prefixes: dict[tuple[bytes, ...], set[bytes]] = {}
    for parts, is_prefix, _, _ in spelled:
        if is_prefix:
            prefixes.setdefault(parts[:-1], set()).add(parts[-1])
    with_edges = {parts[:-1] for parts in nodes if parts} | set(prefixes)

    def tag(parts: tuple[bytes, ...], node: int) -> PathTag:
        lengths = sum(1 << length - 1 for length in {len(n) for n in prefixes.get(parts, ())})
        return replace(
            own.tag(parts), node=node, has_edges=parts in with_edges, prefix_lengths=lengths
        )

    tags = {parts: tag(parts, node) for parts, node in nodes.items()}
    edges = [
        Edge(nodes[parts[:-1]], parts[-1], False, found)
        for parts, found in tags.items()
        if parts and parts[:-1] in nodes
    ]
    last = len(nodes)
    for parent, names in prefixes.items():
        for name in sorted(names):
            last += 1
            edges.append(Edge(nodes[parent], name, True, replace(own.tag((*parent, name)), node=last)))
    kept = _useful(tags, {edge.node for edge in edges})
    return PathTree({b"".join(b"/" + part for part in p): t for p, t in kept.items()}, tuple(edges))


_Spelled = tuple[tuple[bytes, ...], bool, Scope, PathBits]


class _Own:
    """Bits that the places themselves say, by path components."""

    def __init__(self, spelled: Iterable[_Spelled]) -> None:
        self.exact: dict[tuple[bytes, ...], dict[Scope, PathBits]] = {}
        self.prefix: dict[tuple[bytes, ...], dict[bytes, dict[Scope, PathBits]]] = {}
        for parts, is_prefix, scope, bits in spelled:
            if is_prefix:
                found = self.prefix.setdefault(parts[:-1], {}).setdefault(parts[-1], {})
            else:
                found = self.exact.setdefault(parts, {})
            for one in scope:
                found[one] = found.get(one, NO_BITS) | bits

    def tag(self, parts: tuple[bytes, ...]) -> PathTag:
        """The closed bits at `parts`, which need not be a place."""
        itself = child = below = NO_BITS
        for length in range(len(parts) + 1):
            distance = len(parts) - length
            for scopes in self._at(parts[:length]):
                deep = scopes.get(Scope.BELOW, NO_BITS)
                near = scopes.get(Scope.CHILD, NO_BITS)
                below |= deep
                child |= deep if distance else near
                if distance == 0:
                    itself |= scopes.get(Scope.SELF, NO_BITS)
                else:
                    itself |= near if distance == 1 else deep
        return PathTag(itself, child, below, 0)

    def _at(self, parts: tuple[bytes, ...]) -> Iterable[dict[Scope, PathBits]]:
        if parts in self.exact:
            yield self.exact[parts]
        if parts:
            for prefix, scopes in self.prefix.get(parts[:-1], {}).items():
                if parts[-1].startswith(prefix):
                    yield scopes


def _useful(
    tags: Mapping[tuple[bytes, ...], PathTag], with_edges: set[int]
) -> dict[tuple[bytes, ...], PathTag]:
    # The root only leads to places that exist anyway, unless a place says more.
    return {p: t for p, t in tags.items() if p or t.itself or t.child or t.below or t.prefix_lengths}


def _spell(predicates: Iterable[PlacedPredicate]) -> list[_Spelled]:
    bits: dict[Place, PathBits] = {}
    for placed in predicates:
        mask = 1 << placed.bit
        own = PathBits(program=mask) if placed.is_program else PathBits(operation=mask)
        for source in placed.predicate.sources:
            if isinstance(source, Place):
                bits[source] = bits.get(source, NO_BITS) | own
    return [
        (tuple(part for part in path.split(b"/") if part), place.is_prefix, place.scope, own)
        for place, own in bits.items()
        for path in spellings(place)
    ]


def spellings(place: Place) -> list[bytes]:
    """The paths under which `place` can be met: as written, and with symlinks resolved.

    A symlink that is itself the place counts as well as what it points to.
    Raises PolicyError when too many of its directories do not exist.
    """
    path = os.fsencode(place.path)
    if path == b"/":
        return [path]
    folder, name = os.path.split(path)
    real_folder = os.path.realpath(folder)
    _check_depth(place, real_folder)
    found = [path, os.path.join(real_folder, name)]
    if not place.is_prefix:
        found.append(os.path.realpath(path))
    return list(dict.fromkeys(found))


def _check_depth(place: Place, folder: bytes) -> None:
    missing = 1
    while folder != b"/" and not os.path.lexists(folder):
        folder = os.path.dirname(folder)
        missing += 1
    if missing > MAX_EDGES:
        raise PolicyError(
            f"`{place.path}` lies {missing} names below `{os.fsdecode(folder)}`, "
            "the deepest directory of it that exists",
            help=f"create some of the directories; at most {MAX_EDGES} names may be missing",
        )


def _tag_at(tree: PathTree, path: bytes) -> PathTag | None:
    """Tag for the root of a file system mounted at `path`, None when no place holds it."""
    if path in tree.tags:
        return None  # pinned as a position already
    steps = path.split(b"/")
    for length in range(len(steps) - 1, 0, -1):
        tag = tree.tags.get(b"/".join(steps[:length]))
        if tag is None:
            continue
        for edge in sorted(tree.edges, key=lambda edge: -len(edge.name)):
            if edge.is_prefix and edge.node == tag.node and steps[length].startswith(edge.name):
                tag, length = edge.tag, length + 1
                break
        distance = len(steps) - length
        itself = (tag.itself, tag.child)[distance] if distance < 2 else tag.below
        inside = tag.child if distance == 0 else tag.below
        if not itself and not inside and not tag.below:
            return None
        return PathTag(itself, inside, tag.below, 0)
    return None


def _pin(
    pinned: PinnedTags, inodes: dict[tuple[int, int], int], path: bytes, tag: PathTag
) -> None:
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        try:
            descriptor = os.open(path, _O_PIN)
        except OSError as error:
            if error.errno not in (23, 24):
                raise
            raise UnsupportedError(
                "too few file descriptors for the places of the policy",
                help="raise the limit with `ulimit -n`, or name fewer paths",
            ) from error
        status = os.fstat(descriptor)
        known = inodes.get((status.st_dev, status.st_ino))
        if known is None:
            inodes[status.st_dev, status.st_ino] = descriptor
            pinned.pins[descriptor] = tag
            pinned.paths[descriptor] = path
        else:
            os.close(descriptor)
            pinned.pins[known] |= tag
