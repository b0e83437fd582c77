"""file_chmod: permissions changed by path, below a descriptor, and by descriptor."""

import errno
import os

import pytest

from guard.event import FLAG_CANDIDATE, FLAG_TEXT_PATH
from tests.kernel.harness import AT_FDCWD

pytestmark = pytest.mark.kernel
COUNT = 7


@pytest.mark.parametrize("call", ["chmod", "fchmod", "fchmodat", "fchmodat2"])
def test_changed_by(call, session, trigger, place):
    run = session.run([trigger, call, COUNT], cwd=place)

    missing = call == "fchmodat2" and run.lines[0]["res"] == -errno.ENOSYS
    by_descriptor = call == "fchmod"
    dirfd = run.directory_fd(place) if call == "fchmodat" else AT_FDCWD
    for line, event in run.pairs("file_chmod", COUNT):
        path = place / line["path"]
        opened = [e.fd for e in run.of("file_open") if e.path == str(path)]
        run.check(
            event,
            call=call,
            res=-errno.ENOSYS if missing else 0,  # fchmodat2 came with Linux 6.6
            flags=0 if by_descriptor else FLAG_TEXT_PATH,
            mode=line["mode"],
            fd=opened[-1] if by_descriptor else -1,
            dirfd=dirfd,
            path=str(path),
            name=str(path),
        )
        assert missing or os.stat(path).st_mode & 0o777 == line["mode"]


def test_a_failure_and_the_name_as_passed(session, trigger, place):
    session.configure(observe=["file_chmod"])
    run = session.run([trigger, "chmod", COUNT, "missing"], cwd=place)

    for line, event in run.pairs("file_chmod", COUNT):
        run.check(
            event,
            call="chmod",
            res=-errno.ENOENT,
            flags=FLAG_TEXT_PATH | FLAG_CANDIDATE,
            mode=line["mode"],
            fd=-1,
            dirfd=AT_FDCWD,
            path=str(place / "missing"),
            name="missing",
        )
