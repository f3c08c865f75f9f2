"""Alert sources: which alerts fire and are pending, that the rules are being evaluated, and how often each has fired.

The form is Prometheus': `/api/v1/alerts`, and counters on `/metrics`. Both are asked in one poll.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import aiohttp

from harness.model.readings import Alert, AlertsSeen
from harness.model.stack import AlertSource
from harness.probes.http import NoAnswerError, get, metrics, read_json
from harness.probes.polling import Clock


class PrometheusAlerts:
    """One source."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        source: AlertSource,
        url: str,
        clock: Clock,
        record: Callable[[AlertsSeen], object],
    ) -> None:
        self._session = session
        self._source = source
        self._url = url.rstrip("/")
        self._clock = clock
        self._record = record
        self._counters = frozenset(name for name in (source.heartbeat, source.history) if name)

    async def once(self, planned_s: float) -> None:
        """Poll the source and record what it said."""
        asked_s = self._clock.now_s()
        seen: dict[str, Any] = {}
        try:
            pages = [get(self._session, f"{self._url}/api/v1/alerts")]
            if self._counters:
                pages.append(get(self._session, f"{self._url}/metrics"))
            alerts, *counted = await asyncio.gather(*pages)
            seen = _alerts(alerts) | (self._history(counted[0]) if counted else {})
        except NoAnswerError as error:
            seen = {"down": str(error)}
        self._record(
            AlertsSeen(
                source=self._source.url,
                planned_s=planned_s,
                asked_s=asked_s,
                answered_s=self._clock.now_s(),
                **seen,
            )
        )

    def _history(self, page: bytes) -> dict[str, Any]:
        found = metrics(page, self._counters)
        if not all(math.isfinite(value) for *_, value in found):
            raise NoAnswerError("a counter that is no number")
        seen: dict[str, Any] = {}
        beats = [value for name, _, value in found if name == self._source.heartbeat]
        if beats:
            seen["evaluations"] = sum(beats)
        if self._source.history is not None:
            seen["fired"] = tuple(
                (_alert(labels), value)
                for name, labels, value in found
                if name == self._source.history and "alertname" in labels
            )
        return seen


def _alerts(page: bytes) -> dict[str, Any]:
    try:
        listed = read_json(page)["data"]["alerts"]
        by_state: dict[str, list[Alert]] = {"firing": [], "pending": []}
        for item in listed:
            if item["state"] in by_state:
                by_state[item["state"]].append(_alert(item["labels"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NoAnswerError(f"not Prometheus' form of alerts: {type(error).__name__} {error}") from None
    return {state: tuple(alerts) for state, alerts in by_state.items()}


def _alert(labels: dict[str, str]) -> Alert:
    return Alert(name=str(labels["alertname"]), labels={k: str(v) for k, v in labels.items() if k != "alertname"})
