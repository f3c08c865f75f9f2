"""One short HTTP request to an address of the stack, and the question whether anything listens there.

Enough for health checks and for the fault proxy's API, without the cost of importing an HTTP library before a start.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from typing import Any

from harness.backends.grpc_health import is_serving
from harness.model.stack import Health

ATTEMPT_WITHIN_S = 1.0
POLL_S = 0.02


async def request(
    method: str,
    address: str,
    port: int,
    path: str,
    body: Any = None,
    within_s: float = ATTEMPT_WITHIN_S,
    token: str | None = None,
) -> tuple[int, str]:
    """Return status and body. Raises OSError (TimeoutError is one) or ValueError."""
    payload = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: {address}:{port}\r\nConnection: close\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n"
    head += f"Authorization: Bearer {token}\r\n\r\n" if token is not None else "\r\n"
    async with asyncio.timeout(within_s):
        reader, writer = await asyncio.open_connection(address, port)
        try:
            writer.write(head.encode() + payload)
            answer = (await reader.read(-1)).decode("utf-8", "replace")
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    first, _, rest = answer.partition("\r\n")
    if not first.startswith("HTTP/"):
        raise ValueError(f"no HTTP answer from {address}:{port}")
    return int(first.split()[1]), rest.partition("\r\n\r\n")[2]


async def healthy(health: Health, address: str, port: int) -> bool:
    """Ask a service once whether it is ready. Raises BackendError where what asks by gRPC is not installed."""
    try:
        if health.http is not None:
            status, _ = await request("GET", address, port, health.http)
            return 200 <= status < 400
        if health.grpc is not None:
            return await is_serving(address, port, health.grpc, ATTEMPT_WITHIN_S)
        async with asyncio.timeout(ATTEMPT_WITHIN_S):
            _, writer = await asyncio.open_connection(address, port)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    except (OSError, ValueError, IndexError):
        return False
    return True


async def until_healthy(health: Health, address: str, port: int) -> None:
    """Return once a service is ready, however long that takes."""
    ready = await healthy(health, address, port)
    while not ready:
        await asyncio.sleep(POLL_S)
        ready = await healthy(health, address, port)


def port_is_taken(address: str, port: int) -> bool:
    """Return whether something listens there already, on this address or on all."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # what lingers from an earlier stack is no hindrance
        try:
            probe.bind((address, port))
        except OSError:
            return True
    return False
