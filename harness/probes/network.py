"""Probes of a server by its port: whether it takes connections, and what it answers to gRPC's health check."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from functools import partial

from harness.backends.grpc_health import SERVING, STATUSES, GrpcAnswerError, ask_status, open_channel
from harness.model.errors import ProbeError
from harness.model.networkprobes import GrpcProbe, Place, TcpProbe, parse_address
from harness.probes.reader import NoAnswerError, NotAskedError, ProbeContext, failing
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
        address, port, named = located(settings, around)
        tls = _trusting(settings, around) if settings.tls else None
        try:
            self._open = partial(open_channel, address, port, tls, named)
            self._channel = self._open()
        except ImportError as error:
            raise missing("grpc", error) from error
        # What these mean is that the wrong thing was asked, not that it does not serve.
        self._unknown = {
            "NOT_FOUND": f"the server knows no gRPC service {settings.name!r}",
            "UNIMPLEMENTED": "the server has no health check of gRPC (grpc.health.v1)",
        }

    async def read(self) -> float:
        """Return whether it says that it serves, what it says, or how long that answer took."""
        read = self._settings.read
        began_s = time.monotonic()
        try:
            status = await ask_status(self._channel, self._settings.name, self._limit_s)
        except GrpcAnswerError as error:
            if read == "up" and error.code is not None and error.code not in self._unknown:
                return 0.0
            raise NoAnswerError(self._unknown.get(error.code or "", str(error))) from None
        except OSError as error:
            meant = self._failed(error)
            if read == "up" and not isinstance(meant, NotAskedError):
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

    def _failed(self, error: OSError) -> NoAnswerError:
        self._channel.close()
        self._channel = self._open()
        late = f"no answer within {self._limit_s:g} s" if isinstance(error, TimeoutError) else None
        return failing(error, late)

    async def close(self) -> None:
        """Close the channel."""
        self._channel.close()


def _trusting(settings: GrpcProbe, around: ProbeContext) -> ssl.SSLContext:
    """Return what TLS needs: the certificates of `ca`, or those of the system. Raises ProbeError."""
    try:
        context = ssl.create_default_context(cafile=str(around.folder / settings.ca) if settings.ca else None)
    except (OSError, ssl.SSLError) as error:
        remedy = "`ca` is a PEM file of certificates, relative to the compose file's folder"
        raise ProbeError(f"the file {settings.ca!r} cannot be read: {error}", remedy=remedy) from None
    context.set_alpn_protocols(["h2"])
    return context
