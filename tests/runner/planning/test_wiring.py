"""What a plan says of who uses whom: links, probes, sources and rules, as the stack's description has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.description.stackfile import load_stack
from harness.model.wiring import Wiring
from harness.runner.planning.wiring import wiring_of

ROOT = Path(__file__).parents[3]
STACK = """\
name: shop
services:
  scorer:
    image: shop/scorer
    restart: unless-stopped
    environment: {FEATURES: "features:6379", MODELS: "models:9000"}
    x-harness: {port: 8000}
  features: {image: valkey/valkey, deploy: {replicas: 3}, x-harness: {port: 6379}}
  models:
    image: rclone/rclone
    environment: {CACHE: "features:6379"}
    x-harness: {port: 9000}
  records: {image: mongo, x-harness: {port: 27017}}
  prometheus: {image: prom/prometheus, x-harness: {port: 9090}}
x-harness:
  schema: 1
  stack: shop
  workload: {url: "http://scorer:8000/predict", requests: requests.jsonl, rate: 10/s}
  probes:
    ready: {http: {url: "http://user:pass@scorer:8000/ready?token=1", read: status}, summary: not of features}
    depth: {metric: {url: "http://features:6379/metrics", name: depth_total}}
    two: {http: {url: "http://scorer:8000/of/features"}}
    promoted: {json: {url: "http://models:9000/promoted", path: version}}
    failed: {metric: {url: "http://scorer:8000/metrics", name: runs_total, labels: {result: failed}}}
    waiting: {promql: {url: "http://prometheus:9090", query: "sum(rate(waiting[1m]))"}}
    queued: {redis: {service: features, key: jobs, read: length}}
    pending: {mongo: {url: "mongodb://u:pass@records/shop", collection: jobs, filter: {at: 1}, field: due, read: age}}
    alive: {mongo: {url: "mongodb://u:pass@records"}}
    content: {http: {url: "http://scorer:8000/predict", expect: {json: {score: 1}}}}
  alert_sources:
    - {kind: prometheus, url: "http://prometheus:9090"}
    - {kind: prometheus, url: "http://monitoring.example:9090"}
    - {kind: webhook, listen: "0.0.0.0:19093"}
  alerts:
    Slow: {rule: "rules.yml:4"}
    Other: {}
  keyspaces: {online: {service: features, prefix: "f:"}}
  datasets: {models: {service: models, bucket: ml, prefix: models/, access_key: a, secret_key: b}}
"""


@pytest.fixture(scope="module")
def wiring(tmp_path_factory: pytest.TempPathFactory) -> Wiring:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "requests.jsonl").write_text('{"body": {}}\n')
    file = folder / "compose.yaml"
    file.write_text(STACK)
    return wiring_of(load_stack(file))


def test_who_uses_whom_is_told_with_policies_and_data(wiring: Wiring) -> None:
    assert set(wiring.links) == {"scorer -> features", "scorer -> models", "models -> features"}
    assert wiring.workload == "scorer"
    assert (wiring.restart["scorer"], wiring.restart["features"]) == ("unless-stopped", "no")
    assert wiring.replicas == {"features": 3}
    assert (wiring.keyspaces, wiring.datasets) == ({"online": "features"}, {"models": "models"})
    assert wiring.rules == {"Slow": "rules.yml:4"}


def test_an_alert_source_leads_to_its_service_where_it_is_one_of_the_stack(wiring: Wiring) -> None:
    assert wiring.sources == {"http://prometheus:9090": "prometheus"}


def test_a_probe_asks_the_services_at_its_addresses(wiring: Wiring) -> None:
    asks = {name: probe.services for name, probe in wiring.probes.items()}
    assert asks == {
        "ready": ("scorer",), "depth": ("features",), "two": ("scorer",), "promoted": ("models",),
        "failed": ("scorer",), "waiting": ("prometheus",), "queued": ("features",), "content": ("scorer",),
        "pending": ("records",), "alive": ("records",),
    }  # fmt: skip
    assert [name for name, probe in wiring.probes.items() if probe.health] == ["ready", "two", "alive"]


def test_no_more_of_an_address_is_told_than_its_path(wiring: Wiring) -> None:
    assert (wiring.probes["ready"].page, wiring.probes["depth"].page) == ("/ready", "depth_total")
    assert "pass" not in wiring.model_dump_json()
    assert "token" not in wiring.model_dump_json()


def test_what_a_number_is_taken_from_is_told_with_what_it_selects(wiring: Wiring) -> None:
    pages = {name: wiring.probes[name].page for name in ("failed", "waiting", "queued", "promoted", "pending")}
    assert pages == {
        "failed": 'runs_total{result="failed"}',
        "waiting": "sum(rate(waiting[1m]))",
        "queued": "length of jobs",
        "promoted": "/promoted: version",
        "pending": "age of jobs due",
    }


def test_what_a_service_reaches_goes_over_others(wiring: Wiring) -> None:
    assert wiring.reaches("scorer", "features")
    assert not wiring.reaches("features", "scorer")
    assert not wiring.reaches("scorer", "scorer")
    assert wiring.only_directly("scorer", "models")
    assert not wiring.only_directly("scorer", "features")  # the models are read from there as well
    assert not wiring.only_directly("features", "models")


def test_the_reference_stack_is_told_as_it_is() -> None:
    told = wiring_of(load_stack(ROOT / "compose" / "compose.yaml"))
    assert told.workload == "gateway"
    assert {"gateway -> server-1", "gateway -> server-2", "server-1 -> online-store"} <= set(told.links)
    assert told.sources == {"http://monitor:18090": "monitor"}
    assert told.keyspaces["features"] == "online-store"
