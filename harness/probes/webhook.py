"""Alerts that come by themselves: an address on which Alertmanager's and Grafana's webhooks are taken.

Alertmanager and Grafana's alerting send the same form, a list of alerts that fire or are resolved; Grafana's older
format has one rule. What fires is known from what came: an alert fires until it is reported as resolved. That
notifications arrive at all is proven by a watchdog alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aiohttp import web

from harness.journal.clock import Clock
from harness.model.alertsources import AlertSource
from harness.model.errors import ProbeError
from harness.model.eventtime import parse_timestamp
from harness.model.readings import Alert, AlertsSeen, Gap
from harness.model.secrets import reveal
from harness.probes.alert_poller import AlertPoller
from harness.probes.reader import short_reason
from harness.probes.strict_json import read_json

LARGEST_BYTES = 4 * 2**20
_OLD_STATES = {"alerting": True, "ok": False, "no_data": False, "paused": False}


class WebhookAlerts(AlertPoller):
    """One source, which listens."""

    def __init__(self, source: AlertSource, clock: Clock, record: Callable[[AlertsSeen | Gap], object]) -> None:
        super().__init__(source, clock, record)
        self._token = None if source.token is None else reveal(source.token)
        self._runner: web.AppRunner | None = None
        self._firing: dict[str, Alert] = {}
        self._fired: dict[str, tuple[Alert, int]] = {}
        self._begun: dict[str, float | None] = {}
        """The start of what fires, by the sender's clock alone: that of this machine may be set meanwhile."""
        self._watched = 0
        self.refused: str | None = None
        """What was wrong with the last notification that was not taken, until the next poll."""

    async def start(self) -> None:
        """Listen. Raises ProbeError where the address cannot be bound."""
        host, _, port = str(self._source.listen).rpartition(":")
        app = web.Application(client_max_size=LARGEST_BYTES)
        app.router.add_route("*", "/{path:.*}", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host.strip("[]"), int(port)).start()
        except OSError as error:
            await self.close()
            remedy = "one run at a time can listen there: use -j 1, end the other one, or give `listen` another port"
            raise ProbeError(
                f"no webhook can listen on {self._source.listen}: {error.strerror}", remedy=remedy
            ) from None

    async def close(self) -> None:
        """Listen no more. Idempotent."""
        runner, self._runner = self._runner, None
        if runner is not None:
            with contextlib.suppress(asyncio.TimeoutError):
                await runner.cleanup()

    async def _take(self, request: web.Request) -> web.StreamResponse:
        if request.method not in ("POST", "PUT"):
            return web.Response(text="alerts are taken here, by POST\n")
        if self._token is not None and request.headers.get("Authorization") != f"Bearer {self._token}":
            self.refused = "a notification without the token"
            return web.Response(status=401)
        try:
            content = read_json(await request.read())
            changes = list(_changes(content))
            known = [(self._alert(labels, begun), begun, firing) for labels, begun, firing in changes]
        except web.HTTPException as refusal:
            self.refused = f"a notification that cannot be taken: {refusal.reason}"
            raise
        except (ValueError, KeyError, TypeError, AttributeError, web.RequestPayloadError) as error:
            self.refused = f"not a notification of Alertmanager or Grafana: {type(error).__name__} {error}"
            return web.Response(status=400, text=f"{self.refused}\n")
        for alert, begun, firing in known:
            self._change(alert, begun, firing)
        left_out = content.get("truncatedAlerts")
        if left_out:
            self.refused = f"{left_out} alerts were left out of a notification (truncatedAlerts): send all of them"
        return web.Response()

    def _change(self, alert: Alert, begun: float | None, firing: bool) -> None:
        if alert.name in self._source.watchdog and firing:
            self._watched += 1
        if not firing:
            self._firing.pop(alert.key, None)
            return
        # An alert that is reported again with another start was resolved meanwhile, without a notification.
        if alert.key not in self._firing or _again(self._begun[alert.key], begun):
            self._fired[alert.key] = (alert, self._fired.get(alert.key, (alert, 0))[1] + 1)
            self._firing[alert.key], self._begun[alert.key] = alert, begun

    async def _look(self) -> dict[str, Any]:
        seen: dict[str, Any] = {
            "firing": tuple(self._firing.values()),
            "fired": tuple((alert, float(count)) for alert, count in self._fired.values()),
            "delivered": True,
        }
        if self.refused is not None:
            seen["refused"], self.refused = short_reason(self.refused), None
        if self._source.watchdog:
            seen |= {"evaluations": float(self._watched), "interval_s": self._source.watchdog_every_s}
        return seen


def _again(before: float | None, now: float | None) -> bool:
    """Whether an alert that fires already has begun anew, or may have: without its start, nothing shows the opposite.

    The judge takes such a firing for no more than a possible one.
    """
    return before is None or now is None or now - before > 1.0


def _changes(response: Any) -> Iterator[tuple[Mapping[str, Any], float | None, bool]]:
    """Yield labels, start (Unix time) and whether it fires, of each alert in a notification. Raises ValueError, and
    others.
    """
    if "alerts" in response:
        if not isinstance(response["alerts"], list):
            raise TypeError("a list of alerts is needed")
        for alert in response["alerts"]:
            status = alert["status"]
            if status not in ("firing", "resolved"):
                raise ValueError(f"an alert that is neither firing nor resolved, but {status!r}")
            yield alert["labels"], _moment(alert.get("startsAt")), status == "firing"
        return
    state = str(response["state"])
    if state == "pending":
        return
    if state not in _OLD_STATES:
        raise ValueError(f"the state {state!r} is none of Grafana's")
    yield {**(response.get("tags") or {}), "alertname": response["ruleName"]}, None, _OLD_STATES[state]


def _moment(stamp: Any) -> float | None:
    """Return a start as Unix time; None where there is none. A moment before 1970 is how Go writes none."""
    try:
        unix = 0.0 if stamp is None else parse_timestamp(stamp)
    except (ValueError, OverflowError):
        return None
    return unix if unix > 0 else None
