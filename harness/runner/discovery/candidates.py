"""Probes that may be had of the services that were found, by kind; each is to be tried by `harness doctor`.

Only what can be asked without writing anything, and without a password that the files do not hold. A candidate says
which bound would be good of it, so that starting scenarios can use it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from harness.model.probekinds import ProbeSpec
from harness.runner.discovery.guesses import Found


@dataclass(frozen=True, slots=True)
class Candidate:
    """A probe: its name, what is written of it, the service that it is about, why, and the bound that is good."""

    name: str
    spec: Mapping[str, Any]
    service: str
    why: str
    good: Mapping[str, Any] = field(default_factory=dict)
    means: str = "up"
    """`up`, `age` or `count`: what scenarios can use it for."""


def candidates(services: Mapping[str, Found]) -> list[Candidate]:
    """Return the probes that may be had, in the order of the services; each fits the description's form."""
    found: dict[str, Candidate] = {}
    for service in services.values():
        if service.port is None:
            continue
        for candidate in (*_up(service), *_of_kind(service)):
            if _fits(candidate.spec):
                found.setdefault(candidate.name, candidate)
    return list(found.values())


def _fits(spec: Mapping[str, Any]) -> bool:
    try:
        ProbeSpec.model_validate(dict(spec))
    except ValidationError:
        return False
    return True


def name_of(service: str, ending: str) -> str:
    """Return a probe's name: the service's, and what is measured."""
    return f"{service.replace('-', '_')}_{ending}"


def _up(service: Found) -> Iterator[Candidate]:
    """An HTTP answer of the service's health path."""
    health = service.health.value if service.health is not None else {}
    path = health.get("http")
    if path is None:
        return
    url = f"http://{service.address}{path}"
    why = service.health.why if service.health is not None else ""
    yield Candidate(
        name_of(service.name, "up"),
        {"http": {"url": url}, "unit": "ratio", "summary": f"Whether {service.name} answers on {path}"},
        service.name,
        why,
        {"at_least": 1},
    )


def _of_kind(service: Found) -> Iterator[Candidate]:
    base = f"http://{service.address}"
    if service.kind.name == "prometheus":
        yield Candidate(
            "targets_up",
            {
                "json": {"url": f"{base}/api/v1/query?query=min(up)", "path": "data.result.0.value.1"},
                "summary": "1 while every target of Prometheus answers its scrapes",
            },
            service.name,
            "Prometheus keeps `up` for each of its targets",
            {"at_least": 1},
        )
    elif service.kind.name == "mlflow":
        url = f"{base}/api/2.0/mlflow/registered-models/search"
        yield Candidate(
            name_of(service.name, "model_version"),
            {
                "json": {"url": url, "path": "registered_models.0.latest_versions.0.version"},
                "summary": "The newest version of the first registered model",
            },
            service.name,
            "the registry's own API; with several models, name yours",
            {},
            "count",
        )
