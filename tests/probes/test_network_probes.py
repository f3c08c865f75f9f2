"""The probes `tcp` and `grpc` and health by gRPC: a real server, and ports that answer otherwise."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from pydantic import ValidationError
from real_probes import Probing, read

sys.path.insert(0, str(Path(__file__).parents[1] / "seams"))

from real_servers import ending, own_address

from harness.backends.http_request import healthy, until_healthy
from harness.model.backend import LinkEndpoint
from harness.model.errors import BackendError, HarnessError
from harness.model.probekinds import ProbeSpec
from harness.model.stack import Health
from harness.seams.greetings import greeting
from harness.seams.link import LinkHandle

METHOD = "grpc.health.v1.Health"


class Servicer(grpc.GenericRpcHandler):
    """gRPC's health check, by the bytes of its messages: `statuses` has the answer for each service."""

    def __init__(self, **statuses: bytes) -> None:
        self.statuses = {"": b"\x08\x01", **statuses}
        self.waits: threading.Event | None = None
        self.implemented = True

    def service(self, details: Any) -> Any:
        if details.method != f"/{METHOD}/Check" or not self.implemented:
            return None
        return grpc.unary_unary_rpc_method_handler(self._check)

    def _check(self, request: bytes, context: Any) -> bytes:
        if self.waits is not None:
            self.waits.wait(30)
        name = request[2:].decode()
        assert request in (b"", b"\x0a" + bytes([len(name)]) + name.encode())
        if name not in self.statuses:
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return self.statuses[name]


@contextmanager
def grpc_server(servicer: Servicer, address: str | None = None, tls: Any = None) -> Iterator[str]:
    """Serve gRPC; gives its `host:port`."""
    server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((servicer,))
    place = address or "127.0.0.1:0"
    port = server.add_insecure_port(place) if tls is None else server.add_secure_port(place, tls)
    server.start()
    try:
        yield f"{place.rpartition(':')[0]}:{port}"
    finally:
        if servicer.waits is not None:
            servicer.waits.set()
        server.stop(None).wait()


def by_grpc(**settings: Any) -> dict[str, Any]:
    return {"grpc": {"service": "model", **settings}, "timeout": "5s"}


async def test_what_a_server_says_of_its_services(tmp_path: Path) -> None:
    servicer = Servicer(ready=b"\x08\x01", broken=b"\x08\x02", unknown=b"", other=b"\x08\x01\x10\x01")
    with grpc_server(servicer) as place:
        probes = {name: by_grpc(name=name) for name in ("ready", "broken", "unknown", "gone", "other")}
        probes |= {f"{name}_status": by_grpc(name=name, read="status") for name in ("ready", "broken", "unknown")}
        probes |= {f"{name}_late": by_grpc(name=name, read="latency") for name in ("ready", "broken")}
        probes |= {"whole": by_grpc(), "address": {"grpc": {"address": place}, "timeout": "5s"}}
        found = await read(tmp_path, {"model": place}, **probes)
    values = {name: reading.value for name, reading in found.items()}
    assert [values[n] for n in ("ready", "broken", "unknown", "whole", "address")] == [1.0, 0.0, 0.0, 1.0, 1.0]
    assert [values[f"{n}_status"] for n in ("ready", "broken", "unknown")] == [1.0, 2.0, 0.0]
    assert 0 < (values["ready_late"] or 0) < 5
    assert (values["broken_late"], found["broken_late"].down) == (None, "the server says NOT_SERVING")
    assert (values["gone"], found["gone"].down) == (None, "the server knows no gRPC service 'gone'")
    assert values["other"] is None
    assert "not the form of a gRPC health check" in (found["other"].down or "")


async def test_a_server_without_the_health_check_says_nothing_of_its_health(tmp_path: Path) -> None:
    servicer = Servicer()
    servicer.implemented = False
    with grpc_server(servicer) as place:
        found = await read(tmp_path, {"model": place}, up=by_grpc(), status=by_grpc(read="status"))
    why = "the server has no health check of gRPC (grpc.health.v1)"
    assert [(one.value, one.down) for one in found.values()] == [(None, why)] * 2


@pytest.mark.parametrize("how", ["refused", "silent", "reset", "closed", "answered"])
async def test_what_is_no_grpc_server_is_not_up(tmp_path: Path, how: str) -> None:
    async with ending(how) as place:
        probes = {name: {**by_grpc(read=name), "timeout": "300ms"} for name in ("up", "status", "latency")}
        found = await read(tmp_path, {"model": place}, **probes)
    assert (found["up"].value, found["up"].down) == (0.0, None)
    for name in ("status", "latency"):
        assert found[name].value is None
        assert (found[name].down or "").startswith(("Connection", "no answer within 0.3 s")), found[name].down


async def test_a_server_that_hangs_and_one_that_comes_back(tmp_path: Path) -> None:
    servicer = Servicer()
    place = f"{own_address(9)}:18551"
    quick = {"up": {**by_grpc(), "timeout": "1s"}}
    with grpc_server(servicer, place):
        async with Probing(tmp_path, quick, {"model": place}) as probing:
            assert (await probing.once())["up"].value == 1.0
            servicer.waits = threading.Event()
            assert (await probing.once())["up"].value == 0.0
            servicer.waits.set()
            assert (await probing.once())["up"].value == 1.0
    async with Probing(tmp_path, quick, {"model": place}) as probing:
        for _ in range(5):
            assert (await probing.once())["up"].value == 0.0
        with grpc_server(Servicer(), place):
            # At once: no failure before it makes a reading wait for its own next try.
            assert (await probing.once())["up"].value == 1.0


def certificate(folder: Path) -> tuple[bytes, bytes]:
    """Make a key and a certificate for the name `model`, which is its own authority; it is left as `ca.pem`."""
    made = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=model -addext subjectAltName=DNS:model"
    subprocess.run([*made.split(), "-keyout", "key", "-out", "ca.pem"], cwd=folder, check=True, capture_output=True)
    return (folder / "key").read_bytes(), (folder / "ca.pem").read_bytes()


async def test_tls_by_the_name_of_the_service(tmp_path: Path) -> None:
    pair = certificate(tmp_path)
    with grpc_server(Servicer(), tls=grpc.ssl_server_credentials([pair])) as place:
        found = await read(
            tmp_path,
            {"model": place},
            trusted=by_grpc(tls=True, ca="ca.pem", read="status"),
            unknown=by_grpc(tls=True, read="status"),
            plain=by_grpc(read="status"),
        )
    assert found["trusted"].value == 1.0
    assert (found["unknown"].value, found["plain"].value) == (None, None)
    with pytest.raises(HarnessError, match=r"'other.pem' cannot be read"):
        await read(tmp_path, {"model": place}, p=by_grpc(tls=True, ca="other.pem"))


async def test_a_connection_is_taken_or_not(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"
        tcp = {"up": {"tcp": {"service": "db"}}, "latency": {"tcp": {"address": place, "read": "latency"}}}
        tcp["named"] = {"tcp": {"address": "db:1"}}
        found = await read(tmp_path, {"db": place}, **tcp)
        assert (found["up"].value, found["named"].value) == (1.0, 1.0)
        assert 0 <= (found["latency"].value or -1) < 1
        server.close()
        found = await read(tmp_path, {"db": place}, **tcp)
    assert (found["up"].value, found["up"].down) == (0.0, None)
    assert found["latency"].value is None
    assert "refused" in (found["latency"].down or "").lower()


async def test_a_port_that_takes_no_connection_in_time(tmp_path: Path) -> None:
    with closing(socket.socket()) as server, closing(socket.socket()) as first:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        first.connect(server.getsockname())  # the queue is full: the system answers no further one
        second = socket.socket()
        second.setblocking(False)
        second.connect_ex(server.getsockname())
        place = f"127.0.0.1:{server.getsockname()[1]}"
        tcp = {name: {"tcp": {"service": "db", "read": name}, "timeout": "200ms"} for name in ("up", "latency")}
        found = await read(tmp_path, {"db": place}, **tcp)
        second.close()
    assert found["up"].value == 0.0
    assert found["latency"].down == "no connection within 0.2 s"


@pytest.mark.parametrize(
    ("probe", "why"),
    [
        ({"tcp": {}}, "exactly one of `service` and `address`"),
        ({"tcp": {"service": "a", "address": "b:1"}}, "exactly one of `service` and `address`"),
        ({"tcp": {"address": "b:1", "port": 2}}, "has its port itself"),
        ({"tcp": {"address": "b"}}, "not an address such as"),
        ({"tcp": {"address": "b:99999"}}, "not an address such as"),
        ({"grpc": {"service": "a", "ca": "x"}}, "goes with `tls: true`"),
        ({"grpc": {"service": "a", "name": "a b"}}, "should match pattern"),
    ],
)
def test_settings_that_cannot_be_right(probe: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        ProbeSpec.model_validate(probe)


async def test_a_stack_waits_for_a_server_that_says_that_it_serves() -> None:
    servicer = Servicer(ready=b"\x08\x02")
    with grpc_server(servicer) as place:
        host, _, port = place.partition(":")
        assert await healthy(Health(grpc=""), host, int(port))
        for name in ("ready", "gone"):
            assert not await healthy(Health(grpc=name), host, int(port))
        waiting = asyncio.ensure_future(until_healthy(Health(grpc="ready"), host, int(port)))
        done, _ = await asyncio.wait([waiting], timeout=0.1)
        assert not done
        servicer.statuses["ready"] = b"\x08\x01"
        await asyncio.wait_for(waiting, 10)
    assert not await healthy(Health(grpc=""), host, int(port))


async def test_health_by_grpc_needs_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpclib.client", None)
    with pytest.raises(BackendError, match="needs the package grpclib") as caught:
        await healthy(Health(grpc=""), "127.0.0.1", 1)
    assert "[grpc]" in str(caught.value.remedy)


async def test_a_link_to_a_grpc_server_is_measured_by_an_exchange_that_it_answers() -> None:
    with grpc_server(Servicer()) as place:
        link = LinkHandle(LinkEndpoint("a -> b", "http://127.0.0.1:1", {8001: "b"}), 8001, place, place)
        assert (await link.exchange(greeting(8001, None, ["grpc"]), 10.0)).outcome == "answered"
