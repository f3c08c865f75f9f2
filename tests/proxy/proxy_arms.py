"""The two arms of the contract suite and the upstreams behind them.

Ours runs in this process, Toxiproxy's server in another; a test calls either through `Arm.call` and does
not know which it is, but where it says that they differ on purpose.
"""

import contextlib
import http.client
import json
import os
import secrets
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.proxy.server import running

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".bin"
PATIENCE_S = 20.0  # how long anything may take before a test gives up; never a measure of anything


@dataclass
class Answer:
    status: int
    text: str
    content_type: str | None
    request_id: str | None

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Arm:
    """A running fault proxy."""

    name: str
    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def ours(self) -> bool:
        return self.name != "theirs"

    def call(self, verb: str, path: str, body: Any = None, **headers: str) -> Answer:
        raw = body if isinstance(body, str | bytes | None) else json.dumps(body)
        with contextlib.closing(http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE_S)) as client:
            client.request(verb, path, raw, headers)
            answer = client.getresponse()
            text, header = answer.read().decode(), answer.getheader
            return Answer(answer.status, text, header("Content-Type"), header("X-Toxiproxy-Request-Id"))

    def make(self, upstream: "Upstream | str", name: str = "p", **fields: Any) -> tuple[str, int]:
        """Create a proxy before an upstream; its listen address."""
        to = upstream if isinstance(upstream, str) else upstream.address
        body = {"name": name, "listen": "127.0.0.1:0", "upstream": to, **fields}
        answer = self.call("POST", "/proxies", body)
        assert answer.status == 201, answer
        host, _, port = answer.json["listen"].rpartition(":")
        return host, int(port)

    def add_toxic(self, type_: str, stream: str = "downstream", proxy: str = "p", **attributes: Any) -> Any:
        """Add a toxic to a proxy."""
        body = {"type": type_, "stream": stream, "attributes": attributes}
        answer = self.call("POST", f"/proxies/{proxy}/toxics", body)
        assert answer.status == 200, answer
        return answer.json

    def remove_toxic(self, name: str, proxy: str = "p") -> None:
        assert self.call("DELETE", f"/proxies/{proxy}/toxics/{name}").status == 204

    def journal(self) -> Any:
        return self.call("GET", "/journal").json

    def did(self, toxic: str) -> Any:
        """What a toxic did, by our journal: the latest of that name."""
        return [entry for entry in self.journal()["toxics"] if entry["name"] == toxic][-1]["did"]


class Upstream:
    """A server that handles each connection by a function in another thread."""

    def __init__(self, handle: Callable[[socket.socket], None]) -> None:
        self._handle = handle
        self.sock = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.address = "{}:{}".format(*self.sock.getsockname())
        self.accepted: list[socket.socket] = []
        self.arrived = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE_S)
        self.sock.close()
        for sock in self.accepted:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            sock.settimeout(PATIENCE_S)
            self.accepted.append(sock)
            self.arrived.release()
            threading.Thread(target=self._run, args=(sock,), daemon=True).start()

    def _run(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            self._handle(sock)


def echo(sock: socket.socket) -> None:
    """Sends back what it receives, and closes after the end."""
    while data := sock.recv(1 << 16):
        sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)


def leave(_sock: socket.socket) -> None:
    """Does nothing: the test holds the socket through `accepted`."""


def connect(place: tuple[str, int]) -> socket.socket:
    sock = socket.create_connection(place, timeout=PATIENCE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def receive(sock: socket.socket, size: int) -> bytes:
    """Exactly so many bytes, or fewer if the stream ends first."""
    got = bytearray()
    while len(got) < size and (data := sock.recv(size - len(got))):
        got += data
    return bytes(got)


def receive_all(sock: socket.socket) -> bytes:
    """All bytes until the stream ends, however it ends."""
    got = bytearray()
    with contextlib.suppress(ConnectionError):
        while data := sock.recv(1 << 16):
            got += data
    return bytes(got)


def was_reset(sock: socket.socket) -> bool:
    """Whether the stream ends by a reset, rather than by its end."""
    try:
        while sock.recv(1 << 16):
            pass
    except ConnectionResetError:
        return True
    return False


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def silent(sock: socket.socket, for_s: float = 0.08) -> bool:
    """Whether nothing arrives for a while. That something does not happen can only be shown by waiting."""
    sock.settimeout(for_s)
    try:
        sock.recv(1)
    except TimeoutError:
        return True
    except OSError:
        return False
    finally:
        sock.settimeout(PATIENCE_S)
    return False


def until(true: Callable[[], Any]) -> Any:
    """Poll until it is true, and fail after a long while."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = true()
        if found:
            return found
        assert time.monotonic() < deadline, "it never came"
        threading.Event().wait(0.002)


def found(variable: str, name: str) -> str | None:
    """A Toxiproxy program: named by the environment, in .bin of the checkout, or on the path."""
    named = os.environ.get(variable)
    if named:
        return named
    return str(BIN / name) if (BIN / name).exists() else shutil.which(name)


def free_port() -> int:
    """Return a port that was free a moment ago, of those that the system gives to no outgoing connection."""
    while True:
        port = secrets.choice(range(20_000, 32_000))
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextlib.contextmanager
def arm_running(name: str) -> Iterator[Arm]:
    """An arm that is up: `ours`, `portable` (ours without epoll and splice) or `theirs`."""
    if name != "theirs":
        with running(seed=7, metrics=True, portable=name == "portable") as server:
            yield Arm(name, server.host, server.port)
        return
    server_path = found("TOXIPROXY_SERVER", "toxiproxy-server")
    assert server_path is not None, "Toxiproxy's server is missing: python tests/proxy/clients/prepare.py"
    port = free_port()
    command = [server_path, "-host", "127.0.0.1", "-port", str(port), "-proxy-metrics"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "LOG_LEVEL": "error"})
    try:
        arm = Arm(name, "127.0.0.1", port)

        def answers() -> bool:
            with contextlib.suppress(OSError):
                return arm.call("GET", "/version").status == 200
            return False

        until(answers)
        yield arm
    finally:
        process.kill()
        process.wait()
