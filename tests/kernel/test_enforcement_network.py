"""An address that may not be reached: the call fails and the other side sees nothing."""

import errno
import os
import shutil
import socket
import subprocess
from contextlib import contextmanager

import pytest

from guard.event import FLAG_CANDIDATE, VERDICT_DENIED
from tests.kernel.harness import cgroup_root
from tests.kernel.policy import SENDS, in_force, rule, verdicts, was_killed
from tests.kernel.sockets import NOWHERE, packed

pytestmark = pytest.mark.kernel
COUNT = 3

# operation of the trigger, address it is given, protocol, kind of event, evt.type
WAYS = [
    ("connect_tcp4", "127.0.0.1", socket.SOCK_STREAM, "network_connect", "connect"),
    ("connect_tcp6", "::1", socket.SOCK_STREAM, "network_connect", "connect"),
    ("connect_mapped", "::ffff:127.0.0.1", socket.SOCK_STREAM, "network_connect", "connect"),
    ("fastopen_tcp4", "127.0.0.1", socket.SOCK_STREAM, "network_connect", "connect"),
    ("connect_udp4", "127.0.0.1", socket.SOCK_DGRAM, "network_connect", "connect"),
    ("connect_udp6", "::1", socket.SOCK_DGRAM, "network_connect", "connect"),
    ("sendto_udp4", "127.0.0.1", socket.SOCK_DGRAM, "network_send", "sendto"),
    ("sendto_udp6", "::1", socket.SOCK_DGRAM, "network_send", "sendto"),
    ("sendto_mapped", "::ffff:127.0.0.1", socket.SOCK_DGRAM, "network_send", "sendto"),
    ("sendmsg_udp4", "127.0.0.1", socket.SOCK_DGRAM, "network_send", "sendto"),
    ("sendmsg_udp6", "::1", socket.SOCK_DGRAM, "network_send", "sendto"),
    ("sendmmsg_udp4", "127.0.0.1", socket.SOCK_DGRAM, "network_send", "sendto"),
]
by_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way[0])


@contextmanager
def server(address, kind):
    """A socket of ours, outside the session, that waits at `address`."""
    is_v6 = ":" in address and "." not in address
    with socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET, kind) as listening:
        listening.bind(("::1" if is_v6 else "127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            listening.listen(16)
        listening.setblocking(False)
        yield listening, listening.getsockname()[1]


def arrivals(listening):
    """How many connections or datagrams have come."""
    number = 0
    while True:
        try:
            if listening.type == socket.SOCK_STREAM:
                listening.accept()[0].close()
            else:
                listening.recv(64)
        except BlockingIOError:
            return number
        number += 1


@by_way
def test_works_unguarded(way, trigger, place):
    operation, address, kind, *_rest = way
    with server(address, kind) as (listening, port):
        command = [trigger, operation, str(COUNT), address, str(port)]
        ran = subprocess.run(
            command, cwd=place, capture_output=True, text=True, timeout=20, check=True
        )
        came = arrivals(listening)

    assert COUNT == ran.stdout.count('"call"') - ran.stdout.count('"res": -')
    assert came in {COUNT, 2 * COUNT} or operation.startswith("connect_udp")


@by_way
@pytest.mark.parametrize("by", ["port", "address", "network"])
def test_a_denied(by, way, session, trigger, place):
    operation, address, kind, event_kind, call = way
    is_v6 = address == "::1"
    with server(address, kind) as (listening, port):
        condition = {
            "port": f"fd.sport = {port}",
            "address": f"fd.sip = {'::1' if is_v6 else '127.0.0.1'} and fd.sport = {port}",
            "network": f"fd.snet in ({'::/64' if is_v6 else '127.0.0.0/8'})",
        }[by]
        with in_force(session, rule(f"{SENDS} and {condition}")):
            run = session.run([trigger, operation, COUNT, address, port], cwd=place)
        came = arrivals(listening)

    assert 0 == came
    assert [-errno.EPERM] * COUNT == [line["res"] for line in run.lines]
    events = [event for event in verdicts(run) if event.remote_port == port]
    assert COUNT == len(events) == len(run.of(event_kind))
    for event in events:
        run.check(
            event,
            call=call,
            res=-errno.EPERM,
            flags=FLAG_CANDIDATE,
            rule=2,
            verdict=VERDICT_DENIED,
            local_addr=NOWHERE,
            local_port=0,
            remote_addr=packed(address),
            remote_port=port,
            family=socket.AF_INET6 if is_v6 else socket.AF_INET,
            type=kind,
            protocol=socket.IPPROTO_TCP if kind == socket.SOCK_STREAM else socket.IPPROTO_UDP,
            fd=-1,  # not known where it is refused
            path="",
            **({"peer_inode": 0} if event_kind == "network_connect" else {"length": 0}),
        )
    assert COUNT == run.counters.denied
    assert 0 == run.status


@by_way
def test_another_port_works(way, session, trigger, place):
    operation, address, kind, _event_kind, _call = way
    with server(address, kind) as (listening, port):
        with in_force(session, rule(f"{SENDS} and fd.sport = {port ^ 1}")):
            run = session.run([trigger, operation, COUNT, address, port], cwd=place)
        came = arrivals(listening)

    assert came in {COUNT, 2 * COUNT} or operation.startswith("connect_udp")
    assert [] == verdicts(run)
    assert all(line["res"] >= 0 for line in run.lines)


@pytest.mark.parametrize("operation", ["connect_tcp4", "sendto_udp4"])
def test_only_what_a_program_does(operation, session, trigger, place):
    """The rule excepts the program, by what it was started from."""
    kind = socket.SOCK_DGRAM if "udp" in operation else socket.SOCK_STREAM
    shutil.copy(trigger, place / "other")
    with server("127.0.0.1", kind) as (listening, port):
        text = rule(f"{SENDS} and fd.sport = {port} and not proc.exepath = {trigger}")
        with in_force(session, text):
            good = session.run([trigger, operation, COUNT, "127.0.0.1", port], cwd=place)
            came = arrivals(listening)
            bad = session.run(["./other", operation, COUNT, "127.0.0.1", port], cwd=place)

            assert (COUNT, 0) == (came, arrivals(listening))
    assert [] == verdicts(good)
    assert COUNT == len(verdicts(bad))


def test_a_kill_instead_of_a_refusal(session, trigger, place):
    """Nothing leaves, and the process dies as well."""
    with server("127.0.0.1", socket.SOCK_STREAM) as (listening, port):
        with in_force(session, rule(f"{SENDS} and fd.sport = {port}", action="kill")):
            run = session.run([trigger, "connect_tcp4", COUNT, "127.0.0.1", port], cwd=place)

        assert 0 == arrivals(listening)
    (event,) = verdicts(run)
    assert was_killed(run, event)
    assert ("", -9) == (run.output, run.status)


def test_a_process_moved_to_another_cgroup_is_not_refused_but_killed(session, trigger, place):
    """Out of reach of the hook that refuses, the end of the call still decides."""
    code = f'echo $$ >{cgroup_root()}/cgroup.procs; exec "$0" connect_tcp4 {COUNT} 127.0.0.1 "$1"'
    with (
        server("127.0.0.1", socket.SOCK_STREAM) as (_listening, port),
        in_force(session, rule(f"{SENDS} and fd.sport = {port}")),
    ):
        run = session.run(["/bin/sh", "-c", code, trigger, str(port)], cwd=place)

    (event,) = verdicts(run)
    assert was_killed(run, event)
    assert "" == run.output


@pytest.mark.parametrize("name", ["real.sock", "alias.sock", "d/../real.sock"])
@pytest.mark.parametrize("field", ["fd.name", "guard.path"])
def test_a_denied_unix_socket(name, field, session, trigger, place):
    """Through a symlink it is the same socket. The connection is made; nothing is said on it."""
    (place / "alias.sock").symlink_to("real.sock")
    (place / "d").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place / "real.sock"))
        listening.listen(8)
        command = [trigger, "connect_unix", COUNT, place / name]
        text = rule(f"evt.type = connect and {field} = {place}/real.sock")
        free = subprocess.run(
            list(map(str, command)), cwd=place, capture_output=True, timeout=20, check=True
        )
        with in_force(session, text):
            run = session.run(command, cwd=place)

    assert COUNT == free.stdout.count(b'"res": 0')
    (event,) = verdicts(run)
    assert ("network_connect", str(place / "real.sock")) == (event.kind, event.path)
    assert os.stat(place / "real.sock").st_ino == event.peer_inode
    assert was_killed(run, event)
    assert "" == run.output


def test_another_unix_socket_works(session, trigger, place):
    text = rule(f"evt.type = connect and fd.name = {place}/other.sock")
    with in_force(session, text):
        run = session.run([trigger, "connect_unix", COUNT], cwd=place)

    assert [] == verdicts(run)
    assert [0] * COUNT == [line["res"] for line in run.lines]
