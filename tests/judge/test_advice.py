"""Advice: each guard by a run that shows it to be missing, and by one that nearly does and must not give it."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from journals import CROWDED, POISONED, SLOW, Run, good_run

from harness.faults.table import FAULTS
from harness.judge.advice import proof_of
from harness.judge.advice.case import AWAY, ENDED, FEATURES, LATE, ON_LINKS
from harness.judge.advice.guards import GUARDS
from harness.judge.reloading import OBJECTS
from harness.model.advice import Advice
from harness.model.plan import Plan

LINKS = ["scorer -> features", "gateway -> scorer", "retrainer -> features", "scorer -> models", "retrainer -> models"]
HEALTHY = {"kind": "http", "services": ["scorer"], "health": True, "page": "/ready"}
PROBES = {
    "ready": HEALTHY,
    "store_up": {"kind": "redis", "services": ["features"]},
    "scorer_up": HEALTHY,
    "model_age": {"kind": "json", "services": ["models"], "page": "/promoted"},
    "last_run_age": {"kind": "metric", "services": ["retrainer"], "page": "retrainer_last_run_seconds"},
    "lag": {"kind": "metric", "services": ["retrainer"], "page": "lag"},
}
WIRING: dict[str, Any] = {
    "links": LINKS,
    "restart": {"scorer": "no", "features": "always", "retrainer": "unless-stopped"},
    "probes": PROBES,
    "workload": "scorer",
    "keyspaces": {"online": "features"},
    "datasets": {"models": "models"},
    "sources": {"monitor": "prometheus"},
    "rules": {SLOW: "prometheus/rules.yml:12"},
}
SERVICES = {"scorer": "b", "features": "a", "gateway": "b", "retrainer": "c", "models": "a", "prometheus": "d"}
UNITS = {"model_age": "event", "last_run_age": "wall", "lag": "number", "store_up": "number"}
HUNG = {"ok": False, "error": "no answer within 1 s"}
REFUSED = {"ok": False, "error": "status 503"}
WRONG = {"wrong": True}
UP = {"id": "up", "probe": "availability", "at_least": 0.99, "over": "2s", "min_samples": 20}
RIGHT = {"id": "right", "probe": "silent_wrong_answers", "at_most": 0.01, "over": "2s", "min_samples": 20}
SEEN = {"id": "seen", "alert": SLOW, "within": "6s"}
AGAIN = {"id": "again", "probe": "scorer_up", "at_least": 1, "within": "4s", "hold": "2s"}
SAYS_NO = {"id": "says-no", "probe": "ready", "equals": 200, "within": "5s"}


def run(kind: str, target: Mapping[str, Any], expect: Mapping[str, Any], **given: Any) -> Run:
    """A run with one fault on the toy stack of this page."""
    made = Run(expect, **{"guarantees": (), **{k: v for k, v in given.items() if k in ("guarantees", "rules", "twin")}})
    step = {"fault": kind, "target": dict(target), "with": given.get("parameters", {})}
    made.plan["scenario"]["timeline"][0].update(step)
    stack = {"services": SERVICES, "wiring": copy.deepcopy(WIRING), "probe_units": UNITS, "alert_sources": ["monitor"]}
    made.plan["stack"].update(stack)
    made.plan["file"] = "scenarios/hung.scenario.yaml"
    return made.gate().fault()


def paused(expect: Mapping[str, Any], service: str = "features", kind: str = "container.pause", **given: Any) -> Run:
    return run(kind, {"service": service}, expect, **given)


def wired(made: Run, **changes: Any) -> Run:
    made.plan["stack"]["wiring"].update(changes)
    return made


def advised(made: Run) -> dict[str, Advice]:
    verdict = made.judged()
    assert not [reason for reason in verdict.reasons if reason.startswith("no advice")]
    assert verdict.value == "fail", verdict.reasons
    return {one.id: one for one in verdict.advice}


def hung(*bad: Any, links: list[str] = LINKS, kind: str = "container.pause", **given: Any) -> Run:
    return wired(paused({"stays": [UP]}, kind=kind, **given), links=links).answers(*bad).end()


def slow(latency: str) -> Run:
    made = run("network.latency", {"service": "features"}, {"stays": [UP]}, parameters={"latency": latency})
    return made.answers((5.5, 11.0, HUNG)).end()


def asked_probe(why: str) -> Run:
    made = paused({"stays": [{"id": "up", "probe": "scorer_up", "at_least": 1}]})
    made.readings("scorer_up", 1.0, skip=[(5.5, 11.0)])
    for k in range(5):
        t = 5.5 + k
        made.add(t + 1, "reading", probe="scorer_up", planned_s=t, asked_s=t, answered_s=t + 1, value=None, down=why)
    return made.end()


def dies(signal: int | None = None, exit_code: int | None = 1, service: str = "scorer", at_s: float = 7.0) -> Run:
    return paused({}).dies(service, at_s, signal=signal, exit_code=exit_code).end()


def unrestarted(policy: str = "no", again_s: float | None = None, asked: str = "scorer_up") -> Run:
    clause = AGAIN | {"from": "injection", "probe": asked}
    made = wired(paused({"recovered": [clause]}, "scorer", "container.kill"), restart={"scorer": policy})
    made.dies("scorer", 5.1, asked="harness").readings(asked, 1.0, down=[(5.2, 30.0)])
    if again_s is not None:
        made.add(again_s, "process", service="scorer", what="restarted", at_s=again_s)
    return made.end()


def slow_start(began_s: float = 6.0, again_s: float = 11.0, dies_s: float | None = None) -> Run:
    made = unrestarted("always", began_s)
    made.lines = [line for line in made.lines if line[1]["kind"] not in ("reading", "phase", "closed")]
    if dies_s is not None:
        made.dies("scorer", dies_s).add(dies_s + 1, "process", service="scorer", what="restarted", at_s=dies_s + 1)
    return made.readings("scorer_up", 1.0, down=[(5.2, again_s)]).end()


def replicas(*bad: Any, total: int = 2, workload: str = "gateway", part: Mapping[str, Any] | None = None) -> Run:
    made = run("container.pause", {"service": "scorer"} | dict(part or {"replica": 1}), {"stays": [UP]})
    return wired(made, workload=workload, replicas={"scorer": total}).answers(*bad).end()


def every(share: int, from_s: float, to_s: float) -> list[tuple[float, float, dict[str, Any]]]:
    """Every so many-th request in a stretch fails: one in 20 ms each."""
    return [
        (from_s + k * 0.02 * share - 0.001, from_s + k * 0.02 * share + 0.019, REFUSED)
        for k in range(round((to_s - from_s) / (0.02 * share)))
    ]


def silent(*bad: Any, kind: str = "container.pause", **given: Any) -> Run:
    return paused({"stays": [RIGHT]}, kind=kind, **given).answers(*bad).end()


def refilled(*bad: Any, kind: str = "container.kill", service: str = "features", workload: str = "scorer") -> Run:
    back = {"id": "back", "probe": "silent_wrong_answers", "at_most": 0.0, "within": "4s", "over": "1s"}
    made = paused({"recovered": [back | {"min_samples": 10, "hold": "2s"}]}, service, kind)
    made.dies(service, 5.05, asked="harness").add(9.0, "process", service=service, what="restarted", at_s=9.0)
    return wired(made, workload=workload).answers(*bad).end()


def stale(*bad: Any) -> Run:
    return paused({"stays": [RIGHT]}, "retrainer").answers(*bad).end()


def damaged(*bad: Any, stays: Mapping[str, Any] = RIGHT, parameters: Mapping[str, Any] | None = None) -> Run:
    made = run(
        "object.corrupt", {"dataset": "models"}, {"stays": [stays]}, parameters=parameters or {"operation": "flip"}
    )
    return made.answers(*bad).end()


def damaged_and_died(service: str = "scorer") -> Run:
    return run("object.corrupt", {"dataset": "models"}, {}).dies(service, 7.0, signal=11).end()


def corrupted(*bad: Any, keyspace: str = "online", **parameters: Any) -> Run:
    given = parameters or {"operation": "null"}
    made = run("features.corrupt", {"keyspace": keyspace}, {"stays": [RIGHT]}, parameters=given)
    return made.answers(*bad).end()


def unready(probe: str = "ready", service: str = "features", kind: str = "container.pause", **reads: Any) -> Run:
    made = paused({"noticed": [SAYS_NO | {"probe": probe}]}, service, kind)
    return made.readings(probe, **({"value": 200.0} | reads)).end()


def failing(*bad: Any, page: str = "/ready", says: Callable[[float], float] | float = 1.0, **given: Any) -> Run:
    """Requests fail while a store is gone, and a page is read of which no clause says anything."""
    ready = {"ready": HEALTHY | {"page": page}}
    made = wired(paused({"stays": [UP]}, **given), probes=PROBES | ready)
    return made.answers(*bad).readings("ready", says).end()


def rule(
    *without: tuple[float, float], from_s: float = 1.5, selectors: tuple[str, ...] = ('depth{job="scorer"}',)
) -> Run:
    made = paused({"detected": [SEEN]}).alerts()
    for k in range(20):
        t = from_s + k
        lost = selectors if any(lo <= t < hi for lo, hi in without) else ()
        body = {"source": "monitor", "alert": SLOW, "place": "rules.yml, group g", "asked_s": t, "answered_s": t + 0.01}
        made.add(t + 0.01, "rule", **body, without=list(lost))
    return made.end()


def late_rule(*pending: Any, firing: tuple[Any, ...] = ()) -> Run:
    return paused({"detected": [SEEN]}).alerts(*firing, pending=pending).end()


def unwatched(*hit: str, down: tuple[tuple[float, float], ...] = ((5.0, 12.0),)) -> Run:
    made = run("node.loss", {"node": "d"}, {"detected": [SEEN]})
    made.plan["stack"]["services"] = {name: "d" if name in hit else "e" for name in SERVICES}
    return made.alerts(down=down).end()


def saw(every_s: float, stop: tuple[float, float] | None = None) -> Callable[[float], float]:
    """An age that is set back every so often, but not while it is stopped."""

    def age(t_s: float) -> float:
        if stop is not None and t_s >= stop[0]:
            return t_s - every_s * (stop[0] // every_s) if t_s < stop[1] else (t_s - stop[1]) % every_s
        return t_s % every_s

    return age


def retrained(
    runs: Callable[[float], float],
    ages: Callable[[float], float],
    last_run: str = "last_run_age",
    page: str = "retrainer_last_run_seconds",
    ends_s: Sequence[float] = (),
    links: Sequence[str] = (),
) -> Run:
    made = paused({"stays": [{"id": "fresh", "probe": "model_age", "at_most": "5s event"}]})
    wired(made, probes=PROBES | {"last_run_age": PROBES["last_run_age"] | {"page": page}}, links=[*LINKS, *links])
    for at_s in ends_s:
        made.dies("retrainer", at_s, signal=None, exit_code=0)
    return made.readings("model_age", ages).readings(last_run, runs).end()


def unrecovered() -> Run:
    """Requests fail from the fault on, and go on to when it is gone."""
    back = {"id": "back", "probe": "availability", "at_least": 0.99, "within": "3s", "over": "1s"}
    made = paused({"recovered": [back | {"min_samples": 10, "hold": "2s"}]})
    return made.answers((5.2, 24.0, REFUSED)).readings("ready", 1.0).end()


def reconnecting(store_back: float = 12.0, consumer_back: float = 40.0, died_s: float | None = None) -> Run:
    made = paused({"recovered": [AGAIN]})
    made.readings("store_up", 1.0, down=[(5.2, store_back)]).readings("scorer_up", 1.0, down=[(5.5, consumer_back)])
    return (made if died_s is None else made.dies("scorer", died_s)).end()


def grown_old(
    ages: Callable[[float], float] | None = None,
    kind: str = "container.pause",
    others: Callable[[float], float] | None = None,
    died_s: float | None = None,
    links: Sequence[str] = (),
    at_most: str = "3s",
) -> Run:
    """What the retrainer makes of the features grows old, and is not made again once they are back."""
    clause = {"id": "fresh-again", "probe": "model_age", "at_most": at_most, "within": "4s"}
    made = wired(paused({"recovered": [clause]}, kind=kind), links=[*LINKS, "feed -> features", "feed -> lake", *links])
    made.plan["stack"]["probe_units"] = UNITS | {"model_age": "wall", "lake_age": "wall"}
    made.plan["stack"]["wiring"]["probes"]["lake_age"] = {"kind": "s3", "services": ["lake"]}
    made.readings("store_up", 1.0, down=[(5.2, 12.0)]).readings("model_age", ages or saw(1.0, (5.0, 99.0)))
    made = made if others is None else made.readings("lake_age", others)
    return (made if died_s is None else made.dies("retrainer", died_s)).end()


def backlog(fall: Callable[[float], float]) -> Run:
    clause = {"id": "caught-up", "probe": "lag", "at_most": 5, "within": "4s", "hold": "2s"}
    return paused({"recovered": [clause]}, "retrainer").readings("lag", fall).end()


def worked_off(per_s: float) -> Callable[[float], float]:
    return lambda t_s: 0.0 if t_s < 5.5 else min(t_s - 5, 7) * 10 - max(0.0, t_s - 12) * per_s


def reset(target: Mapping[str, Any], service: str = "scorer") -> Run:
    return run("network.reset", target, {}).dies(service, 7.0, signal=11).end()


def broken_guarantee(check: str, part: str, **data: Any) -> Run:
    return paused({}, guarantees=[check]).evidence(part, **data).end()


def promoted(*versions: int) -> Run:
    history = [{"seq": k, "action": "promote", "version": version} for k, version in enumerate(versions)]
    return broken_guarantee("promotion_monotonic", "promotions", history=history)


def poisoned() -> Run:
    made = paused({}, guarantees=["nothing_poisoned"]).hit(6.0, {"entity": "JFK", "event_time": 1})
    made.readings("promoted_version", lambda t_s: float(t_s // 7))
    return made.evidence("lineage", **POISONED).end()


def unheard(
    *goes_by: str,
    ages: Callable[[float], float] | None = None,
    fires_after_s: float | None = 4.0,
    service: str = "features",
) -> Run:
    """The rule of an alert that has to fire goes by a metric of a last run."""
    made = paused({"detected": [SEEN]}, service).alerts().readings("last_run_age", saw(1.0))
    down = [(5.2, 12.0)] if service == "models" else []
    made.readings("model_age", ages or saw(2.0, (5.0, 12.0)), down=down)
    for k in range(20):
        t = 1.5 + k
        body = {"source": "monitor", "alert": SLOW, "place": "rules.yml, group g", "asked_s": t, "answered_s": t + 0.01}
        metrics = list(goes_by or ("retrainer_last_run_seconds",))
        made.add(t + 0.01, "rule", **body, metrics=metrics, fires_after_s=fires_after_s)
    return made.end()


def checkpoints(*ok: bool) -> Run:
    found = [{"key": f"c{k}", "ok": good, "error": None if good else "truncated"} for k, good in enumerate(ok)]
    return broken_guarantee("checkpoints_restorable", "checkpoints", checkpoints=found)


CASES: dict[str, tuple[Callable[[], Run], str, tuple[str, ...]]] = {
    "client-timeout": (lambda: hung((5.5, 11.0, HUNG)), "link scorer -> features", ("up",)),
    "survive-dependency": (dies, "link scorer -> features", ("collateral",)),
    "restart-policy": (unrestarted, "service scorer, `restart`", ("again",)),
    "replica-ejection": (
        lambda: replicas(*every(2, 5.0, 12.0)), "link gateway -> scorer, what chooses between replicas",
        ("up",)),
    "fallback-flag": (lambda: silent((5.5, 11.0, WRONG)), "link scorer -> features", ("right",)),
    "filled-before-used": (lambda: refilled((9.0, 24.0, WRONG)), "link scorer -> features", ("back",)),
    "age-limit": (lambda: stale((8.0, 14.0, {"stale": True})), "scorer", ("right",)),
    "digest-on-load": (lambda: damaged((6.0, 12.0, WRONG)), "link scorer -> models; dataset models", ("right",)),
    "keep-last-good": (damaged_and_died, "scorer; dataset models", ("collateral",)),
    "value-check": (lambda: corrupted((6.0, 12.0, WRONG)), "link scorer -> features; keyspace online", ("right",)),
    "deep-readiness": (unready, "/ready of scorer", ("says-no",)),
    "absent-rule": (lambda: rule((5.5, 12.0)), f"rule {SLOW} (prometheus/rules.yml:12)", ("seen",)),
    "rule-in-time": (lambda: late_rule((SLOW, 7.0, 20.0)), f"rule {SLOW} (prometheus/rules.yml:12)", ("seen",)),
    "monitoring-apart": (lambda: unwatched("prometheus", "models"), "prometheus", ("seen",)),
    "run-with-result": (
        lambda: retrained(saw(1.0), saw(2.0, (5.0, 12.0))), "retrainer: retrainer_last_run_seconds", ("fresh",)),
    "reconnect": (reconnecting, "link scorer -> features", ("again",)),
    "quick-start": (slow_start, "service scorer", ("again",)),
    "catch-up": (lambda: backlog(worked_off(8.0)), "what lag shows of retrainer", ("caught-up",)),
    "training-guard": (poisoned, "what writes and reads training examples", ("nothing_poisoned",)),
    "whole-checkpoints": (lambda: checkpoints(True, False), "what writes checkpoints", ("checkpoints_restorable",)),
    "forward-promotion": (lambda: promoted(3, 2), "what moves the promoted version", ("promotion_monotonic",)),
}  # fmt: skip
"""A run for each guard, the place that it names, and the clauses that it explains."""

NEAR_MISSES: dict[str, tuple[str, Callable[[], Run]]] = {
    "an error within the time-out": ("client-timeout", lambda: hung((5.5, 11.0, REFUSED))),
    "no answer before the fault either": ("client-timeout", lambda: hung((4.5, 4.52, HUNG), (5.5, 11.0, HUNG))),
    "two unanswered requests": ("client-timeout", lambda: hung((5.5, 5.54, HUNG), (5.54, 11.0, REFUSED))),
    "another way to the same store": (
        "client-timeout", lambda: hung((5.5, 11.0, HUNG), links=[*LINKS, "scorer -> cache", "cache -> features"])),
    "no link to what is gone": ("client-timeout", lambda: hung((5.5, 11.0, HUNG), links=["gateway -> scorer"])),
    "the asked service is hit itself": ("client-timeout", lambda: hung((5.5, 11.0, HUNG), service="scorer")),
    "a process that is killed and comes back": (
        "client-timeout", lambda: hung((5.5, 11.0, HUNG), kind="container.kill")),
    "each call within the time-out, several late": ("client-timeout", lambda: slow("300ms")),
    "a probe that was refused": ("client-timeout", lambda: asked_probe("status 503")),
    "killed as for lack of memory": ("survive-dependency", lambda: dies(signal=9, exit_code=None)),
    "ended without using what is gone": ("survive-dependency", lambda: dies(service="gateway")),
    "a policy that did not help": ("restart-policy", lambda: unrestarted("always")),
    "started again all the same": ("restart-policy", lambda: unrestarted("no", 7.0)),
    "all requests fail": ("replica-ejection", lambda: replicas((5.0, 12.0, REFUSED))),
    "only until it is ejected": ("replica-ejection", lambda: replicas(*every(2, 5.0, 7.0))),
    "the only replica": ("replica-ejection", lambda: replicas(*every(2, 5.0, 12.0), total=1)),
    "nobody chooses between the replicas": (
        "replica-ejection", lambda: replicas(*every(2, 5.0, 12.0), workload="scorer")),
    "wrong before the fault": ("fallback-flag", lambda: silent((4.0, 4.02, WRONG), (5.5, 11.0, WRONG))),
    "most requests fail": ("fallback-flag", lambda: silent((5.5, 6.5, WRONG), (6.5, 11.0, REFUSED))),
    "wrong while a store is only slow": (
        "fallback-flag", lambda: silent((5.5, 11.0, WRONG), kind="network.latency", parameters={"latency": "1s"})),
    "wrong while it was away too": ("filled-before-used", lambda: refilled((6.0, 24.0, WRONG))),
    "a store that kept its memory": (
        "filled-before-used", lambda: refilled((9.0, 24.0, WRONG), kind="container.pause")),
    "old before the fault": ("age-limit", lambda: stale((4.0, 4.02, {"stale": True}), (8.0, 14.0, {"stale": True}))),
    "wrong rather than old": ("age-limit", lambda: stale((8.0, 14.0, {"stale": True, "wrong": True}))),
    "failed rather than wrong": ("digest-on-load", lambda: damaged((6.0, 12.0, REFUSED), stays=UP)),
    "wrong before the damage": ("digest-on-load", lambda: damaged((4.0, 4.02, WRONG), (6.0, 12.0, WRONG))),
    "one that uses no damaged object ended": ("keep-last-good", lambda: damaged_and_died("prometheus")),
    "a few requests failed": ("keep-last-good", lambda: damaged((6.0, 7.0, REFUSED), stays=UP)),
    "a key space that nobody knows": ("value-check", lambda: corrupted((6.0, 12.0, WRONG), keyspace="other")),
    "readiness that says no too late": (
        "deep-readiness", lambda: unready(value=lambda t: 503.0 if t > 11.5 else 200.0)),
    "readiness of what needs it not": ("deep-readiness", lambda: unready(service="gateway")),
    "a number instead of a page": ("deep-readiness", lambda: unready(probe="model_age")),
    "a store that came back at once": ("deep-readiness", lambda: unready(kind="container.kill")),
    "a page that may be one of liveness": ("deep-readiness", lambda: failing((5.2, 12.5, REFUSED), page="/healthz")),
    "readiness that says no": (
        "deep-readiness", lambda: failing((5.2, 12.5, REFUSED), says=lambda t: float(not 7.0 < t < 12.0))),
    "one of three requests is answered": ("deep-readiness", lambda: failing(*every(3, 5.0, 12.0))),
    "requests that fail before the fault too": (
        "deep-readiness", lambda: failing((4.0, 4.02, REFUSED), (5.2, 12.5, REFUSED))),
    "requests that are themselves at fault": (
        "deep-readiness", lambda: failing((5.2, 12.5, {"ok": False, "error": "status 404"}))),
    "three of four requests fail, after a second of none": (
        "deep-readiness",
        lambda: failing((5.0, 6.0, REFUSED), *((6.0 + k * 0.08 - 0.001, 6.06 + k * 0.08, REFUSED) for k in range(75)))),
    "a page that is about something read already": (
        "deep-readiness", lambda: failing((5.2, 12.5, REFUSED), page="/already-read")),
    "requests that fail when the store is back": ("deep-readiness", unrecovered),
    "requests that fail, with no link to what is gone": (
        "deep-readiness", lambda: failing((5.2, 12.5, REFUSED), service="gateway")),
    "series that were there": ("absent-rule", lambda: rule()),
    "series that were never there": ("absent-rule", lambda: rule((0.0, 30.0))),
    "series gone for a moment": ("absent-rule", lambda: rule((6.0, 8.0))),
    "series not looked at before the fault": ("absent-rule", lambda: rule((5.5, 12.0), from_s=5.6)),
    "pending and then no longer": ("rule-in-time", lambda: late_rule((SLOW, 6.0, 9.0))),
    "never pending": ("rule-in-time", late_rule),
    "monitoring that was not hit": ("monitoring-apart", lambda: unwatched("models")),
    "monitoring that answered once": (
        "monitoring-apart", lambda: unwatched("prometheus", down=((5.0, 9.0), (9.2, 12.0)))),
    "no runs while the store was gone": (
        "run-with-result", lambda: retrained(saw(1.0, (5.0, 12.0)), saw(2.0, (5.0, 12.0)))),
    "no results before the fault": ("run-with-result", lambda: retrained(saw(1.0), lambda t_s: t_s)),
    "results in spite of the fault": ("run-with-result", lambda: retrained(saw(1.0), saw(6.0))),
    "a rule that goes by something else": ("run-with-result", lambda: unheard("depth")),
    "results while the alert was silent": ("run-with-result", lambda: unheard(ages=saw(2.0))),
    "a job that seldom has a result": ("run-with-result", lambda: unheard(ages=saw(9.0, (5.0, 12.0)))),
    "an age that stands still": (
        "run-with-result", lambda: retrained(saw(1.0), lambda t_s: 8.0 if 5.0 <= t_s < 12.0 else t_s % 2.0)),
    "a result of every fourth run": ("run-with-result", lambda: retrained(saw(1.0), saw(4.0, (5.0, 12.0)))),
    "starts that look like runs": (
        "run-with-result", lambda: retrained(saw(1.0), saw(2.0, (5.0, 12.0)), ends_s=(6.9, 7.9, 8.9))),
    "a result that somebody else may make": (
        "run-with-result",
        lambda: retrained(saw(1.0), saw(2.0, (5.0, 12.0)), links=("promoter -> features", "promoter -> models"))),
    "what the last run was like": (
        "run-with-result", lambda: retrained(saw(1.0), saw(2.0, (5.0, 12.0)), page="retrainer_last_run_rows")),
    "what only sounds like runs": (
        "run-with-result", lambda: retrained(saw(1.0), saw(2.0, (5.0, 12.0)), page="buffer_overruns_total")),
    "a rule that goes by something else too": ("run-with-result", lambda: unheard("retrainer_last_run_seconds", "up")),
    "a rule that waits for longer": ("run-with-result", lambda: unheard(fires_after_s=600.0)),
    "a rule of which nobody knows how long it waits": ("run-with-result", lambda: unheard(fires_after_s=None)),
    "a metric of something else": (
        "run-with-result", lambda: retrained(saw(1.0), saw(2.0, (5.0, 12.0)), last_run="lag")),
    "results a while after the store is back": ("reconnect", lambda: grown_old(saw(1.0, (5.0, 18.0)))),
    "results that come seldom anyhow": ("reconnect", lambda: grown_old(saw(5.0, (5.0, 99.0)), at_most="6s")),
    "a maker that was started again": ("reconnect", lambda: grown_old(died_s=13.0)),
    "another one that may make it": ("reconnect", lambda: grown_old(links=["feed -> models"])),
    "a store that may have lost its data": ("reconnect", lambda: grown_old(kind="node.loss")),
    "a store with which nobody works again": (
        "reconnect", lambda: grown_old(kind="node.loss", others=saw(1.0, (5.0, 99.0)))),
    "a store that is not back": ("reconnect", lambda: reconnecting(store_back=40.0)),
    "a consumer that ended": ("reconnect", lambda: reconnecting(died_s=13.0)),
    "a consumer that came back late": ("reconnect", lambda: reconnecting(consumer_back=18.0)),
    "started too late": ("quick-start", lambda: slow_start(began_s=12.0)),
    "started and ended again": ("quick-start", lambda: slow_start(dies_s=8.0)),
    "good at once, but late": ("catch-up", lambda: backlog(lambda t_s: 70.0 if 5.5 <= t_s < 18.0 else 0.0)),
    "an older version that was promoted": ("training-guard", lambda: promoted(3, 2)),
    "a checkpoint that is torn": ("forward-promotion", lambda: checkpoints(False)),
    "an older version of whole checkpoints": ("whole-checkpoints", lambda: promoted(3, 2)),
}  # fmt: skip
"""Runs that fail, and look like one that a guard would have helped; each must not give that advice."""


@pytest.mark.parametrize("guard", CASES)
def test_a_run_that_shows_a_guard_to_be_missing_gets_its_advice(guard: str) -> None:
    made, where, clauses = CASES[guard]
    found = advised(made())
    assert guard in found, sorted(found)
    advice = found[guard]
    assert (advice.where, advice.clauses) == (where, clauses)
    assert advice.seen
    assert advice.sources == GUARDS[guard].sources
    assert advice.proof.command == "harness run scenarios/hung.scenario.yaml"


@pytest.mark.parametrize("guard", CASES)
def test_a_run_gets_no_advice_besides_that_which_it_shows(guard: str) -> None:
    assert set(advised(CASES[guard][0]())) == {guard}


@pytest.mark.parametrize("miss", NEAR_MISSES)
def test_a_near_miss_gets_no_such_advice(miss: str) -> None:
    guard, made = NEAR_MISSES[miss]
    assert guard in GUARDS
    assert guard not in advised(made())


@pytest.mark.parametrize("part", [{"replica": 1}, {"share": 0.5}])
def test_a_service_of_which_some_replicas_run_on_is_not_gone(part: Mapping[str, Any]) -> None:
    given: dict[str, set[str]] = {}
    for guard, (make, *_) in CASES.items():
        made = make()
        target = made.plan["scenario"]["timeline"][0]["target"]
        if "service" in target:
            made.plan["scenario"]["timeline"][0]["target"] = {"service": target["service"]} | dict(part)
            given[guard] = {one.id for one in made.judged().advice}
    assert len(given) > len(CASES) / 2
    told = {guard: advice for guard, advice in given.items() if advice}
    whatever_is_gone = (
        "restart-policy",
        "replica-ejection",
        "training-guard",
        "forward-promotion",
        "whole-checkpoints",
    )
    assert told == {guard: {guard} for guard in whatever_is_gone if guard in given}
    assert {"restart-policy", "replica-ejection"} <= set(told)


@pytest.mark.parametrize(
    "made",
    [
        grown_old,
        lambda: grown_old(kind="network.partition"),
        lambda: grown_old(kind="node.loss", others=saw(1.0, (5.0, 12.0))),
    ],
)
def test_what_is_not_made_again_shows_who_did_not_connect_anew(made: Callable[[], Run]) -> None:
    found = advised(made())
    assert set(found) == {"reconnect"}
    advice = found["reconnect"]
    assert (advice.where, advice.clauses) == ("link retrainer -> features", ("fresh-again",))
    assert "model_age, which tells of what only retrainer makes, grew for the " in advice.seen


def test_a_store_is_known_by_a_probe_of_its_data() -> None:
    made = refilled((9.0, 24.0, WRONG))
    made.plan["stack"]["wiring"]["keyspaces"] = {}
    assert set(advised(made)) == {"filled-before-used"}
    made.plan["stack"]["wiring"]["probes"]["store_up"]["kind"] = "http"
    assert advised(made) == {}


def test_runs_without_a_result_explain_an_alert_that_goes_by_them_and_did_not_fire() -> None:
    found = advised(unheard())
    assert set(found) == {"run-with-result"}
    advice = found["run-with-result"]
    assert (advice.where, advice.clauses) == ("retrainer: retrainer_last_run_seconds", ("seen",))
    assert advice.seen.startswith("model_age only grew while features could not answer, and last_run_age showed ")
    (lost,) = advised(unheard(service="models")).values()
    assert lost.seen.startswith(
        "model_age could not be set back while models could not answer, and last_run_age showed "
    )


def test_readiness_that_says_yes_while_all_requests_fail_is_shown_without_a_clause_of_it() -> None:
    found = advised(failing((5.2, 12.5, REFUSED)))
    assert set(found) == {"deep-readiness"}
    assert (found["deep-readiness"].where, found["deep-readiness"].clauses) == ("/ready of scorer", ("up",))
    assert "it said yes for the 7" in found["deep-readiness"].seen, found["deep-readiness"].seen
    clause = "noticed: [{id: ready-says-no, probe: ready, at_least: 1, within: 5s}]"
    assert clause in found["deep-readiness"].repair, "what makes it ready in time alone"


def test_the_kinds_that_advice_goes_by_are_those_of_the_table_of_faults() -> None:
    """The judge may not import faults, and names their kinds itself."""
    assert {name for name, kind in FAULTS.items() if kind.by_answers} == set(ON_LINKS)
    assert set(LATE) < set(ON_LINKS)
    assert set(ENDED) <= {name for name, kind in FAULTS.items() if kind.restarts}
    assert {*AWAY, OBJECTS, FEATURES} <= set(FAULTS)


def test_every_guard_has_a_run_and_a_near_miss() -> None:
    assert set(CASES) == set(GUARDS)
    assert {guard for guard, _ in NEAR_MISSES.values()} == set(GUARDS)


def test_answers_that_are_wrong_are_not_explained_by_a_time_out() -> None:
    made = paused({"stays": [UP, RIGHT]}).answers((5.5, 10.0, HUNG), (10.0, 11.5, WRONG)).end()
    found = advised(made)
    assert {clause for one in found.values() for clause in one.clauses} == {"up"}


@pytest.mark.parametrize("target", [{"service": "features"}, {"link": "scorer -> features"}])
def test_a_fault_on_links_breaks_those_to_its_service_or_itself(target: Mapping[str, Any]) -> None:
    found = advised(reset(target))
    assert found["survive-dependency"].where == "link scorer -> features"
    assert advised(reset(target, "gateway")) == {}


@pytest.mark.parametrize(
    ("apart", "given"),
    [(["features"], True), (["gateway"], False), (None, True)],
)
def test_a_partition_breaks_the_links_between_its_sides(apart: list[str] | None, given: bool) -> None:
    parameters = {} if apart is None else {"apart_from": apart}
    made = run("network.partition", {"service": "scorer"}, {}, parameters=parameters)
    assert ("survive-dependency" in advised(made.dies("scorer", 7.0).end())) is given


def test_a_cause_is_told_once_with_all_the_clauses_that_it_explains() -> None:
    made = paused({"stays": [UP, UP | {"id": "up-too", "at_least": 0.95}]}).answers((5.5, 11.0, HUNG)).end()
    [advice] = made.judged().advice
    assert advice.clauses == ("up", "up-too")


def test_advice_cites_the_lines_that_show_it_and_says_what_was_seen() -> None:
    made = CASES["client-timeout"][0]()
    [advice] = made.judged().advice
    lines = {line.n: line.body for line in made.build().lines}
    assert {(lines[n].kind, lines[n].error) for n in advice.cites} == {("answer", HUNG["error"])}
    assert re.fullmatch(
        r"\d+ of \d+ requests to scorer had no answer within 1s while features could not answer", advice.seen
    )


def test_only_a_failed_run_has_advice() -> None:
    for made in (good_run(), Run({"detected": [SEEN]}).gate().fault(confirmed=None).alerts().end()):
        verdict = made.judged()
        assert verdict.value != "fail"
        assert verdict.advice == ()


@pytest.mark.parametrize("twin", ["control", "misfire"])
def test_a_twin_in_which_the_fault_is_not_where_it_is_meant_has_no_advice(twin: str) -> None:
    made = CASES["client-timeout"][0]()
    made.plan["twin"] = twin
    assert made.judged().advice == ()


def test_a_sabotage_has_the_advice_to_put_back_what_it_switched_off() -> None:
    made = CASES["client-timeout"][0]()
    off = {"kind": "recovery", "name": "timeout", "breaks": ["up"], "service": "scorer", "env": {"TIMEOUT": "off"}}
    made.plan |= {"twin": "sabotage", "sabotage": off}
    [advice] = made.judged().advice
    assert (advice.id, advice.proof.command) == ("client-timeout", "harness run scenarios/hung.scenario.yaml")


def test_several_faults_have_no_advice_for_nobody_can_tell_them_apart() -> None:
    made = CASES["client-timeout"][0]()
    made.plan["scenario"]["timeline"].append(made.plan["scenario"]["timeline"][0] | {"id": "more"})
    made.fault("more")
    verdict = made.judged()
    assert (verdict.value, verdict.advice) == ("fail", ())


def test_a_journal_of_an_earlier_version_has_no_advice_that_rests_on_links() -> None:
    made = CASES["client-timeout"][0]()
    del made.plan["stack"]["wiring"]
    verdict = made.judged()
    assert (verdict.value, verdict.advice) == ("fail", ())


def test_what_a_busy_machine_may_be_the_cause_of_shows_nothing() -> None:
    made = paused({"stays": [RIGHT]}).answers((5.5, 11.0, HUNG), (6.0, 6.5, WRONG)).machine((5.5, 11.0, CROWDED)).end()
    assert made.judged().advice == ()


def test_rules_that_fail_leave_the_verdict_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> Any:
        raise ValueError("no such thing")

    monkeypatch.setattr("harness.judge.advice.RULES", (broken,))
    verdict = CASES["client-timeout"][0]().judged()
    assert verdict.value == "fail"
    assert verdict.reasons[-1] == "no advice: its rules failed: ValueError: no such thing"


@pytest.mark.parametrize(
    ("given", "command"),
    [
        ({"file": "a b/x.scenario.yaml"}, "harness run 'a b/x.scenario.yaml'"),
        ({"file": "x.scenario.yaml", "backend": "compose"}, "harness run x.scenario.yaml --backend compose"),
        (
            {"file": "x.scenario.yaml", "backend": "compose", "attach": "shop"},
            "harness run x.scenario.yaml --attach shop --backend compose",
        ),
        ({"file": "tests/test_chaos.py"}, "pytest tests/test_chaos.py"),
        ({"file": None}, ""),
    ],
)
def test_the_proof_is_the_same_run_again(given: dict[str, Any], command: str) -> None:
    assert proof_of(Plan.model_validate(Run().plan | given)).command == command
