"""network_listen: a socket that waits for connections."""

import pytest

from tests.kernel.sockets import expected

pytestmark = pytest.mark.kernel
COUNT = 7


@pytest.mark.parametrize("kind", ["tcp4", "tcp6", "unix", "abstract"])
def test_listening_on(kind, session, trigger, place):
    run = session.run([trigger, f"listen_{kind}", COUNT], cwd=place)

    for line, event in run.pairs("network_listen", COUNT):
        run.check(
            event,
            call="listen",
            res=0,
            backlog=line["backlog"],
            **expected(line, place, side="local"),
        )
