"""The standard health check of gRPC servers (grpc.health.v1.Health/Check), asked once over a channel.

By grpclib, which is Python alone: where no file can be opened any more, grpcio's native threads end the whole process.
Of the two messages each has one field, so they are written here: generated classes would need protobuf as well.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

from harness.model.errors import BackendError, install_extra

METHOD = "/grpc.health.v1.Health/Check"
SERVING = 1
STATUSES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
_STRING, _ENUM = b"\x0a", b"\x08"
"""The tags of field 1, as text in the request and as a number in the answer (proto3's encoding)."""


class GrpcAnswerError(Exception):
    """The server answered, but with no status of health: `code` is gRPC's, where there is one."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


def open_channel(address: str, port: int, tls: ssl.SSLContext | None = None, named: str | None = None) -> Any:
    """Return a channel of the running loop, which connects when it is used. Raises ImportError without grpclib.

    With TLS, `named` is what the server's certificate must be valid for instead of its address.
    """
    from grpclib.client import Channel
    from grpclib.config import Configuration
    from grpclib.encoding.base import CodecBase

    class Messages(CodecBase):
        """The two messages of the health check: a service's name, and a status."""

        __content_subtype__ = "proto"

        def encode(self, message: Any, message_type: Any) -> bytes:  # noqa: ARG002
            name = str(message).encode()
            return _STRING + bytes([len(name)]) + name if name else b""

        def decode(self, data: bytes, message_type: Any) -> int:  # noqa: ARG002
            if not data:
                return 0
            if len(data) != 2 or data[:1] != _ENUM or data[1] >= len(STATUSES):
                raise GrpcAnswerError(f"not the form of a gRPC health check: {data[:40]!r}")
            return data[1]

    config = Configuration(ssl_target_name_override=named) if tls is not None and named is not None else None
    return Channel(address, port, codec=Messages(), ssl=tls, config=config)


async def ask_status(channel: Any, service: str, within_s: float) -> int:
    """Return the status of a gRPC service, or of the whole server for an empty name.

    Raises GrpcAnswerError for any other answer, and OSError (TimeoutError is one) where there is none.
    """
    from grpclib.client import UnaryUnaryMethod
    from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError
    from h2.exceptions import H2Error

    try:
        async with asyncio.timeout(within_s):
            status: int = await UnaryUnaryMethod(channel, METHOD, str, int)(service)
    except GRPCError as error:
        raise GrpcAnswerError(f"{error.status.name}: {error.message or 'no details'}", error.status.name) from None
    except (StreamTerminatedError, ProtocolError, H2Error) as error:
        raise ConnectionError(f"{type(error).__name__}: {error}") from error
    return status


async def is_serving(address: str, port: int, service: str, within_s: float) -> bool:
    """Ask once, over a channel of its own, whether a server says that it serves.

    Raises BackendError without grpclib.
    """
    try:
        channel = open_channel(address, port)
    except ImportError as error:
        raise BackendError("a health check of gRPC needs the package grpclib", remedy=install_extra("grpc")) from error
    try:
        return await ask_status(channel, service, within_s) == SERVING
    except (GrpcAnswerError, OSError):
        return False
    finally:
        channel.close()
