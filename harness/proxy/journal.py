"""What the proxy did, for GET /journal and GET /metrics: events in order, and what each toxic did to how many bytes.

A client confirms its faults by these counts. Both lists are bounded; events are numbered, so that a reader
notices gaps.
"""

import collections
import time
from collections.abc import Mapping
from typing import Any

from harness.proxy.proxy import Proxy
from harness.proxy.toxic import DOWNSTREAM, UPSTREAM, Toxic

EVENTS_KEPT = 2000
PAST_TOXICS_KEPT = 200
METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_TOXIC_METRICS = (
    # name in the counts, name of the metric, help
    ("connections", "connections_total", "Connections that the toxic affected."),
    ("connections_spared", "connections_spared_total", "Connections that its toxicity spared."),
    ("connections_touched", "connections_touched_total", "Connections on which it had an effect."),
    ("bytes_delayed", "delayed_bytes_total", "Bytes it delayed."),
    ("bytes_dropped", "dropped_bytes_total", "Bytes it dropped."),
    ("bits_flipped", "flipped_bits_total", "Bits it flipped."),
    ("closes", "closes_total", "Connections it closed."),
    ("resets", "resets_total", "Connections it reset."),
    ("delays", "delays_total", "Number of delays it added."),
)


class ProxyJournal:
    """Events and counts, in memory."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.started_unix = time.time()
        self._started = time.monotonic()
        self._number = 0
        self._events: collections.deque[dict[str, Any]] = collections.deque(maxlen=EVENTS_KEPT)
        self._past: collections.deque[dict[str, Any]] = collections.deque(maxlen=PAST_TOXICS_KEPT)
        self._added: dict[Toxic, float] = {}

    def now_s(self) -> float:
        return round(time.monotonic() - self._started, 6)

    def record(self, event: str, **fields: Any) -> None:
        self._number += 1
        self._events.append({"seq": self._number, "at_s": self.now_s(), "event": event, **fields})

    def toxic_added(self, proxy: str, toxic: Toxic) -> None:
        self._added[toxic] = self.now_s()
        self.record("toxic_added", proxy=proxy, **toxic.as_json())

    def toxic_removed(self, proxy: str, toxic: Toxic, reason: str) -> None:
        self.record("toxic_removed", proxy=proxy, name=toxic.name, why=reason)
        self._past.append({**self._toxic(proxy, toxic), "removed_s": self.now_s(), "removed_because": reason})
        self._added.pop(toxic, None)

    def as_json(self, proxies: Mapping[str, Proxy], since: int = 0) -> dict[str, Any]:
        present = [
            {**self._toxic(name, toxic), "removed_s": None, "removed_because": None}
            for name, proxy in sorted(proxies.items())
            for toxic in proxy.ordered_toxics()
        ]
        return {
            "schema": 1,
            "seed": self.seed,
            "started_unix": self.started_unix,
            "now_s": self.now_s(),
            "proxies": {name: _proxy_counts(proxy) for name, proxy in sorted(proxies.items())},
            "toxics": [*self._past, *present],
            "events": [event for event in self._events if event["seq"] > since],
        }

    def _toxic(self, proxy: str, toxic: Toxic) -> dict[str, Any]:
        return {"proxy": proxy, **toxic.as_json(), "added_s": self._added.get(toxic), "did": toxic.counts.as_json()}


def _proxy_counts(proxy: Proxy) -> dict[str, Any]:
    counts: dict[str, Any] = {
        "connections": proxy.accepted,
        "connections_open": len(proxy.connections),
        "dials_failed": proxy.dials_failed,
    }
    for direction in (UPSTREAM, DOWNSTREAM):
        received, sent = proxy.moved_bytes(direction)
        counts[direction] = {"received_bytes": received, "sent_bytes": sent}
    return counts


def metrics(proxies: Mapping[str, Proxy]) -> str:
    """The counts in Prometheus' text format: Toxiproxy's two of bytes under the same names, and ours."""
    lines: list[str] = []
    moved = [
        (_labels(direction=direction, proxy=proxy.name, listener=proxy.listen, upstream=proxy.upstream), *counts)
        for proxy in proxies.values()
        for direction in (UPSTREAM, DOWNSTREAM)
        if any(counts := proxy.moved_bytes(direction))
    ]
    _family(lines, "toxiproxy_proxy_received_bytes_total", "counter", "", [(row[0], row[1]) for row in moved])
    _family(lines, "toxiproxy_proxy_sent_bytes_total", "counter", "", [(row[0], row[2]) for row in moved])
    for name, kind in (("connections", "counter"), ("connections_open", "gauge"), ("dials_failed", "counter")):
        rows = [(_labels(proxy=proxy.name), _proxy_counts(proxy)[name]) for proxy in proxies.values()]
        _family(lines, f"harness_proxy_{name}{'_total' * (kind == 'counter')}", kind, "", rows)
    toxics = [
        (_labels(proxy=proxy.name, toxic=toxic.name, type=toxic.type, stream=toxic.stream), toxic.counts)
        for proxy in proxies.values()
        for toxic in proxy.ordered_toxics()
    ]
    for key, name, help_text in _TOXIC_METRICS:
        rows = [(labels, counts.as_json()[key]) for labels, counts in toxics]
        _family(lines, f"harness_proxy_toxic_{name}", "counter", help_text, rows)
    delays = [(labels, round(counts.delay_sum_s, 6)) for labels, counts in toxics]
    _family(lines, "harness_proxy_toxic_delay_seconds_total", "counter", "Sum of the measured delays.", delays)
    return "\n".join(lines) + "\n"


def _family(lines: list[str], name: str, kind: str, help_text: str, rows: list[tuple[str, Any]]) -> None:
    if rows:
        lines += [f"# HELP {name} {help_text}".rstrip(), f"# TYPE {name} {kind}"]
        lines += [f"{name}{labels} {value}" for labels, value in rows]


def _labels(**labels: str) -> str:
    pairs = []
    for name, value in sorted(labels.items()):
        escaped = value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
        pairs.append(f'{name}="{escaped}"')
    return "{" + ",".join(pairs) + "}"
