"""The gateway over its replicas: the last one that is left is not given up for a moment's slowness."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests


class Replica(BaseHTTPRequestHandler):
    """Healthy by its check; stalls on its first requests for longer than the gateway waits for an answer."""

    to_stall = 2
    lock = threading.Lock()
    go_on = threading.Event()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        with Replica.lock:
            stall, Replica.to_stall = Replica.to_stall > 0, Replica.to_stall - 1
        if stall:
            Replica.go_on.wait(30)
        with contextlib.suppress(OSError):
            self._answer()

    def _answer(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[str]:
    """The gateway over one replica that lives and one that is dead; gives its URL."""
    port, dead = free_ports(2)
    with ThreadingHTTPServer(("127.0.0.1", 0), Replica) as replica:
        threading.Thread(target=replica.serve_forever, daemon=True).start()
        settings = {
            "STATE_DIR": str(tmp_path),
            "BIND": "127.0.0.1",
            "PORT": str(port),
            "REPLICAS": f"127.0.0.1:{dead} 127.0.0.1:{replica.server_port}",
        }
        with subprocess.Popen(
            [sys.executable, "-m", "refstack.gateway"], env={**os.environ, **settings}, stderr=subprocess.DEVNULL
        ) as process:
            try:
                url = f"http://127.0.0.1:{port}"
                deadline = time.monotonic() + 30
                while True:
                    with contextlib.suppress(requests.ConnectionError):
                        requests.get(url + "/healthz", timeout=5)
                        break
                    assert process.poll() is None, "the gateway has ended"
                    assert time.monotonic() < deadline, "the gateway does not answer"
                    time.sleep(0.01)
                yield url
            finally:
                Replica.go_on.set()
                process.kill()
        replica.shutdown()


def test_two_slow_answers_of_the_last_replica_do_not_cost_the_requests_after_them(gateway: str) -> None:
    def ask(_: int = 0) -> int:
        return requests.post(gateway + "/predict", data=b"{}", timeout=30).status_code

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(ask, range(2)))
    assert Replica.to_stall <= 0
    assert [ask() for _ in range(5)] == [200] * 5
