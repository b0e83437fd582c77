"""file_unlink: names removed, directories by unlinkat among them."""

import errno

import pytest

from guard.event import FLAG_CANDIDATE, FLAG_TEXT_PATH
from tests.kernel.harness import AT_FDCWD

pytestmark = pytest.mark.kernel
COUNT = 7
AT_REMOVEDIR = 0x200


@pytest.mark.parametrize(
    ("operation", "call", "flags"),
    [
        ("unlink", "unlink", 0),
        ("unlinkat", "unlinkat", 0),
        ("unlinkat_directory", "unlinkat", AT_REMOVEDIR),
    ],
)
def test_removed_by(operation, call, flags, session, trigger, place):
    run = session.run([trigger, operation, COUNT], cwd=place)

    dirfd = run.directory_fd(place) if operation == "unlinkat" else AT_FDCWD
    for line, event in run.pairs("file_unlink", COUNT):
        path = str(place / line["path"])
        run.check(
            event,
            call=call,
            res=0,
            flags=FLAG_TEXT_PATH,
            dirfd=dirfd,
            unlink_flags=flags,
            path=path,
            name=path,
        )
    assert {p.name for p in place.iterdir()} == set()


def test_a_failure_and_the_name_as_passed(session, trigger, place):
    session.configure(observe=["file_unlink"])
    run = session.run([trigger, "unlink", COUNT, "missing"], cwd=place)

    for _line, event in run.pairs("file_unlink", COUNT):
        run.check(
            event,
            call="unlink",
            res=-errno.ENOENT,
            flags=FLAG_TEXT_PATH | FLAG_CANDIDATE,
            dirfd=AT_FDCWD,
            unlink_flags=0,
            path=str(place / "missing"),
            name="missing",
        )
