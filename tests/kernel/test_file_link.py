"""file_link: hard links, with the existing name and the new one."""

import errno

import pytest

from guard.event import FLAG_CANDIDATE, FLAG_TEXT_PATH
from tests.kernel.harness import AT_FDCWD

pytestmark = pytest.mark.kernel
COUNT = 7


@pytest.mark.parametrize("call", ["link", "linkat"])
def test_linked_by(call, session, trigger, place):
    run = session.run([trigger, call, COUNT], cwd=place)

    new_dirfd = run.directory_fd(place) if call == "linkat" else AT_FDCWD
    for line, event in run.pairs("file_link", COUNT):
        path, new_path = place / line["path"], place / line["new_path"]
        run.check(
            event,
            call=call,
            res=0,
            flags=FLAG_TEXT_PATH,
            old_dirfd=AT_FDCWD,
            new_dirfd=new_dirfd,
            link_flags=0,
            path=str(path),
            new_path=str(new_path),
            name=str(path),
            new_name=str(new_path),
        )
        assert path.samefile(new_path)


def test_a_failure_and_the_names_as_passed(session, trigger, place):
    session.configure(observe=["file_link"])
    run = session.run([trigger, "link", COUNT, "missing"], cwd=place)

    for line, event in run.pairs("file_link", COUNT):
        run.check(
            event,
            call="link",
            res=-errno.ENOENT,
            flags=FLAG_TEXT_PATH | FLAG_CANDIDATE,
            old_dirfd=AT_FDCWD,
            new_dirfd=AT_FDCWD,
            link_flags=0,
            path=str(place / "missing"),
            new_path=str(place / line["new_path"]),
            name="missing",
            new_name=line["new_path"],
        )
