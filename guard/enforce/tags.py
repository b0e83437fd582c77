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

import errno
import os
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self

from guard.data import dataclass, replace
from guard.enforce.mounts import Mount, other_paths, read_mounts
from guard.engine.kernel_plan import MAX_EDGES, KernelPlan, Place, PlacedPredicate, Scope
from guard.errors import PolicyError, UnsupportedError

O_PIN = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


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
        """Both tags on one inode; edges are followed from the node of the first that has any."""
        first, second = (self, other) if self.has_edges else (other, self)
        return replace(
            first,
            itself=first.itself | second.itself,
            child=first.child | second.child,
            below=first.below | second.below,
            prefix_lengths=first.prefix_lengths | second.prefix_lengths,
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

    tags: Mapping[bytes, PathTag]  # positions by path text; the root is b""
    edges: tuple[Edge, ...]
    places: Places

    def closed_bits(self, path: bytes) -> PathTag:
        """What the places say about any absolute `path`."""
        return self.places.tag(_parts(path))

    def has_prefixes(self, folder: bytes) -> bool:
        """Whether some place is what in `folder` has a name that starts so and so."""
        return _parts(folder) in self.places.prefix


class PinnedTags:
    """A path tree and the inodes its positions have now. Close it to let them go."""

    def __init__(self, tree: PathTree) -> None:
        self.tree = tree
        self.pins: dict[int, PathTag] = {}  # by descriptor
        self.names: dict[int, list[bytes]] = {}  # the names under which each was found
        self.edges: list[Edge] = []  # besides those of the tree
        self.warnings: list[str] = []  # what is protected less than its rules say
        self._inodes: dict[tuple[int, int], int] = {}

    def hold(self, descriptor: int, tag: PathTag, name: bytes) -> None:
        """Tag the inode behind an O_PATH `descriptor`, found as `name`; closes it in the end."""
        status = os.fstat(descriptor)
        known = self._inodes.setdefault((status.st_dev, status.st_ino), descriptor)
        if known == descriptor:
            self.pins[descriptor] = tag
            self.names[descriptor] = [name]
            return
        os.close(descriptor)
        first = self.pins[known]
        if first.has_edges and tag.has_edges:
            # One directory under two paths: what lies below is reached from one node.
            self.edges += [
                replace(edge, node=first.node)
                for edge in (*self.tree.edges, *self.edges)
                if edge.node == tag.node
            ]
        self.pins[known] = first | tag
        self.names[known].append(name)

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
    """Find the plan's places in the file tree as it is now: `pin` of `build_tree`."""
    return pin(build_tree(plan.predicates), mounts)


def pin(tree: PathTree, mounts: Sequence[Mount] | None = None) -> PinnedTags:
    """Hold on to the inodes that the positions of a tree have now.

    `mounts` defaults to those of this process. Raises UnsupportedError when there
    are more places than descriptors.
    """
    pinned = PinnedTags(tree)
    try:
        for path, tag in tree.tags.items():
            if path or _root_matters(tree):
                _pin(pinned, path or b"/", tag)
        for path, tag in _inner_mounts(tree, read_mounts() if mounts is None else mounts):
            _pin(pinned, path, tag)
    except BaseException:
        pinned.close()
        raise
    return pinned


def build_tree(predicates: Iterable[PlacedPredicate]) -> PathTree:
    """The tree of all spellings of the places in `predicates`; see `spell`."""
    return tree_of(spell(predicates))


def tree_of(spelled: Sequence[Spelled]) -> PathTree:
    """The tree of places that have been spelled."""
    places = Places(spelled)
    positions: set[_Parts] = set()
    prefixes: dict[_Parts, set[bytes]] = {}
    for place, is_prefix, _, _ in spelled:
        parts = place[:-1] if is_prefix else place
        if is_prefix:
            prefixes.setdefault(parts, set()).add(place[-1])
        # Directories above a place can be replaced too: they get edges as far as
        # the kernel follows them.
        for length in range(max(len(parts) - MAX_EDGES, 0), len(parts) + 1):
            positions.add(parts[:length])
    nodes = {parts: number for number, parts in enumerate(sorted(positions), 1)}
    with_edges = {parts[:-1] for parts in nodes if parts} | set(prefixes)
    tags = {
        parts: replace(
            places.tag(parts),
            node=node,
            has_edges=parts in with_edges,
            prefix_lengths=_length_bits(prefixes.get(parts, ())),
        )
        for parts, node in nodes.items()
    }
    edges = [
        Edge(nodes[parts[:-1]], parts[-1], False, tag)
        for parts, tag in tags.items()
        if parts and parts[:-1] in nodes
    ]
    beyond = len(nodes) + 1
    for parent, names in prefixes.items():
        for name in sorted(names):
            tag = replace(places.tag((*parent, name)), node=beyond)
            edges.append(Edge(nodes[parent], name, True, tag))
            beyond += 1
    texts = {b"".join(b"/" + part for part in parts): tag for parts, tag in tags.items()}
    return PathTree(texts, tuple(edges), places)


def _length_bits(names: Iterable[bytes]) -> int:
    return sum(1 << length - 1 for length in {len(name) for name in names})


_Parts = tuple[bytes, ...]
# A path, whether every name that starts with its last one counts, what is said about it.
Spelled = tuple[_Parts, bool, Scope, PathBits]


class Places:
    """The bits that the places say, by the components of their paths."""

    def __init__(self, spelled: Iterable[Spelled]) -> None:
        self.exact: dict[_Parts, dict[Scope, PathBits]] = {}
        self.prefix: dict[_Parts, dict[bytes, dict[Scope, PathBits]]] = {}
        for parts, is_prefix, scope, bits in spelled:
            if is_prefix:
                found = self.prefix.setdefault(parts[:-1], {}).setdefault(parts[-1], {})
            else:
                found = self.exact.setdefault(parts, {})
            for one in scope:
                found[one] = found.get(one, NO_BITS) | bits

    def tag(self, parts: _Parts) -> PathTag:
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

    def _at(self, parts: _Parts) -> Iterable[dict[Scope, PathBits]]:
        if parts in self.exact:
            yield self.exact[parts]
        if parts:
            for prefix, scopes in self.prefix.get(parts[:-1], {}).items():
                if parts[-1].startswith(prefix):
                    yield scopes


def spell(predicates: Iterable[PlacedPredicate]) -> list[Spelled]:
    """All spellings of all places in `predicates`, with what these say about them.

    Looks symlinks up in the file system. Raises PolicyError for a place more
    than MAX_EDGES names below the deepest directory that exists.
    """
    bits: dict[Place, PathBits] = {}
    for placed in predicates:
        mask = 1 << placed.bit
        own = PathBits(program=mask) if placed.is_program else PathBits(operation=mask)
        for source in placed.predicate.sources:
            if isinstance(source, Place):
                bits[source] = bits.get(source, NO_BITS) | own
    folders = {b"/": b"/"}
    found = [
        (_parts(path), place.is_prefix, place.scope, own)
        for place, own in bits.items()
        for path in spellings(place, folders)
    ]
    # A predicate's sources have no order: two results must be equal when nothing has changed.
    return sorted(found, key=lambda each: (each[0], each[1], each[2].value))


def spellings(place: Place, folders: dict[bytes, bytes] | None = None) -> list[bytes]:
    """The paths under which `place` can be met: as written, and with symlinks resolved.

    A symlink that is itself the place counts as well as what it points to.
    `folders` remembers directories that were resolved for other places.
    Raises PolicyError when too many of its directories do not exist.
    """
    path = os.fsencode(place.path)
    if path == b"/":
        return [path]
    folder, name = os.path.split(path)
    real_folder = _resolved(folder, {b"/": b"/"} if folders is None else folders)
    _check_depth(place, real_folder)
    in_folder = os.path.join(real_folder, name)
    found = [path, in_folder]
    if not place.is_prefix:
        found.append(_target(in_folder))
    return list(dict.fromkeys(found))


def _resolved(folder: bytes, known: dict[bytes, bytes]) -> bytes:
    """os.path.realpath, which would look at every directory once for every place in it."""
    found = known.get(folder)
    if found is None:
        parent, name = os.path.split(folder)
        found = known[folder] = _target(os.path.join(_resolved(parent, known), name))
    return found


def _target(path: bytes) -> bytes:
    """Where `path`, in a resolved directory, leads; itself when it is no symlink."""
    try:
        os.readlink(path)
    except OSError:
        return path
    return os.path.realpath(path)


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


def _parts(path: bytes) -> _Parts:
    return tuple(part for part in path.split(b"/") if part)


def _root_matters(tree: PathTree) -> bool:
    # Most files lie below no place at all; without a tag on the root the kernel
    # is done with them when its walk ends. Only root may replace `/etc` itself.
    root = tree.tags[b""]
    return bool(
        root.itself
        or root.child
        or root.below
        or root.prefix_lengths
        or any(
            edge.node == root.node and not os.path.lexists(b"/" + edge.name) for edge in tree.edges
        )
    )


def _inner_mounts(tree: PathTree, mounts: Sequence[Mount]) -> Iterable[tuple[bytes, PathTag]]:
    """Roots of file systems mounted inside a place: the kernel's walk ends there."""
    for mount in mounts:
        path = mount.path.rstrip(b"/")
        tag = tree.closed_bits(path)
        if path in tree.tags or not (tag.itself or tag.child or tag.below):
            continue
        # A bind mount shares its inodes with the directory it shows. They can
        # carry one tag only, so they keep what their other paths say.
        if all(tree.closed_bits(other) == tag for other in other_paths(mount, mounts)):
            yield path, tag


def _pin(pinned: PinnedTags, path: bytes, tag: PathTag) -> None:
    try:
        descriptor = os.open(path, O_PIN)
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            return  # not there or not reachable now: known by name
        raise UnsupportedError(
            "too few file descriptors for the places of the policy",
            help="raise the limit with `ulimit -n`, or name fewer paths",
        ) from error
    pinned.hold(descriptor, tag, os.path.basename(path))
