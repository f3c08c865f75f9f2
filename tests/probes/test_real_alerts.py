"""Alerts of a real Prometheus and a real Alertmanager, which calls the harness's own webhook."""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from alert_polls import Polls
from real_probes import read
from servers import serving

sys.path.insert(0, str(Path(__file__).parents[1] / "seams"))

from real_servers import free_port, running

from harness.model.readings import Gap

pytestmark = pytest.mark.slow

PROMETHEUS = """\
global: {{scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}}
scrape_configs: [{{job_name: web, static_configs: [{{targets: ["{target}"]}}]}}]
rule_files: [rules.yml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["{alertmanager}"]}}]}}]}}
"""
RULES = """\
groups:
  - name: quick
    rules:
      - {alert: Hot, expr: heat > 1, labels: {severity: page}}
      - {alert: Warm, expr: heat > 1, for: 1h}
  - name: watch
    interval: 400ms
    rules: [{alert: Watchdog, expr: vector(1)}]
"""
BROKEN = "'up * on() group_left() {__name__=~\"up|heat\"}'"
"""Several series to one: each evaluation is an error."""
ALERTMANAGER = """\
route: {{receiver: harness, group_by: [alertname], group_wait: 1ms, group_interval: 200ms, repeat_interval: 1s}}
receivers: [{{name: harness, webhook_configs: [{{url: "http://127.0.0.1:{webhook}/alerts", send_resolved: true}}]}}]
"""


class Heat:
    """What the servers scrape."""

    def __init__(self) -> None:
        self.value = 0

    async def metrics(self, _: web.Request) -> web.StreamResponse:
        return web.Response(text=f"heat {self.value}\n")


class Servers:
    """Both servers, on ports of their own."""

    def __init__(self, folder: Path, target: str) -> None:
        self._folder = folder
        self.prometheus = f"127.0.0.1:{free_port()}"
        self.alertmanager = f"127.0.0.1:{free_port()}"
        self.webhook = free_port()
        folder.joinpath("rules.yml").write_text(RULES)
        filled = {"target": target, "alertmanager": self.alertmanager, "webhook": self.webhook}
        folder.joinpath("prometheus.yml").write_text(PROMETHEUS.format(**filled))
        folder.joinpath("alertmanager.yml").write_text(ALERTMANAGER.format(**filled))

    def start(self, stack: ExitStack) -> None:
        alertmanager = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
        stack.enter_context(self._running(
            str(alertmanager), self.alertmanager, f"--config.file={self._folder}/alertmanager.yml",
            f"--storage.path={self._folder}/am", "--cluster.listen-address=",
        ))  # fmt: skip
        stack.enter_context(self._running(
            str(shutil.which("prometheus")), self.prometheus, f"--config.file={self._folder}/prometheus.yml",
            f"--storage.tsdb.path={self._folder}/tsdb", "--rules.alert.resend-delay=300ms",
        ))  # fmt: skip

    def _running(self, program: str, place: str, *argv: str) -> Any:
        host, _, port = place.partition(":")
        return running([program, f"--web.listen-address={place}", *argv], host, int(port))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


async def test_a_real_prometheus_needs_nothing_declared(tmp_path: Path, stack: ExitStack) -> None:
    heat = Heat()
    async with serving(heat.metrics) as url:
        servers = Servers(tmp_path, url.removeprefix("http://"))
        servers.start(stack)
        source = {"kind": "prometheus", "url": "http://prometheus", "watchdog": ["Watchdog"]}
        async with Polls(source, {"prometheus": servers.prometheus}) as polls:
            first = await polls.until(lambda seen: seen.awake and seen.evaluations is not None)
            assert (first.firing, first.interval_s) == ((), 0.4)
            later = await polls.until(lambda seen: (seen.evaluations or 0) >= (first.evaluations or 0) + 3)
            assert later.firing == ()
            heat.value = 5
            hot = await polls.until(lambda seen: seen.firing and seen.pending)
            assert [alert.name for alert in hot.firing] == ["Hot"]
            assert hot.firing[0].labels["severity"] == "page"
            assert [alert.name for alert in hot.pending] == ["Warm"]
            heat.value = 0
            await polls.until(lambda seen: not seen.firing)
            told = await polls.until(lambda seen: seen.fired is not None)
            assert [(alert.name, count) for alert, count in told.fired or ()] == [("Hot", 1.0)]
            # Nobody polls while it fires again: the server's own series still tell of it.
            heat.value = 5
            async with Polls(source, {"prometheus": servers.prometheus}) as others:
                await others.until(lambda seen: seen.firing)
                heat.value = 0
                await others.until(lambda seen: not seen.firing)
            told = await polls.until(lambda seen: any(count == 2 for _, count in seen.fired or ()))
            assert told.firing == ()

        query = {"promql": {"url": "http://prometheus", "query": "heat"}}
        none = {"promql": {"url": "http://prometheus", "query": "cold", "empty": 7}}
        bad = {"promql": {"url": "http://prometheus", "query": "heat{"}}
        found = await read(tmp_path, {"prometheus": servers.prometheus}, q=query, n=none, b=bad)
        assert (found["q"].value, found["n"].value, found["b"].down) == (0.0, 7.0, "status 400")


async def test_a_real_prometheus_tells_how_old_its_samples_are(tmp_path: Path, stack: ExitStack) -> None:
    async def metrics(_: web.Request) -> web.StreamResponse:
        # A target may say itself when it took a sample, as one does that passes on what others have sent it.
        return web.Response(text=f"heat 3\npassed_on 4 {round((time.time() - 45) * 1e3)}\n")

    queries = {"heat": "heat", "sum": "sum(heat) + sum(passed_on)", "rule": "count(ALERTS) or vector(0)"}
    queries |= {"of_range": "max_over_time(heat[1m])", "old_range": "max_over_time(passed_on[5m])"}
    probes: dict[str, Any] = {name: {"promql": {"url": "http://prometheus", "query": q}} for name, q in queries.items()}
    probes["long"] = {"promql": {"url": "http://prometheus", "query": "passed_on", "max_age": "5min"}}
    async with serving(metrics) as url:
        servers = Servers(tmp_path, url.removeprefix("http://"))
        servers.start(stack)
        async with Polls({"kind": "prometheus", "url": f"http://{servers.prometheus}"}) as polls:
            await polls.until(lambda seen: any(alert.name == "Hot" for alert in seen.firing))
        told = await read(tmp_path, {"prometheus": servers.prometheus}, **probes)
    assert (told["heat"].value, told["long"].value) == (3.0, 4.0)
    assert (told["rule"].value or 0) > 0
    assert told["of_range"].value == 3.0
    for name in ("sum", "old_range"):
        old: Any = told[name]
        assert isinstance(old, Gap), old
        age = re.fullmatch(r"a sample of passed_on is ([\d.]+) s old, older than `max_age` \(20 s\)", old.why)
        assert age is not None, old.why
        assert float(age[1]) >= 45


async def test_a_rule_that_cannot_be_evaluated_proves_nothing(tmp_path: Path, stack: ExitStack) -> None:
    async with serving(Heat().metrics) as url:
        servers = Servers(tmp_path, url.removeprefix("http://"))
        tmp_path.joinpath("rules.yml").write_text(RULES.replace("vector(1)", BROKEN))
        servers.start(stack)
        async with Polls({"kind": "prometheus", "url": f"http://{servers.prometheus}"}) as polls:
            await polls.until(lambda seen: seen.evaluations is not None)
            await polls.until(lambda seen: seen.down is None and seen.evaluations is None)


async def test_alertmanager_and_the_webhook_that_it_calls(tmp_path: Path, stack: ExitStack) -> None:
    heat = Heat()
    async with serving(heat.metrics) as url:
        servers = Servers(tmp_path, url.removeprefix("http://"))
        listening = {"kind": "webhook", "listen": f"127.0.0.1:{servers.webhook}", "watchdog": ["Watchdog"]}
        asked = {"kind": "alertmanager", "url": f"http://{servers.alertmanager}", "watchdog": ["Watchdog"]}
        async with Polls(listening) as told, Polls(asked) as polls:
            assert (await told.once()).awake is False
            servers.start(stack)
            first = await polls.until(lambda seen: seen.awake and seen.evaluations is not None)
            assert (first.firing, first.interval_s) == ((), 75.0)
            await polls.until(lambda seen: (seen.evaluations or 0) >= 2)
            await told.until(lambda seen: seen.awake and (seen.evaluations or 0) >= 2)
            before_s = polls.clock.now_s()
            heat.value = 5
            for source in (polls, told):
                seen = await source.until(lambda seen: seen.firing)
                assert [alert.name for alert in seen.firing] == ["Hot"]
                assert (seen.firing[0].started_s or 0) > before_s - 5
            await silence(servers.alertmanager)
            await polls.until(lambda seen: not seen.firing)
            with_silenced = {**asked, "suppressed": True}
            async with Polls(with_silenced) as others:
                assert [alert.name for alert in (await others.until(lambda seen: seen.firing)).firing] == ["Hot"]
            heat.value = 0


async def silence(place: str) -> None:
    """Silence everything but the watchdog."""
    body = {
        "matchers": [{"name": "alertname", "value": "Hot", "isRegex": False, "isEqual": True}],
        "startsAt": "2020-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z", "createdBy": "test", "comment": "x",
    }  # fmt: skip
    async with aiohttp.ClientSession() as session, session.post(f"http://{place}/api/v2/silences", json=body) as said:
        assert said.status == 200
