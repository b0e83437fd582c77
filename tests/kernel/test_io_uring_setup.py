"""io_uring_setup, and the opens that a ring carries out without a system call of their own."""

import errno
import os

import pytest

from guard.event import FLAG_IO_URING
from tests.kernel.harness import AT_FDCWD, kernel_dev

pytestmark = pytest.mark.kernel
COUNT = 7
LARGEFILE = 0o100000
OPENS = ["uring_openat", "uring_openat_async"]


def test_a_ring_set_up(session, trigger, place):
    run = session.run([trigger, "io_uring_setup", COUNT], cwd=place)

    for line, event in run.pairs("io_uring_setup", COUNT):
        run.check(
            event,
            call="io_uring_setup",
            res=line["res"],
            entries=line["entries"],
            setup_flags=line["setup_flags"],
        )


@pytest.mark.parametrize("operation", OPENS)
@pytest.mark.parametrize("existing", [False, True])
def test_an_open_through_a_ring(operation, existing, session, trigger, place):
    """Resolved to the object. A worker thread may have done it, for the same process."""
    flags = os.O_RDONLY if existing else os.O_CREAT | os.O_WRONLY
    for number in range(COUNT if existing else 0):
        (place / f"ring-{number}").touch(0o600)
        os.utime(place / f"ring-{number}")
    command = [trigger, operation, COUNT]
    if existing:
        command += ["ring-0", flags]
    run = session.run(command, cwd=place)

    for line, event in run.pairs("file_open", COUNT):
        path = place / line["path"]
        stat = path.stat()
        run.check(
            event,
            tid=event.tid,
            call="openat",
            res=line["res"],
            flags=FLAG_IO_URING,
            fd=line["res"],
            # Of the open file: what the request said is out of reach.
            open_flags=LARGEFILE | flags & os.O_ACCMODE,
            mode=0,
            dirfd=AT_FDCWD,
            inode=stat.st_ino,
            dev=kernel_dev(stat),
            file_mode=stat.st_mode,
            nlink=1,
            created=int(not existing),
            path=str(path),
            name=str(path),
        )


@pytest.mark.parametrize("operation", OPENS)
def test_a_failed_open_through_a_ring(operation, session, trigger, place):
    """It has a result and no path."""
    run = session.run([trigger, operation, COUNT, "missing", os.O_RDONLY], cwd=place)

    for _line, event in run.pairs("file_open", COUNT):
        run.check(
            event,
            tid=event.tid,
            call="openat",
            res=-errno.ENOENT,
            flags=event.flags,
            fd=-1,
            open_flags=0,
            mode=0,
            dirfd=AT_FDCWD,
            inode=0,
            dev=0,
            file_mode=0,
            nlink=0,
            created=0,
            path="",
            name="",
        )
        assert event.flags & FLAG_IO_URING
