"""file_mkdir: directories made."""

import errno

import pytest

from guard.event import FLAG_CANDIDATE, FLAG_TEXT_PATH
from tests.kernel.harness import AT_FDCWD

pytestmark = pytest.mark.kernel
COUNT = 7
MODE = 0o750


@pytest.mark.parametrize("call", ["mkdir", "mkdirat"])
def test_made_by(call, session, trigger, place):
    run = session.run([trigger, call, COUNT], cwd=place)

    dirfd = run.directory_fd(place) if call == "mkdirat" else AT_FDCWD
    for line, event in run.pairs("file_mkdir", COUNT):
        path = place / line["path"]
        run.check(
            event,
            call=call,
            res=0,
            flags=FLAG_TEXT_PATH,
            dirfd=dirfd,
            mode=MODE,
            path=str(path),
            name=str(path),
        )
        assert path.is_dir()


def test_a_failure_and_the_name_as_passed(session, trigger, place):
    session.configure(observe=["file_mkdir"])
    run = session.run([trigger, "mkdir", COUNT, f"{place}"], cwd="/")

    for _line, event in run.pairs("file_mkdir", COUNT):
        run.check(
            event,
            call="mkdir",
            res=-errno.EEXIST,
            flags=FLAG_TEXT_PATH | FLAG_CANDIDATE,
            dirfd=AT_FDCWD,
            mode=MODE,
            path=str(place),
            name=str(place),
        )
