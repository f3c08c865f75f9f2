"""Alerts of Grafana, from a server that answers as Grafana does (its API's definition of the rules' page)."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import pytest
from aiohttp import web
from alert_polls import Polls
from pydantic import ValidationError
from servers import serving

from harness.model.alertsources import AlertSource

PATH = "/api/prometheus/grafana/api/v1/rules"
ZERO = "0001-01-01T00:00:00Z"


class Grafana:
    """Two folders with a group each; each rule is evaluated when the test says so."""

    def __init__(self) -> None:
        self.now = time.time()
        self.rules = {name: self._rule(name) for name in ("Hot", "Slow", "Watchdog")}
        self.status = 200
        self.asked: list[str] = []

    def _rule(self, name: str) -> dict[str, Any]:
        return {
            "state": "inactive", "name": name, "query": "up", "annotations": {}, "alerts": [], "uid": f"uid-{name}",
            "health": "ok", "type": "alerting", "lastEvaluation": self.stamp(), "evaluationTime": 0.01,
            "isPaused": False,
        }  # fmt: skip

    def stamp(self) -> str:
        return dt.datetime.fromtimestamp(self.now, dt.UTC).isoformat()

    def evaluate(self, *names: str) -> None:
        self.now += 10
        for name in names or self.rules:
            self.rules[name]["lastEvaluation"] = self.stamp()

    def instance(self, rule: str, state: str, **labels: str) -> None:
        labels = {"alertname": rule, "grafana_folder": "ml", **labels}
        one = {"labels": labels, "annotations": {}, "state": state, "activeAt": self.stamp(), "value": ""}
        self.rules[rule]["alerts"].append(one)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        assert request.path == PATH
        self.asked.append(request.headers.get("Authorization", ""))
        groups = [
            {"name": "ml", "file": "Serving", "interval": 10, "rules": [self.rules["Hot"], self.rules["Slow"]]},
            {"name": "watch", "file": "Meta", "interval": 30, "rules": [self.rules["Watchdog"]]},
        ]
        whole = [{**g, "lastEvaluation": g["rules"][-1]["lastEvaluation"], "evaluationTime": 0} for g in groups]
        return web.json_response({"status": "success", "data": {"groups": whole}}, status=self.status)


async def polled(grafana: Grafana, **source: Any) -> Any:
    async with serving(grafana.answer) as url, Polls({"kind": "grafana", "url": url, **source}) as polls:
        return await polls.once()


async def test_what_fires_is_told_from_what_only_exists() -> None:
    grafana = Grafana()
    grafana.instance("Hot", "Normal", zone="a")
    grafana.instance("Hot", "Alerting", zone="b", severity="page")
    grafana.instance("Hot", "Alerting (NoData)", zone="c")
    grafana.instance("Hot", "Normal (MissingSeries)", zone="d")
    grafana.instance("Slow", "Pending", zone="a")
    grafana.instance("Slow", "Recovering", zone="b")
    seen = await polled(grafana)
    assert [(one.name, one.labels["zone"]) for one in seen.firing] == [("Hot", "b"), ("Hot", "c"), ("Slow", "b")]
    assert [(one.name, one.labels["zone"]) for one in seen.pending] == [("Slow", "a")]
    assert seen.firing[0].labels == {"grafana_folder": "ml", "zone": "b", "severity": "page"}


async def test_a_query_that_fails_fires_under_the_name_that_grafana_sends() -> None:
    grafana = Grafana()
    grafana.instance("Hot", "Error")
    grafana.instance("Slow", "NoData")
    seen = await polled(grafana)
    found = [(one.name, one.labels["rulename"]) for one in seen.firing]
    assert found == [("DatasourceError", "Hot"), ("DatasourceNoData", "Slow")]


async def test_a_round_is_over_when_every_rule_was_evaluated() -> None:
    grafana = Grafana()
    async with serving(grafana.answer) as url, Polls({"kind": "grafana", "url": url}) as polls:

        async def rounds() -> float | None:
            return (await polls.once()).evaluations

        assert (await polls.once()).interval_s == 30
        assert await rounds() == 0
        # The time that a group tells is that of its last rule: another one may stand still.
        grafana.evaluate("Slow", "Watchdog")
        assert await rounds() == 0
        grafana.evaluate("Slow", "Watchdog")
        assert await rounds() == 0
        grafana.evaluate("Hot")
        assert await rounds() == 1
        grafana.evaluate()
        assert await rounds() == 2


@pytest.mark.parametrize(
    ("rule", "proves"),
    [
        ({}, True),
        ({"health": "nodata"}, True),
        ({"health": "error", "lastError": "no such data source"}, False),
        ({"lastEvaluation": ZERO}, False),
        ({"lastEvaluation": ZERO, "isPaused": True}, True),
        ({"lastEvaluation": ZERO, "type": "recording"}, True),
    ],
)
async def test_rules_that_are_not_looked_at_prove_nothing(rule: dict[str, Any], proves: bool) -> None:
    grafana = Grafana()
    grafana.rules["Hot"] |= rule
    assert ((await polled(grafana)).evaluations is not None) is proves


async def test_a_watchdog_and_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAFANA_TOKEN", "glsa_secret")
    grafana = Grafana()
    grafana.instance("Watchdog", "Alerting")
    seen = await polled(grafana, watchdog=["Watchdog"], token="${secret:GRAFANA_TOKEN}")
    assert (seen.awake, seen.firing) == (True, ())
    assert grafana.asked == ["Bearer glsa_secret"]
    grafana.status = 401
    seen = await polled(grafana)
    assert (seen.down, seen.firing) == ("status 401", ())


@pytest.mark.parametrize(
    "body", ["[]", '{"data": {"groups": {}}}', '{"data": {"groups": [{"rules": [{}]}]}}', "<html>"]
)
async def test_what_is_no_page_of_rules_is_no_answer(body: str) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=body)

    async with serving(answer) as url, Polls({"kind": "grafana", "url": url}) as polls:
        assert "not Grafana's form of rules" in ((await polls.once()).down or "")


async def test_a_state_that_nobody_knows_is_no_answer() -> None:
    grafana = Grafana()
    grafana.instance("Hot", "Glowing")
    assert "not Grafana's form of rules: KeyError 'Glowing'" in ((await polled(grafana)).down or "")


def test_what_belongs_to_other_kinds_is_refused() -> None:
    with pytest.raises(ValidationError, match="`history` is not for a source of kind grafana"):
        AlertSource.model_validate({"kind": "grafana", "url": "http://g.example", "history": "x"})
