"""Alerts of an Alertmanager, by its API v2: what is active now, without what is silenced or inhibited.

An Alertmanager evaluates no rules. That somebody does is shown by a watchdog alone, which those who evaluate send again
and again: each time, its `updatedAt` moves on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import aiohttp

from harness.model.readings import Alert, AlertsSeen
from harness.model.stack import AlertSource
from harness.probes.alert_poller import AlertPoller
from harness.probes.http import get, read_json
from harness.probes.polling import DEADLINE_S, Clock
from harness.probes.reader import NoAnswerError

FIRING = ("active",)
SUPPRESSED = ("active", "suppressed")


class AlertmanagerAlerts(AlertPoller):
    """One source."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        source: AlertSource,
        url: str,
        clock: Clock,
        record: Callable[[AlertsSeen], object],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(source, clock, record)
        self._session = session
        self._url = f"{url.rstrip('/')}/api/v2/alerts"
        self._headers = dict(headers or {})
        self._states = SUPPRESSED if source.suppressed else FIRING

    async def _look(self) -> dict[str, Any]:
        page = await get(self._session, self._url, DEADLINE_S, headers=self._headers)
        firing: list[Alert] = []
        marks: dict[Any, Any] = {}
        try:
            listed = read_json(page)
            if not isinstance(listed, list):
                raise TypeError("a list is needed")
            for item in listed:
                if item["status"]["state"] not in self._states:
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
