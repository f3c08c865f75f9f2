"""Every alert source of a stack, ready to be polled: Prometheus, what speaks its form, Alertmanager, Grafana, webhooks.

A real Prometheus needs nothing declared: its page of rules has the last evaluation and the interval of each group,
and the series `ALERTS` has the firings between two polls. Where a heartbeat or a history is declared, the source
has counters for that on `/metrics`, and its page of alerts is enough. An Alertmanager (API v2) lists what is active
now, without what is silenced or inhibited. It evaluates no rules: only a watchdog proves that they are evaluated,
because its `updatedAt` moves on with each notification.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import aiohttp

from harness.journal.clock import Clock
from harness.model.alertsources import AlertSource
from harness.model.backend import Backend
from harness.model.eventtime import parse_timestamp
from harness.model.readings import Alert, AlertsSeen, Gap, RuleSeen
from harness.model.stack import StackDescription
from harness.probes.alert_poller import AlertPoller, Heartbeats, HttpAlertPoller
from harness.probes.grafana import GrafanaAlerts
from harness.probes.http import access_headers, ask, get, metrics
from harness.probes.polling import DEADLINE_S
from harness.probes.reader import NoAnswerError, ProbeContext
from harness.probes.rule_watch import RuleWatch
from harness.probes.strict_json import read_json

HISTORY_EVERY_S = 1.0
NO_SUCH_PAGE = (404, 405, 501)
LONGEST_BACK_S = 3600.0
BAD_HEALTH = "err"
FIRING = ("active",)
SUPPRESSED = ("active", "suppressed")


def source_pollers(
    stack: StackDescription,
    backend: Backend,
    session: aiohttp.ClientSession,
    clock: Clock,
    record: Callable[[AlertsSeen | Gap], object],
) -> list[AlertPoller]:
    """Return what polls each source, in the stack's order; each must be started. Raises HarnessError."""
    around = ProbeContext(backend, stack, session, DEADLINE_S)
    return [_poller(source, around, clock, record) for source in stack.alert_sources]


def _poller(
    source: AlertSource, around: ProbeContext, clock: Clock, record: Callable[[AlertsSeen | Gap], object]
) -> AlertPoller:
    if source.kind == "webhook":
        from harness.probes.webhook import WebhookAlerts  # a web server, which no other kind needs

        return WebhookAlerts(source, clock, record)
    kind = _KINDS[source.kind]
    url = around.reachable(source.url)
    return kind(around.session, source, url, clock, record, access_headers(source))


def rule_watches(
    stack: StackDescription,
    backend: Backend,
    alerts: Collection[str],
    session: aiohttp.ClientSession,
    clock: Clock,
    record: Callable[[RuleSeen], object],
) -> list[RuleWatch]:
    """Return what looks at the rules of some alerts, one for each source that may have rules. Raises HarnessError."""
    around = ProbeContext(backend, stack, session, DEADLINE_S)
    return [
        RuleWatch(source, around.reachable(source.url), alerts, session, clock, record, access_headers(source))
        for source in stack.alert_sources
        if source.kind == "prometheus" and alerts
    ]


class PrometheusAlerts(HttpAlertPoller):
    """A Prometheus, or a source whose page of alerts has the same form."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        source: AlertSource,
        url: str,
        clock: Clock,
        record: Callable[[AlertsSeen | Gap], object],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(session, source, url, clock, record, headers)
        self._counters = frozenset(name for name in (source.heartbeat, source.history) if name)
        self._heartbeats = Heartbeats()
        self._has_rules = not self._counters
        self._answered_rules = False
        self._has_history = True
        self._activations: dict[str, tuple[Alert, set[int]]] = {}
        self._history_read_s = -math.inf
        self._began_s = clock.now_s()

    async def _look(self) -> dict[str, Any]:
        if self._has_rules:
            response = await ask(
                self._session, "GET", f"{self._url}/api/v1/rules", DEADLINE_S, self._headers, params={"type": "alert"}
            )
            if response.status == 200:
                self._answered_rules = True
                return await self._rules(response.body)
            if response.status != 404 or self._answered_rules:
                raise NoAnswerError(f"status {response.status}")
            self._has_rules = False  # something that speaks of alerts only
        alerts, counted = await asyncio.gather(
            get(self._session, f"{self._url}/api/v1/alerts", headers=self._headers), self._counted()
        )
        return self._alerts(alerts) | (self._history(counted) if counted is not None else {})

    async def _counted(self) -> bytes | None:
        """Return the page of the counters; None where there are none, or they do not come: the alerts still count."""
        if not self._counters:
            return None
        try:
            return await get(self._session, f"{self._url}/metrics", headers=self._headers)
        except NoAnswerError:
            return None

    def _alerts(self, page: bytes) -> dict[str, Any]:
        try:
            return self._by_state(read_json(page)["data"]["alerts"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise NoAnswerError(f"not Prometheus' form of alerts: {type(error).__name__} {error}") from None

    def _by_state(self, listed: Any) -> dict[str, Any]:
        if not isinstance(listed, list):
            raise TypeError("a list is needed")
        by_state: dict[str, list[Alert]] = {"firing": [], "pending": []}
        for item in listed:
            if item["state"] in by_state:
                by_state[item["state"]].append(self._alert(item["labels"]))
        return {state: tuple(alerts) for state, alerts in by_state.items()}

    def _history(self, page: bytes) -> dict[str, Any]:
        found = metrics(page, self._counters)
        if not all(math.isfinite(value) for *_, value in found):
            raise NoAnswerError("a counter that is no number")
        seen: dict[str, Any] = {}
        beats = {_key(labels): value for name, labels, value in found if name == self._source.heartbeat}
        if beats:
            seen["evaluations"] = float(self._heartbeats.note(beats))
        if self._source.history is not None:
            seen["fired"] = tuple(
                (self._alert(labels), value)
                for name, labels, value in found
                if name == self._source.history and "alertname" in labels
            )
        return seen

    async def _rules(self, page: bytes) -> dict[str, Any]:
        try:
            groups = [group for group in read_json(page)["data"]["groups"] if group["rules"]]
            rules = [rule for group in groups for rule in group["rules"]]
            listed = [alert for rule in rules for alert in rule.get("alerts") or ()]
            seen = self._by_state(listed)
            # A rule that cannot be evaluated is not being looked at, however often its group is gone through.
            well = [g for g in groups if all(rule.get("health") != BAD_HEALTH for rule in g["rules"])]
            marks = {key: group.get("lastEvaluation") for group in well for key in _rule_keys(group)}
            interval_s = max((float(group.get("interval") or 0) for group in groups), default=0.0)
            for alert in listed:
                if alert["state"] == "firing":
                    self._activated(alert["labels"], int(parse_timestamp(alert["activeAt"])))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise NoAnswerError(f"not Prometheus' form of rules: {type(error).__name__} {error}") from None
        if groups and len(well) == len(groups):
            seen |= {"evaluations": float(self._beats.note(marks)), "interval_s": interval_s}
        now_s = self._clock.now_s()
        if self._has_history and now_s - self._history_read_s >= HISTORY_EVERY_S:
            seen |= await self._read_history(now_s, interval_s)
        return seen

    async def _read_history(self, now_s: float, interval_s: float) -> dict[str, Any]:
        """Return how often each alert has begun to fire, with what the server's own series know of it."""
        since_s = now_s - max(self._history_read_s, self._began_s)
        back_s = math.ceil(min(LONGEST_BACK_S, since_s + 2 * interval_s + 5.0))
        asked = ('ALERTS{alertstate="firing"}', "ALERTS_FOR_STATE")
        url = f"{self._url}/api/v1/query"
        try:
            response = await asyncio.gather(
                *(
                    ask(self._session, "GET", url, DEADLINE_S, self._headers, params={"query": f"{name}[{back_s}s]"})
                    for name in asked
                )
            )
        except NoAnswerError:
            return {}  # what fires is known all the same, and the next answer reaches back to the last one
        if any(one.status in NO_SUCH_PAGE for one in response):
            self._has_history = False  # rules, but no series to ask: it says no more than it shows
        if any(one.status != 200 for one in response):
            return {}  # the next answer reaches back to the last one
        firing, active = (_matrix(one.body) for one in response)
        since = {(_key(labels), at): value for labels, values in active for at, value in values}
        for labels, values in firing:
            for at, _ in values:
                begun = since.get((_key(labels), at))
                if begun is not None:
                    self._activated(labels, int(begun))
        self._history_read_s = now_s
        return {"fired": tuple((alert, float(len(begun))) for alert, begun in self._activations.values())}

    def _activated(self, labels: Mapping[str, Any], begun: int) -> None:
        """Note that an alert that began to be active then has fired."""
        alert = self._alert({k: v for k, v in labels.items() if k not in ("alertstate", "__name__")})
        self._activations.setdefault(alert.key, (alert, set()))[1].add(begun)


def _rule_keys(group: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Yield a key for each rule of a group; several may have one name."""
    seen: Counter[str] = Counter()
    for rule in group["rules"]:
        name = str(rule.get("name"))
        seen[name] += 1
        yield group.get("file"), group["name"], name, seen[name]


def _key(labels: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((k, str(v)) for k, v in labels.items() if k not in ("alertstate", "__name__")))


def _matrix(page: bytes) -> list[tuple[dict[str, Any], list[tuple[float, float]]]]:
    """Return the series of a query over a range: labels, and (moment, value). Raises NoAnswerError."""
    try:
        found = read_json(page)["data"]["result"]
        return [(s["metric"], [(float(at), float(value)) for at, value in s["values"]]) for s in found]
    except (ValueError, KeyError, TypeError) as error:
        raise NoAnswerError(f"not Prometheus' form of a query's answer: {type(error).__name__} {error}") from None


class AlertmanagerAlerts(HttpAlertPoller):
    """An Alertmanager: its list of active alerts."""

    async def _look(self) -> dict[str, Any]:
        url = f"{self._url}/api/v2/alerts"
        response = await ask(self._session, "GET", url, DEADLINE_S, self._headers, allow_redirects=True)
        if response.status != 200:
            raise NoAnswerError(f"status {response.status}")
        self._told_the_time(response.headers.get("Date"))
        states = SUPPRESSED if self._source.suppressed else FIRING
        firing: list[Alert] = []
        marks: dict[Any, Any] = {}
        try:
            listed = read_json(response.body)
            if not isinstance(listed, list):
                raise TypeError("a list is needed")
            for item in listed:
                if item["status"]["state"] not in states:
                    continue
                alert = self._alert(item["labels"], item.get("startsAt"))
                firing.append(alert)
                if alert.name in self._source.watchdog:
                    marks[alert.key] = item["updatedAt"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise NoAnswerError(f"not Alertmanager's form of alerts: {type(error).__name__} {error}") from None
        seen: dict[str, Any] = {"firing": tuple(firing)}
        if marks:
            seen |= {"evaluations": float(self._beats.note(marks)), "interval_s": self._source.watchdog_every_s}
        return seen


_KINDS: Mapping[str, Callable[..., AlertPoller]] = {
    "prometheus": PrometheusAlerts,
    "alertmanager": AlertmanagerAlerts,
    "grafana": GrafanaAlerts,
}
"""What polls a source over HTTP, by its kind."""
