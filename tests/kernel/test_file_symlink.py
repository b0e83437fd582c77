"""file_symlink: the text of a link and where it is."""

import errno

import pytest

from guard.event import FLAG_CANDIDATE, FLAG_TEXT_PATH
from tests.kernel.harness import AT_FDCWD

pytestmark = pytest.mark.kernel
COUNT = 7


@pytest.mark.parametrize("call", ["symlink", "symlinkat"])
def test_made_by(call, session, trigger, place):
    run = session.run([trigger, call, COUNT], cwd=place)

    dirfd = run.directory_fd(place) if call == "symlinkat" else AT_FDCWD
    for line, event in run.pairs("file_symlink", COUNT):
        path = place / line["path"]
        run.check(
            event,
            call=call,
            res=0,
            flags=FLAG_TEXT_PATH,
            dirfd=dirfd,
            target=line["target"],
            path=str(path),
            name=str(path),
        )
        assert str(path.readlink()) == line["target"]


def test_a_failure_and_the_name_as_passed(session, trigger, place):
    session.configure(observe=["file_symlink"])
    run = session.run([trigger, "symlink", COUNT, "/some/target", "."], cwd=place)

    for _line, event in run.pairs("file_symlink", COUNT):
        run.check(
            event,
            call="symlink",
            res=-errno.EEXIST,
            flags=FLAG_TEXT_PATH | FLAG_CANDIDATE,
            dirfd=AT_FDCWD,
            target="/some/target",
            path=str(place),
            name=".",
        )
