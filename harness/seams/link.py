"""A link between two services, through the fault proxy that it was planned to go through.

The proxy speaks Toxiproxy's API and is driven by toxiproxy-python. That client keeps its endpoint on a class, knows no
time-outs, and lets statuses other than 400, 404 and 409 pass as answers; the adapter here mends all three.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from toxiproxy.api import APIConsumer
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

from harness.model.backend import LinkEndpoint
from harness.model.errors import FaultError

CALL_S = 3.0
NO_CONTENT = 204
NO_PROXIES = {"http": None, "https": None, "all": None}
"""The environment's HTTP proxies are not for the fault proxy, wherever it listens."""
T = TypeVar("T")


def consumer(api_url: str) -> type[APIConsumer]:
    """Return toxiproxy-python's client with an endpoint and time-outs of its own."""
    place = urlsplit(api_url)

    class Consumer(APIConsumer):  # type: ignore[misc]
        host = place.hostname
        port = place.port

        @classmethod
        def get(cls, url: str, params: Any = None, **kwargs: Any) -> Any:
            return _checked(super().get(url, params=params, timeout=CALL_S, proxies=NO_PROXIES, **kwargs))

        @classmethod
        def post(cls, url: str, data: Any = None, json: Any = None, **kwargs: Any) -> Any:
            return _checked(super().post(url, data=data, json=json, timeout=CALL_S, proxies=NO_PROXIES, **kwargs))

        @classmethod
        def delete(cls, url: str, **kwargs: Any) -> Any:
            return _checked(super().delete(url, timeout=CALL_S, proxies=NO_PROXIES, **kwargs))

    return Consumer


def _checked(response: Any) -> Any:
    if response.status_code >= 400:
        raise FaultError(f"the fault proxy answered {response.status_code}: {response.text.strip()}")
    return response


def translated(call: Callable[[], T]) -> T:
    """Return what a call of the client returns. Raises FaultError for whatever it raises."""
    import requests

    try:
        return call()
    except (InvalidToxic, ProxyExists, NotFound) as error:
        said = error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else error
        raise FaultError(f"the fault proxy refused: {str(said).strip()}") from error
    except requests.RequestException as error:
        raise FaultError(f"the fault proxy did not answer: {error}") from error


class Link:
    """One planned link: its toxics, and where to connect to feel them."""

    def __init__(self, endpoint: LinkEndpoint, through: str, direct: str) -> None:
        """Take the proxy's endpoint, and `host:port` of the link as its consumer sees it and of the service itself."""
        self.name = endpoint.name
        self.through = through
        self.direct = direct
        self.proxy_name = endpoint.proxy_name
        self.proxy_api_url = endpoint.proxy_api_url
        self._path = f"/proxies/{endpoint.proxy_name}/toxics"
        self._api = consumer(endpoint.proxy_api_url)

    async def toxics(self) -> dict[str, dict[str, Any]]:
        """Return the toxics on the link, by name. Raises FaultError."""
        answer = await _in_thread(lambda: self._api.get(self._path).json())
        try:
            return {toxic["name"]: toxic for toxic in answer}
        except (KeyError, TypeError):
            raise FaultError("the fault proxy's list of toxics is not of Toxiproxy's form") from None

    def toxics_everywhere_now(self) -> dict[str, list[str]]:
        """Return the names of the toxics on every link of this proxy server, by proxy. Blocks. Raises FaultError."""
        answer = translated(lambda: self._api.get("/proxies").json())
        try:
            return {name: [toxic["name"] for toxic in proxy["toxics"]] for name, proxy in answer.items()}
        except (KeyError, TypeError, AttributeError):
            raise FaultError("the fault proxy's list of proxies is not of Toxiproxy's form") from None

    async def add(self, name: str, kind: str, stream: str, attributes: dict[str, int]) -> None:
        """Put a toxic on. One of that name that is there already is replaced. Raises FaultError."""
        await asyncio.to_thread(self.add_now, name, kind, stream, attributes)

    def add_now(self, name: str, kind: str, stream: str, attributes: dict[str, int], lease: str | None = None) -> None:
        """The same, blocking; `lease`: the toxic lasts no longer than that."""
        body = {"name": name, "type": kind, "stream": stream, "toxicity": 1.0, "attributes": attributes}
        if lease is not None:
            body["lease"] = lease

        def post() -> Any:
            try:
                return self._api.post(self._path, json=body).json()
            except ProxyExists:
                self._api.delete(f"{self._path}/{name}")
                return self._api.post(self._path, json=body).json()

        made = translated(post)
        if not isinstance(made, dict) or made.get("name") != name:
            raise FaultError("the fault proxy's answer to a new toxic is not of Toxiproxy's form")

    async def remove(self, name: str) -> None:
        """Take a toxic off; harmless where it is not on. Raises FaultError."""
        await asyncio.to_thread(self.remove_now, name)

    def remove_now(self, name: str) -> None:
        """The same, blocking."""

        def delete() -> int:
            try:
                return int(self._api.delete(f"{self._path}/{name}").status_code)
            except NotFound as error:
                if b"toxic" not in error.args[0]:
                    raise  # the proxy itself is not there
                return NO_CONTENT

        if translated(delete) != NO_CONTENT:
            raise FaultError("the fault proxy's answer to a removal is not of Toxiproxy's form")

    async def round_trip_s(self, health_path: str | None, timeout_s: float, direct: bool = False) -> float | None:
        """Measure one small exchange over the link; None where no answer came in time.

        What is sent is a GET of HTTP/1.0, for a service's health where it has a page for it. Servers of the Redis
        protocol read that as a command of theirs with too many arguments, and answer it too.
        """
        host, _, port = (self.direct if direct else self.through).rpartition(":")
        started_s = time.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                if not await _exchange(host, int(port), f"GET {health_path or '/'} HTTP/1.0\r\n\r\n".encode()):
                    return None
        except (OSError, TimeoutError):
            return None
        return time.monotonic() - started_s


async def _in_thread(call: Callable[[], T]) -> T:
    return await asyncio.to_thread(translated, call)


async def _exchange(host: str, port: int, request: bytes) -> bool:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(request)
        return bool(await reader.read(1))
    finally:
        writer.transport.abort()
