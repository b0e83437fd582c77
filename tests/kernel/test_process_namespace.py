"""process_namespace: namespaces left and entered."""

import errno

import pytest

pytestmark = pytest.mark.kernel
COUNT = 5
NEWNS, NEWUTS = 0x00020000, 0x04000000


@pytest.mark.parametrize("flags", [NEWUTS, NEWNS | NEWUTS])
def test_left_by_unshare(flags, session, trigger, place):
    run = session.run([trigger, "unshare", COUNT, flags], cwd=place)

    for line, event in run.pairs("process_namespace", COUNT):
        run.check(event, pid=line["pid"], call="unshare", res=0, ns_flags=flags, fd=-1)


def test_entered_by_setns(session, trigger, place):
    run = session.run([trigger, "setns", COUNT], cwd=place)

    for line, event in run.pairs("process_namespace", COUNT):
        run.check(event, pid=line["pid"], call="setns", res=0, ns_flags=NEWUTS, fd=line["fd"])


def test_refused(session, trigger, place):
    run = session.run([trigger, "unshare", COUNT], cwd=place, user=65534, group=65534)

    for line, event in run.pairs("process_namespace", COUNT):
        run.check(event, pid=line["pid"], call="unshare", res=-errno.EPERM, ns_flags=NEWUTS, fd=-1)
