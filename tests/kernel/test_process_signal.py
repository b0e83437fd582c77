"""process_signal: signals that leave the session; those inside are nobody's business."""

import errno
import signal
import subprocess

import pytest

pytestmark = pytest.mark.kernel
COUNT = 7
CALLS = (
    "kill",
    "tkill",
    "tgkill",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    "pidfd_send_signal",
)


@pytest.fixture
def outsider():
    """A process of another user that belongs to no session."""
    with subprocess.Popen(["sleep", "60"], user=65534) as process:
        yield process.pid
        process.kill()


@pytest.mark.parametrize("call", CALLS)
def test_sent_outside_by(call, outsider, session, trigger, place):
    run = session.run([trigger, call, COUNT, outsider], cwd=place)

    for line, event in run.pairs("process_signal", COUNT):
        run.check(
            event,
            call=call,
            res=0,
            target_pid=outsider,
            target_uid=65534,
            target_comm="sleep",
            signal=line["signal"],
        )


def test_a_signal_that_kills(outsider, session, trigger, place):
    run = session.run([trigger, "kill", 1, outsider, int(signal.SIGKILL)], cwd=place)

    ((_line, event),) = run.pairs("process_signal", 1)
    assert (outsider, signal.SIGKILL) == (event.target_pid, event.signal)


@pytest.mark.parametrize("call", CALLS)
def test_inside_the_session_by(call, session, trigger, place):
    """The only signal seen is that of the dying parent, which the kernel sends."""
    run = session.run([trigger, call, COUNT], cwd=place)

    assert COUNT == len(run.lines)
    assert [] == run.of("process_signal")


def test_a_refused_signal_is_none(session, trigger, place, outsider):
    """The kernel checks permission before it makes the signal."""
    command = [trigger, "kill", COUNT, outsider, int(signal.SIGTERM)]
    run = session.run(command, cwd=place, user=65533, group=65533)

    assert [-errno.EPERM] * COUNT == [line["res"] for line in run.lines]
    assert [] == run.of("process_signal")
