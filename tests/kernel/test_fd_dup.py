"""fd_dup: a socket that becomes standard input, output or error."""

import socket

import pytest

from tests.kernel.sockets import expected, packed

pytestmark = pytest.mark.kernel
COUNT = 5


@pytest.mark.parametrize("call", ["dup", "dup2", "dup3", "fcntl"])
@pytest.mark.parametrize("kind", ["tcp4", "tcp6", "unix"])
def test_a_socket_put_on_a_standard_descriptor(call, kind, session, trigger, place):
    run = session.run([trigger, f"dup_{kind}", COUNT, call], cwd=place)

    local_ports = [event.local_port for event in run.of("network_connect")]
    pairs = zip(run.pairs("fd_dup", COUNT), local_ports, strict=True)
    for (line, event), port in pairs:
        want = expected(line, place, side="remote")
        if kind == "unix":
            # The accepted end is closed by then, and with it the path of its file is gone.
            want |= {"path": line["path"]}
        else:
            local = "127.0.0.1" if line["family"] == socket.AF_INET else "::1"
            want |= {"local_addr": packed(local), "local_port": port}
        run.check(event, call=call, pid=line["pid"], res=line["res"], new_fd=line["new_fd"], **want)


def test_other_descriptors_are_none_of_it(session, place):
    """Neither a file on a standard descriptor nor a socket on another one."""
    code = "exec 1>out; exec 2>&1; exec 7>&1"
    run = session.run(["/bin/sh", "-c", code], cwd=place)

    assert 0 == run.status
    assert [] == run.of("fd_dup")
