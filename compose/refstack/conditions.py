"""The rules' conditions, read off the monitor's picture of the world: one function a family of rules.

A condition is evaluated at one moment; the rule defines how long it must last.
"""

from __future__ import annotations

from collections.abc import Iterator

from refstack.eventtime import age
from refstack.rules import Condition
from refstack.schema import FRESH_S
from refstack.world import ScrapeTarget, World

GRACE_S = 6.0
LAG_S = 8 * 3600
SLOW_S = 0.2
STUCK_S = 0.4
JOIN_SHARE = 0.5
JOIN_LEAST = 50


def kind_of(name: str) -> tuple[str, str]:
    """The alert of a service that is gone, and the label that names it."""
    if name.startswith("server-"):
        return "ReplicaDown", "replica"
    if name.startswith("worker-"):
        return "WorkerLost", "worker"
    return "ServiceDown", "service"


def gone(world: World, now_s: float) -> Iterator[Condition]:
    for target in world.targets.values():
        if target.failed_since_s is None:
            continue
        if target.seen_s is None and now_s - world.began_s < GRACE_S:
            continue
        alert, label = kind_of(target.name)
        labels = tuple(sorted({label: target.name, "service": target.name}.items()))
        yield Condition(alert, labels, now_s - target.failed_since_s)


def freshness(world: World) -> Iterator[Condition]:
    now = world.clock.now()
    if now is None:
        return
    for group, stamps in world.stamps.items():
        oldest_s = max((age(now, stamp) for stamp in stamps.values()), default=0)
        if oldest_s > FRESH_S[group]:
            yield Condition("FeaturesStale", (("group", group), ("service", "feature-pipeline")), oldest_s)


def content(world: World) -> Iterator[Condition]:
    for name in sorted(world.out_of_range):
        yield Condition("FeatureOutOfRange", (("feature", name), ("service", "feature-pipeline")), 1)
    for group in sorted({group for group, _ in world.skewed}):
        wrong = sum(1 for pair in world.skewed if pair[0] == group)
        yield Condition("FeatureSkew", (("group", group), ("service", "feature-pipeline"), ("store", "online")), wrong)
    for group in sorted(world.offline_skewed):
        yield Condition("FeatureSkew", (("group", group), ("service", "feature-pipeline"), ("store", "offline")), 1)
    missing = sum(not complete for complete in world.complete.values())
    if missing and world.ever_complete:
        yield Condition("FeatureCoverageLow", (("service", "feature-pipeline"),), 1 - missing / len(world.complete))


def learning(world: World) -> Iterator[Condition]:
    registry, joiner = world.targets["registry"], world.targets["label-joiner"]
    now, until = world.clock.now(), registry.samples.get("registry_trained_until")
    if now is not None and until and age(now, int(until)) > LAG_S:
        yield Condition("TrainingLagging", (("service", "trainer"),), age(now, int(until)))
    due, missing = joiner.samples.get("joiner_due", 0), joiner.samples.get("joiner_missing", 0)
    if due >= JOIN_LEAST and missing / due > JOIN_SHARE:
        yield Condition("LabelJoinRateLow", (("service", "label-joiner"),), 1 - missing / due)
    promoted = registry.samples.get("registry_promoted_version")
    for target in world.targets.values():
        version = target.samples.get("server_model_version")
        if promoted and version and version != promoted and target.failed_since_s is None:
            yield Condition("ModelStale", (("replica", target.name), ("service", target.name)), version)
    corrupt = len(world.corrupt_partitions)
    corrupt = max(corrupt, int(world.targets["trainer"].samples.get("trainer_corrupt_partitions", 0)))
    if corrupt:
        yield Condition("PartitionCorrupt", (("service", "label-joiner"),), corrupt)


def storage(world: World, now_s: float) -> Iterator[Condition]:
    for target in world.targets.values():
        if (value := _slow_s(target, now_s)) is not None:
            yield Condition("ObjectStoreSlow", (("service", target.name),), value)


def _slow_s(target: ScrapeTarget, now_s: float) -> float | None:
    if target.failed_since_s is not None:
        return None
    stuck_s = target.samples.get("object_store_oldest_request_seconds", 0.0)
    mean_s, count = target.storage_mean_s(now_s)
    if stuck_s > STUCK_S:
        return stuck_s
    return mean_s if count >= 2 and mean_s > SLOW_S else None


def canaries(world: World, now_s: float) -> Iterator[Condition]:
    wrong = sum(not good for at_s, good in list(world.canaries) if now_s - at_s < 2.5)
    if wrong >= 2:
        yield Condition("CanaryWrong", (("service", "gateway"),), wrong)


def all_conditions(world: World, now_s: float) -> Iterator[Condition]:
    yield from gone(world, now_s)
    yield from freshness(world)
    yield from content(world)
    yield from learning(world)
    yield from storage(world, now_s)
    yield from canaries(world, now_s)
