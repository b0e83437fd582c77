"""network_accept: the new socket, with both ends."""

import socket

import pytest

from tests.kernel.sockets import expected

pytestmark = pytest.mark.kernel
COUNT = 7


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        ("accept_tcp4", "accept"),
        ("accept_tcp6", "accept"),
        ("accept4_tcp4", "accept4"),
        ("accept4_unix", "accept4"),
        ("accept4_abstract", "accept4"),
    ],
)
def test_accepted(kind, call, session, trigger, place):
    run = session.run([trigger, kind, COUNT], cwd=place)

    (listening,) = run.of("network_listen")
    for line, event in run.pairs("network_accept", COUNT):
        local = {"local_addr": listening.local_addr, "local_port": listening.local_port}
        run.check(
            event,
            call=call,
            res=line["res"],
            accept_flags=socket.SOCK_CLOEXEC if call == "accept4" else 0,
            **expected(line, place, side="remote") | local | {"fd": line["res"]},
        )
