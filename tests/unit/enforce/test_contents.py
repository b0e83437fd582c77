"""Files inside protected directories keep their bits under any name, within bounds."""

from __future__ import annotations

import os
import resource

import pytest

from guard.enforce import contents
from guard.enforce.contents import pin_contents
from guard.enforce.mounts import Mount
from guard.enforce.tags import PinnedTags, pin_places
from guard.engine.kernel_plan import (
    FIRST_BIT,
    KernelPlan,
    Name,
    NameMatch,
    Place,
    PlacedPredicate,
    Predicate,
    Scope,
    Term,
    TermAction,
)

MOUNTS = (Mount("0:1", b"/", b"/", "ext4"),)


def plan_of(*sources, excuse=None, action=TermAction.DENY, kind="file_open"):
    """A rule on each source, let off by `excuse`; the n-th source has bit 32 + n."""
    predicates = [
        PlacedPredicate(Predicate(frozenset((source,))), FIRST_BIT + n, is_program=False)
        for n, source in enumerate((*sources, *([excuse] if excuse else [])))
    ]
    excused = 1 << FIRST_BIT + len(sources) if excuse else 0
    terms = tuple(
        Term((1 << FIRST_BIT + n, 0, 0, 0, 0, 0), (excused, 0, 0, 0, 0, 0), n, action)
        for n in range(len(sources))
    )
    return KernelPlan(tuple(predicates), {kind: terms}, (), (0, 0, 0), frozenset())


def pinned_bits(pinned: PinnedTags, path) -> int | None:
    """Which sources the inode of a file stands for, None when it is not pinned."""
    status = os.stat(path)
    for descriptor, tag in pinned.pins.items():
        found = os.fstat(descriptor)
        if (found.st_dev, found.st_ino) == (status.st_dev, status.st_ino):
            return tag.itself.operation >> FIRST_BIT
    return None


@pytest.fixture
def home(tmp_path):
    for name in (".ssh/keys/old", ".config"):
        (tmp_path / name).mkdir(parents=True)
    for name in (".ssh/id_other", ".ssh/keys/old/id", ".config/app", ".config/application", "f"):
        (tmp_path / name).write_text("")
    return tmp_path


def test_every_file_of_a_protected_directory_is_pinned(home):
    plan = plan_of(Place(f"{home}/.ssh", Scope.TREE), Place(f"{home}/.ssh/keys", Scope.INSIDE))

    with pin_places(plan) as pinned:
        pin_contents(pinned, plan, mounts=MOUNTS)

        assert pinned.warnings == []
        assert pinned_bits(pinned, home / ".ssh/id_other") == 0b01
        assert pinned_bits(pinned, home / ".ssh/keys/old/id") == 0b11
        assert pinned_bits(pinned, home / ".config/app") is None


def test_only_direct_entries_where_only_they_are_protected(home):
    plan = plan_of(Place(f"{home}/.ssh", Scope.CHILD))

    with pin_places(plan) as pinned:
        pin_contents(pinned, plan, mounts=MOUNTS)

        assert pinned_bits(pinned, home / ".ssh/id_other") == 1
        assert pinned_bits(pinned, home / ".ssh/keys/old/id") is None


def test_names_that_start_so(home):
    (home / ".config/app.d").mkdir()
    (home / ".config/app.d/f").write_text("")
    (home / ".config/else").write_text("")
    plan = plan_of(Place(f"{home}/.config/app", Scope.TREE, is_prefix=True))

    with pin_places(plan) as pinned:
        pin_contents(pinned, plan, mounts=MOUNTS)

        found = {
            path.name: pinned_bits(pinned, path)
            for path in (home / ".config").rglob("*")
            if path.is_file()
        }
    assert found == {"app": 1, "application": 1, "f": 1, "else": None}


@pytest.mark.parametrize(
    ("action", "kind"), [(TermAction.OBSERVE, "file_open"), (TermAction.DENY, "file_unlink")]
)
def test_nothing_for_rules_that_stop_no_open(action, kind, home):
    plan = plan_of(Place(f"{home}/.ssh", Scope.TREE), action=action, kind=kind)

    with pin_places(plan) as pinned:
        before = set(pinned.pins)
        pin_contents(pinned, plan, mounts=MOUNTS)

        assert set(pinned.pins) == before


def test_a_symlink_is_not_followed(home):
    (home / ".ssh/away").symlink_to(home / ".config")
    (home / ".ssh/file").symlink_to(home / "f")
    plan = plan_of(Place(f"{home}/.ssh", Scope.TREE))

    with pin_places(plan) as pinned:
        pin_contents(pinned, plan, mounts=MOUNTS)

        assert pinned_bits(pinned, home / ".config/app") is None
        assert pinned_bits(pinned, home / "f") is None


def test_too_many_entries_are_told(home, monkeypatch):
    monkeypatch.setattr(contents, "MAX_ENTRIES", 4)
    for name in "abc":
        (home / ".config" / name).write_text("")
    plan = plan_of(Place(f"{home}/.ssh", Scope.TREE), Place(f"{home}/.config", Scope.TREE))

    with pin_places(plan) as pinned:
        pin_contents(pinned, plan, mounts=MOUNTS)

        (warning,) = pinned.warnings
        assert f"`{home}/.config`" in warning
        assert "more than 4 entries" in warning
        assert pinned_bits(pinned, home / ".config/app") is None


def test_too_many_levels_are_told(home):
    (home / ".ssh/1/2/3/4/5/6/7/8").mkdir(parents=True)
    plan = plan_of(Place(f"{home}/.ssh", Scope.TREE))

    with pin_places(plan) as pinned:
        pin_contents(pinned, plan, mounts=MOUNTS)

        (warning,) = pinned.warnings
        assert "deeper than 8 directories" in warning


def test_a_mount_inside_is_told(home):
    mounts = (*MOUNTS, Mount("0:2", b"/", os.fsencode(home / ".ssh/keys"), "tmpfs"))
    plan = plan_of(Place(f"{home}/.ssh", Scope.TREE))

    with pin_places(plan, mounts) as pinned:
        pin_contents(pinned, plan, mounts=mounts)

        (warning,) = pinned.warnings
        assert "another file system is mounted inside it" in warning


def test_places_where_nothing_can_be_linked_are_left_out(home):
    mounts = (*MOUNTS, Mount("0:2", b"/", os.fsencode(home / ".ssh"), "cgroup2"))
    plan = plan_of(Place(f"{home}/.ssh", Scope.TREE))

    with pin_places(plan, mounts) as pinned:
        pin_contents(pinned, plan, mounts=mounts)

        assert pinned.warnings == []
        assert pinned_bits(pinned, home / ".ssh/id_other") is None


@pytest.mark.skipif(os.geteuid() != 0, reason="changing owners needs root")
def test_what_the_user_cannot_link_is_left_out(home):
    os.chown(home / ".ssh/keys/old/id", 1234, 1234)
    (home / ".ssh/writable").write_text("")
    (home / ".ssh/writable").chmod(0o666)
    (home / ".ssh/closed").mkdir(mode=0o700)
    (home / ".ssh/closed/f").write_text("")
    os.chown(home / ".ssh/closed/f", 1234, 1234)
    plan = plan_of(Place(f"{home}/.ssh", Scope.TREE))

    with pin_places(plan) as pinned:
        pin_contents(pinned, plan, 1234, mounts=MOUNTS)

        found = {p.name: pinned_bits(pinned, p) for p in (home / ".ssh").rglob("*") if p.is_file()}
    assert found == {"id_other": None, "id": 1, "writable": 1, "f": None}


def test_pins_go_above_a_low_limit_that_stays(home, monkeypatch):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    low = max(map(int, os.listdir("/proc/self/fd"))) + 40
    monkeypatch.setattr(contents, "_SPARE_DESCRIPTORS", low)
    plan = plan_of(Place(f"{home}/.ssh", Scope.TREE))
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (low, hard))
        with pin_places(plan) as pinned:
            before = set(pinned.pins)
            pin_contents(pinned, plan, mounts=MOUNTS)

            assert resource.getrlimit(resource.RLIMIT_NOFILE) == (low, hard)
            assert {n >= low for n in set(pinned.pins) - before} == {True}
            assert pinned_bits(pinned, home / ".ssh/id_other") == 1
            assert pinned.warnings == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_what_exceeds_all_descriptors_is_told(home, monkeypatch):
    monkeypatch.setattr(contents, "MAX_FILES", 2)
    (home / ".config/third").write_text("")
    plan = plan_of(Place(f"{home}/.ssh", Scope.TREE), Place(f"{home}/.config", Scope.TREE))

    with pin_places(plan) as pinned:
        pin_contents(pinned, plan, mounts=MOUNTS)

        (warning,) = pinned.warnings
        assert "too many protected files" in warning
        assert pinned_bits(pinned, home / ".ssh/id_other") == 1
        assert pinned_bits(pinned, home / ".config/third") is None


def test_a_pinned_file_keeps_the_excuse_of_its_name(home):
    """And only when every name it was found under is one."""
    (home / ".ssh/id.pub").write_text("")
    os.link(home / ".ssh/id_other", home / ".ssh/other.pub")
    plan = plan_of(Place(f"{home}/.ssh", Scope.TREE), excuse=Name(".pub", NameMatch.SUFFIX))

    with pin_places(plan) as pinned:
        pin_contents(pinned, plan, mounts=MOUNTS)

        assert pinned_bits(pinned, home / ".ssh/id.pub") == 0b11
        assert pinned_bits(pinned, home / ".ssh/other.pub") == 0b01
        assert pinned_bits(pinned, home / ".ssh/keys/old/id") == 0b01
