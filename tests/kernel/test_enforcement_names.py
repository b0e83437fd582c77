"""Names below a directory that may not change: done when it is seen, but the last act.

Without security hooks these calls can only be punished. What is judged is the
text of the path, so a text with `..` in it is left to user space to judge.
"""

import os
import subprocess

import pytest

from guard.event import FLAG_CANDIDATE
from tests.kernel.policy import in_force, rule, verdicts, was_killed

pytestmark = pytest.mark.kernel

# Commands in a directory that holds `tree/inner/file`, `tree/inner/empty` and
# `outside`; the kind of event; whether something is changed by it.
ACTS = {
    "unlink": (("rm", "tree/inner/file"), "file_unlink"),
    "unlink, absolute": (("/bin/sh", "-c", 'rm "$PWD/tree/inner/file"'), "file_unlink"),
    "unlink, from inside": (("/bin/sh", "-c", "cd tree/inner; rm file"), "file_unlink"),
    "unlink, below a descriptor": (("rm", "-r", "tree/inner"), "file_unlink"),
    "rename inside": (("mv", "-T", "tree/inner/file", "tree/inner/renamed"), "file_rename"),
    "rename into": (("mv", "-T", "outside", "tree/inner/arrived"), "file_rename"),
    "mkdir": (("mkdir", "tree/inner/new"), "file_mkdir"),
    "rmdir": (("rmdir", "tree/inner/empty"), "file_rmdir"),
    "link into": (("ln", "outside", "tree/inner/linked"), "file_link"),
    "symlink": (("ln", "-s", "/anywhere", "tree/inner/pointer"), "file_symlink"),
    "truncate": (("perl", "-e", 'truncate("tree/inner/file", 3)'), "file_truncate"),
    "ftruncate": (("truncate", "-s", "3", "tree/inner/file"), "file_truncate"),
    "chmod": (("chmod", "600", "tree/inner/file"), "file_chmod"),
    "chown": (("chown", "65534", "tree/inner/file"), "file_chown"),
}
CALLS = {
    "file_unlink": "unlink, unlinkat",
    "file_rename": "rename, renameat, renameat2",
    "file_mkdir": "mkdir, mkdirat",
    "file_rmdir": "rmdir, unlinkat",
    "file_link": "link, linkat",
    "file_symlink": "symlink, symlinkat",
    "file_truncate": "truncate, ftruncate",
    "file_chmod": "chmod, fchmod, fchmodat, fchmodat2",
    "file_chown": "chown, lchown, fchown, fchownat",
}


@pytest.fixture
def tree(place):
    inner = place / "tree" / "inner"
    inner.mkdir(parents=True)
    (inner / "empty").mkdir()
    (inner / "file").write_text("content\n")
    (inner / "file").chmod(0o644)
    (place / "outside").touch()
    return place / "tree"


def changes(kind, tree):
    return rule(f"evt.type in ({CALLS[kind]}) and guard.path pmatch ({tree})")


def state(place):
    """What is there: names, kinds, permissions, owners, sizes."""
    return {
        (str(path.relative_to(place)), stat.st_mode, stat.st_uid, stat.st_size, stat.st_nlink)
        for path in place.rglob("*")
        for stat in [path.lstat()]
    }


@pytest.mark.parametrize("act", ACTS)
def test_works_unguarded(act, tree, place):
    command, _kind = ACTS[act]
    before = state(place)
    subprocess.run(command, cwd=place, check=True, timeout=20)

    assert before != state(place)


@pytest.mark.parametrize("act", ACTS)
def test_a_denied_act_is_the_last(act, session, tree, place):
    command, kind = ACTS[act]
    with in_force(session, changes(kind, tree)):
        run = session.run(["/bin/sh", "-c", '"$@" && echo survived', "sh", *command], cwd=place)

    (event,) = verdicts(run)
    assert kind in {event.kind, "file_rmdir"}
    assert was_killed(run, event)
    assert event.res == 0
    assert "survived" not in run.output
    assert str(tree) in getattr(event, "new_path", event.path)


@pytest.mark.parametrize("act", ACTS)
def test_the_same_elsewhere(act, session, tree, place):
    command, kind = ACTS[act]
    with in_force(session, changes(kind, place / "tree2")):
        run = session.run(command, cwd=place)

    assert 0 == run.status
    assert [] == verdicts(run)


@pytest.mark.parametrize(
    "name", ["tree/inner/../inner/file", "./tree/inner/file", "tree//inner/file"]
)
def test_a_text_that_is_not_plain_is_left_to_user_space(name, session, trigger, tree, place):
    """The kernel wakes it; the path it gets is normalised."""
    with in_force(session, changes("file_unlink", tree)):
        run = session.run([trigger, "unlink", 1, name], cwd=place)

    events = [event for event in run.of("file_unlink") if event.path == str(tree / "inner/file")]
    assert 1 == len(events)
    assert events[0].verdict or events[0].flags & FLAG_CANDIDATE


def test_a_name_that_did_not_exist(session, place):
    """Also below directories that are made later."""
    with in_force(
        session, rule(f"evt.type in (mkdir, mkdirat) and guard.path pmatch ({place}/new/tree)")
    ):
        run = session.run(["mkdir", "-p", "new/tree/inner"], cwd=place)

    (event,) = verdicts(run)
    assert str(place / "new/tree") == event.path
    assert was_killed(run, event)
    assert not (place / "new/tree/inner").exists()


def test_a_32_bit_call(session, trigger, place):
    with in_force(session, rule(f"evt.type in (unlink, unlinkat) and guard.path pmatch ({place})")):
        run = session.run([trigger, "unlink_int80", 1], cwd=place)

    if run.status == -11:
        pytest.skip("this kernel has no 32-bit system calls")
    (event,) = verdicts(run)
    assert was_killed(run, event)


def test_by_way_of_a_working_directory_that_is_a_symlink(session, tree, place):
    """The working directory itself is resolved; only what follows it is text."""
    (place / "alias").symlink_to("tree/inner")
    with in_force(session, changes("file_unlink", tree)):
        run = session.run(["/bin/sh", "-c", "cd alias; rm file; echo survived"], cwd=place)

    (event,) = verdicts(run)
    assert was_killed(run, event)
    assert str(tree / "inner/file") == event.path
    assert os.listdir(tree / "inner") == ["empty"]
