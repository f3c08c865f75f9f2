"""The standard health check of gRPC servers (grpc.health.v1.Health/Check), asked once over a channel.

By grpcio, the library of the extra `grpc`. Of the two messages each has one field, so they are written here: generated
classes would tie the harness to a version of protobuf. Calls block: they are for threads.
"""

from __future__ import annotations

from typing import Any

from harness.model.errors import BackendError, install_extra

METHOD = "/grpc.health.v1.Health/Check"
SERVING = 1
STATUSES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
_STRING, _ENUM = b"\x0a", b"\x08"
"""The tags of field 1, as text in the request and as a number in the answer (proto3's encoding)."""
_OPTIONS = (
    # Addresses are those of the stack itself, whatever proxy the machine uses for the rest of the world.
    ("grpc.enable_http_proxy", 0),
    # A channel of its own: what another one has learned, such as how long to wait after a failure, is not shared.
    ("grpc.use_local_subchannel_pool", 1),
)


def open_channel(
    address: str, port: int, within_s: float, *, named: str | None = None, roots: bytes | None = None
) -> Any:
    """Return a channel, with TLS where there are `roots`; empty ones stand for those of the system.

    `named` is what the server is called by its other clients. Raises ImportError without grpcio.
    """
    import grpc

    # How long a connection is tried for: 20 s otherwise, also after the channel is closed.
    options: list[tuple[str, Any]] = [*_OPTIONS, ("grpc.min_reconnect_backoff_ms", round(within_s * 1e3))]
    if named is not None:
        options.append(("grpc.default_authority", f"{named}:{port}"))
    target = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    if roots is None:
        return grpc.insecure_channel(target, options)
    if named is not None:
        options.append(("grpc.ssl_target_name_override", named))
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(roots or None), options)


def ask_status(channel: Any, service: str, within_s: float) -> int:
    """Return the status of a gRPC service, or of the whole server for an empty name.

    Raises grpc.RpcError where nothing is answered, and ValueError for an answer of another form.
    """
    call = channel.unary_unary(METHOD, request_serializer=_request, response_deserializer=_status)
    status: int | str = call(service, timeout=within_s)
    if isinstance(status, str):
        raise ValueError(f"not the form of a gRPC health check: {status}")
    return status


def is_serving(address: str, port: int, service: str, within_s: float) -> bool:
    """Ask once, over a channel of its own, whether a server says that it serves. Raises BackendError without grpcio."""
    try:
        import grpc
    except ImportError as error:
        raise BackendError("a health check of gRPC needs the package grpcio", remedy=install_extra("grpc")) from error
    channel = open_channel(address, port, within_s)
    try:
        return ask_status(channel, service, within_s) == SERVING
    except (grpc.RpcError, ValueError):
        return False
    finally:
        channel.close()


def _request(service: str) -> bytes:
    name = service.encode()
    return _STRING + bytes([len(name)]) + name if name else b""


def _status(answer: bytes) -> int | str:
    """Return the status in an answer, or the bytes of any other: what raises here is lost inside of the library."""
    if not answer:
        return 0
    return answer[1] if len(answer) == 2 and answer[:1] == _ENUM and answer[1] < len(STATUSES) else repr(answer[:40])
