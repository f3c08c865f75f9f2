"""Toxiproxy's HTTP API: the routes, each with its operation on the registry, its statuses and bodies."""

import os
from collections.abc import Callable
from typing import Any

from harness.proxy import entries, journal, wire
from harness.proxy.access import Access
from harness.proxy.httpd import PLAIN, ApiResponse, HttpRequest
from harness.proxy.registry import ProxyRegistry
from harness.proxy.wire import ApiError

REQUEST_ID = "X-Toxiproxy-Request-Id"
VERSION = "2.12.0"  # the version of Toxiproxy whose API this is; clients check it

_Call = Callable[[HttpRequest, list[str]], ApiResponse]


class Api:
    """Calls the operation that a request names."""

    def __init__(self, registry: ProxyRegistry, access: Access, *, with_metrics: bool = False) -> None:
        self.registry = registry
        self._access = access
        self._routes: dict[str, dict[str, _Call]] = {
            "/reset": {"POST": self._reset},
            "/proxies": {"GET": self._index, "POST": self._create},
            "/populate": {"POST": self._populate},
            "/proxies/*": {"GET": self._show, "POST": self._update, "PATCH": self._update, "DELETE": self._delete},
            "/proxies/*/toxics": {"GET": self._toxics, "POST": self._add_toxic},
            "/proxies/*/toxics/*": {
                "GET": self._show_toxic, "POST": self._change_toxic, "PATCH": self._change_toxic,
                "DELETE": self._remove_toxic,
            },
            "/version": {"GET": self._version},
            "/journal": {"GET": self._journal},
            "/leases": {"GET": self._leases, "POST": self._create_lease},
            "/leases/*": {
                "GET": self._show_lease, "POST": self._renew_lease, "PATCH": self._renew_lease,
                "DELETE": self._end_lease,
            },
        }  # fmt: skip
        if with_metrics:
            self._routes["/metrics"] = {"GET": self._metrics}

    def __call__(self, request: HttpRequest) -> ApiResponse:
        response = self._answer(request)
        # As there, a new one for each request, whatever the client sent.
        return response._replace(headers=(*response.headers, f"{REQUEST_ID}: {os.urandom(10).hex()}"))

    def _answer(self, request: HttpRequest) -> ApiResponse:
        try:
            self._access.check(request)
        except ApiError as refused:
            return _error(refused, ("WWW-Authenticate: Bearer",) if refused.status == 401 else ())
        names = request.path.split("/")[1:]
        pattern = "".join("/*" if place in (1, 3) else f"/{name}" for place, name in enumerate(names))
        verbs = self._routes.get(pattern) if all(names) else None
        if verbs is None:
            return _text(404, b"404 page not found\n")
        call = verbs.get(request.method)
        if call is None:
            return ApiResponse(405, content_type="")
        if request.headers.get("user-agent", "").startswith("Mozilla/"):
            return _text(403, b"User agent not allowed\n")
        try:
            return call(request, names)
        except ApiError as error:
            return _error(error)

    # Proxies.

    def _index(self, _request: HttpRequest, _names: list[str]) -> ApiResponse:
        proxies = self.registry.proxies
        return _json(200, {name: proxies[name].as_json() for name in sorted(proxies)})

    def _create(self, request: HttpRequest, _names: list[str]) -> ApiResponse:
        warnings: list[str] = []
        proxy = self.registry.create(wire.read(request.body), warnings)
        return _json(201, proxy.as_json(), warnings)

    def _populate(self, request: HttpRequest, _names: list[str]) -> ApiResponse:
        warnings: list[str] = []
        try:
            proxies, error = self.registry.populate(wire.read(request.body), warnings)
        except ApiError as failed:
            proxies, error = None, failed
        fields: dict[str, Any] = {} if error is None else {"error": error.message, "status": error.status}
        fields["proxies"] = None if proxies is None else [proxy.as_json() for proxy in proxies]
        return _json(201 if error is None else error.status, fields, warnings)

    def _show(self, _request: HttpRequest, names: list[str]) -> ApiResponse:
        return _json(200, self.registry.get(names[1]).as_json())

    def _update(self, request: HttpRequest, names: list[str]) -> ApiResponse:
        warnings: list[str] = []
        proxy = self.registry.get(names[1])
        self.registry.update(proxy, wire.read(request.body), warnings)
        return _json(200, proxy.as_json(), warnings)

    def _delete(self, _request: HttpRequest, names: list[str]) -> ApiResponse:
        self.registry.delete(self.registry.get(names[1]))
        return ApiResponse(204)

    # Toxics.

    def _toxics(self, _request: HttpRequest, names: list[str]) -> ApiResponse:
        return _json(200, [toxic.as_json() for toxic in self.registry.get(names[1]).ordered_toxics()])

    def _add_toxic(self, request: HttpRequest, names: list[str]) -> ApiResponse:
        warnings: list[str] = []
        toxic = self.registry.add_toxic(self.registry.get(names[1]), wire.read(request.body), warnings)
        return _json(200, toxic.as_json(), warnings)

    def _show_toxic(self, _request: HttpRequest, names: list[str]) -> ApiResponse:
        return _json(200, self.registry.toxic(self.registry.get(names[1]), names[3]).as_json())

    def _change_toxic(self, request: HttpRequest, names: list[str]) -> ApiResponse:
        warnings: list[str] = []
        proxy = self.registry.get(names[1])
        toxic = self.registry.toxic(proxy, names[3])
        self.registry.change_toxic(proxy, toxic, wire.read(request.body), warnings)
        return _json(200, toxic.as_json(), warnings)

    def _remove_toxic(self, _request: HttpRequest, names: list[str]) -> ApiResponse:
        proxy = self.registry.get(names[1])
        self.registry.remove_toxic(proxy, self.registry.toxic(proxy, names[3]))
        return ApiResponse(204)

    # The server.

    def _reset(self, _request: HttpRequest, _names: list[str]) -> ApiResponse:
        failed = self.registry.reset()
        if not failed:
            return ApiResponse(204)
        reasons = "; ".join(f"{name}: {reason}" for name, reason in sorted(failed.items()))
        return _json(500, {"error": f"could not start {reasons}", "status": 500, "failed": failed})

    def _version(self, _request: HttpRequest, _names: list[str]) -> ApiResponse:
        return ApiResponse(200, f'{{"version": "{VERSION}"}}\n'.encode(), "application/json;charset=utf-8")

    def _journal(self, request: HttpRequest, _names: list[str]) -> ApiResponse:
        name, _, number = request.query.partition("=")
        since = int(number) if name == "since" and number.isascii() and number.isdigit() and len(number) <= 18 else 0
        return _json(200, self.registry.journal.as_json(self.registry.proxies, since))

    def _metrics(self, _request: HttpRequest, _names: list[str]) -> ApiResponse:
        text = journal.metrics(self.registry.proxies)
        return ApiResponse(200, text.encode("utf-8", "replace"), journal.METRICS_CONTENT_TYPE)

    # Leases.

    def _leases(self, _request: HttpRequest, _names: list[str]) -> ApiResponse:
        return _json(200, self.registry.leases.all_as_json())

    def _create_lease(self, request: HttpRequest, _names: list[str]) -> ApiResponse:
        warnings: list[str] = []
        leases = self.registry.leases
        lease = leases.create(*entries.lease(wire.read(request.body), warnings))
        return _json(201, leases.as_json(lease), warnings)

    def _show_lease(self, _request: HttpRequest, names: list[str]) -> ApiResponse:
        leases = self.registry.leases
        return _json(200, leases.as_json(leases.get(names[1])))

    def _renew_lease(self, request: HttpRequest, names: list[str]) -> ApiResponse:
        warnings: list[str] = []
        leases = self.registry.leases
        lease = leases.get(names[1])
        leases.renew(lease, entries.lease(wire.read(request.body or b"null"), warnings)[1])
        return _json(200, leases.as_json(lease), warnings)

    def _end_lease(self, _request: HttpRequest, names: list[str]) -> ApiResponse:
        leases = self.registry.leases
        leases.end(leases.get(names[1]), "requested")
        return ApiResponse(204)


def _error(error: ApiError, headers: tuple[str, ...] = ()) -> ApiResponse:
    return _text(error.status, wire.dump({"error": error.message, "status": error.status}) + b"\n", headers)


def _text(status: int, body: bytes, headers: tuple[str, ...] = ()) -> ApiResponse:
    """An error; Toxiproxy sends the JSON of errors as plain text."""
    return ApiResponse(status, body, PLAIN, ("X-Content-Type-Options: nosniff", *headers))


def _json(status: int, value: dict[str, Any] | list[Any], warnings: list[str] | None = None) -> ApiResponse:
    if warnings and isinstance(value, dict):
        value = {**value, "warnings": warnings}
    return ApiResponse(status, wire.dump(value))
