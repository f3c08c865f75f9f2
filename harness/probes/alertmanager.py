"""Alerts of an Alertmanager, by its API v2: what is active now, without what is silenced or inhibited.

An Alertmanager evaluates no rules. Only a watchdog proves that rules are evaluated: the evaluator sends it again
and again: each time, its `updatedAt` moves on.
"""

from __future__ import annotations

from typing import Any

from harness.model.readings import Alert
from harness.probes.alert_poller import HttpAlertPoller
from harness.probes.http import get, read_json
from harness.probes.polling import DEADLINE_S
from harness.probes.reader import NoAnswerError

FIRING = ("active",)
SUPPRESSED = ("active", "suppressed")


class AlertmanagerAlerts(HttpAlertPoller):
    """One source."""

    async def _look(self) -> dict[str, Any]:
        page = await get(self._session, f"{self._url}/api/v2/alerts", DEADLINE_S, headers=self._headers)
        states = SUPPRESSED if self._source.suppressed else FIRING
        firing: list[Alert] = []
        marks: dict[Any, Any] = {}
        try:
            listed = read_json(page)
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
