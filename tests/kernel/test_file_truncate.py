"""file_truncate: by path, and by descriptor, where the object's own path is known."""

import errno

import pytest

from guard.event import FLAG_CANDIDATE, FLAG_TEXT_PATH

pytestmark = pytest.mark.kernel
COUNT = 7


@pytest.mark.parametrize("call", ["truncate", "ftruncate"])
def test_cut_by(call, session, trigger, place):
    run = session.run([trigger, call, COUNT], cwd=place)

    by_path = call == "truncate"
    for line, event in run.pairs("file_truncate", COUNT):
        path = place / line["path"]
        opened = [e.fd for e in run.of("file_open") if e.path == str(path)]
        run.check(
            event,
            call=call,
            res=0,
            flags=FLAG_TEXT_PATH if by_path else 0,
            length=line["length"],
            fd=-1 if by_path else opened[-1],
            path=str(path),
            name=str(path),
        )
        assert path.stat().st_size == line["length"]


def test_a_failure_and_the_name_as_passed(session, trigger, place):
    session.configure(observe=["file_truncate"])
    run = session.run([trigger, "truncate", COUNT, "missing"], cwd=place)

    for line, event in run.pairs("file_truncate", COUNT):
        run.check(
            event,
            call="truncate",
            res=-errno.ENOENT,
            flags=FLAG_TEXT_PATH | FLAG_CANDIDATE,
            length=line["length"],
            fd=-1,
            path=str(place / "missing"),
            name="missing",
        )
