"""process_chdir: the new working directory, resolved."""

import pytest

pytestmark = pytest.mark.kernel
COUNT = 7


@pytest.mark.parametrize("call", ["chdir", "fchdir"])
def test_changed_by(call, session, trigger, place):
    (place / "real").mkdir()
    (place / "link").symlink_to("real")
    run = session.run([trigger, call, COUNT, place / "link" / ".."], cwd="/")

    for _line, event in run.pairs("process_chdir", COUNT):
        run.check(event, call=call, res=0, path=str(place))


def test_a_failure_changes_nothing_and_is_no_event(session, trigger, place):
    run = session.run([trigger, "chdir", COUNT, "missing"], cwd=place)

    assert len(run.lines) == COUNT
    assert [] == run.of("process_chdir")
