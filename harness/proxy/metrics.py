"""The counts in Prometheus' text form: Toxiproxy's two of bytes by the same names, and ours of what the toxics did."""

from typing import Any

from harness.proxy.registry import Registry
from harness.proxy.toxic import DOWNSTREAM, UPSTREAM

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_OF_TOXICS = (
    # name in the tally, name of the metric, help
    ("connections", "connections_total", "Connections that the toxic struck."),
    ("connections_spared", "connections_spared_total", "Connections that its toxicity spared."),
    ("connections_touched", "connections_touched_total", "Connections to which it really did something."),
    ("bytes_delayed", "delayed_bytes_total", "Bytes it held back."),
    ("bytes_dropped", "dropped_bytes_total", "Bytes it threw away."),
    ("bits_flipped", "flipped_bits_total", "Bits it flipped."),
    ("closes", "closes_total", "Connections it closed."),
    ("resets", "resets_total", "Connections it reset."),
    ("delays", "delays_total", "Times it held something back."),
)


def text(registry: Registry) -> str:
    """The whole page."""
    lines: list[str] = []
    moved = [
        (_labels(direction=direction, proxy=proxy.name, listener=proxy.listen, upstream=proxy.upstream), *counts)
        for proxy in registry.proxies.values()
        for direction in (UPSTREAM, DOWNSTREAM)
        if any(counts := proxy.moved_bytes(direction))
    ]
    _family(lines, "toxiproxy_proxy_received_bytes_total", "counter", "", [(row[0], row[1]) for row in moved])
    _family(lines, "toxiproxy_proxy_sent_bytes_total", "counter", "", [(row[0], row[2]) for row in moved])
    proxies = registry.proxies.values()
    for name, kind, value in (
        ("connections_total", "counter", lambda proxy: proxy.accepted),
        ("connections_open", "gauge", lambda proxy: len(proxy.connections)),
        ("dials_failed_total", "counter", lambda proxy: proxy.dials_failed),
    ):
        rows = [(_labels(proxy=proxy.name), value(proxy)) for proxy in proxies]
        _family(lines, f"harness_proxy_{name}", kind, "", rows)
    toxics = [
        (_labels(proxy=proxy.name, toxic=toxic.name, type=toxic.type, stream=toxic.stream), toxic.tally)
        for proxy in proxies
        for toxic in proxy.ordered_toxics()
    ]
    for key, name, told in _OF_TOXICS:
        rows = [(labels, tally.shown()[key]) for labels, tally in toxics]
        _family(lines, f"harness_proxy_toxic_{name}", "counter", told, rows)
    delays = [(labels, round(tally.delay_sum_s, 6)) for labels, tally in toxics]
    _family(lines, "harness_proxy_toxic_delay_seconds_total", "counter", "Sum of the delays really added.", delays)
    return "\n".join(lines) + "\n"


def _family(lines: list[str], name: str, kind: str, told: str, rows: list[tuple[str, Any]]) -> None:
    if rows:
        lines += [f"# HELP {name} {told}".rstrip(), f"# TYPE {name} {kind}"]
        lines += [f"{name}{labels} {value}" for labels, value in rows]


def _labels(**labels: str) -> str:
    shown = []
    for name, value in sorted(labels.items()):
        safe = value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
        shown.append(f'{name}="{safe}"')
    return "{" + ",".join(shown) + "}"
