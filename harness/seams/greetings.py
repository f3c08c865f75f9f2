"""What to say first to a server so that it answers: by the roles that the stack gives it, else by its port.

Most servers answer a line of HTTP, if only with an error, or speak first by themselves (MySQL, NATS, AMQP). These wait
for a request of their own form and stay silent otherwise.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from harness.model.stack import ServiceSpec


def greeting(port: int | None, health_path: str | None, roles: Iterable[str] = ()) -> bytes:
    """Return the smallest request that a server with these roles, or on that port, answers.

    A GET of HTTP/1.0 where it has a health page, or where nothing else is known. Servers of the Redis protocol read
    that as a command with too many arguments, and answer it too.
    """
    if health_path is None:
        known = next((_BY_ROLE[role.lower()] for role in roles if role.lower() in _BY_ROLE), _BY_PORT.get(port or 0))
        if known is not None:
            return known
    return f"GET {health_path or '/'} HTTP/1.0\r\n\r\n".encode()


def request_of(service: ServiceSpec, port: int | None = None) -> bytes:
    """Return the smallest request that a service answers at its main port, whichever `port` that is on a link."""
    health = service.health.http if service.health is not None else None
    by_grpc = service.health is not None and service.health.grpc is not None
    return greeting(port or service.port, health, ("grpc", *service.roles) if by_grpc else service.roles)


def asked_as(port: int | None, health_path: str | None, roles: Iterable[str] = ()) -> str:
    """Return, in words, what `greeting` asks a server."""
    if health_path is not None:
        return f"asked for {health_path}"
    role = next((role for role in roles if role.lower() in _BY_ROLE), None)
    if role is not None:
        return f"asked as {role}"
    return f"asked as {_PORTS[port]}, by its port" if port in _PORTS else "asked for / over HTTP"


def _postgres() -> bytes:
    """SSLRequest, which is answered by one byte before any login (PostgreSQL's documentation, 55.7 Message Formats)."""
    return struct.pack("!ii", 8, 80877103)


def _mongo() -> bytes:
    """`hello` as an OP_MSG (MongoDB Wire Protocol), which needs no login."""
    fields = b"\x10hello\0" + struct.pack("<i", 1) + b"\x02$db\0" + struct.pack("<i", 6) + b"admin\0"
    document = struct.pack("<i", 4 + len(fields) + 1) + fields + b"\0"
    sections = struct.pack("<I", 0) + b"\0" + document
    return struct.pack("<iiii", 16 + len(sections), 1, 0, 2013) + sections


def _kafka() -> bytes:
    """ApiVersions, version 0, which clients send before any login (the Kafka protocol guide)."""
    client = b"harness"
    request = struct.pack("!hhih", 18, 0, 1, len(client)) + client
    return struct.pack("!i", len(request)) + request


def _grpc() -> bytes:
    """The preface of HTTP/2 with empty SETTINGS, which a server answers with its own (RFC 9113, 3.4)."""
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


_RUOK = b"ruok"
_PORTS = {5432: "postgres", 6432: "postgres", 27017: "mongo", 9092: "kafka", 2181: "zookeeper"}
_BY_ROLE = {
    **dict.fromkeys(("postgres", "postgresql", "pgbouncer", "timescaledb"), _postgres()),
    **dict.fromkeys(("mongo", "mongodb"), _mongo()),
    **dict.fromkeys(("kafka", "redpanda"), _kafka()),
    "zookeeper": _RUOK,
    "grpc": _grpc(),
}
_BY_PORT = {port: _BY_ROLE[role] for port, role in _PORTS.items()}
ROLES = tuple(_BY_ROLE)
"""Roles that tell the protocol."""
