"""process_exit: once for each process, with the status a parent would get."""

import sys

import pytest

pytestmark = pytest.mark.kernel
COUNT = 7


@pytest.mark.parametrize("code", [0, 3, 255, -9, -15, -11])
def test_the_status_of_a_child(code, session, trigger, place):
    """A core dump would add 128, so SIGSEGV comes without one."""
    import resource

    def no_core():
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    run = session.run([trigger, "exit", COUNT, code], cwd=place, preexec_fn=no_core)

    ends = {event.pid: event for event in run.of("process_exit")}
    assert COUNT + 1 == len(ends) == len(run.of("process_exit"))
    for line in run.lines:
        run.check(
            ends[line["child_pid"]],
            call="procexit",
            pid=line["child_pid"],
            res=0,
            exit_code=line["exit_code"],
        )
    run.check(ends[run.pid], call="procexit", res=0, exit_code=0)


def test_a_process_with_threads_ends_once(session, place):
    """Its status is that of the whole process, whichever thread ends last."""
    code = (
        "import os, threading, time\n"
        "for _ in range(5): threading.Thread(target=time.sleep, args=[9], daemon=True).start()\n"
        "os._exit(7)"
    )
    run = session.run([sys.executable, "-I", "-S", "-c", code], cwd=place)

    (event,) = run.of("process_exit")
    assert 7 == run.status
    run.check(event, call="procexit", res=0, exit_code=7 << 8, tid=event.tid)


def test_threads_that_end_at_the_same_time(session, place):
    """Each of them may look like the last one; the process still ends once."""
    code = (
        "import os, threading, time\n"
        "for _ in range(151):\n"
        "    if os.fork() == 0:\n"
        "        for _ in range(11):\n"
        "            threading.Thread(target=time.sleep, args=[9], daemon=True).start()\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
    )
    run = session.run([sys.executable, "-I", "-c", code], cwd=place)

    ended = [event.pid for event in run.of("process_exit")]
    assert 152 == len(ended) == len(set(ended))
