"""Which services a probe asks: those at its addresses, whatever its queries and keys are called."""

from __future__ import annotations

from typing import Any

import pytest

from harness.description.asked import service_at, services_asked
from harness.model.probekinds import ProbeSpec

NAMES = {name: (name,) for name in ("db", "trips", "features", "artifacts", "scorer", "prometheus", "trainer", "bus")}
NAMES["features"] = ("features", "valkey.internal")


@pytest.mark.parametrize(
    ("probe", "asked"),
    [
        ({"redis": {"service": "features", "keys": "trips:*", "field": "at", "read": "age", "db": 0}}, {"features"}),
        ({"redis": {"url": "redis://:trips@valkey.internal:6379/0", "key": "db"}}, {"features"}),
        (
            {"sql": {"url": "postgresql://trips:${PASSWORD}@db:5432/trips", "query": "SELECT max(at) FROM trips"}},
            {"db"},
        ),
        ({"s3": {"service": "artifacts", "bucket": "features", "prefix": "scorer/", "read": "age"}}, {"artifacts"}),
        ({"http": {"url": "http://scorer:8000/features", "body": {"ask": "http://db"}}}, {"scorer"}),
        ({"metric": {"url": "http://trainer:9100/metrics", "name": "trips_total"}}, {"trainer"}),
        ({"promql": {"url": "http://prometheus:9090", "query": 'up{job="trainer"}'}}, {"prometheus", "trainer"}),
        ({"mongo": {"url": "mongodb://trips:p@db:27017/features"}}, {"db"}),
        ({"kafka_lag": {"bootstrap": "bus:9092", "group": "scorer", "topic": "trips"}}, {"bus"}),
        ({"tcp": {"address": "bus:9092"}}, {"bus"}),
        ({"container": {"service": "trips", "read": "up"}}, {"trips"}),
        ({"log": {"service": "trips", "pattern": "scorer failed"}}, {"trips"}),
        ({"command": {"argv": ["lag-of", "bus", "trips"]}}, {"bus", "trips"}),
        ({"http": {"url": "http://elsewhere/scorer"}}, set()),
    ],
)
def test_a_probe_asks_who_is_at_its_addresses(probe: dict[str, Any], asked: set[str]) -> None:
    assert services_asked(ProbeSpec.model_validate(probe), NAMES) == asked


PLACES = {"Gateway": ("Gateway", "front"), "redis": ("redis", "10.0.0.5")}


@pytest.mark.parametrize(
    ("url", "service"),
    [
        ("http://Gateway:8000/predict", "Gateway"),
        ("http://front/redis?store=redis", "Gateway"),
        ("http://redis:secret@front/", "Gateway"),
        ("redis://10.0.0.5:6379", "redis"),
        ("http://example.org/redis", None),
        ("http://[::1/redis", None),
        ("", None),
    ],
)
def test_the_service_at_an_address(url: str, service: str | None) -> None:
    assert service_at(url, PLACES) == service
