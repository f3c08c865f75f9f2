"""What the rules of expected alerts have to go by: asked of a server as the rule itself asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from servers import serving
from test_real_alerts import Heat, Servers, stack

from harness.journal.clock import Clock
from harness.model.alertsources import AlertSource
from harness.model.readings import RuleSeen
from harness.probes.rule_watch import RuleWatch

pytestmark = pytest.mark.slow
__all__ = ["stack"]


class Rules:
    """A server with rules and the selectors that match something; it notes what it was asked."""

    def __init__(self, *rules: dict[str, Any], there: tuple[str, ...] = ()) -> None:
        self.rules = rules
        self.there = there
        self.asked: list[str] = []
        self.status = 200

    async def page(self, request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/rules"):
            groups = [{"name": "g", "file": "/etc/prometheus/rules.yml", "rules": list(self.rules)}]
            return web.json_response({"data": {"groups": groups}}, status=self.status)
        query = request.query["query"]
        self.asked.append(query)
        found = [{"metric": {}, "value": [1.0, "2"]}] if any(f"({one}" in query for one in self.there) else []
        return web.json_response({"data": {"resultType": "vector", "result": found}})


async def looked(server: Rules, *alerts: str, times: int = 1) -> list[RuleSeen]:
    told: list[RuleSeen] = []
    async with serving(server.page) as url, aiohttp.ClientSession() as session:
        source = AlertSource(kind="prometheus", url=url)
        watch = RuleWatch(source, url, alerts, session, Clock(), told.append)
        for _ in range(times):
            await watch.once(0.0)
    return told


def alerting(name: str, query: str) -> dict[str, Any]:
    return {"name": name, "type": "alerting", "query": query}


async def test_a_rule_tells_how_long_nothing_may_happen_before_it_fires() -> None:
    waiting = alerting("A", "time() - job_last_run > 60") | {"duration": 30}
    found = await looked(Rules(waiting, alerting("A", "depth > 5 and up == 1")), "A")
    assert [one.fires_after_s for one in found] == [90.0, None]


@pytest.mark.parametrize(
    ("query", "there", "without"),
    [
        ("depth > 5", ("depth",), ()),
        ("depth > 5", (), ("depth",)),
        ('depth{job="a"} / size', ("size",), ('depth{job="a"}',)),
        ("depth > 5 or absent(depth)", (), ()),
        ("depth > 5 or size > 1", ("size",), ()),
        ("depth > 5 unless size", ("depth",), ()),
        ("rate(depth[5m]) > 0", (), ("depth",)),
        ("time() > 5", (), ()),
    ],
)
async def test_a_rule_lacks_the_selectors_without_which_it_gives_nothing(
    query: str, there: tuple[str, ...], without: tuple[str, ...]
) -> None:
    [seen] = await looked(Rules(alerting("A", query), there=there), "A")
    assert (seen.alert, seen.without, seen.place) == ("A", without, "rules.yml, group g")


async def test_a_range_of_a_rule_is_asked_for_as_a_range() -> None:
    server = Rules(alerting("A", "rate(depth[5m]) > 0 and depth > 1"))
    await looked(server, "A")
    assert server.asked == ["count(count_over_time(depth[5m])) or count(depth)"]


async def test_only_the_rules_of_these_alerts_are_looked_at_and_each_by_itself() -> None:
    recorded = {"name": "A", "type": "recording", "query": "sum(x)"}
    server = Rules(alerting("A", "one"), alerting("B", "two"), recorded, alerting("A", "three"), there=("three",))
    told = await looked(server, "A")
    assert [(seen.rule, seen.without) for seen in told] == [(0, ("one",)), (1, ())]


@pytest.mark.parametrize("status", [404, 500])
async def test_a_server_that_tells_nothing_is_not_looked_at(status: int) -> None:
    server = Rules(alerting("A", "one"))
    server.status = status
    assert await looked(server, "A", times=2) == []


async def test_a_real_prometheus_tells_that_a_series_went_with_its_target(tmp_path: Path, stack: Any) -> None:
    async with aiohttp.ClientSession() as session:
        told: list[RuleSeen] = []
        async with serving(Heat().metrics) as url:
            servers = Servers(tmp_path, url.removeprefix("http://"))
            servers.start(stack)
            address = f"http://{servers.prometheus}"
            source = AlertSource(kind="prometheus", url=address)
            watch = RuleWatch(source, address, ["Hot"], session, Clock(), told.append)
            while not told or told[-1].without:
                await watch.once(0.0)
            assert (told[-1].alert, told[-1].place) == ("Hot", "rules.yml, group quick")
        while not told[-1].without:
            await watch.once(0.0)
        assert told[-1].without == ("heat",)
