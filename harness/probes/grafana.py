"""Alerts of Grafana: the rules that Grafana itself evaluates, by its API in the form of Prometheus' rules.

It differs from Prometheus in three ways. Each rule is evaluated by itself and has a time of its own; what a group tells
is that of its last rule. Every instance of a rule is listed, also those that do not fire, with a state and perhaps a
reason: `Normal`, `Alerting (NoData)`. And a query that fails or finds nothing fires alerts of other names, with the
rule's in the label `rulename`, where the rule does not say otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from harness.model.readings import Alert
from harness.probes.alert_poller import HttpAlertPoller
from harness.probes.http import ask
from harness.probes.polling import DEADLINE_S
from harness.probes.reader import NoAnswerError
from harness.probes.strict_json import read_json

RULES = "/api/prometheus/grafana/api/v1/rules"
_STATES = {
    "Alerting": ("firing", None),
    "Recovering": ("firing", None),
    "Pending": ("pending", None),
    "NoData": ("firing", "DatasourceNoData"),
    "Error": ("firing", "DatasourceError"),
    "Normal": (None, None),
}
"""What an instance's state means: whether it fires, and under which name where that is not its rule's."""
BAD_HEALTH = "error"
NEVER = "0001-01-01"
"""How the time of an evaluation begins that has not been."""


class GrafanaAlerts(HttpAlertPoller):
    """A Grafana: the rules that its user may see."""

    async def _look(self) -> dict[str, Any]:
        url = f"{self._url}{RULES}"
        response = await ask(self._session, "GET", url, DEADLINE_S, self._headers, allow_redirects=False)
        if response.status != 200:
            raise NoAnswerError(f"status {response.status}")
        try:
            return self._seen(read_json(response.body)["data"]["groups"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise NoAnswerError(f"not Grafana's form of rules: {type(error).__name__} {error}") from None

    def _seen(self, groups: Any) -> dict[str, Any]:
        if not isinstance(groups, list):
            raise TypeError("a list is needed")
        by_state: dict[str, list[Alert]] = {"firing": [], "pending": []}
        rules = list(_alerting(groups))
        for _, rule in rules:
            for instance in rule.get("alerts") or ():
                # `Alerting (NoData)` fires as `Alerting` does; the reason says why.
                state, name = _STATES[instance["state"].partition(" ")[0]]
                if state is not None:
                    by_state[state].append(self._instance(instance["labels"], name))
        seen: dict[str, Any] = {state: tuple(alerts) for state, alerts in by_state.items()}
        working = [(key, rule) for key, rule in rules if not rule.get("isPaused")]
        # A rule that cannot be evaluated, or has not been yet, is not being looked at.
        if working and all(_evaluated(rule) for _, rule in working):
            marks = {key: rule["lastEvaluation"] for key, rule in working}
            interval_s = max(float(group.get("interval") or 0) for group in groups)
            seen |= {"evaluations": float(self._beats.note(marks)), "interval_s": interval_s}
        return seen

    def _instance(self, labels: Mapping[str, Any], name: str | None) -> Alert:
        if name is None:
            return self._alert(labels)
        return self._alert({**labels, "alertname": name, "rulename": labels["alertname"]})


def _evaluated(rule: Mapping[str, Any]) -> bool:
    return rule.get("health") != BAD_HEALTH and not str(rule["lastEvaluation"]).startswith(NEVER)


def _alerting(groups: list[Any]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Yield each rule that alerts, with a key: several may have one name."""
    seen: Counter[tuple[str, ...]] = Counter()
    for group in groups:
        for rule in group["rules"]:
            if rule.get("type", "alerting") != "alerting":
                continue
            key = (str(group.get("file")), str(group["name"]), str(rule.get("uid") or rule["name"]))
            seen[key] += 1
            yield (*key, str(seen[key])), rule
