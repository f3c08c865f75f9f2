"""The API of a fault proxy: toxics on its proxies, and leases that end them.

The proxy speaks Toxiproxy's API and is driven by toxiproxy-python; this module alone imports it, and only when a call
is made. That client keeps its endpoint on a class, has no time-outs, and returns statuses other than 400, 404 and 409
as if they were answers; the adapter here mends all three. Calls block; every failure is a FaultError.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import urlsplit

from harness.model.errors import FaultError

CALL_S = 3.0
CREATED, NO_CONTENT, UNAUTHORIZED = 201, 204, 401
RECEIVED = "toxiproxy_proxy_received_bytes_total"
NO_PROXIES = {"http": None, "https": None, "all": None}
"""The environment's HTTP proxies are not for the fault proxy, wherever it listens."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ToxicSpec:
    """A toxic to be put on a proxy: its name, its type, the stream it acts on, and its attributes."""

    name: str
    kind: str
    stream: str
    attributes: dict[str, int]


class ProxyAwayError(FaultError):
    """Nothing listens where the fault proxy was. One that has ended is started again: it may be away for a moment."""


def unknown_link(name: str) -> FaultError:
    """Return the error for a link that has no proxy any more: that no toxic is on it is no good news."""
    what = f"the fault proxy does not know the link {name!r}: its consumer is cut off from the service"
    return FaultError(what, remedy="start the stack again, which makes its links anew")


class ProxyApi:
    """The API of one proxy server."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url
        self._token = token

    def toxics(self) -> dict[str, list[str]]:
        """Return the names of all toxics of the server, by proxy."""
        answer = _translated(lambda: self._client.get("/proxies").json())
        try:
            return {name: [toxic["name"] for toxic in proxy["toxics"]] for name, proxy in answer.items()}
        except (KeyError, TypeError, AttributeError):
            raise FaultError("the fault proxy's list of proxies is not in Toxiproxy's format") from None

    def received_bytes(self) -> dict[str, int]:
        """Return how much clients have sent so far, by proxy; one that nothing was sent to may be missing.

        Raises FaultError, also for a server that was started without its metrics.
        """
        from prometheus_client.parser import text_string_to_metric_families
        from toxiproxy.exceptions import NotFound

        def get() -> str | None:
            try:
                return str(self._client.get("/metrics").text)
            except NotFound:
                return None

        text = _translated(get)
        if text is None:
            raise FaultError("the fault proxy does not count traffic", remedy="start Toxiproxy with -proxy-metrics")
        # Toxiproxy goes on counting where a proxy is made anew with the same name, under its new address.
        received: Counter[str] = Counter()
        try:
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    if sample.name == RECEIVED and sample.labels["direction"] == "upstream":
                        received[sample.labels["proxy"]] += int(sample.value)
        except (KeyError, ValueError):
            raise FaultError("the fault proxy's metrics are not in Toxiproxy's format") from None
        return dict(received)

    def add_toxic(self, proxy: str, toxic: ToxicSpec, lease: str | None = None, seed: int | None = None) -> None:
        """Add a toxic, in place of one of the same name; it ends with `lease` where one is given.

        `seed` is that of its random choices, whatever seed the server was started with. Toxiproxy ignores it.
        """
        from toxiproxy.exceptions import ProxyExists

        path = f"/proxies/{proxy}/toxics"
        body = {
            "name": toxic.name,
            "type": toxic.kind,
            "stream": toxic.stream,
            "toxicity": 1.0,
            "attributes": toxic.attributes,
        }
        if lease is not None:
            body["lease"] = lease
        if seed is not None:
            body["seed"] = seed

        def post() -> Any:
            try:
                return self._client.post(path, json=body).json()
            except ProxyExists:
                self._client.delete(f"{path}/{toxic.name}")
                return self._client.post(path, json=body).json()

        made = _translated(post)
        if not isinstance(made, dict) or made.get("name") != toxic.name:
            raise FaultError("the fault proxy's answer to a new toxic is not in Toxiproxy's format")

    def remove_toxic(self, proxy: str, name: str) -> None:
        """Remove a toxic; harmless where it is not there."""
        from toxiproxy.exceptions import NotFound

        def delete() -> int:
            try:
                return int(self._client.delete(f"/proxies/{proxy}/toxics/{name}").status_code)
            except NotFound as error:
                if b"toxic" not in error.args[0]:
                    raise  # the proxy itself is not there
                return NO_CONTENT

        if _translated(delete) != NO_CONTENT:
            raise FaultError("the fault proxy's answer to a removal is not in Toxiproxy's format")

    def create_lease(self, name: str, ttl_s: float) -> bool:
        """Create a lease; False where the server has none, as Toxiproxy itself."""
        from toxiproxy.exceptions import NotFound

        def post() -> int:
            try:
                return int(self._client.post("/leases", json={"name": name, "ttl": round(ttl_s * 1e3)}).status_code)
            except NotFound:
                return 0

        status = _translated(post)
        if status not in (0, CREATED):
            raise FaultError("the fault proxy's answer to a new lease is neither a lease nor 404")
        return status == CREATED

    def renew_lease(self, name: str) -> None:
        """Let a lease run for its whole time again."""
        _translated(lambda: self._client.post(f"/leases/{name}", json={}))

    def delete_lease(self, name: str) -> None:
        """Delete a lease, and with it every toxic that it holds."""
        _translated(lambda: self._client.delete(f"/leases/{name}"))

    @cached_property
    def _client(self) -> Any:
        return _client(self.url, self._token)


def _client(api_url: str, token: str | None) -> Any:
    """Return toxiproxy-python's client with an endpoint, time-outs and a token of its own."""
    from toxiproxy.api import APIConsumer

    place = urlsplit(api_url)

    def sign(prepared: Any) -> Any:
        if token is not None:
            prepared.headers["Authorization"] = f"Bearer {token}"
        return prepared

    # As `auth`, for else requests would send what ~/.netrc has for the host instead.
    common = {"timeout": CALL_S, "proxies": NO_PROXIES, "auth": sign}

    class Consumer(APIConsumer):  # type: ignore[misc]
        host = place.hostname
        port = place.port

        @classmethod
        def get(cls, url: str, params: Any = None, **kwargs: Any) -> Any:
            return _checked(super().get(url, params=params, **common, **kwargs))

        @classmethod
        def post(cls, url: str, data: Any = None, json: Any = None, **kwargs: Any) -> Any:
            return _checked(super().post(url, data=data, json=json, **common, **kwargs))

        @classmethod
        def delete(cls, url: str, **kwargs: Any) -> Any:
            return _checked(super().delete(url, **common, **kwargs))

    return Consumer


def _checked(response: Any) -> Any:
    if response.status_code == UNAUTHORIZED:
        remedy = "it is of another run, or its environment could not be read from the container engine"
        raise FaultError("the fault proxy does not accept the token of this stack", remedy=remedy)
    if response.status_code >= 400:
        raise FaultError(f"the fault proxy answered {response.status_code}: {response.text.strip()}")
    return response


def _translated(call: Callable[[], T]) -> T:
    """Return what a call of the client returns. Raises FaultError for whatever it raises."""
    import requests
    from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

    try:
        return call()
    except (InvalidToxic, ProxyExists, NotFound) as error:
        answer = error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else error
        raise FaultError(f"the fault proxy refused: {str(answer).strip()}") from error
    except requests.ConnectionError as error:
        raise ProxyAwayError(f"the fault proxy did not answer: {error}") from error
    except requests.RequestException as error:
        raise FaultError(f"the fault proxy did not answer: {error}") from error
