"""What the rules of expected alerts have to go by, looked at each second: evidence for the advice of a failed run.

An alert that did not fire may have had nothing left to fire on: its metric comes from what the fault took away. So each
selector of its rule is asked for as the rule sees it, at a moment or over its range. No clause rests on this, and a
server that does not answer, or has no such pages, is simply not looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import aiohttp

from harness.journal.clock import Clock
from harness.model.alertsources import AlertSource
from harness.model.readings import RuleSeen
from harness.probes.http import ask, get
from harness.probes.polling import DEADLINE_S
from harness.probes.promql import samples
from harness.probes.promql_tree import Selects
from harness.probes.reader import NoAnswerError
from harness.probes.rule_queries import Rests, fires_after_s, nothing_from, rests_on, selected
from harness.probes.selectors import selectors
from harness.probes.strict_json import read_json

EVERY_S = 1.0
MOST_RULES = 20
AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class _Rule:
    """One rule: what it rests on, and for each of its selectors the query that gives something where it does."""

    alert: str
    number: int
    place: str
    rests: Rests
    queries: Mapping[str, str]
    fires_after_s: float | None


class RuleWatch:
    """The rules of some alerts at one Prometheus."""

    def __init__(
        self,
        source: AlertSource,
        url: str,
        alerts: Collection[str],
        session: aiohttp.ClientSession,
        clock: Clock,
        record: Callable[[RuleSeen], object],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._source = source.name
        self._url = f"{url.rstrip('/')}/api/v1"
        self._alerts = frozenset(alerts)
        self._session = session
        self._clock = clock
        self._record = record
        self._headers = headers
        self._rules: tuple[_Rule, ...] | None = None
        self._limit = asyncio.Semaphore(AT_ONCE)

    async def once(self, _planned_s: float) -> None:
        """Look at every rule, and record what each lacks."""
        try:
            if self._rules is None:
                self._rules = await self._read()
            await asyncio.gather(*(self._look(rule) for rule in self._rules))
        except (NoAnswerError, ValueError, KeyError, TypeError, AttributeError):
            return  # what was not told proves nothing

    async def _read(self) -> tuple[_Rule, ...]:
        """Return the rules of these alerts; none of a server without a page of rules. Raises NoAnswerError."""
        response = await ask(
            self._session, "GET", f"{self._url}/rules", DEADLINE_S, self._headers, params={"type": "alert"}
        )
        if response.status != 200:
            if response.status < 500:
                return ()
            raise NoAnswerError(f"status {response.status}")
        found: list[_Rule] = []
        for group in read_json(response.body)["data"]["groups"]:
            for raw in group["rules"]:
                if raw["name"] in self._alerts and raw.get("type", "alerting") == "alerting":
                    found.append(_rule(raw, group, len(found)))
        return tuple(found[:MOST_RULES])

    async def _look(self, rule: _Rule) -> None:
        asked_s = self._clock.now_s()
        wanted = list(dict.fromkeys(selected(rule.rests)))
        empty = dict(zip(wanted, await asyncio.gather(*map(self._is_empty, _of(rule, wanted))), strict=True))
        lacking = nothing_from(rule.rests, lambda selector: empty[selector])
        self._record(
            RuleSeen(
                source=self._source,
                alert=rule.alert,
                rule=rule.number,
                place=rule.place,
                asked_s=asked_s,
                answered_s=self._clock.now_s(),
                without=tuple(selector.text for selector in lacking),
                metrics=tuple(sorted({one.metric for one in wanted if one.metric is not None})),
                fires_after_s=rule.fires_after_s,
            )
        )

    async def _is_empty(self, query: str) -> bool:
        async with self._limit:
            page = await get(
                self._session, f"{self._url}/query", DEADLINE_S, headers=self._headers, params={"query": query}
            )
        return not any(value > 0 for value in samples(page).values)


def _of(rule: _Rule, wanted: Collection[Selects]) -> list[str]:
    return [rule.queries[selector.text] for selector in wanted]


def _rule(raw: Mapping[str, Any], group: Mapping[str, Any], number: int) -> _Rule:
    query = str(raw["query"])
    rests, after_s = rests_on(query), fires_after_s(query)
    ranges: dict[str, list[str | None]] = {}
    for selector in selectors(query):
        ranges.setdefault(selector.text, []).append(selector.over)
    return _Rule(
        alert=str(raw["name"]),
        number=number,
        place=place_of(group),
        rests=rests,
        queries={one.text: _present(one.text, ranges.get(one.text, [None])) for one in selected(rests)},
        fires_after_s=None if after_s is None else after_s + float(raw.get("duration") or 0.0),
    )


def place_of(group: Mapping[str, Any]) -> str:
    """Return where the rules of a group are written, as a server tells it: the name of the file, and the group."""
    file, name = PurePosixPath(str(group.get("file", ""))).name, group.get("name")
    return ", ".join(filter(None, (file, f"group {name}" if name else "")))


def _present(selector: str, ranges: Collection[str | None]) -> str:
    """Return the query for how many series a rule finds with a selector: now, or still in a range that it looks at."""
    parts = [f"count({selector})" if over is None else f"count(count_over_time({selector}[{over}]))" for over in ranges]
    return " or ".join(parts)
