"""network_bind: the address a socket got, also when the kernel chose the port."""

import errno

import pytest

from tests.kernel.sockets import expected

pytestmark = pytest.mark.kernel
COUNT = 7


@pytest.mark.parametrize("kind", ["tcp4", "tcp6", "unix", "abstract"])
def test_bound_to(kind, session, trigger, place):
    run = session.run([trigger, f"bind_{kind}", COUNT], cwd=place)

    for line, event in run.pairs("network_bind", COUNT):
        run.check(event, call="bind", res=0, **expected(line, place, side="local"))


def test_a_refused_name(session, trigger, place):
    """The file cannot be made; the name is the one that was passed."""
    place.chmod(0o755)
    run = session.run([trigger, "bind_unix", COUNT], cwd=place, user=65534, group=65534)

    for line, event in run.pairs("network_bind", COUNT):
        run.check(
            event,
            call="bind",
            res=-errno.EACCES,
            **expected(line, place, side="local") | {"path": line["path"]},
        )
