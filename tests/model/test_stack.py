"""The stack description as records: what is derived from it, and what it refuses by itself."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from harness.model.fields import Link
from harness.model.httpprobes import MetricProbe
from harness.model.probekinds import ProbeSpec
from harness.model.stack import (
    Health,
    LocalCommand,
    ServiceSpec,
    StackDescription,
    StackFields,
    reference_pattern,
    references,
)
from harness.model.units import Unit

SERVICES = {"web": 1, "web-2": 1, "a.b": 1}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("http://web:80/x", [("web", 80)]),
        ("web-2:80", [("web-2", 80)]),
        ("my-web:80 web:x web: 80", []),
        ("user:pass@web:80,web-2:81", [("web", 80), ("web-2", 81)]),
        ("a.b:1 axb:1", [("a.b", 1)]),
        ("web:800000", []),
        ("redis://web:6379/0", [("web", 6379)]),
    ],
)
def test_references(text: str, found: list[tuple[str, int]]) -> None:
    assert references(text, SERVICES) == found


def test_the_longer_name_wins() -> None:
    assert reference_pattern(SERVICES).findall("web-2:1") == [("web-2", "1")]


def stack(**services: ServiceSpec) -> StackDescription:
    fields = StackFields.model_validate({"schema": 1})
    return StackDescription.model_construct(**dict(fields), name="s", file="f", services=services)


def test_links_and_nodes() -> None:
    described = stack(
        web=ServiceSpec(name="web", index=0, node="a", port=80, environment={"DB": "db:5432", "SELF": "web:80"}),
        db=ServiceSpec(name="db", index=1, node="b", port=5432, local=LocalCommand(command=("db", "--peer", "web:81"))),
        job=ServiceSpec(name="job", index=2, node="a", local=LocalCommand(environment={"UP": "http://web:80"})),
    )
    assert described.links == (Link("web", "db"), Link("db", "web"), Link("job", "web"))
    assert described.ports_of(Link("db", "web")) == (80, 81), "the declared one first, then what the consumer names"
    assert described.ports_of(Link("job", "web")) == (80,)
    assert described.nodes == {"a": ("web", "job"), "b": ("db",)}
    assert Link("web", "db").name == "web -> db"


def test_the_local_command_is_preferred() -> None:
    both = ServiceSpec(name="a", index=0, node="a", command=("x",), local=LocalCommand(command=("y",)))
    assert both.local_command == ("y",)
    assert ServiceSpec(name="a", index=0, node="a", command=("x",)).local_command == ("x",)
    assert ServiceSpec(name="a", index=0, node="a").local_command is None


def test_health_is_one_of_two() -> None:
    assert Health(http="/x").http == "/x"
    for wrong in ({}, {"http": "/x", "tcp": True}, {"http": "x"}, {"tcp": False}):
        with pytest.raises(ValidationError):
            Health.model_validate(wrong)


def test_a_probe_is_its_kind() -> None:
    spec = ProbeSpec.model_validate({"metric": {"url": "http://m:1/metrics", "name": "n"}, "unit": "ratio"})
    assert (spec.kind, spec.settings, spec.unit) == (
        "metric",
        MetricProbe(url="http://m:1/metrics", name="n"),
        Unit.RATIO,
    )
    assert ProbeSpec.model_validate(spec) == spec
    age = ProbeSpec.model_validate({"json": {"url": "http://m:1", "path": "t", "as": "event_age"}})
    assert age.unit is Unit.EVENT, "an age by the event clock is event time"
    with pytest.raises(ValidationError, match="unknown kind of probe 'metrics': did you mean 'metric'"):
        ProbeSpec.model_validate({"metrics": {}})
    with pytest.raises(ValidationError) as caught:
        ProbeSpec.model_validate({"json": {"url": "nowhere", "path": "t"}})
    assert caught.value.errors()[0]["loc"] == ("json", "url")


def test_records_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Health(tcp=True).tcp = False
