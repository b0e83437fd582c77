"""network_connect: where to, and from where; the file behind a unix socket."""

import errno
import os
import socket

import pytest

from tests.kernel.sockets import NOWHERE, expected, family, packed

pytestmark = pytest.mark.kernel
COUNT = 7


@pytest.mark.parametrize("kind", ["tcp4", "tcp6", "mapped", "udp4", "udp6"])
def test_connected_over(kind, session, trigger, place):
    """The port on our side is the kernel's choice; the accepting side confirms it."""
    run = session.run([trigger, f"connect_{kind}", COUNT], cwd=place)

    accepted = [event.remote_port for event in run.of("network_accept")]
    for index, (line, event) in enumerate(run.pairs("network_connect", COUNT)):
        local = packed("::1" if family(line) == socket.AF_INET6 else "127.0.0.1")
        port = accepted[index] if accepted else event.local_port
        assert port > 0
        run.check(
            event,
            call="connect",
            res=0,
            peer_inode=0,
            **expected(line, place, side="remote") | {"local_addr": local, "local_port": port},
        )


def test_connected_to_a_path(session, trigger, place):
    run = session.run([trigger, "connect_unix", COUNT], cwd=place)

    inode = os.stat(place / "server.sock").st_ino
    for line, event in run.pairs("network_connect", COUNT):
        run.check(
            event, call="connect", res=0, peer_inode=inode, **expected(line, place, side="remote")
        )


def test_connected_to_an_abstract_name(session, trigger, place):
    run = session.run([trigger, "connect_abstract", COUNT], cwd=place)

    for line, event in run.pairs("network_connect", COUNT):
        assert event.path.startswith("\0")
        run.check(
            event, call="connect", res=0, peer_inode=0, **expected(line, place, side="remote")
        )


def test_a_symlink_to_a_socket_is_resolved(session, trigger, place):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place / "real.sock"))
        server.listen(8)
        (place / "alias.sock").symlink_to("real.sock")
        command = [trigger, "connect_unix", COUNT, place / "alias.sock"]
        run = session.run(command, cwd=place)

    for _line, event in run.pairs("network_connect", COUNT):
        assert (0, str(place / "real.sock")) == (event.res, event.path)


@pytest.mark.parametrize(
    ("kind", "address"), [("tcp4", "127.0.0.1"), ("tcp6", "::1"), ("mapped", "::ffff:127.0.0.1")]
)
def test_refused_by_the_other_side(kind, address, session, trigger, place):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    run = session.run([trigger, f"connect_{kind}", COUNT, address, port], cwd=place)

    for line, event in run.pairs("network_connect", COUNT):
        assert (address, port) == (line["address"], line["port"])
        run.check(
            event,
            call="connect",
            res=-errno.ECONNREFUSED,
            peer_inode=0,
            **expected(line, place, side="remote")
            | {"local_addr": event.local_addr, "local_port": event.local_port},
        )


def test_a_missing_socket_has_the_name_as_passed(session, trigger, place):
    run = session.run([trigger, "connect_unix", COUNT, "missing.sock"], cwd=place)

    for line, event in run.pairs("network_connect", COUNT):
        assert NOWHERE == event.remote_addr
        run.check(
            event,
            call="connect",
            res=-errno.ENOENT,
            peer_inode=0,
            **expected(line, place, side="remote") | {"path": "missing.sock"},
        )
