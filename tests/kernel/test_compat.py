"""32-bit system calls of a 64-bit process: the same events, and a flag that says so."""

import errno
import os

import pytest

from guard.event import FLAG_COMPAT, FLAG_TEXT_PATH
from tests.kernel.harness import AT_FDCWD, kernel_dev

pytestmark = pytest.mark.kernel
COUNT = 7
IA32 = "this kernel has no 32-bit system calls"


def run_or_skip(session, command, **options):
    run = session.run(command, **options)
    if run.status == -11 or {-errno.ENOSYS} == {line["res"] for line in run.lines}:
        pytest.skip(IA32)
    return run


def test_open(session, trigger, place):
    run = run_or_skip(session, [trigger, "open_int80", COUNT], cwd=place)

    for line, event in run.pairs("file_open", COUNT):
        path = place / line["path"]
        stat = path.stat()
        run.check(
            event,
            call="open",
            res=line["res"],
            flags=FLAG_COMPAT,
            fd=line["res"],
            open_flags=os.O_CREAT | os.O_WRONLY,
            mode=0o600,
            dirfd=AT_FDCWD,
            inode=stat.st_ino,
            dev=kernel_dev(stat),
            file_mode=stat.st_mode,
            nlink=1,
            created=1,
            path=str(path),
            name=str(path),
        )


def test_a_failed_open(session, trigger, place):
    run = run_or_skip(session, [trigger, "open_int80", COUNT, "missing", 0], cwd=place)

    for _line, event in run.pairs("file_open", COUNT):
        assert (-errno.ENOENT, -1, str(place / "missing")) == (event.res, event.fd, event.path)
        assert FLAG_COMPAT | FLAG_TEXT_PATH == event.flags


def test_unlink(session, trigger, place):
    run = run_or_skip(session, [trigger, "unlink_int80", COUNT], cwd=place)

    for line, event in run.pairs("file_unlink", COUNT):
        path = str(place / line["path"])
        run.check(
            event,
            call="unlink",
            res=0,
            flags=FLAG_COMPAT | FLAG_TEXT_PATH,
            dirfd=AT_FDCWD,
            unlink_flags=0,
            path=path,
            name=path,
        )
