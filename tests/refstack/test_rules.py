"""Rules from condition to alert, and conditions from what was seen."""

from __future__ import annotations

import time

import pytest

from refstack import eventtime as et
from refstack.conditions import GRACE_S, all_conditions
from refstack.rules import RULES, AlertRule, Alerts, Condition
from refstack.schema import DELAY, ENTITIES, WEATHER
from refstack.world import ReplayClock, ScrapeTarget, World, parse_metrics

RULE = AlertRule("X", "page", for_s=0.5, keep_s=1.0, summary="x")
HELD = Condition("X", (("service", "s"),), 1.0)


def test_pending_firing_once_and_resolved_after_the_hold() -> None:
    alerts = Alerts({"X": RULE})
    assert alerts.evaluate([HELD], 0.0, 1e9) == []
    assert [item["state"] for item in alerts.listing()] == ["pending"]
    assert alerts.evaluate([HELD], 0.5, 1e9) == [HELD]
    assert alerts.evaluate([HELD], 0.6, 1e9) == []
    assert alerts.evaluate([], 1.5, 1e9) == []
    assert [item["state"] for item in alerts.listing()] == ["firing"]
    alerts.evaluate([], 1.7, 1e9)
    assert alerts.listing() == []


def test_a_condition_that_flickers_never_fires() -> None:
    alerts = Alerts({"X": RULE})
    for tick in range(20):
        assert alerts.evaluate([HELD] if tick % 2 else [], tick * 0.3, 1e9) == []


def test_a_rule_that_is_off_is_not_even_pending() -> None:
    alerts = Alerts({"X": RULE}, frozenset({"X"}))
    alerts.evaluate([HELD], 0.0, 1e9)
    assert alerts.listing() == []


def test_the_listing_is_prometheus_own_form() -> None:
    alerts = Alerts({"X": RULE})
    alerts.evaluate([HELD], 0.0, 0.0)
    (alert,) = alerts.listing()
    assert alert["labels"] == {"alertname": "X", "severity": "page", "service": "s"}
    assert alert["activeAt"] == "1970-01-01T00:00:00Z"
    assert alert["value"] == "1"


NAMES = (
    "replayer",
    "registry",
    "feature-pipeline",
    "label-joiner",
    "trainer",
    "worker-1",
    "worker-2",
    "server-1",
    "server-2",
    "gateway",
    "object-store",
    "online-store",
    "monitor",
)
NOON = et.parse("2013-06-14T12:00")


@pytest.fixture
def world() -> World:
    """A world in which all is well."""
    found = World({name: ScrapeTarget(name) for name in NAMES}, began_s=0.0)
    for target in found.targets.values():
        target.good({}, 100.0)
    found.clock = ReplayClock(NOON, time.time(), 3600.0)
    found.stamps = {group: dict.fromkeys(ENTITIES, NOON - 300) for group in (DELAY, WEATHER)}
    found.complete, found.ever_complete = dict.fromkeys(ENTITIES, True), True
    return found


def seen(world: World, now_s: float = 100.0) -> set[tuple[str, str]]:
    conditions = list(all_conditions(world, now_s))
    assert all(tuple(name for name, _ in c.labels) == RULES[c.alert].labels for c in conditions)
    return {(c.alert, dict(c.labels)["service"]) for c in conditions}


def test_all_well(world: World) -> None:
    assert seen(world) == set()


def test_each_lost_service_has_its_own_alert(world: World) -> None:
    for name in ("server-1", "worker-2", "trainer", "object-store"):
        world.targets[name].bad(100.0)
    assert seen(world) == {
        ("ReplicaDown", "server-1"),
        ("WorkerLost", "worker-2"),
        ("ServiceDown", "trainer"),
        ("ServiceDown", "object-store"),
    }


def test_what_has_never_been_there_has_time_to_start(world: World) -> None:
    world.targets["trainer"] = ScrapeTarget("trainer")
    world.targets["trainer"].bad(1.0)
    assert seen(world, GRACE_S - 1) == set()
    assert seen(world, GRACE_S + 1) == {("ServiceDown", "trainer")}


def test_one_stale_airport_is_enough(world: World) -> None:
    world.stamps = {**world.stamps, DELAY: {**world.stamps[DELAY], "LGA": NOON - 6000}}
    assert seen(world) == {("FeaturesStale", "feature-pipeline")}


def test_slow_storage_is_seen_by_mean_and_by_what_hangs(world: World) -> None:
    trainer = world.targets["trainer"] = ScrapeTarget("trainer")
    for tick, (seconds, count) in enumerate([(1.0, 100), (1.01, 102), (2.8, 104)]):
        trainer.good(
            {
                'object_store_request_seconds_sum{op="get"}': seconds,
                'object_store_request_seconds_count{op="get"}': count,
            },
            98.0 + tick,
        )
    assert seen(world) == {("ObjectStoreSlow", "trainer")}
    assert seen(world, 110.0) == set()
    trainer.good({"object_store_oldest_request_seconds": 0.45}, 110.0)
    assert seen(world, 110.0) == {("ObjectStoreSlow", "trainer")}


def test_a_counter_that_began_anew_is_not_slow(world: World) -> None:
    trainer = world.targets["trainer"] = ScrapeTarget("trainer")
    for tick, (seconds, count) in enumerate([(9.0, 100), (0.9, 2)]):
        trainer.good(
            {"object_store_request_seconds_sum": seconds, "object_store_request_seconds_count": count}, 99.0 + tick
        )
    assert seen(world) == set()


def test_content_coverage_learning_and_canaries(world: World) -> None:
    world.skewed, world.out_of_range = frozenset({(DELAY, "JFK")}), frozenset({DELAY})
    world.complete = {**world.complete, "JFK": False}
    world.corrupt_partitions = frozenset({"training/x"})
    world.canaries.extend([(99.5, False), (99.9, False)])
    world.targets["registry"].samples = {
        "registry_trained_until": et.advance(NOON, -9 * 3600),
        "registry_promoted_version": 4,
    }
    world.targets["server-2"].samples = {"server_model_version": 3}
    world.targets["label-joiner"].samples = {"joiner_due": 100, "joiner_missing": 60}
    assert seen(world) == {
        ("FeatureSkew", "feature-pipeline"),
        ("FeatureOutOfRange", "feature-pipeline"),
        ("FeatureCoverageLow", "feature-pipeline"),
        ("PartitionCorrupt", "label-joiner"),
        ("CanaryWrong", "gateway"),
        ("TrainingLagging", "trainer"),
        ("ModelStale", "server-2"),
        ("LabelJoinRateLow", "label-joiner"),
    }


def test_every_rule_can_come_to_be(world: World) -> None:
    test_content_coverage_learning_and_canaries(world)
    covered = {alert for alert, _ in seen(world)} | {
        "FeaturesStale",
        "ReplicaDown",
        "WorkerLost",
        "ServiceDown",
        "ObjectStoreSlow",
    }
    assert covered == set(RULES)


def test_samples_are_read_with_their_labels() -> None:
    text = '# HELP a b\na 1.0\nb{op="get"} 2\nb{op="put"} 3e-1\n'
    assert parse_metrics(text) == {"a": 1.0, 'b{op="get"}': 2.0, 'b{op="put"}': 0.3}
