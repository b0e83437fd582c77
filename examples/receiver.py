"""A server that keeps whatever it is sent: where the demo's agent tries to take secrets.

usage: receiver.py FOLDER

Listens on 127.0.0.1 and on FOLDER/docker.sock (a container engine that is none),
writes its port to FOLDER/port and all it receives to FOLDER/received.
"""

from __future__ import annotations

import os
import socket
import socketserver
import sys
import threading
from pathlib import Path

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Keep(socketserver.BaseRequestHandler):
    """Appends what a client sends to `received`."""

    received: Path

    def handle(self) -> None:
        self.request.settimeout(1)
        with self.received.open("ab") as file:
            try:
                while block := self.request.recv(65536):
                    file.write(block)
                    file.flush()
                    if b"100-continue" in block:
                        self.request.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            except (TimeoutError, ConnectionError):
                pass
        try:
            self.request.sendall(ANSWER)
            self.request.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def main(folder: Path) -> None:
    """Serves until it is killed."""
    Keep.received = folder / "received"
    Keep.received.touch()
    engine = socketserver.ThreadingUnixStreamServer(str(folder / "docker.sock"), Keep)
    os.chmod(folder / "docker.sock", 0o666)
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Keep)
    threading.Thread(target=engine.serve_forever, daemon=True).start()
    (folder / "port.new").write_text(str(server.server_address[1]))
    (folder / "port.new").rename(folder / "port")
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
