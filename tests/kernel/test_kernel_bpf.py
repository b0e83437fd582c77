"""kernel_bpf: the system call that reaches into the kernel as guard itself does."""

import pytest

pytestmark = pytest.mark.kernel
COUNT = 7


def test_called(session, trigger, place):
    run = session.run([trigger, "bpf", COUNT], cwd=place)

    for line, event in run.pairs("kernel_bpf", COUNT):
        run.check(event, call="bpf", res=line["res"], cmd=line["cmd"])


def test_refused(session, trigger, place):
    run = session.run([trigger, "bpf", COUNT], cwd=place, user=65534, group=65534)

    for line, event in run.pairs("kernel_bpf", COUNT):
        run.check(event, call="bpf", res=line["res"], cmd=line["cmd"])
