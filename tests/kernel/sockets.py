"""What a socket event must say, from what the trigger says of the address."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path
from typing import Any

NOWHERE = bytes(16)
PROTOCOLS = {socket.SOCK_STREAM: socket.IPPROTO_TCP, socket.SOCK_DGRAM: socket.IPPROTO_UDP}


def packed(address: str) -> bytes:
    """16 bytes as in struct event_socket; an IPv6 address that wraps an IPv4 one is that one."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return parsed.packed.ljust(16, b"\0")


def family(line: dict[str, Any]) -> int:
    """Of the address: AF_INET for an IPv4 address on an IPv6 socket."""
    if line["family"] == socket.AF_INET6 and ipaddress.IPv6Address(line["address"]).ipv4_mapped:
        return socket.AF_INET
    return int(line["family"])


def expected(line: dict[str, Any], place: Path, *, side: str) -> dict[str, object]:
    """The fields of struct event_socket and the path; the address is on `side` local or remote."""
    if line["family"] == socket.AF_UNIX:
        path, ends, protocol = line["path"], {}, 0
        if not path.startswith("\0"):
            path = str(place / path)
    else:
        path = ""
        ends = {f"{side}_addr": packed(line["address"]), f"{side}_port": line["port"]}
        protocol = PROTOCOLS[line["type"]]
    nowhere = {"local_addr": NOWHERE, "remote_addr": NOWHERE, "local_port": 0, "remote_port": 0}
    return (
        nowhere
        | {
            "family": family(line),
            "type": line["type"],
            "protocol": protocol,
            "fd": line["fd"],
            "path": path,
        }
        | ends
    )
