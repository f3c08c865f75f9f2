"""Which protocol a running service speaks, told by what it answers on a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest

from harness.model.backend import Backend
from harness.model.errors import BackendError
from harness.model.stack import ServiceSpec, StackDescription
from harness.onboarding.doctor import examine as examination
from harness.onboarding.doctor.checks import Finding
from harness.onboarding.doctor.examine import ExaminationRequest
from harness.onboarding.doctor.protocols import protocols

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
SASL = struct.pack("!cii", b"R", 23, 10) + b"SCRAM-SHA-256\0\0"
REFUSED = b"E\0\0\0\x4fSFATAL\0VFATAL\0C28000\0Mno pg_hba.conf entry\0\0"
MYSQL = struct.pack("<I", 74)[:3] + b"\0" + b"\x0a8.4.0\0"
MONGO = struct.pack("<iiii", 26, 7, 1, 2013)


def kafka(asked: bytes) -> bytes:
    """Answer ApiVersions with the number of the request; close on what has another length."""
    if struct.unpack("!i", asked[:4])[0] != len(asked) - 4:
        return b""
    return struct.pack("!i", 10) + asked[8:12] + struct.pack("!hi", 0, 0)


SERVERS: dict[str, tuple[bytes, Callable[[bytes], bytes]]] = {
    "postgres": (b"", lambda asked: b"N" if asked == SSL_REQUEST else SASL if b"\0user\0" in asked else b""),
    "mongo": (b"", lambda asked: MONGO if asked[12:16] == struct.pack("<i", 2013) else b""),
    "kafka": (b"", kafka),
    "zookeeper": (b"", lambda asked: b"imok" if asked == b"ruok" else b""),
    "redis": (b"", lambda asked: b"-NOAUTH Authentication required.\r\n" if asked.startswith(b"PING") else b"-ERR\r\n"),
    "mysql": (MYSQL, lambda _: b""),
    "nats": (b'INFO {"server_id":"x"}\r\n', lambda _: b"-ERR\r\n"),
    "rabbitmq": (b"", lambda asked: b"AMQP\0\0\x09\x01"),
    "letter": (b"", lambda asked: b"N" if asked == SSL_REQUEST else b""),
    "letters": (b"", lambda asked: b"S" if asked == SSL_REQUEST else b"N"),
    "http": (b"", lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "echo": (b"", lambda asked: asked),
    "banner": (b"220 mail.example ESMTP\r\n", lambda _: b"500\r\n"),
}


class At:
    """A backend of which only the addresses are asked."""

    def __init__(self, addresses: dict[str, str]) -> None:
        self._addresses = addresses

    def resolve(self, url: str, consumer: str | None = None) -> str:
        name = url.partition(":")[0]
        if name not in self._addresses:
            raise BackendError(f"{name} does not run")
        return self._addresses[name]


def stack(*services: ServiceSpec) -> StackDescription:
    fields = {"schema": 1, "name": "s", "file": "c.yaml", "services": {one.name: one for one in services}}
    return StackDescription.model_validate(fields)


def service(name: str, **more: Any) -> ServiceSpec:
    return ServiceSpec.model_validate({"name": name, "index": 0, "node": "a", "port": 7000, **more})


async def proposed(name: str, **more: Any) -> list[str | None]:
    first, answer = SERVERS[name]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        if asked := await reader.read(256):
            writer.write(answer(asked))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        found = await protocols(stack(service("it", **more)), cast("Backend", At({"it": f"127.0.0.1:{port}"})))
    return [finding.remedy for finding in found]


@pytest.mark.parametrize("name", SERVERS)
def test_the_answer_tells_the_protocol(name: str) -> None:
    known = name not in ("letter", "letters", "http", "echo", "banner")
    assert asyncio.run(proposed(name)) == ([f"say so: x-harness.roles: [{name}]"] if known else [])


def test_a_server_that_refuses_the_login_is_postgres_too(monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = (b"", lambda asked: b"S" if asked == SSL_REQUEST else REFUSED if b"\0user\0" in asked else b"")
    monkeypatch.setitem(SERVERS, "refusing", refusing)
    assert asyncio.run(proposed("refusing")) == ["say so: x-harness.roles: [postgres]"]


def test_a_service_whose_role_is_known_is_not_asked() -> None:
    assert asyncio.run(proposed("kafka", roles=("broker",))) == []


def test_a_service_with_a_page_is_asked_for_that() -> None:
    assert asyncio.run(proposed("redis", health={"http": "/health"})) == []


def test_what_does_not_run_says_nothing() -> None:
    assert asyncio.run(protocols(stack(service("gone")), cast("Backend", At({})))) == []


@pytest.mark.parametrize(
    ("start", "send", "asked"), [(False, False, False), (False, True, True), (True, False, True)], ids=str
)
def test_services_of_others_are_asked_only_with_consent(
    monkeypatch: pytest.MonkeyPatch, start: bool, send: bool, asked: bool
) -> None:
    calls: list[str] = []

    async def asking(*_: Any) -> list[Finding]:
        calls.append("asked")
        return []

    @contextlib.asynccontextmanager
    async def running(*_: Any) -> AsyncIterator[tuple[At, list[Finding]]]:
        yield At({}), []

    async def nothing(*_: Any, **__: Any) -> list[Finding]:
        return []

    async def no_rules(*_: Any) -> tuple[list[Finding], list[Any]]:
        return [], []

    monkeypatch.setattr(At, "status", nothing, raising=False)
    replaced = {"_running": running, "protocols": asking, "dead_rules": no_rules, "check_machine": lambda *_: []}
    for name, other in (replaced | dict.fromkeys(("observe", "workload", "links"), nothing)).items():
        monkeypatch.setattr(examination, name, other)
    for name in ("services", "event_clock", "probes", "scenarios"):
        monkeypatch.setattr(examination.checks, name, lambda *_: [])
    monkeypatch.setattr(examination.checks, "alert_sources", nothing)
    attach = None if start else "theirs"
    examination.examine(ExaminationRequest(stack(service("it")), "compose", attach, start, 1.0, send))
    assert calls == ["asked"] * asked
