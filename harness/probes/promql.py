"""Probes that ask a Prometheus server: an instant query, and how old the samples are on which its answer rests.

An answer carries the moment of its evaluation, never that of a sample, and a server goes on for five minutes to use the
last sample of a series. So each series that the query selects is asked for its own time, `timestamp(…)`, evaluated at
the moment of the answer: the query itself stays as it is, and both times are by the clock of the server.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass

from harness.model.httpprobes import PromqlProbe
from harness.probes.gauges import AGGREGATES
from harness.probes.http import access_headers, get
from harness.probes.reader import NoAnswerError, NotAskedError, OldSampleError, ProbeContext
from harness.probes.selectors import Selector, selectors
from harness.probes.strict_json import read_json


class PromqlReader:
    """Reads a `promql` probe. The value and the ages are two answers, and the second is the harness's own question."""

    keeps_deadlines = True

    def __init__(self, settings: PromqlProbe, around: ProbeContext) -> None:
        self._settings = settings
        self._around = around
        self._url = around.reachable(settings.url).rstrip("/") + "/api/v1/query"
        self._headers = access_headers(settings)
        self._selected = () if settings.max_age == "any" else selectors(settings.query)

    async def read(self) -> float:
        """Return what the query gives now. Raises OldSampleError where it rests on samples from too long ago."""
        found = await self._ask({"query": self._settings.query})
        # A query that gives nothing rests on samples too: `x > 5` is empty for as long as the last x is kept.
        await asyncio.gather(*(self._fresh(selector, found.at_s) for selector in self._selected))
        value = self._value(found.values)
        if not math.isfinite(value):
            raise NoAnswerError(f"the query gives {value}")
        return value

    async def _ask(self, params: dict[str, str]) -> Samples:
        return samples(
            await get(self._around.session, self._url, self._around.deadline_s, headers=self._headers, params=params)
        )

    async def _fresh(self, selector: Selector, at_s: float | None) -> None:
        """Raise OldSampleError unless each series that a selector finds has a sample that is young enough."""
        limit_s = self._settings.max_age
        assert not isinstance(limit_s, str)
        # The oldest: a sum of three series of which one has stopped is not the present sum.
        params = {"query": f"max(time() - {selector.newest})"}
        if at_s is not None:
            params["time"] = f"{at_s:.3f}"
        try:
            ages_s = (await self._ask(params)).values
        except NotAskedError:
            raise
        except NoAnswerError as error:
            raise OldSampleError(f"how old the samples of {selector.text} are cannot be told: {error}") from None
        for age_s in ages_s:
            if not age_s <= limit_s:
                raise OldSampleError(
                    f"a sample of {selector.text} is {age_s:.1f} s old, older than `max_age` ({limit_s:g} s)"
                )

    def _value(self, found: tuple[float, ...]) -> float:
        settings = self._settings
        if not found:
            if settings.empty is None:
                raise NoAnswerError("the query gives no series")
            return settings.empty
        if len(found) > 1 and settings.agg is None:
            raise NoAnswerError(f"the query gives {len(found)} series; say `agg`, or aggregate in the query")
        return AGGREGATES[settings.agg or "sum"](list(found))

    async def close(self) -> None:
        """Nothing of its own is open."""


@dataclass(frozen=True, slots=True)
class Samples:
    """What an instant query gave: the values, and the Unix time of their evaluation; None where there are none."""

    values: tuple[float, ...]
    at_s: float | None


def samples(page: bytes) -> Samples:
    """Return the values of an instant query. Raises NoAnswerError where the page is not of Prometheus' form."""
    try:
        data = read_json(page)["data"]
        kind, result = data["resultType"], data["result"]
        if kind == "scalar":
            return Samples((float(result[1]),), float(result[0]))
        if kind == "vector":
            pairs = [series["value"] for series in result]
            return Samples(tuple(float(pair[1]) for pair in pairs), float(pairs[0][0]) if pairs else None)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise NoAnswerError(f"not Prometheus' form of a query's answer: {type(error).__name__} {error}") from None
    raise NoAnswerError(f"the query gives a {kind}; one that gives numbers for one moment is needed")
