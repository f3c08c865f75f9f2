"""Which protocol a running service speaks whose description does not say: it is asked in each, and its answer tells.

Only an answer that no other protocol gives counts. A server may log requests in other protocols as errors, so one that
is not ours to disturb is asked only with `--send`. A service that answers none of them is passed over: what it is
called says less than nothing about it.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType

from harness.model.backend import Backend
from harness.model.errors import HarnessError
from harness.model.stack import ServiceSpec, StackDescription
from harness.onboarding.doctor.checks import Finding
from harness.seams.greetings import greeting

ANSWER_WITHIN_S = 1.0
_MOST_BYTES = 64


def _is_mongo(answer: bytes) -> bool:
    """Whether it is the answer to request 1, as an OP_MSG or an OP_REPLY (MongoDB Wire Protocol)."""
    return len(answer) >= 16 and struct.unpack("<iii", answer[4:16])[1:] in {(1, 2013), (1, 1)}


def _is_kafka(answer: bytes) -> bool:
    """Whether it is an ApiVersions answer to request 1 without an error (the Kafka protocol guide)."""
    return len(answer) >= 10 and struct.unpack("!ih", answer[4:10]) == (1, 0)


def _is_mysql(answer: bytes) -> bool:
    """Whether it is an initial handshake, version 10, which the server sends first (MySQL's protocol documentation)."""
    return len(answer) >= 5 and answer[3] == 0 and answer[4] == 10


def _is_postgres(answer: bytes) -> bool:
    """Whether it asks for a login, or refuses one (PostgreSQL's message formats)."""
    if len(answer) < 9:
        return False
    length, kind = struct.unpack("!ii", answer[1:9])
    asks = answer[:1] == b"R" and 8 <= length < 2000 and 0 <= kind <= 12
    return asks or (answer[:1] == b"E" and answer[5:6] == b"S" and b"FATAL\0" in answer)


_PROTOCOL_3 = 196608
_LOGIN = struct.pack("!i", _PROTOCOL_3) + b"user\0harness\0database\0postgres\0\0"
_STARTUP = struct.pack("!i", len(_LOGIN) + 4) + _LOGIN
_PING = b"PING\r\n"
_TELLS: Mapping[str, tuple[bytes, Callable[[bytes], bool]]] = MappingProxyType({
    "postgres": (greeting(None, None, ["postgres"]), lambda answer: answer in (b"S", b"N")),
    "mongo": (greeting(None, None, ["mongo"]), _is_mongo),
    "kafka": (greeting(None, None, ["kafka"]), _is_kafka),
    "zookeeper": (greeting(None, None, ["zookeeper"]), lambda answer: answer.startswith((b"imok", b"ruok is not"))),
    "redis": (_PING, lambda answer: answer.startswith((b"+PONG\r\n", b"-NOAUTH "))),
    "mysql": (b"", _is_mysql),
    "nats": (b"", lambda answer: answer.startswith(b"INFO {")),
    "rabbitmq": (b"HELO\0\0\0\0", lambda answer: answer.startswith(b"AMQP\0")),
})  # fmt: skip
"""What is sent in each protocol, nothing where the server speaks first, and how its answer is told."""


async def protocols(stack: StackDescription, backend: Backend) -> list[Finding]:
    """Ask every service without a role and a page which protocol it speaks; propose its role."""
    asked = [one for one in stack.services.values() if one.port is not None and not one.roles and not _has_page(one)]
    answers = await asyncio.gather(*(_role_of(service, backend) for service in asked))
    return [_proposed(service, role) for service, role in zip(asked, answers, strict=True) if role is not None]


def _has_page(service: ServiceSpec) -> bool:
    return service.health is not None and service.health.http is not None


async def _role_of(service: ServiceSpec, backend: Backend) -> str | None:
    try:
        host, _, port = backend.resolve(f"{service.name}:{service.port}").rpartition(":")
    except HarnessError:  # it does not run, which another finding says
        return None
    return await role_at(host, int(port))


async def role_at(host: str, port: int) -> str | None:
    """Return the role of whoever listens there; None where no answer tells it, or several would."""
    answers = await asyncio.gather(*(_answer(host, port, sent) for sent, _ in _TELLS.values()))
    told = [role for (role, (_, tells)), answer in zip(_TELLS.items(), answers, strict=True) if tells(answer)]
    if len(told) != 1:
        return None
    # One letter may be anybody's.
    proved = told != ["postgres"] or _is_postgres(await _answer(host, port, _STARTUP))
    return told[0] if proved else None


async def _answer(host: str, port: int, sent: bytes) -> bytes:
    """Return the first bytes of an answer, on a connection of its own."""
    answer = b""
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(sent)
                while len(answer) < _MOST_BYTES and (more := await reader.read(_MOST_BYTES)):
                    answer += more
            finally:
                writer.transport.abort()
    except (TimeoutError, OSError):
        pass
    return answer


def _proposed(service: ServiceSpec, role: str) -> Finding:
    says = f"answers port {service.port} as {role} does"
    return Finding("service", service.name, "note", says, f"say so: x-harness.roles: [{role}]")
