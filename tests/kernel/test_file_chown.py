"""file_chown: owners changed by path, below a descriptor, and by descriptor."""

import errno

import pytest

from guard.event import FLAG_CANDIDATE, FLAG_TEXT_PATH
from tests.kernel.harness import AT_FDCWD

pytestmark = pytest.mark.kernel
COUNT = 7
OWNER, GROUP = 65533, 65532


@pytest.mark.parametrize("call", ["chown", "lchown", "fchown", "fchownat"])
def test_changed_by(call, session, trigger, place):
    run = session.run([trigger, call, COUNT, OWNER, GROUP], cwd=place)

    by_descriptor = call == "fchown"
    dirfd = run.directory_fd(place) if call == "fchownat" else AT_FDCWD
    for line, event in run.pairs("file_chown", COUNT):
        path = place / line["path"]
        opened = [e.fd for e in run.of("file_open") if e.path == str(path)]
        run.check(
            event,
            call=call,
            res=0,
            flags=0 if by_descriptor else FLAG_TEXT_PATH,
            owner=OWNER,
            group=GROUP,
            fd=opened[-1] if by_descriptor else -1,
            dirfd=dirfd,
            path=str(path),
            name=str(path),
        )
        assert (path.stat().st_uid, path.stat().st_gid) == (OWNER, GROUP)


def test_a_failure_and_the_name_as_passed(session, trigger, place):
    """A file cannot be given away without privilege."""
    session.configure(observe=["file_chown"])
    run = session.run([trigger, "chown", COUNT, 0, 0], cwd=place, user=65534, group=65534)

    for line, event in run.pairs("file_chown", COUNT):
        run.check(
            event,
            call="chown",
            res=-errno.EPERM,
            flags=FLAG_TEXT_PATH | FLAG_CANDIDATE,
            owner=0,
            group=0,
            fd=-1,
            dirfd=AT_FDCWD,
            path=str(place / line["path"]),
            name=line["path"],
        )
