"""Paths that are hard to record, and what they are relative to."""

import errno
import os
import shutil
import subprocess

import pytest

from guard.event import FLAG_TEXT_PATH, FLAG_TRUNCATED
from tests.kernel.harness import deep_directory

pytestmark = pytest.mark.kernel
COUNT = 7
LONGEST = 4096


@pytest.fixture
def deep(place):
    """Removes what is too deep for shutil.rmtree."""
    yield place
    subprocess.run(["rm", "-rf", "--", *place.iterdir()], check=True)


def test_a_thousand_levels(session, trigger, deep):
    """Made and entered one by one; each path is whole."""
    levels = 997
    run = session.run([trigger, "deep", COUNT, levels], cwd=deep)

    for line, event in run.pairs("file_open", COUNT):
        assert (0, f"{deep}{'/d' * levels}/{line['path']}") == (event.flags, event.path)
    entered = [event.path for event in run.of("process_chdir")]
    assert [f"{deep}{'/d' * level}" for level in range(1, levels + 1)] == entered
    assert levels == len(run.of("file_mkdir"))


@pytest.mark.parametrize("levels", [2500, 4000])
def test_too_deep_for_a_path(levels, session, trigger, place):
    """The path keeps its end and says that it is not complete."""
    with deep_directory(place, levels) as folder:
        run = session.run([trigger, "openat", COUNT], cwd=folder)

    opened = [event for event in run.of("file_open") if "file-" in event.path]
    assert COUNT == len(opened) == len(run.lines)
    for line, event in zip(run.lines, opened, strict=True):
        whole = f"{place}{'/d' * levels}/{line['path']}"
        assert FLAG_TRUNCATED == event.flags
        assert whole.endswith(event.path)
        assert LONGEST - 1 <= len(event.path) <= LONGEST


@pytest.mark.parametrize("levels", [2500, 4000])
def test_a_text_below_a_directory_that_is_too_deep(levels, session, trigger, place):
    with deep_directory(place, levels) as folder:
        run = session.run([trigger, "mkdir", COUNT], cwd=folder)

    for line, event in zip(run.lines, run.of("file_mkdir"), strict=True):
        assert FLAG_TRUNCATED | FLAG_TEXT_PATH == event.flags
        assert len(event.path) <= LONGEST
        assert event.path.endswith(f"/d/d/d/{line['path']}")


def test_deep_directories_of_long_names(session, trigger, deep):
    """Fewer levels reach the limit; only whole names are kept."""
    name = "n" * 250
    run = session.run([trigger, "deep", COUNT, 61, name], cwd=deep)

    for line, event in run.pairs("file_open", COUNT):
        assert FLAG_TRUNCATED == event.flags
        assert LONGEST - 251 < len(event.path) <= LONGEST
        assert {name, line["path"]} == set(event.path.split("/")) - {""}
        assert event.path.startswith("/")


def test_names_of_255_bytes(session, trigger, place):
    run = session.run([trigger, "long_name", COUNT], cwd=place)

    for line, event in run.pairs("file_open", COUNT):
        assert 255 == len(line["path"])
        assert (0, str(place / line["path"])) == (event.flags, event.path)


def test_paths_of_4095_bytes(session, trigger, place):
    """The longest argument the kernel takes, full of `./`; the path is that of the object."""
    run = session.run([trigger, "long_path", COUNT], cwd=place)

    for line, event in run.pairs("file_open", COUNT):
        assert LONGEST - 1 == len(line["path"])
        assert (0, str(place / os.path.basename(line["path"]))) == (event.flags, event.path)


def test_a_path_that_is_too_long(session, trigger, place):
    """4096 bytes and their NUL: the kernel refuses, and what is recorded is cut."""
    name = "x/" * (LONGEST // 2)
    run = session.run([trigger, "openat", COUNT, name, os.O_RDONLY], cwd=place)

    for line, event in run.pairs("file_open", COUNT):
        assert -errno.ENAMETOOLONG == line["res"] == event.res
        assert FLAG_TEXT_PATH | FLAG_TRUNCATED == event.flags
        assert len(event.path) <= LONGEST
        assert set(event.path.split("/")[-90:-1]) == {"x"}


@pytest.mark.parametrize("kind", ["bytes_name", "newline_name", "escape_name"])
def test_odd_names(kind, session, trigger, place):
    """Any bytes arrive as they are: bytes that are not UTF-8 as surrogate escapes."""
    run = session.run([trigger, kind, COUNT], cwd=place)

    on_disk = {os.fsencode(path) for path in place.iterdir()}
    for line, event in run.pairs("file_open", COUNT):
        assert f"{place}/{line['path']}" == event.path
        assert os.fsencode(event.path) in on_disk
        assert 0 == event.flags


def test_symlinks_are_resolved(session, trigger, place):
    (place / "real").mkdir()
    (place / "real" / "file").touch()
    (place / "link").symlink_to("real")
    (place / "link2").symlink_to(place / "link" / "file")
    for name in ("link/file", "link2", "real/../link2", f"{place}/link/../link2"):
        run = session.run([trigger, "openat", COUNT, name, os.O_RDONLY], cwd=place)

        events = [event for _line, event in run.pairs("file_open", COUNT)]
        assert {str(place / "real" / "file")} == {event.path for event in events}


def test_the_working_directory_of_the_process_counts(session, trigger, place):
    (place / "a" / "b").mkdir(parents=True)
    run = session.run([trigger, "unlink", COUNT, "file-0"], cwd=place / "a" / "b")

    paths = {event.path for _line, event in run.pairs("file_unlink", COUNT)}
    assert {str(place / "a" / "b" / "file-0")} == paths


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("./file", "file"),
        ("sub/../file", "file"),
        ("sub//file", "sub/file"),
        ("sub/./file", "sub/file"),
        ("../../../../../../../../file", None),
        ("sub/file/", "sub/file"),
    ],
)
def test_a_path_as_text_is_normalised(given, meant, session, trigger, place):
    run = session.run([trigger, "unlink", COUNT, given], cwd=place)

    path = "/file" if meant is None else str(place / meant)
    assert {path} == {event.path for _line, event in run.pairs("file_unlink", COUNT)}


def test_the_root_as_working_directory(session, trigger, place):
    run = session.run([trigger, "unlink", COUNT, "no-such-file"], cwd="/")

    assert {"/no-such-file"} == {event.path for _line, event in run.pairs("file_unlink", COUNT)}


def test_mounts_are_crossed(session, trigger, place):
    """The path leads through the mount, not through what it shows: as the process sees it."""
    (place / "shown").mkdir()
    (place / "mounted").mkdir()
    (place / "shown" / "file").touch()
    command = 'mount --bind shown mounted && cd mounted && exec "$0" openat 7 file 0'
    run = session.run(["unshare", "-m", "/bin/sh", "-c", command, trigger], cwd=place)

    opened = [event for event in run.of("file_open") if event.path.endswith("/file")]
    assert COUNT == len(opened)
    assert {str(place / "mounted" / "file")} == {event.path for event in opened}


def test_a_tmpfs_on_a_tmpfs(session, trigger, place):
    command = (
        "mkdir a && mount -t tmpfs none a && mkdir a/b && mount -t tmpfs none a/b && "
        'cd a/b && exec "$0" open 7'
    )
    run = session.run(["unshare", "-m", "/bin/sh", "-c", command, trigger], cwd=place)

    assert {f"{place}/a/b/file-{n}" for n in range(COUNT)} == {
        event.path for event in run.of("file_open", "open")
    }


def test_a_changed_root_is_the_root(session, trigger, place):
    """A process sees, and is reported with, paths below its own root."""
    shutil.copy(trigger, place / "trigger")
    run = session.run(["chroot", place, "/trigger", "open", COUNT], cwd=place)

    assert {f"/file-{n}" for n in range(COUNT)} == {
        event.path for _line, event in run.pairs("file_open", COUNT)
    }


def test_a_deleted_file_keeps_its_path(session, place):
    code = "exec 3>gone; rm gone; exec 4</proc/self/fd/3"
    run = session.run(["/bin/sh", "-c", code], cwd=place)

    again = run.of("file_open")[-1]
    assert (0, str(place / "gone"), 0) == (again.nlink, again.path, run.status)
