"""mount_change: what changes the tree of mounts, or a process's view of it."""

import errno

import pytest

from guard.event import FLAG_TEXT_PATH

pytestmark = pytest.mark.kernel
COUNT = 3
NOSUID, DETACH = 2, 2
CLONE_CLOEXEC = 1 | 0o2000000  # OPEN_TREE_CLONE, OPEN_TREE_CLOEXEC


@pytest.mark.parametrize(
    ("call", "flags", "source", "fstype"),
    [
        ("mount", NOSUID, "trigger", "tmpfs"),
        ("umount2", DETACH, "", ""),
        ("chroot", 0, "", ""),
        ("open_tree", CLONE_CLOEXEC, "", ""),
        ("move_mount", 4, "", ""),
    ],
)
def test_the_target_of(call, flags, source, fstype, session, trigger, place):
    run = session.run([trigger, call, COUNT], cwd=place)

    # Every mount is undone by an umount, and the namespace is prepared by a mount.
    events = [
        event
        for event in run.of("mount_change", call)
        if event.path != "/" and (call != "mount" or event.source == source)
    ]
    assert COUNT == len(events) == len(run.lines)
    for line, event in zip(run.lines, events, strict=True):
        assert line["res"] >= 0
        run.check(
            event,
            pid=line["pid"],
            call=call,
            res=line["res"],
            flags=FLAG_TEXT_PATH,
            mount_flags=flags,
            source=source,
            path=str(place / "target"),
            fstype=fstype,
        )


def test_attributes_of_a_mount_behind_a_descriptor(session, trigger, place):
    """There is no name; the object is where the descriptor leads to, which has no place yet."""
    run = session.run([trigger, "mount_setattr", COUNT], cwd=place)

    for line, event in run.pairs("mount_change", COUNT):
        run.check(
            event,
            call="mount_setattr",
            res=line["res"],
            flags=event.flags,
            mount_flags=0x1000,
            source="",
            path=event.path,
            fstype="",
        )
        assert event.path != str(place)


def test_pivot_root(session, trigger, place):
    """Seen when it is done, so the new root is the root."""
    run = session.run([trigger, "pivot_root", COUNT], cwd=place)

    for line, event in run.pairs("mount_change", COUNT):
        run.check(
            event,
            pid=line["pid"],
            call="pivot_root",
            res=0,
            flags=FLAG_TEXT_PATH,
            mount_flags=0,
            source="old",
            path="/",
            fstype="",
        )


def test_a_file_system_context(session, trigger, place):
    run = session.run([trigger, "fsopen", COUNT], cwd=place)

    for line, event in run.pairs("mount_change", COUNT):
        run.check(
            event,
            call="fsopen",
            res=line["res"],
            mount_flags=line["mount_flags"],
            source="",
            path="",
            fstype="tmpfs",
        )


def test_a_mount_without_a_place(session, trigger, place):
    """The flags are those of the mount, of which the trigger asks for none."""
    run = session.run([trigger, "fsmount", COUNT], cwd=place)

    for line, event in run.pairs("mount_change", COUNT):
        run.check(
            event,
            call="fsmount",
            res=line["res"],
            mount_flags=0,
            source="",
            path="",
            fstype="",
        )


def test_refused(session, trigger, place):
    (place / "target").mkdir()
    run = session.run([trigger, "chroot", COUNT], cwd=place, user=65534, group=65534)

    for line, event in run.pairs("mount_change", COUNT):
        run.check(
            event,
            pid=line["pid"],
            call="chroot",
            res=-errno.EPERM,
            flags=FLAG_TEXT_PATH,
            mount_flags=0,
            source="",
            path=str(place / "target"),
            fstype="",
        )
