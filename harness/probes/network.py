"""Probes of a server by its port: whether it takes connections, and what it answers to gRPC's health check."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

from harness.backends.grpc_health import SERVING, STATUSES, ask_status, open_channel
from harness.model.errors import ProbeError
from harness.model.networkprobes import GrpcProbe, Place, TcpProbe, parse_address
from harness.probes.reader import NoAnswerError, NotAskedError, OwnThread, ProbeContext, failing
from harness.probes.redis_store import missing


def located(place: Place, around: ProbeContext) -> tuple[str, int, str | None]:
    """Return where to connect to, and the service's name where it is one. Raises ProbeError, BackendError."""
    if place.service is not None:
        return *around.place(place.service, place.port), place.service
    host, port = parse_address(str(place.address))
    service = around.service_of(host)
    return (*around.place(service, port), service) if service is not None else (host, port, None)


class TcpReader:
    """Reads a `tcp` probe. What takes the connection is the system under the server, which may hang all the same."""

    def __init__(self, settings: TcpProbe, around: ProbeContext) -> None:
        self._settings = settings
        self._limit_s = around.deadline_s
        self._host, self._port, _ = located(settings, around)

    async def read(self) -> float:
        """Return whether a connection is taken, or how long that takes."""
        up = self._settings.read == "up"
        began_s = time.monotonic()
        try:
            async with asyncio.timeout(self._limit_s):
                _, writer = await asyncio.open_connection(self._host, self._port)
        except TimeoutError:
            if up:
                return 0.0
            raise NoAnswerError(f"no connection within {self._limit_s:g} s") from None
        except OSError as error:
            meant = failing(error)
            if up and not isinstance(meant, NotAskedError):
                return 0.0
            raise meant from None
        took_s = time.monotonic() - began_s
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return 1.0 if up else took_s

    async def close(self) -> None:
        """Nothing is open."""


class GrpcReader:
    """Reads a `grpc` probe. The channel is kept while it is good; after a failure the next reading connects anew."""

    def __init__(self, settings: GrpcProbe, around: ProbeContext) -> None:
        self._settings = settings
        self._limit_s = around.deadline_s
        self._address, self._port, self._named = located(settings, around)
        self._roots = _roots(settings, around)
        self._thread = OwnThread("grpc probe")
        self._channel: Any = None
        try:
            import grpc
        except ImportError as error:
            raise missing("grpc", error) from error
        self._errors = grpc.RpcError
        # What these mean is that the wrong thing was asked, not that it does not serve.
        self._unknown = {
            grpc.StatusCode.NOT_FOUND: f"the server knows no gRPC service {settings.name!r}",
            grpc.StatusCode.UNIMPLEMENTED: "the server has no health check of gRPC (grpc.health.v1)",
        }

    async def read(self) -> float:
        """Return whether it says that it serves, what it says, or how long that answer took."""
        return await self._thread.call(self._ask)

    def _ask(self) -> float:
        read = self._settings.read
        began_s = time.monotonic()
        try:
            if self._channel is None:
                self._channel = open_channel(
                    self._address, self._port, self._limit_s, named=self._named, roots=self._roots
                )
            status = ask_status(self._channel, self._settings.name, self._limit_s)
        except ValueError as error:
            raise NoAnswerError(str(error)) from None
        except self._errors as error:
            self._drop()
            code: Any = getattr(error, "code", lambda: None)()
            details = getattr(error, "details", lambda: None)() or "no details"
            meant = failing(error, self._unknown.get(code) or f"{getattr(code, 'name', 'no status')}: {details}")
            if read == "up" and code not in self._unknown and not isinstance(meant, NotAskedError):
                return 0.0
            raise meant from None
        took_s = time.monotonic() - began_s
        if read == "up":
            return 1.0 if status == SERVING else 0.0
        if read == "status":
            return float(status)
        if status != SERVING:
            raise NoAnswerError(f"the server says {STATUSES[status]}")
        return took_s

    def _drop(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    async def close(self) -> None:
        """Close the channel, unless a call still hangs in it."""
        with contextlib.suppress(NoAnswerError):
            await self._thread.call(self._drop)


def _roots(settings: GrpcProbe, around: ProbeContext) -> bytes | None:
    """Return the certificates to trust: none without TLS, empty for those of the system. Raises ProbeError."""
    if not settings.tls:
        return None
    if settings.ca is None:
        return b""
    try:
        return (around.folder / settings.ca).read_bytes()
    except OSError as error:
        remedy = "`ca` is a PEM file of certificates, relative to the compose file's folder"
        raise ProbeError(f"the file {settings.ca!r} cannot be read: {error.strerror}", remedy=remedy) from None
