"""process_vm_write: another process's memory read or written."""

import errno
import os

import pytest

pytestmark = pytest.mark.kernel
COUNT = 7
CALLS = ["process_vm_readv", "process_vm_writev"]


@pytest.mark.parametrize("call", CALLS)
def test_a_guarded_target(call, session, trigger, place):
    run = session.run([trigger, call, COUNT], cwd=place)

    for line, event in run.pairs("process_vm_write", COUNT):
        run.check(event, call=call, res=1, target_pid=line["target_pid"], target_guarded=1)


@pytest.mark.parametrize("call", CALLS)
def test_a_refused_target_outside(call, session, trigger, place):
    run = session.run([trigger, call, COUNT, os.getpid()], cwd=place, user=65534, group=65534)

    for _line, event in run.pairs("process_vm_write", COUNT):
        run.check(event, call=call, res=-errno.EPERM, target_pid=os.getpid(), target_guarded=0)
