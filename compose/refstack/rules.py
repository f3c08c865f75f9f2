"""Alert rules as states: pending while a condition is young, firing when it has lasted, with a little hold.

Pure: conditions and time are brought in. A firing alert resolves when its condition has been absent for the
rule's `keep_s`, so that a condition on the edge does not flap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class AlertRule:
    alert: str
    severity: str
    for_s: float
    keep_s: float
    summary: str
    labels: tuple[str, ...] = ("service",)
    """Names of the labels that it carries besides `alertname` and `severity`, in order."""


@dataclass(frozen=True)
class Condition:
    """A rule's condition that holds now for one set of labels."""

    alert: str
    labels: Labels
    value: float


@dataclass
class _Active:
    since_s: float
    since_unix: float
    seen_s: float
    value: float
    firing: bool = False


@dataclass
class Alerts:
    rules: Mapping[str, AlertRule]
    off: frozenset[str] = frozenset()
    _active: dict[tuple[str, Labels], _Active] = field(default_factory=dict)

    def evaluate(self, conditions: Iterable[Condition], now_s: float, now_unix: float) -> list[Condition]:
        """Takes the conditions that hold now; gives those that began to fire."""
        fired = []
        for condition in conditions:
            if condition.alert in self.off:
                continue
            key = (condition.alert, condition.labels)
            active = self._active.setdefault(key, _Active(now_s, now_unix, now_s, condition.value))
            active.seen_s, active.value = now_s, condition.value
            if not active.firing and now_s - active.since_s >= self.rules[condition.alert].for_s:
                active.firing = True
                fired.append(condition)
        for key, active in list(self._active.items()):
            keep_s = self.rules[key[0]].keep_s if active.firing else 0.0
            if now_s - active.seen_s > keep_s:
                del self._active[key]
        return fired

    def listing(self) -> list[dict[str, Any]]:
        """As Prometheus' /api/v1/alerts has it."""
        return [
            {
                "labels": {"alertname": alert, "severity": self.rules[alert].severity, **dict(labels)},
                "annotations": {"summary": self.rules[alert].summary},
                "state": "firing" if active.firing else "pending",
                "activeAt": datetime.fromtimestamp(active.since_unix, UTC).isoformat().replace("+00:00", "Z"),
                "value": f"{active.value:g}",
            }
            for (alert, labels), active in sorted(self._active.items())
        ]


_RULES = (
    AlertRule("FeaturesStale", "page", 0.2, 0.5, "Online features are older than declared", ("group", "service")),
    AlertRule(
        "FeatureOutOfRange", "page", 0.0, 1.0, "An online feature is outside of what it can be", ("feature", "service")
    ),
    AlertRule(
        "FeatureSkew",
        "page",
        0.0,
        1.0,
        "Stored features are not what the source events give at their stamps",
        ("group", "service", "store"),
    ),
    AlertRule("FeatureCoverageLow", "page", 0.3, 0.5, "Features are missing for some airports"),
    AlertRule("LabelJoinRateLow", "ticket", 0.3, 1.0, "Too few answers find their outcome"),
    AlertRule(
        "ModelStale", "ticket", 2.5, 0.5, "A replica does not serve the promoted version", ("replica", "service")
    ),
    AlertRule(
        "TrainingLagging", "ticket", 0.3, 0.5, "The promoted version has not learned from the last 8 event hours"
    ),
    AlertRule("PartitionCorrupt", "ticket", 0.0, 1.0, "A training partition is not what was written"),
    AlertRule("CanaryWrong", "page", 0.0, 1.5, "Test requests get scores that the model does not give"),
    AlertRule("ReplicaDown", "page", 0.5, 0.3, "A model server does not answer", ("replica", "service")),
    AlertRule("WorkerLost", "ticket", 0.6, 0.3, "A training worker does not answer", ("service", "worker")),
    AlertRule("ServiceDown", "page", 0.6, 0.3, "A service does not answer"),
    AlertRule("ObjectStoreSlow", "ticket", 0.2, 1.0, "A client's requests to the object store take too long"),
)
RULES: Mapping[str, AlertRule] = {rule.alert: rule for rule in _RULES}
"""The one list of the alerts; a test compares compose.yaml, prometheus/rules.yml and the README with it."""
