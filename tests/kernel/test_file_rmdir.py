"""file_rmdir: directories removed by rmdir; unlinkat is a file_unlink."""

import errno

import pytest

from guard.event import FLAG_CANDIDATE, FLAG_TEXT_PATH

pytestmark = pytest.mark.kernel
COUNT = 7


def test_removed(session, trigger, place):
    run = session.run([trigger, "rmdir", COUNT], cwd=place)

    for line, event in run.pairs("file_rmdir", COUNT):
        path = str(place / line["path"])
        run.check(event, call="rmdir", res=0, flags=FLAG_TEXT_PATH, path=path, name=path)
    assert list(place.iterdir()) == []


def test_a_failure_and_the_name_as_passed(session, trigger, place):
    session.configure(observe=["file_rmdir"])
    for number in range(COUNT):
        (place / f"dir-{number}").mkdir()
        (place / f"dir-{number}" / "full").touch()
    run = session.run([trigger, "rmdir", COUNT], cwd=place)

    for line, event in run.pairs("file_rmdir", COUNT):
        run.check(
            event,
            call="rmdir",
            res=-errno.ENOTEMPTY,
            flags=FLAG_TEXT_PATH | FLAG_CANDIDATE,
            path=str(place / line["path"]),
            name=line["path"],
        )
