"""Which probes show that work goes on, so that a scenario can rest on them, whoever named them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.faults.installed import Faults
from harness.onboarding.discovery.output import discover
from harness.onboarding.discovery.project import read_project
from harness.onboarding.discovery.rendering import STACK_FILE

COMPOSE = """\
services:
  kafka: {image: "apache/kafka:3.9.0", expose: [9092]}
  clicks:
    image: clicks
    command: [python, clicks.py]
    restart: always
    environment: {BROKER: "kafka:9092", GROUP_ID: clicks, TOPIC: events}
  db: {image: "postgres:16", expose: [5432]}
  cache: {image: "redis:7", expose: [6379]}
  feed:
    image: feed
    command: [python, feed.py]
    restart: always
    environment: {DB: "postgresql://u:p@db:5432/shop", CACHE: "redis://cache:6379"}
"""
LAG = "kafka_lag: {bootstrap: 'kafka:9092', group: clicks, topic: events}"
URL = "url: 'postgresql://u:p@db:5432/shop'"
KAFKA = {"store-slow-kafka", "store-hung-kafka", "store-lost-kafka", "producer-stopped-clicks", "producer-late-clicks"}
FEED = {"producer-late-feed"}


def written(folder: Path, name: str, probe: str, bound: str) -> set[str]:
    """Return the scenarios for a stack whose file has one probe, but for crashes, which need no work to show."""
    (folder / "compose.yaml").write_text(COMPOSE)
    (folder / STACK_FILE).write_text(
        "x-harness:\n  schema: 1\n  base: [compose.yaml]\n"
        f"  probes: {{{name}: {{{probe}}}}}\n  steady_state: [{{id: it, probe: {name}, {bound}}}]\n"
        "services:\n"
        "  kafka: {x-harness: {roles: [kafka], port: 9092}}\n  db: {x-harness: {roles: [postgres], port: 5432}}\n"
        "  cache: {x-harness: {roles: [redis], port: 6379}}\n"
    )
    found = discover(read_project(folder, ask_engine=False), folder, Faults(), standard=True)
    names = {Path(file).name.removesuffix(".scenario.yaml") for file in found.files}
    return {one for one in names if not one.startswith("producer-crashed-")}


@pytest.mark.parametrize("name", ["clicks_lag", "db_answers", "cache_keys", "its_own"])
@pytest.mark.parametrize(
    ("probe", "bound", "felt"),
    [
        (f"sql: {{{URL}, query: SELECT 1}}", "at_least: 1", set()),
        (f"sql: {{{URL}, query: SELECT count(*) FROM orders}}", "at_least: 1", FEED),
        ("redis: {service: cache, keys: '*', read: count}", "at_least: 0", set()),
        ("redis: {service: cache, keys: 'f:*', read: count}", "at_least: 1", FEED),
        ("tcp: {service: feed, port: 80}", "at_least: 1", set()),
    ],
)
def test_work_is_shown_by_what_is_asked_and_not_by_a_name(
    tmp_path: Path, name: str, probe: str, bound: str, felt: set[str]
) -> None:
    assert written(tmp_path, name, probe, bound) == felt


def test_a_lag_shows_the_work_of_its_consumer(tmp_path: Path) -> None:
    assert written(tmp_path, "clicks_lag", LAG, "at_most: 100") == KAFKA
