"""Every alert source of a stack, ready to be polled."""

from __future__ import annotations

from collections.abc import Callable

import aiohttp

from harness.model.backend import Backend
from harness.model.readings import AlertsSeen
from harness.model.stack import AlertSource, StackDescription
from harness.probes.alert_poller import AlertPoller
from harness.probes.http import access_headers
from harness.probes.polling import DEADLINE_S, Clock
from harness.probes.prometheus_alerts import AlertmanagerAlerts, PrometheusAlerts
from harness.probes.reader import ProbeContext


def source_pollers(
    stack: StackDescription,
    backend: Backend,
    session: aiohttp.ClientSession,
    clock: Clock,
    record: Callable[[AlertsSeen], object],
) -> list[AlertPoller]:
    """Return what polls each source, in the stack's order; each must be started. Raises HarnessError."""
    around = ProbeContext(backend, stack, session, DEADLINE_S)
    return [_poller(source, around, clock, record) for source in stack.alert_sources]


def _poller(
    source: AlertSource, around: ProbeContext, clock: Clock, record: Callable[[AlertsSeen], object]
) -> AlertPoller:
    if source.kind == "webhook":
        from harness.probes.webhook import WebhookAlerts  # a web server, which no other kind needs

        return WebhookAlerts(source, clock, record)
    kind = AlertmanagerAlerts if source.kind == "alertmanager" else PrometheusAlerts
    url = around.reachable(source.url)
    return kind(around.session, source, url, clock, record, access_headers(source))
