"""Calls from service to service: JSON over one kept connection with a time-out, and one error for all trouble."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from typing import Any


class CallError(Exception):
    """The other service was not reached, did not answer in time, or gave no sense."""


class Peer:
    """One other service; not for use by several threads at once."""

    def __init__(self, address: tuple[str, int], timeout_s: float) -> None:
        self.address = address
        self._timeout_s = timeout_s
        self._connection: http.client.HTTPConnection | None = None

    def text(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, str]:
        """Status and body. A kept connection that the other side has closed meanwhile is opened again once."""
        kept = self._connection is not None
        try:
            return self._once(method, path, body)
        except (ConnectionError, http.client.RemoteDisconnected) as error:
            self.close()
            if not kept:
                raise CallError(f"{method} {path}: {error}") from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise CallError(f"{method} {path}: {type(error).__name__}: {error}") from error
        try:
            return self._once(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise CallError(f"{method} {path}: {type(error).__name__}: {error}") from error

    def _once(self, method: str, path: str, body: Mapping[str, Any] | None) -> tuple[int, str]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(*self.address, timeout=self._timeout_s)
            self._connection.connect()
            self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = None if body is None else json.dumps(body).encode()
        self._connection.request(method, path, data, {"Content-Type": "application/json"} if data else {})
        answer = self._connection.getresponse()
        return answer.status, answer.read().decode()

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The decoded answer of a call that succeeded; any other status is an error."""
        status, text = self.text(method, path, body)
        if status >= 300:
            raise CallError(f"{method} {path}: status {status}: {text[:200]}")
        try:
            return json.loads(text)
        except ValueError as error:
            raise CallError(f"{method} {path}: not JSON: {text[:80]!r}") from error

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
