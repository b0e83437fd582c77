"""process_ptrace: every request, with its target and whether that is guarded too."""

import errno
import os
import subprocess

import pytest

pytestmark = pytest.mark.kernel
COUNT = 3
SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17


@pytest.fixture
def outsider():
    """A process that belongs to no session."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process.pid
        process.kill()


@pytest.mark.parametrize("guarded", [True, False])
def test_a_process_traced(guarded, outsider, session, trigger, place):
    target = [] if guarded else [outsider]
    run = session.run([trigger, "ptrace", COUNT, *target], cwd=place)

    events = run.of("process_ptrace", "ptrace")
    requests = [SEIZE, INTERRUPT, DETACH] * COUNT
    assert [0] * COUNT == [line["res"] for line in run.lines]
    assert requests == [event.request for event in events]
    for event, request in zip(events, requests, strict=True):
        run.check(
            event,
            call="ptrace",
            res=0,
            request=request,
            target_pid=run.lines[0]["target_pid"],
            target_guarded=int(guarded),
        )


def test_a_refused_request(session, trigger, place):
    run = session.run([trigger, "ptrace", COUNT, os.getpid()], cwd=place, user=65534, group=65534)

    for _line, event in run.pairs("process_ptrace", COUNT):
        run.check(
            event,
            call="ptrace",
            res=-errno.EPERM,
            request=SEIZE,
            target_pid=os.getpid(),
            target_guarded=0,
        )
