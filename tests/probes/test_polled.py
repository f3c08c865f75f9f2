"""Polls: on a grid that never drifts, and whatever a page says or does not say is a reading."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from servers import hang, serving

from harness.journal.clock import Clock
from harness.model.alertsources import AlertSource
from harness.model.probekinds import ProbeSpec
from harness.model.readings import AlertsSeen, Reading
from harness.probes import alert_sources, http
from harness.probes.alert_sources import PrometheusAlerts
from harness.probes.gauges import Gauges
from harness.probes.http import metrics
from harness.probes.polling import poll
from harness.probes.reader import NoAnswerError

LIMIT_S = 0.2


@pytest.fixture(autouse=True)
def short_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http.get, "__defaults__", (LIMIT_S,))


class Steps:
    """A clock that only moves when somebody waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at_s = 0.0
        real = asyncio.sleep

        async def sleep(delay_s: float) -> None:
            self.at_s += delay_s
            await real(0)

        monkeypatch.setattr("harness.probes.polling.asyncio.sleep", sleep)

    def now_s(self) -> float:
        return self.at_s


async def test_the_grid_does_not_drift_and_attempts_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock: Any = Steps(monkeypatch)
    takes = iter([0.01, 0.01, 0.35, 0.01, 0.1, 0.01])
    planned, late = [], []

    async def once(planned_s: float) -> None:
        planned.append(round(planned_s, 6))
        late.append(round(clock.now_s() - planned_s, 6))
        clock.at_s += next(takes)

    with pytest.raises(RuntimeError):  # the list of durations has come to its end
        await poll(clock, once, every_s=0.1, offset_s=0.03)
    assert planned[:6] == [0.03, 0.13, 0.23, 0.63, 0.73, 0.83], "two moments were missed and are not made up for"
    assert max(late) < 1e-6


async def readings(url: str, **probes: dict[str, Any]) -> dict[str, Reading]:
    told: list[Reading] = []
    specs = {name: ProbeSpec.model_validate(spec) for name, spec in probes.items()}
    async with aiohttp.ClientSession() as session:
        await Gauges(session, url, specs, Clock(), lambda stamp: stamp + 1, told.append).once(0.0)
    return {reading.probe: reading for reading in told}


def as_json(path: str, **more: Any) -> dict[str, Any]:
    return {"json": {"url": "http://x/y", "path": path, **more}}


def as_metric(**settings: Any) -> dict[str, Any]:
    return {"metric": {"url": "http://x/y", "name": "up", **settings}}


def page(text: str | bytes, status: int = 200) -> Any:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(body=text if isinstance(text, bytes) else text.encode(), status=status)

    return handler


async def test_numbers_in_json() -> None:
    async with serving(page('{"a": [{"b": 5}], "n": null, "t": "x", "big": 1e400}')) as url:
        found = await readings(
            url, a=as_json("a.0.b"), age=as_json("a.0.b", **{"as": "event_age"}), gone=as_json("a.1.b"),
            null=as_json("n"), text=as_json("t"), big=as_json("big"),
        )  # fmt: skip
    assert (found["a"].value, found["age"].value) == (5.0, 6.0)
    for name in ("gone", "null", "text", "big"):
        assert found[name].value is None
        assert found[name].down


@pytest.mark.parametrize(("ahead_s", "told"), [(-5.0, True), (1.0, True), (3.0, False), (7200.0, False)])
async def test_a_time_stamp_that_lies_ahead_tells_no_age(ahead_s: float, told: bool) -> None:
    async with serving(page(f'{{"at": {time.time() + ahead_s}}}')) as url:
        found = (await readings(url, age=as_json("at", **{"as": "age"})))["age"]
    assert (found.value is not None) is told
    assert told or "ahead of the clock" in str(found.down)


async def test_series_of_metrics() -> None:
    text = '# HELP up x\nup{a="1"} 2\nup{a="2"} 3\nother 9\nup_more 7\n'
    async with serving(page(text)) as url:
        found = await readings(
            url, sum=as_metric(), max=as_metric(agg="max"), mean=as_metric(agg="mean"),
            one=as_metric(labels={"a": "2"}), none=as_metric(labels={"a": "3"}),
        )  # fmt: skip
    assert [found[n].value for n in ("sum", "max", "mean", "one", "none")] == [5.0, 3.0, 2.5, 3.0, None]


BAD = [b"", b"{", b"\xff", b"NaN", b"[" * 100_000, b'up{a="1" 2\n', b"up NaN\n", b"up x\n"]


@pytest.mark.parametrize("body", BAD, ids=[str(body[:20]) for body in BAD])
async def test_pages_that_make_no_sense_are_readings(body: bytes) -> None:
    async with serving(page(body)) as url:
        found = await readings(url, a=as_json("a"), b=as_metric())
    assert all(reading.value is None and reading.down for reading in found.values())


async def test_no_answer_is_a_reading_in_bounded_time() -> None:
    assert "Connect" in ((await readings("http://127.0.0.1:1", a=as_metric()))["a"].down or "")
    async with serving(page("up 1", status=500)) as url:
        assert (await readings(url, a=as_metric()))["a"].down == "status 500"
    async with serving(hang) as url:
        assert (await readings(url, a=as_metric()))["a"].down == "no answer within 0.2 s"


async def test_an_answer_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LONGEST_BYTES", 1000)
    async with serving(page(b"x" * 5000)) as url:
        assert "more than 1000 bytes" in ((await readings(url, a=as_metric()))["a"].down or "")


@given(st.text())
def test_any_text_is_series_or_no_answer(text: str) -> None:
    with contextlib.suppress(NoAnswerError):
        metrics(f"up {text}\nup{{{text}}} 1\n".encode(), frozenset({"up"}))


async def alerts(alerts_page: str, metrics_page: str = "", status: int = 200) -> AlertsSeen:
    told: list[AlertsSeen] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        text = metrics_page if request.path == "/metrics" else alerts_page
        return web.Response(text=text, status=status)

    source = AlertSource(kind="prometheus", url="http://monitor:1", heartbeat="beats_total", history="fired_total")
    async with serving(handler) as url, aiohttp.ClientSession() as session:
        await PrometheusAlerts(session, source, url, Clock(), told.append).once(0.0)
    return told[0]


RULES = (
    '{"data":{"groups":[{"name":"g","interval":1,"lastEvaluation":"2026-05-01T10:00:00Z","rules":[{"name":"A","alerts":'
    "[]}]}]}}"
)
NO_SERIES = '{"data":{"result":[]}}'


async def test_d2_one_error_switches_neither_the_history_nor_the_rules_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alert_sources, "HISTORY_EVERY_S", 0.0)
    statuses = {"/api/v1/rules": [200, 200, 404, 200], "/api/v1/query": [500, 500, 200, 200, 200, 200]}

    async def handler(request: web.Request) -> web.StreamResponse:
        text = RULES if request.path == "/api/v1/rules" else NO_SERIES
        return web.Response(text=text, status=statuses[request.path].pop(0))

    told: list[AlertsSeen] = []
    source = AlertSource(kind="prometheus", url="http://monitor:1")
    async with serving(handler) as url, aiohttp.ClientSession() as session:
        poller = PrometheusAlerts(session, source, url, Clock(), told.append)
        for _ in range(4):
            await poller.once(0.0)
    assert [(seen.fired, seen.down) for seen in told] == [(None, None), ((), None), (None, "status 404"), ((), None)]


def answering(pages: dict[str, list[Any]]) -> Any:
    """Answer each path with the next of its statuses or texts; None hangs."""

    async def handler(request: web.Request) -> web.StreamResponse:
        said = pages[request.path].pop(0)
        if said is None:
            return await hang(request)
        return web.Response(status=said) if isinstance(said, int) else web.Response(text=said)

    return handler


async def test_a_history_that_does_not_come_in_time_takes_no_alert_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alert_sources, "HISTORY_EVERY_S", 0.0)
    monkeypatch.setattr(alert_sources, "DEADLINE_S", LIMIT_S)
    pages: dict[str, list[Any]] = {"/api/v1/rules": [RULES] * 2, "/api/v1/query": [None, None, NO_SERIES, NO_SERIES]}
    told: list[AlertsSeen] = []
    source = AlertSource(kind="prometheus", url="http://monitor:1")
    async with serving(answering(pages)) as url, aiohttp.ClientSession() as session:
        poller = PrometheusAlerts(session, source, url, Clock(), told.append)
        for _ in range(2):
            await poller.once(0.0)
    assert [(seen.down, seen.fired, seen.evaluations is None) for seen in told] == [
        (None, None, False),
        (None, (), False),
    ]


@pytest.mark.parametrize("counted", [None, 503])
async def test_counters_that_do_not_come_take_no_alert_away(counted: int | None) -> None:
    pages: dict[str, list[Any]] = {"/api/v1/alerts": [LISTED], "/metrics": [counted]}
    told: list[AlertsSeen] = []
    source = AlertSource(kind="prometheus", url="http://monitor:1", heartbeat="beats_total", history="fired_total")
    async with serving(answering(pages)) as url, aiohttp.ClientSession() as session:
        await PrometheusAlerts(session, source, url, Clock(), told.append).once(0.0)
    (seen,) = told
    assert (seen.down, seen.evaluations, seen.fired) == (None, None, None)
    assert [alert.key for alert in seen.firing] == ["A{service=x}"]


def ruled(second: int, *groups: tuple[str, tuple[str, ...]]) -> bytes:
    found = [
        {
            "name": name,
            "file": "rules.yml",
            "interval": 1,
            "lastEvaluation": f"2026-06-01T10:00:{second:02d}Z",
            "rules": [{"name": rule, "health": "ok", "alerts": []} for rule in rules],
        }
        for name, rules in groups
    ]
    return json.dumps({"status": "success", "data": {"groups": found}}).encode()


@pytest.mark.parametrize(
    ("later", "goes_on"),
    [
        ([("a", ("A", "A")), ("b", ("B", "C"))], True),
        ([("a", ("A", "A")), ("b", ("B", "C", "D"))], True),
        ([("a", ("A", "A"))], False),
        ([("a", ("A", "A")), ("b", ("B",))], False),
        ([("a", ("A",)), ("b", ("B", "C"))], False),
    ],
)
async def test_rules_that_are_gone_are_not_evaluated(later: list[tuple[str, tuple[str, ...]]], goes_on: bool) -> None:
    pages = [ruled(k, ("a", ("A", "A")), ("b", ("B", "C"))) for k in range(3)]
    pages += [ruled(k, *later) for k in range(3, 7)]

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(body=pages.pop(0)) if request.path == "/api/v1/rules" else web.Response(status=404)

    told: list[AlertsSeen] = []
    source = AlertSource(kind="prometheus", url="http://monitor:1")
    async with serving(handler) as url, aiohttp.ClientSession() as session:
        poller = PrometheusAlerts(session, source, url, Clock(), told.append)
        for _ in range(7):
            await poller.once(0.0)
    assert [seen.evaluations for seen in told[:3]] == [0.0, 1.0, 2.0]
    assert told[-1].evaluations == (6.0 if goes_on else 2.0)


LISTED = (
    '{"status":"success","data":{"alerts":['
    '{"labels":{"alertname":"A","service":"x"},"state":"firing"},{"labels":{"alertname":"B"},"state":"pending"},'
    '{"labels":{"alertname":"C"},"state":"inactive"}]}}'
)
COUNTED = 'beats_total 7\nfired_total{alertname="A",service="x"} 2\nfired_total{other="y"} 1\n'


async def test_alerts_with_their_counters() -> None:
    seen = await alerts(LISTED, COUNTED)
    assert [alert.key for alert in seen.firing] == ["A{service=x}"]
    assert [alert.key for alert in seen.pending] == ["B{}"]
    assert (seen.evaluations, seen.down) == (0.0, None)
    assert [(alert.key, count) for alert, count in seen.fired or ()] == [("A{service=x}", 2.0)]


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"data":{"alerts":3}}', '{"data":{"alerts":[{"state":"firing"}]}}', "<html>",
             '{"data":{"alerts":[{"state":"firing","labels":{"service":"x"}}]}}',
             '{"data":{"alerts":[{"state":["firing"],"labels":[]}]}}'],
)  # fmt: skip
async def test_what_is_not_prometheus_form_is_down(text: str) -> None:
    seen = await alerts(text, COUNTED)
    assert "not Prometheus' form" in (seen.down or "")
    assert seen.firing == ()


async def test_a_counter_that_is_no_number_and_a_source_that_is_down() -> None:
    assert (await alerts(LISTED, "beats_total NaN\n")).down == "a counter that is no number"
    assert (await alerts(LISTED, "")).evaluations is None
    assert (await alerts(LISTED, COUNTED, status=503)).down == "status 503"
