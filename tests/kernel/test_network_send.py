"""network_send: sends that name where to; others say nothing that connect did not."""

import errno

import pytest

from tests.kernel.sockets import expected, packed

pytestmark = pytest.mark.kernel
COUNT = 7


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        ("sendto_udp4", "sendto"),
        ("sendto_udp6", "sendto"),
        ("sendto_mapped", "sendto"),
        ("sendmsg_udp4", "sendmsg"),
        ("sendmsg_udp6", "sendmsg"),
    ],
)
def test_a_datagram_sent_by(kind, call, session, trigger, place):
    run = session.run([trigger, kind, COUNT], cwd=place)

    for line, event in run.pairs("network_send", COUNT):
        assert event.local_port > 0
        run.check(
            event,
            call=call,
            res=5,
            length=5,
            **expected(line, place, side="remote") | {"local_port": event.local_port},
        )


def test_several_datagrams_in_one_call(session, trigger, place):
    """The result is their number; destination and length are those of the first."""
    run = session.run([trigger, "sendmmsg_udp4", COUNT], cwd=place)

    for line, event in run.pairs("network_send", COUNT):
        run.check(
            event,
            call="sendmmsg",
            res=2,
            length=5,
            **expected(line, place, side="remote") | {"local_port": event.local_port},
        )


def test_a_datagram_to_a_path(session, trigger, place):
    """Nothing is connected, so the name is as passed."""
    run = session.run([trigger, "sendto_unix", COUNT], cwd=place)

    for line, event in run.pairs("network_send", COUNT):
        run.check(
            event,
            call="sendto",
            res=5,
            length=5,
            **expected(line, place, side="remote") | {"path": line["path"]},
        )


def test_a_connection_made_by_sending(session, trigger, place):
    run = session.run([trigger, "fastopen_tcp4", COUNT], cwd=place)

    accepted = [event.remote_port for event in run.of("network_accept")]
    for (line, event), port in zip(run.pairs("network_send", COUNT), accepted, strict=True):
        run.check(
            event,
            call="sendto",
            res=5,
            length=5,
            **expected(line, place, side="remote")
            | {"local_addr": packed("127.0.0.1"), "local_port": port},
        )


@pytest.mark.parametrize("call", ["sendto", "sendmsg"])
def test_a_failure_sends_nothing(call, session, trigger, place):
    """Nothing may be sent to a broadcast address without asking for it; sendto says how much."""
    run = session.run([trigger, f"{call}_udp4", COUNT, "255.255.255.255", 9], cwd=place)

    for line, event in run.pairs("network_send", COUNT):
        assert line["res"] in (-errno.EACCES, -errno.ENETUNREACH)
        run.check(
            event,
            call=call,
            res=line["res"],
            length=5 if call == "sendto" else 0,
            **expected(line, place, side="remote") | {"local_port": event.local_port},
        )
