"""Files inside protected directories, each known by its own inode.

What lies in a protected directory is found by the way up from it. A hard link
elsewhere has another way up, so every file that is there when the policy is
loaded is pinned too, and keeps the bits of its place under any name.

Bounded: a directory with too much in it is left as it is, and `warnings` says so.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from guard.data import dataclass
from guard.enforce.excuses import ENFORCING, keep_excuses, object_bits
from guard.enforce.mounts import Mount, read_mounts
from guard.enforce.tags import NO_BITS, O_PIN, PathBits, PathTag, PinnedTags
from guard.engine.kernel_plan import KernelPlan, Place, Scope

MAX_ENTRIES = 2000  # of one directory tree: some 20 ms
MAX_LEVELS = 8
MAX_FILES = 6000  # altogether: inode_tags holds 16384 of two generations
_SPARE_DESCRIPTORS = 256  # for the rest of guard

# Installed programs and what the kernel shows of itself: large trees, and only root can
# link what is in there, if anything.
_SYSTEM = (b"/usr", b"/opt", b"/nix", b"/snap", b"/sys", b"/proc", b"/dev")
_OF_ROOT = (*_SYSTEM, b"/etc")
# Nothing in these can have two names.
_WITHOUT_LINKS = frozenset({
    "proc", "sysfs", "cgroup", "cgroup2", "bpf", "devpts", "debugfs", "tracefs", "securityfs",
    "configfs", "mqueue", "pstore", "efivarfs", "vfat", "exfat",
})  # fmt: skip
_PROTECTED_HARDLINKS = Path("/proc/sys/fs/protected_hardlinks")


@dataclass(frozen=True, slots=True)
class _Root:
    """A protected directory, or with `prefix` what in it has a name that starts so."""

    path: bytes
    prefix: bytes


class _BeyondBoundError(Exception):
    """Why a tree is not looked at file by file."""


def pin_contents(
    pinned: PinnedTags, plan: KernelPlan, user: int = 0, mounts: Sequence[Mount] | None = None
) -> None:
    """Pin the files inside the places that the plan's denials of opens name.

    `user` is who the session runs as: files that they cannot link are left out,
    for root that is none. What could not be done is in `pinned.warnings`.
    """
    protecting = 0
    for term in plan.terms.get("file_open", ()):
        if term.action in ENFORCING:
            protecting |= object_bits(term.must)
    scan = _Scan(pinned, protecting, user, read_mounts() if mounts is None else mounts)
    found = []
    for root in _roots(plan, protecting):
        try:
            found.append((root, scan.files(root)))
        except _BeyondBoundError as reason:
            pinned.warnings.append(_warning(root, str(reason)))
    # The small ones first: as many directories as possible are whole.
    found.sort(key=lambda each: len(each[1]))
    pinning = 0
    with _room(sum(len(files) for _, files in found)) as (room, lowest):
        for root, files in found:
            pinning += len(files)
            if pinning > room:
                pinned.warnings.append(_warning(root, "there are too many protected files"))
                continue
            for path, tag in files:
                _pin(pinned, path, tag, lowest)
    keep_excuses(pinned, plan)


def _warning(root: _Root, reason: str) -> str:
    path = os.fsdecode(os.path.join(root.path, root.prefix) if root.prefix else root.path)
    return f"files in `{path}` are not protected under hard links elsewhere: {reason}"


def _roots(plan: KernelPlan, protecting: int) -> list[_Root]:
    """Protected directories that exist, each once, those that hold others first."""
    found = set[_Root]()
    for placed in plan.predicates:
        if placed.is_program or not protecting >> placed.bit & 1:
            continue
        for source in placed.predicate.sources:
            if isinstance(source, Place) and (source.is_prefix or source.scope & Scope.INSIDE):
                path = os.fsencode(source.path)
                folder, prefix = os.path.split(path) if source.is_prefix else (path, b"")
                if os.path.isdir(folder):
                    found.add(_Root(os.path.realpath(folder), prefix))
    return sorted(found, key=lambda root: (root.path, root.prefix))


class _Scan:
    """Finds the files to pin. Looks at every directory once."""

    def __init__(
        self, pinned: PinnedTags, protecting: int, user: int, mounts: Sequence[Mount]
    ) -> None:
        self._tree = pinned.tree
        self._protecting = protecting
        self._mounts = {mount.path: mount.kind for mount in mounts}
        protected = user != 0 and _PROTECTED_HARDLINKS.read_text().strip() == "1"
        self._only_of = user if protected else None
        self._seen = set[bytes]()

    def files(self, root: _Root) -> list[tuple[bytes, PathTag]]:
        """Files inside `root` with their tags; raises _BeyondBoundError."""
        if self._is_settled(root):
            return []
        found: list[tuple[bytes, PathTag]] = []
        seen = [] if root.prefix else [root.path]
        number = 0
        waiting = [(root.path, self._tree.closed_bits(root.path), 1)]
        while waiting:
            folder, own, level = waiting.pop()
            has_prefixes = self._tree.has_prefixes(folder)
            for entry in _entries(folder):
                number += 1
                if number > MAX_ENTRIES:
                    raise _BeyondBoundError(f"it holds more than {MAX_ENTRIES} entries")
                path = entry.path
                if level == 1 and not entry.name.startswith(root.prefix):
                    continue
                if self._mounts.get(path, "proc") not in _WITHOUT_LINKS:
                    raise _BeyondBoundError("another file system is mounted inside it")
                if entry.is_dir(follow_symlinks=False):
                    tag = PathTag(own.child, own.below, own.below, 0)
                    if has_prefixes or path in self._tree.tags:
                        tag = self._tree.closed_bits(path)
                    if path in self._seen or not self._protects(tag.child | tag.below):
                        continue
                    if not self._can_be_entered(entry):
                        continue
                    if level == MAX_LEVELS:
                        raise _BeyondBoundError(f"it is deeper than {MAX_LEVELS} directories")
                    seen.append(path)
                    waiting.append((path, tag, level + 1))
                elif entry.is_file(follow_symlinks=False) and path not in self._tree.tags:
                    bits = self._tree.closed_bits(path).itself if has_prefixes else own.child
                    if self._protects(bits) and self._can_be_linked(entry):
                        found.append((path, PathTag(bits, NO_BITS, NO_BITS, 0)))
        self._seen.update(seen)
        return found

    def _is_settled(self, root: _Root) -> bool:
        is_system = _is_below(root.path, _SYSTEM if self._only_of is None else _OF_ROOT)
        has_been = root.path in self._seen and not root.prefix
        return is_system or has_been or self._kind(root.path) in _WITHOUT_LINKS

    def _protects(self, bits: PathBits) -> bool:
        return bool(bits.operation & self._protecting)

    def _can_be_entered(self, entry: os.DirEntry[bytes]) -> bool:
        if self._only_of is None:
            return True
        status = entry.stat(follow_symlinks=False)
        return status.st_uid == self._only_of or bool(status.st_mode & 0o011)

    def _can_be_linked(self, entry: os.DirEntry[bytes]) -> bool:
        """As fs.protected_hardlinks has it: who does not own a file must be able to write it."""
        if self._only_of is None:
            return True
        status = entry.stat(follow_symlinks=False)
        return status.st_uid == self._only_of or bool(status.st_mode & 0o022)

    def _kind(self, path: bytes) -> str:
        while path not in self._mounts and path != b"/":
            path = os.path.dirname(path)
        return self._mounts.get(path, "")


def _entries(folder: bytes) -> Iterable[os.DirEntry[bytes]]:
    try:
        with os.scandir(folder) as entries:
            return list(islice(entries, MAX_ENTRIES + 1))
    except OSError:
        return ()  # gone, or of a file system that keeps even root out


def _is_below(path: bytes, folders: Iterable[bytes]) -> bool:
    return any(path == folder or path.startswith(folder + b"/") for folder in folders)


@contextmanager
def _room(wanted: int) -> Iterator[tuple[int, int]]:
    """How many files may be pinned, and the lowest descriptor to use for them.

    With a low limit they go above it, for the rest of guard and for what the
    command inherits: neither the limit nor the low numbers change.
    """
    wanted = min(wanted, MAX_FILES)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = soft - len(os.listdir("/proc/self/fd")) - _SPARE_DESCRIPTORS
    if wanted <= free or hard - soft <= free:
        yield min(MAX_FILES, max(free, 0)), 0
        return
    raised = min(hard, soft + wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    try:
        yield min(MAX_FILES, raised - soft), soft
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _pin(pinned: PinnedTags, path: bytes, tag: PathTag, lowest: int) -> None:
    try:
        descriptor = os.open(path, O_PIN)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise
        return  # gone since
    if lowest:
        low, descriptor = descriptor, fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, lowest)
        os.close(low)
    pinned.hold(descriptor, tag, os.path.basename(path))
