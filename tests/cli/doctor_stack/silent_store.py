"""A store with a protocol of its own: it answers PostgreSQL's request for encryption, and nothing else."""

from __future__ import annotations

import socketserver
import sys

REQUEST = bytes.fromhex("0000000804d2162f")


class Store(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while said := self.request.recv(4096):
            if said == REQUEST:
                self.request.sendall(b"N")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    Server((sys.argv[1], int(sys.argv[2])), Store).serve_forever()
