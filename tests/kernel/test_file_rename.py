"""file_rename: both names of a move, a replacement or an exchange."""

import errno

import pytest

from guard.event import FLAG_CANDIDATE, FLAG_TEXT_PATH
from tests.kernel.harness import AT_FDCWD

pytestmark = pytest.mark.kernel
COUNT = 7
NOREPLACE, EXCHANGE = 1, 2


@pytest.mark.parametrize(
    ("operation", "call", "flags", "based"),
    [
        ("rename", "rename", 0, ()),
        ("renameat", "renameat", 0, ("old_dirfd",)),
        ("renameat2", "renameat2", NOREPLACE, ("new_dirfd",)),
        ("exchange", "renameat2", EXCHANGE, ()),
    ],
)
def test_moved_by(operation, call, flags, based, session, trigger, place):
    run = session.run([trigger, operation, COUNT], cwd=place)

    base = {"old_dirfd": AT_FDCWD, "new_dirfd": AT_FDCWD}
    base |= dict.fromkeys(based, run.directory_fd(place) if based else None)
    for line, event in run.pairs("file_rename", COUNT):
        path, new_path = str(place / line["path"]), str(place / line["new_path"])
        run.check(
            event,
            call=call,
            res=0,
            flags=FLAG_TEXT_PATH,
            rename_flags=flags,
            path=path,
            new_path=new_path,
            name=path,
            new_name=new_path,
            **base,
        )


def test_a_failure_and_the_names_as_passed(session, trigger, place):
    session.configure(observe=["file_rename"])
    run = session.run([trigger, "rename", COUNT, "missing", "there"], cwd=place)

    for _line, event in run.pairs("file_rename", COUNT):
        run.check(
            event,
            call="rename",
            res=-errno.ENOENT,
            flags=FLAG_TEXT_PATH | FLAG_CANDIDATE,
            old_dirfd=AT_FDCWD,
            new_dirfd=AT_FDCWD,
            rename_flags=0,
            path=str(place / "missing"),
            new_path=str(place / "there"),
            name="missing",
            new_name="there",
        )
