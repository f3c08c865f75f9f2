"""The rules of an alert source, and what its server knows of series and targets: its API, as doctor asks it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiohttp

from harness.model.alertsources import AlertSource
from harness.model.backend import Backend
from harness.model.errors import HarnessError
from harness.onboarding.doctor.scraping import Scraping, scraping_of
from harness.probes.http import access_headers, get
from harness.probes.promql import samples
from harness.probes.reader import NoAnswerError
from harness.probes.rule_queries import LOOK_BACK_S, Rests, rests_on
from harness.probes.rule_watch import place_of
from harness.probes.strict_json import read_json

DEADLINE_S = 5.0
"""A server with many series takes longer than a probe may."""
_FAMILY_ENDINGS = ("_total", "_created", "_bucket", "_count", "_sum", "_info")
_NOT_OF_ITS_FORM = (NoAnswerError, HarnessError, ValueError, KeyError, TypeError, AttributeError)


@dataclass(frozen=True, slots=True)
class ServedRule:
    """One rule of a server: an alert, or a series that it records."""

    name: str
    alerting: bool
    rests: Rests
    place: str
    """Where it is written."""


@dataclass(frozen=True, slots=True)
class Targets:
    """What a server scrapes: what answered last, what it has not asked yet, and what did not answer."""

    up: tuple[str, ...] = ()
    unscraped: tuple[str, ...] = ()
    down: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    """Scrape pools without a target: one may be found later."""

    @property
    def all_up(self) -> bool:
        """Whether the series of all of them are known. Without targets others write to it, and may yet."""
        return bool(self.up) and not (self.unscraped or self.down or self.empty)

    @property
    def lacking(self) -> tuple[str, ...]:
        """What is missing of that, in words."""
        return (*(f"{url} is not scraped" for url in (*self.unscraped, *self.down)),
                *(f"the scrape pool {name} has no target" for name in self.empty))  # fmt: skip


class RulesServer:
    """A Prometheus, asked for more than its alerts. What it does not tell is None, which proves nothing."""

    def __init__(self, source: AlertSource, backend: Backend, session: aiohttp.ClientSession) -> None:
        self._source = source
        self._backend = backend
        self._session = session

    async def rules(self) -> tuple[ServedRule, ...] | None:
        """Return all its rules. A server that is busy is asked once more."""
        if self._source.kind != "prometheus":
            return None
        for _ in range(2):
            with suppress(*_NOT_OF_ITS_FORM):
                groups = (await self._data("rules"))["groups"]
                return tuple(_rule(raw, group) for group in groups for raw in group["rules"])
        return None

    async def has_series(self, selector: str) -> bool | None:
        """Return whether a selector has matched any series of late."""
        try:
            page = await self._page("query", {"query": f"count(count_over_time({selector}[{LOOK_BACK_S:.0f}s]))"})
            return any(value > 0 for value in samples(page).values)
        except _NOT_OF_ITS_FORM:
            return None

    async def metrics(self) -> tuple[str, ...]:
        """Return the names of all metrics that have series; none where it tells of none."""
        try:
            return tuple(map(str, await self._data("label/__name__/values")))
        except _NOT_OF_ITS_FORM:
            return ()

    async def labels_of(self, metric: str) -> tuple[str, ...]:
        """Return the labels on the series of a metric; none where it tells of none."""
        try:
            return tuple(map(str, await self._data("labels", {"match[]": metric})))
        except _NOT_OF_ITS_FORM:
            return ()

    async def values_of(self, metric: str, label: str) -> tuple[str, ...] | None:
        """Return the values of a label on the series of a metric."""
        try:
            return tuple(str(value) for value in await self._data(f"label/{label}/values", {"match[]": metric}))
        except _NOT_OF_ITS_FORM:
            return None

    async def declares(self, metric: str) -> bool | None:
        """Return whether a target names a metric on its page, where it may have no series of it yet."""
        names = {metric, *(metric.removesuffix(ending) for ending in _FAMILY_ENDINGS)}
        try:
            found = [await self._data("metadata", {"metric": name}) for name in sorted(names)]
            return any(found)
        except _NOT_OF_ITS_FORM:
            return None

    async def targets(self) -> Targets:
        """Return how the scrapes of its targets went; none where it tells of none."""
        by_health: dict[str, list[str]] = {}
        served: set[str] = set()
        try:
            for one in (await self._data("targets", {"state": "active"}))["activeTargets"]:
                by_health.setdefault(str(one["health"]), []).append(str(one["scrapeUrl"]))
                served.add(str(one.get("scrapePool")))
        except _NOT_OF_ITS_FORM:
            return Targets()
        up, unscraped = by_health.pop("up", []), by_health.pop("unknown", [])
        down = tuple(url for urls in by_health.values() for url in urls)
        empty = tuple(name for name in await self._pools() or () if name not in served)
        return Targets(tuple(up), tuple(unscraped), down, empty)

    async def scraping(self) -> Scraping | None:
        """Return what the server is configured to scrape."""
        try:
            config = str((await self._data("status/config"))["yaml"])
            return scraping_of(config, await self._pools())
        except _NOT_OF_ITS_FORM:
            return None

    async def _pools(self) -> tuple[str, ...] | None:
        """Return the names of the scrape pools, which a server lists from Prometheus 2.42 on."""
        try:
            return tuple(map(str, (await self._data("scrape_pools"))["scrapePools"]))
        except _NOT_OF_ITS_FORM:
            return None

    async def _data(self, page: str, params: dict[str, str] | None = None) -> Any:
        return read_json(await self._page(page, params or {}))["data"]

    async def _page(self, page: str, params: dict[str, str]) -> bytes:
        url = f"{self._backend.resolve(self._source.url).rstrip('/')}/api/v1/{page}"
        return await get(self._session, url, DEADLINE_S, headers=access_headers(self._source), params=params)


def _rule(raw: dict[str, Any], group: dict[str, Any]) -> ServedRule:
    """Return a rule of the page. One without its query may always give something."""
    return ServedRule(
        name=str(raw["name"]),
        alerting=raw.get("type") == "alerting",
        rests=rests_on(str(raw.get("query", ""))),
        place=place_of(group),
    )
