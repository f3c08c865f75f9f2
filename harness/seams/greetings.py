"""What to say first to a server so that it answers, by the port of its protocol.

Most servers answer a line of HTTP, if only with an error, or speak first by themselves (MySQL, NATS, AMQP). These wait
for a request of their own form and stay silent otherwise.
"""

from __future__ import annotations

import struct


def greeting(port: int | None, health_path: str | None) -> bytes:
    """Return the smallest request that a server on that port answers.

    A GET of HTTP/1.0 where it has a health page, or where nothing else is known. Servers of the Redis protocol read
    that as a command with too many arguments, and answer it too.
    """
    if health_path is None and port in _GREETINGS:
        return _GREETINGS[port]
    return f"GET {health_path or '/'} HTTP/1.0\r\n\r\n".encode()


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


_GREETINGS = {5432: _postgres(), 6432: _postgres(), 27017: _mongo(), 9092: _kafka(), 2181: b"ruok"}
