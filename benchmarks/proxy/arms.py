"""The arms of the benchmark: ours, Toxiproxy's server, and no proxy at all. Each proxy runs in its own process."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Arm:
    """A running proxy: its name, process and API."""

    name: str
    pid: int
    url: str

    def call(self, verb: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=verb)
        with urllib.request.urlopen(request, timeout=30) as answer:
            raw = answer.read()
        return json.loads(raw) if raw else None

    @contextlib.contextmanager
    def proxy(self, upstream: tuple[str, int], **toxic: Any) -> Iterator[tuple[str, int]]:
        """The address of a proxy before an upstream, for the length of a `with` block."""
        made = self.call(
            "POST", "/proxies", {"name": "bench", "listen": "127.0.0.1:0", "upstream": f"{upstream[0]}:{upstream[1]}"}
        )
        try:
            if toxic:
                self.call("POST", "/proxies/bench/toxics", toxic)
            host, _, port = made["listen"].rpartition(":")
            yield host, int(port)
        finally:
            self.call("DELETE", "/proxies/bench")

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_bytes(self) -> int:
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))


def toxiproxy_server() -> str | None:
    """Toxiproxy's server: named by the environment, in the checkout's .bin, or on the path."""
    named = os.environ.get("TOXIPROXY_SERVER")
    if named:
        return named
    local = ROOT / ".bin" / "toxiproxy-server"
    return str(local) if local.exists() else shutil.which("toxiproxy-server")


@contextlib.contextmanager
def started(name: str) -> Iterator[Arm]:
    """An arm that is up and answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    if name == "ours":
        command = [sys.executable, "-m", "harness.proxy", "serve", "--port", str(port), "--seed", "1"]
    else:
        server = toxiproxy_server()
        assert server is not None
        command = [server, "-host", "127.0.0.1", "-port", str(port)]
    environment = {**os.environ, "LOG_LEVEL": "error"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        arm = Arm(name, process.pid, f"http://127.0.0.1:{port}")
        deadline = time.monotonic() + 10
        while True:
            try:
                arm.call("GET", "/version")
                break
            except (OSError, urllib.error.URLError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        yield arm
    finally:
        process.kill()
        process.wait()
