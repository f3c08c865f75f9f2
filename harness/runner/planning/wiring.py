"""What a plan says of who uses whom, for the advice of its verdict: links, restart policies, probes, rules."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from harness.description.asked import service_at, services_asked
from harness.description.ties import names_of
from harness.model.httpprobes import HttpProbe, JsonProbe, MetricProbe, PromqlProbe
from harness.model.probekinds import ProbeSpec
from harness.model.stack import StackDescription
from harness.model.storeprobes import MongoProbe, RedisProbe
from harness.model.wiring import ProbeFacts, Wiring


def wiring_of(stack: StackDescription) -> Wiring:
    """Return what the description of a stack says of its links, probes and rules."""
    names = names_of(stack)
    return Wiring(
        links=tuple(link.name for link in stack.links),
        restart={service.name: service.restart for service in stack.services.values()},
        replicas={service.name: service.replicas for service in stack.services.values() if service.replicas > 1},
        probes={name: _probe(spec, names) for name, spec in stack.probes.items()},
        workload=service_at(stack.workload.url, names) if stack.workload is not None else None,
        keyspaces={name: spec.service for name, spec in stack.keyspaces.items()},
        datasets={name: spec.service for name, spec in stack.datasets.items()},
        sources={
            source.name: service
            for source in stack.alert_sources
            if source.url and (service := service_at(source.url, names)) is not None
        },
        rules={name: alert.rule for name, alert in stack.alerts.items() if alert.rule},
    )


def _probe(spec: ProbeSpec, names: Mapping[str, tuple[str, ...]]) -> ProbeFacts:
    named = services_asked(spec, names)
    return ProbeFacts(
        kind=spec.kind,
        services=tuple(name for name in names if name in named),
        health=spec.asks_health,
        page=_page(spec),
    )


def _page(spec: ProbeSpec) -> str:
    """Return what a probe asks for, without what may be a secret: no host, no user, no query of a URL."""
    match spec.settings:
        case MetricProbe(name=name, labels=labels):
            chosen = ", ".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
            return f"{name}{{{chosen}}}" if chosen else name
        case PromqlProbe(query=query):
            return query
        case RedisProbe(key=key, keys=keys, field=field, read=read):
            return " ".join(filter(None, (read, "of", key or keys, field)))
        case MongoProbe(collection=str(collection), field=field, read=read):
            return " ".join(filter(None, (read, "of", collection, field)))
        case HttpProbe(url=url, path=path) | JsonProbe(url=url, path=path):
            return urlsplit(url).path + (f": {path}" if path else "")
    return ""
