"""Connections: in a network namespace with nothing but loopback."""

from __future__ import annotations

import shutil

import pytest

from tests.e2e.harness import Place

# Bring loopback up without the `ip` program.
_UP = (
    "import fcntl,socket,struct,os,sys;"
    "fcntl.ioctl(socket.socket(),0x8914,struct.pack('16sh14x',b'lo',0x41));"
    "os.execvp(sys.argv[1],sys.argv[1:])"
)
ALONE = ("unshare", "--net", "/usr/bin/python3", "-c", _UP)

CONNECT = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
port = server.getsockname()[1]
with socket.create_connection(("127.0.0.1", port)) as here:
    here.sendall(b"x")
print("port", port)
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
    try:
        socket.socket(socket.AF_INET, kind).connect(("169.254.169.254", 80))
        print("connected")
    except OSError as error:
        print(type(error).__name__)
"""

pytestmark = pytest.mark.skipif(
    shutil.which("unshare") is None, reason="unshare is not installed: apt-get install util-linux"
)


def test_a_refused_address_was_not_contacted(place: Place) -> None:
    """The metadata service is refused with EPERM, and the summary says so; loopback works."""
    result = place.run("/usr/bin/python3", "-c", CONNECT, prefix=ALONE)
    assert 0 == result.code, result.err
    port, *refused = result.out.splitlines()
    assert ["PermissionError"] * 2 == refused
    assert ["Cloud metadata service contacted"] * 2 == result.rules
    assert {"denied"} == {alert["verdict"] for alert in result.record.violations()}
    assert f"\n  contacted      127.0.0.1:{port.split()[1]}\n" in result.err
    assert "\n  refused        169.254.169.254:80\n" in result.err
    activity = result.record.meta["activity"]
    assert ["169.254.169.254:80"] == list(activity["refused"])
    assert "169.254.169.254:80" not in activity["hosts"]
