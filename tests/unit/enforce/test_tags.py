"""Tags: the kernel's look-up by inode and by text finds what the places say."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from guard.enforce.mounts import Mount, other_paths, read_mounts
from guard.enforce.tags import PathTag, PinnedTags, build_tree, pin_places, spellings
from guard.engine.kernel_plan import (
    KernelPlan,
    Place,
    PlacedPredicate,
    Predicate,
    Scope,
)
from guard.errors import PolicyError


def plan_of(*places: Place, is_program: bool = False) -> KernelPlan:
    """Each place has a predicate of its own: the n-th has bit n."""
    predicates = tuple(
        PlacedPredicate(Predicate(frozenset((place,))), bit, is_program=is_program)
        for bit, place in enumerate(places)
    )
    return KernelPlan(predicates, {}, (), (0, 0, 0), frozenset())


def result(tag: PathTag, depth: int) -> int:
    return (tag.itself, tag.child, tag.below)[min(depth, 2)].operation


def descend(pinned: PinnedTags, tag: PathTag, names: list[bytes]) -> int:
    """Follow edges as match_object() in match.h does."""
    found = (*pinned.tree.edges, *pinned.edges)
    edges = {(edge.node, edge.name, edge.is_prefix): edge.tag for edge in found}
    rest = list(names)
    while rest and tag.has_edges:
        following = edges.get((tag.node, rest[0], False))
        if following is None:
            for length in range(1, len(rest[0]) + 1):
                if tag.prefix_lengths >> length - 1 & 1:
                    following = edges.get((tag.node, rest[0][:length], True), following)
        if following is None:
            break
        tag = following
        rest.pop(0)
    return result(tag, len(rest))


def by_inode(pinned: PinnedTags, path: Path) -> int:
    """Bits of an existing file: walk up to the first pinned inode, then down by name."""
    tags = {}
    for descriptor, tag in pinned.pins.items():
        status = os.fstat(descriptor)
        tags[status.st_dev, status.st_ino] = tag
    names: list[bytes] = []
    place = Path(os.path.realpath(path.parent)) / path.name
    device = os.lstat(place).st_dev
    while True:
        status = os.lstat(place)
        if status.st_dev != device:
            return 0  # the root of the file system was reached
        tag = tags.get((status.st_dev, status.st_ino))
        if tag is not None:
            return descend(pinned, tag, names)
        if place == place.parent:
            return 0
        names.insert(0, os.fsencode(place.name))
        place = place.parent


def by_text(pinned: PinnedTags, path: str) -> int:
    parts = path.split("/")
    for length in range(len(parts), 0, -1):
        tag = pinned.tree.tags.get("/".join(parts[:length]).encode())
        if tag is not None:
            return descend(pinned, tag, [part.encode() for part in parts[length:]])
    return 0


@pytest.fixture
def home(tmp_path):
    for name in ("a/b/c/d", "etc/cron.d", "etc/conf"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("a/f", "a/b/f", "a/b/c/d/f", "etc/crontab", "etc/cron.d/job", "etc/passwd", "f"):
        (tmp_path / name).write_text("")
    return tmp_path


def every_path(folder: Path) -> list[Path]:
    return [folder, *folder.rglob("*")]


SCOPES = [Scope.SELF, Scope.CHILD, Scope.BELOW, Scope.INSIDE, Scope.TREE]


@pytest.mark.parametrize("scope", SCOPES, ids=str)
def test_every_file_gets_the_bits_of_all_places_above_it(home, scope):
    from tests.unit.engine.kernel_model import at

    places = [Place(f"{home}{end}", scope) for end in ("", "/a", "/a/b", "/a/b/c/d", "/etc")]
    places.append(Place(f"{home}/etc/cron", scope, is_prefix=True))
    places.append(Place(f"{home}/etc/cron.d", scope, is_prefix=True))
    places.append(Place(f"{home}/etc/cron.d", Scope.TREE))

    with pin_places(plan_of(*places)) as pinned:
        for path in every_path(home):
            expected = sum(1 << n for n, place in enumerate(places) if at(place, str(path)))
            assert by_inode(pinned, path) == expected, path
            assert by_text(pinned, str(path)) == expected, path


def test_what_does_not_exist_is_known_by_name(home):
    place = Place(f"{home}/a/new/deep/secret", Scope.TREE)

    with pin_places(plan_of(place)) as pinned:
        (home / "a/new/deep").mkdir(parents=True)
        (home / "a/new/deep/secret").write_text("")

        assert by_inode(pinned, home / "a/new/deep/secret") == 1
        assert by_inode(pinned, home / "a/new/deep") == 0


def test_a_file_replaced_by_rename_keeps_its_bits(home):
    place = Place(f"{home}/a/f", Scope.SELF)

    with pin_places(plan_of(place)) as pinned:
        (home / "a/other").write_text("")
        (home / "a/other").rename(home / "a/f")

        assert by_inode(pinned, home / "a/f") == 1


def test_a_directory_replaced_by_another_keeps_its_bits(home):
    place = Place(f"{home}/a/b/f", Scope.SELF)

    with pin_places(plan_of(place)) as pinned:
        (home / "a/b").rename(home / "a/gone")
        (home / "a/b").mkdir()
        (home / "a/b/f").write_text("")

        assert by_inode(pinned, home / "a/b/f") == 1
        assert by_inode(pinned, home / "a/gone/f") == 1


def test_a_moved_file_keeps_its_bits(home):
    with pin_places(plan_of(Place(f"{home}/a/f", Scope.SELF))) as pinned:
        (home / "a/f").rename(home / "elsewhere")

        assert by_inode(pinned, home / "elsewhere") == 1


def test_a_name_that_starts_so_may_be_made_later(home):
    with pin_places(plan_of(Place(f"{home}/etc/cron", Scope.TREE, is_prefix=True))) as pinned:
        (home / "etc/cron.weekly").mkdir()
        (home / "etc/cron.weekly/job").write_text("")

        assert by_inode(pinned, home / "etc/cron.weekly/job") == 1
        assert by_inode(pinned, home / "etc/conf") == 0


def test_a_symlinked_directory_has_both_spellings(home):
    (home / "link").symlink_to("a")

    with pin_places(plan_of(Place(f"{home}/link/f", Scope.SELF))) as pinned:
        assert by_inode(pinned, home / "a/f") == 1
        assert by_text(pinned, f"{home}/a/f") == 1
        assert by_text(pinned, f"{home}/link/f") == 1


def test_a_symlink_counts_as_itself_and_as_its_target(home):
    (home / "link").symlink_to("a/f")

    with pin_places(plan_of(Place(f"{home}/link", Scope.SELF))) as pinned:
        assert by_inode(pinned, home / "a/f") == 1
        assert by_inode(pinned, home / "link") == 1


def test_program_bits_are_kept_apart(home):
    with pin_places(plan_of(Place(str(home), Scope.TREE), is_program=True)) as pinned:
        tag = pinned.tree.tags[os.fsencode(home)]

    assert (tag.itself.operation, tag.itself.program) == (0, 1)


def test_too_many_missing_names_are_refused(home):
    with pytest.raises(PolicyError, match="7 names below"):
        spellings(Place(f"{home}/1/2/3/4/5/6/7", Scope.SELF))

    assert spellings(Place(f"{home}/1/2/3/4/5/6", Scope.SELF))


def test_descriptors_are_closed(home):
    before = os.listdir("/proc/self/fd")

    with pin_places(plan_of(Place(f"{home}/a", Scope.TREE))) as pinned:
        assert pinned.pins

    assert os.listdir("/proc/self/fd") == before


def test_positions_know_nothing_of_the_file_system():
    tree = build_tree(plan_of(Place("/nowhere/at/all", Scope.SELF)).predicates)

    assert set(tree.tags) == {b"", b"/nowhere", b"/nowhere/at", b"/nowhere/at/all"}


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_file_system_mounted_inside_a_place_has_its_bits(home):
    mount = home / "a/b"
    subprocess.run(["mount", "-t", "tmpfs", "none", mount], check=True)
    try:
        (mount / "x").mkdir()
        (mount / "x/y").write_text("")
        with pin_places(plan_of(Place(str(home), Scope.BELOW))) as pinned:
            assert by_inode(pinned, mount / "x/y") == 1
            assert by_inode(pinned, mount) == 1
            assert by_inode(pinned, home / "a") == 0
    finally:
        subprocess.run(["umount", mount], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_bind_mount_does_not_make_the_outside_part_of_a_place(home):
    """What is also reachable elsewhere keeps what its other path says."""
    (home / "work").mkdir()
    (home / "work/view").mkdir()
    subprocess.run(["mount", "--bind", home / "etc", home / "work/view"], check=True)
    try:
        with pin_places(plan_of(Place(f"{home}/work", Scope.TREE))) as pinned:
            assert by_inode(pinned, home / "etc/passwd") == 0
    finally:
        subprocess.run(["umount", home / "work/view"], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_one_directory_under_two_paths_has_the_edges_of_both(home):
    """What either path names below it is found, though one inode leads to both."""
    (home / "same").mkdir()
    subprocess.run(["mount", "--bind", home / "a", home / "same"], check=True)
    places = (Place(f"{home}/a/new", Scope.SELF), Place(f"{home}/same/new2", Scope.SELF))
    try:
        with pin_places(plan_of(*places)) as pinned:
            (home / "a/new").write_text("")
            (home / "a/new2").write_text("")

            assert by_inode(pinned, home / "a/new") == 1
            assert by_inode(pinned, home / "a/new2") == 2
    finally:
        subprocess.run(["umount", home / "same"], check=True)


def test_mountinfo_is_read_with_its_escapes(tmp_path):
    source = tmp_path / "mountinfo"
    source.write_text(
        "25 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"
        "30 25 8:1 /srv/my\\040data /mnt/a\\040b rw,noatime master:2 - ext4 /dev/sda1 rw\n"
    )

    root, bind = mounts = read_mounts(source)

    assert bind == Mount("8:1", b"/srv/my data", b"/mnt/a b", "ext4")
    assert list(other_paths(bind, mounts)) == [b"/srv/my data"]
    assert list(other_paths(root, mounts)) == []
