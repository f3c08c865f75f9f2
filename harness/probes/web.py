"""Probes over HTTP: one request and what came of it, and an instant query to a Prometheus server."""

from __future__ import annotations

import math
import time
from typing import Any

from harness.model.httpprobes import HttpProbe, PromqlProbe
from harness.probes.gauges import AGGREGATES, number_at
from harness.probes.http import HttpResponse, access_headers, ask, at_path, get, read_json, request_body
from harness.probes.reader import NoAnswerError, ProbeContext


class HttpReader:
    """Reads an `http` probe."""

    def __init__(self, settings: HttpProbe, around: ProbeContext) -> None:
        self._settings = settings
        self._around = around
        self._url = around.reachable(settings.url)
        self._headers = access_headers(settings)
        self._body = request_body(settings.body)

    async def read(self) -> float:
        """Return whether the answer is as expected, its status, how long it took, or a number in it."""
        settings = self._settings
        began_s = time.monotonic()
        try:
            response = await ask(
                self._around.session,
                settings.method,
                self._url,
                self._around.deadline_s,
                self._headers,
                allow_redirects=False,
                **self._body,
            )
            took_s = time.monotonic() - began_s
            if settings.read == "status":
                return float(response.status)
            why = self._unexpected(response)
            if why is not None:
                raise NoAnswerError(why)
        except NoAnswerError:
            if settings.read == "up":
                return 0.0
            raise
        if settings.read == "up":
            return 1.0
        return took_s if settings.read == "latency" else self._number(response)

    def _unexpected(self, response: HttpResponse) -> str | None:
        expect = self._settings.expect
        if expect is None:
            return None if 200 <= response.status <= 299 else f"status {response.status}"
        if not expect.takes(response.status):
            return f"status {response.status}"
        why = expect.header_differs(response.headers)
        if why is None and expect.values:
            why = expect.differs(_json(response.body))
        return why

    def _number(self, response: HttpResponse) -> float:
        settings = self._settings
        assert settings.path is not None
        return number_at(
            at_path(_json(response.body), settings.path), settings.path, settings.as_, self._around.event_age
        )

    async def close(self) -> None:
        """Nothing of its own is open."""


class PromqlReader:
    """Reads a `promql` probe."""

    def __init__(self, settings: PromqlProbe, around: ProbeContext) -> None:
        self._settings = settings
        self._around = around
        self._url = around.reachable(settings.url).rstrip("/") + "/api/v1/query"
        self._headers = access_headers(settings)

    async def read(self) -> float:
        """Return what the query gives now."""
        page = await get(
            self._around.session,
            self._url,
            self._around.deadline_s,
            headers=self._headers,
            params={"query": self._settings.query},
        )
        value = self._value(samples(page))
        if not math.isfinite(value):
            raise NoAnswerError(f"the query gives {value}")
        return value

    def _value(self, found: list[float]) -> float:
        settings = self._settings
        if not found:
            if settings.empty is None:
                raise NoAnswerError("the query gives no series")
            return settings.empty
        if len(found) > 1 and settings.agg is None:
            raise NoAnswerError(f"the query gives {len(found)} series; say `agg`, or aggregate in the query")
        return AGGREGATES[settings.agg or "sum"](found)

    async def close(self) -> None:
        """Nothing of its own is open."""


def samples(page: bytes) -> list[float]:
    """Return the values of an instant query. Raises NoAnswerError where the page is not of Prometheus' form."""
    try:
        data = read_json(page)["data"]
        kind, result = data["resultType"], data["result"]
        if kind == "scalar":
            return [float(result[1])]
        if kind == "vector":
            return [float(series["value"][1]) for series in result]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise NoAnswerError(f"not Prometheus' form of a query's answer: {type(error).__name__} {error}") from None
    raise NoAnswerError(f"the query gives a {kind}; one that gives numbers for one moment is needed")


def _json(body: bytes) -> Any:
    try:
        return read_json(body)
    except ValueError as error:
        raise NoAnswerError(f"the answer is not JSON: {error}") from None
