"""file_open: every call that opens a file, with the object it opened."""

import errno
import os
import sys

import pytest

from guard.event import FLAG_CANDIDATE, FLAG_TEXT_PATH
from tests.kernel.harness import AT_FDCWD, kernel_dev

pytestmark = pytest.mark.kernel
COUNT = 7
MODE = 0o640
FLAGS = os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC
LARGEFILE = 0o100000  # what the kernel adds to the flags of a file opened by handle


def of_object(path, **more):
    """The fields that describe what was opened, as the file system tells them."""
    stat = path.stat()
    return {
        "inode": stat.st_ino,
        "dev": kernel_dev(stat),
        "file_mode": stat.st_mode,
        "nlink": stat.st_nlink,
        "path": str(path),
        "name": str(path),
        "dirfd": AT_FDCWD,
        "open_flags": FLAGS,
        "mode": MODE,
        "created": 1,
    } | more


@pytest.mark.parametrize("call", ["open", "openat", "openat2"])
def test_a_file_created_by(call, session, trigger, place):
    run = session.run([trigger, call, COUNT], cwd=place)

    for line, event in run.pairs("file_open", COUNT):
        run.check(
            event,
            call=call,
            res=line["res"],
            fd=line["res"],
            **of_object(place / line["path"]),
        )


def test_a_file_created_by_creat(session, trigger, place):
    run = session.run([trigger, "creat", COUNT], cwd=place)

    for line, event in run.pairs("file_open", COUNT):
        path = place / line["path"]
        run.check(
            event,
            call="creat",
            res=line["res"],
            fd=line["res"],
            **of_object(path, open_flags=os.O_CREAT | os.O_WRONLY | os.O_TRUNC),
        )


def test_a_file_opened_below_a_descriptor(session, trigger, place):
    run = session.run([trigger, "openat_dirfd", COUNT], cwd=place)

    dirfd = run.directory_fd(place)
    opened = [event for event in run.of("file_open", "openat") if event.path != str(place)]
    assert len(opened) == COUNT
    for line, event in zip(run.lines, opened, strict=True):
        path = place / line["path"]
        run.check(
            event,
            call="openat",
            res=line["res"],
            fd=line["res"],
            **of_object(path, dirfd=dirfd),
        )


def test_a_file_opened_by_handle(session, trigger, place):
    """The path is that of the object, for no name was given."""
    run = session.run([trigger, "open_by_handle_at", COUNT], cwd=place)

    mounts = [event.fd for event in run.of("file_open") if event.path == str(place)]
    for (line, event), mount in zip(run.pairs("file_open", COUNT), mounts, strict=True):
        path = place / line["path"]
        run.check(
            event,
            call="open_by_handle_at",
            res=line["res"],
            fd=line["res"],
            **of_object(path, dirfd=mount, open_flags=LARGEFILE, mode=0, created=0),
        )


def test_an_existing_file_is_not_created(session, trigger, place):
    (place / "there").write_text("content")
    run = session.run([trigger, "openat", COUNT, "there", os.O_RDONLY], cwd=place)

    for line, event in run.pairs("file_open", COUNT):
        expected = of_object(place / "there", open_flags=os.O_RDONLY, created=0)
        run.check(event, call="openat", res=line["res"], fd=line["res"], **expected)


def test_a_directory(session, trigger, place):
    run = session.run([trigger, "openat", COUNT, ".", os.O_RDONLY | os.O_DIRECTORY], cwd=place)

    for line, event in run.pairs("file_open", COUNT):
        flags = os.O_RDONLY | os.O_DIRECTORY
        expected = of_object(place, open_flags=flags, created=0)
        run.check(event, call="openat", res=line["res"], fd=line["res"], **expected)


@pytest.mark.parametrize("call", ["open", "openat", "openat2", "creat"])
def test_a_failure_has_the_path_as_text(call, session, trigger, place):
    """There is no object, so the path is joined from text and the object's fields are 0."""
    run = session.run([trigger, call, COUNT, "missing/file"], cwd=place)

    for line, event in run.pairs("file_open", COUNT):
        path = str(place / "missing/file")
        run.check(
            event,
            call=call,
            res=-errno.ENOENT,
            flags=FLAG_TEXT_PATH,
            inode=0,
            dev=0,
            file_mode=0,
            nlink=0,
            created=0,
            fd=-1,
            dirfd=AT_FDCWD,
            open_flags=line["open_flags"],
            mode=MODE,
            path=path,
            name=path,
        )


def test_a_refused_open_of_another_user(session, trigger, place):
    (place / "secret").write_text("content")
    (place / "secret").chmod(0o600)
    run = session.run(
        [trigger, "openat", COUNT, "secret", os.O_RDONLY], cwd=place, user=65534, group=65534
    )

    events = [event for _line, event in run.pairs("file_open", COUNT)]
    assert {(-errno.EACCES, 65534, 65534)} == {(e.res, e.uid, e.gid) for e in events}


def test_a_candidate_has_the_name_as_passed(session, trigger, place):
    session.configure(observe=["file_open"])
    run = session.run([trigger, "openat", COUNT], cwd=place)

    for line, event in run.pairs("file_open", COUNT):
        expected = of_object(place / line["path"], name=line["path"])
        run.check(
            event, call="openat", res=line["res"], fd=line["res"], flags=FLAG_CANDIDATE, **expected
        )


def test_a_call_without_a_path_has_none(session, place):
    """Not that of the call before it."""
    code = (
        "import ctypes, os\n"
        "call = ctypes.CDLL(None).syscall\n"
        "try: os.unlink('missing')\n"
        "except OSError: call(438, -1, 0, 0)\n"
    )
    run = session.run([sys.executable, "-I", "-S", "-c", code], cwd=place)

    (event,) = run.of("file_open", "pidfd_getfd")
    assert ("", -9) == (event.path, event.res)
