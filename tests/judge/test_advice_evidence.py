"""Advice goes no further than the evidence: runs that look like one that a guard would have helped, and are not."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from journals import SLOW, Run
from test_advice import (
    AGAIN,
    HUNG,
    PROBES,
    RIGHT,
    SEEN,
    UNITS,
    UP,
    WRONG,
    advised,
    corrupted,
    damaged,
    dies,
    every,
    hung,
    late_rule,
    paused,
    refilled,
    replicas,
    run,
    saw,
    silent,
    unready,
    wired,
    worked_off,
)

COMES_BACK = AGAIN | {"probe": "availability", "at_least": 0.99, "over": "1s", "min_samples": 10}
SOON = {"at_most": 0.05, "within": "4s", "hold": "2s"}


def of_one_replica(made: Run) -> Run:
    made.plan["scenario"]["timeline"][0]["target"] = {"service": "features", "replica": 1}
    return made


def dies_after_restart(began_s: float, dies_s: float) -> Run:
    made = paused({}, kind="container.kill").dies("features", 5.05, asked="harness")
    made.add(began_s, "process", service="features", what="restarted", at_s=began_s)
    return made.dies("scorer", dies_s).end()


def ends_over_damage(at_s: float, **how: Any) -> Run:
    return run("object.corrupt", {"dataset": "models"}, {}).dies("scorer", at_s, **how).end()


def probing(made: Run, name: str, page: str, unit: str, kind: str = "metric") -> Run:
    made.plan["stack"]["probe_units"] = UNITS | {name: unit}
    return wired(made, probes=PROBES | {name: {"kind": kind, "services": ["retrainer"], "page": page}})


def falls(name: str, page: str, kind: str = "metric") -> Run:
    clause = {"id": "few", "probe": name, "at_most": 5, "within": "4s", "hold": "2s"}
    made = paused({"recovered": [clause]}, "retrainer")
    return probing(made, name, page, "number", kind).readings(name, worked_off(8.0)).end()


def fails_on(error: str, store: Callable[[float], float] | float = 1.0) -> Run:
    made = paused({"recovered": [COMES_BACK]}).readings("store_up", store, down=[(5.2, 12.0)])
    return made.answers((5.2, 26.0, {"ok": False, "error": error})).end()


def counted_apart(name: str, page: str | None = None) -> Run:
    made = paused({"stays": [{"id": "fresh", "probe": "model_age", "at_most": "5s event"}]})
    probing(made, name, page or name, "number").readings("model_age", saw(2.0, (5.0, 12.0)))
    return made.readings(name, lambda t_s: float(int(t_s))).end()


def falling_rate() -> Run:
    made = paused({"recovered": [{"id": "few", "probe": "errors"} | SOON]})
    probing(made, "errors", "sum(rate(errors_total[10s]))", "number")

    def rate(t_s: float) -> float:
        return 0.0 if t_s < 5.2 else min(1.0, (t_s - 5) / 3) if t_s < 12 else max(0.0, 1 - (t_s - 12) / 10)

    return made.readings("errors", rate).end()


def cut_off_behind() -> Run:
    made = run("network.partition", {"service": "scorer"}, {"stays": [RIGHT]}, parameters={"apart_from": ["features"]})
    return wired(made, workload="gateway").answers((5.5, 11.0, WRONG)).end()


def starts_after_its_store() -> Run:
    made = run("node.loss", {"node": "a"}, {"recovered": [AGAIN]})
    made.plan["stack"]["services"] = {"scorer": "a", "features": "a", "gateway": "b", "retrainer": "c", "models": "c"}
    for service, again_s in (("scorer", 12.2), ("features", 17.0)):
        made.dies(service, 5.1, asked="harness")
        made.add(again_s, "process", service=service, what="restarted", at_s=again_s)
    made.readings("store_up", 1.0, down=[(5.2, 17.5)]).readings("scorer_up", 1.0, down=[(5.2, 18.0)])
    return made.end()


def empty_store() -> Run:
    made = paused({"recovered": [COMES_BACK]}, kind="container.kill").readings("store_up", 1.0, down=[(5.2, 6.0)])
    made.dies("features", 5.05, asked="harness").add(6.0, "process", service="features", what="restarted", at_s=6.0)
    return made.answers((5.2, 26.0, {"ok": False, "error": "status 404"})).end()


def shards() -> Run:
    made = run("node.loss", {"node": "n1"}, {"stays": [UP]})
    made.plan["stack"]["services"] = {"router": "n0", "shard-1": "n1", "shard-2": "n2"}
    wired(made, links=["router -> shard-1", "router -> shard-2"], workload="router", restart={})
    return made.answers(*every(2, 5.0, 12.0)).end()


BUSY = {"ok": False, "error": "status 429"}


def old(service: str, *also: Any) -> Run:
    return paused({"stays": [RIGHT]}, service).answers((8.0, 8.4, {"stale": True}), *also).end()


def old_beside_wrong() -> Run:
    made = paused({"stays": [RIGHT]}, "prometheus")
    return made.answers((8.0, 8.2, {"stale": True}), (9.0, 13.0, WRONG)).end()


UNSUPPORTED: dict[str, tuple[str, Callable[[], Run]]] = {
    "one replica of several is paused, so the service answers: readiness": (
        "deep-readiness", lambda: of_one_replica(unready())),
    "one replica of several is paused, so the service answers: requests": (
        "client-timeout", lambda: of_one_replica(hung((5.5, 11.0, HUNG)))),
    "one replica of several is paused, so the service answers: answers": (
        "fallback-flag", lambda: of_one_replica(silent((5.5, 11.0, WRONG)))),
    "a consumer ends long after what it uses is back": ("survive-dependency", lambda: dies(at_s=24.0)),
    "a consumer ends when what it uses has long begun anew": (
        "survive-dependency", lambda: dies_after_restart(began_s=6.0, dies_s=11.0)),
    "a consumer that is done": ("survive-dependency", lambda: dies(signal=None, exit_code=0)),
    "a consumer that was told to end": ("survive-dependency", lambda: dies(signal=15, exit_code=None)),
    "who loaded the objects ends long after they are restored": (
        "keep-last-good", lambda: ends_over_damage(24.0, signal=11)),
    "who loaded the objects ends for lack of memory": ("keep-last-good", lambda: ends_over_damage(7.0, signal=9)),
    "who loaded the objects is done": (
        "keep-last-good", lambda: ends_over_damage(7.0, signal=None, exit_code=0)),
    "a counter of failed runs, which is the guard itself": (
        "run-with-result", lambda: counted_apart("retrainer_failed_runs_total")),
    "a counter of skipped runs, which is the guard itself": (
        "run-with-result", lambda: counted_apart("skipped_runs_total")),
    "runs that a label tells apart": (
        "run-with-result", lambda: counted_apart("retrainer_runs_total", 'retrainer_runs_total{result="failed"}')),
    "a rate over a window, which falls as the window passes": ("catch-up", falling_rate),
    "a quantile over a window": ("catch-up", lambda: falls("lag_p99", "lag_seconds")),
    "a share of late ones": ("catch-up", lambda: falls("behind", "behind_ratio")),
    "a number of nobody knows what": ("catch-up", lambda: falls("lag", "", kind="sql")),
    "a number that nobody works off": ("catch-up", lambda: falls("heat", "heat_celsius")),
    "a server that waits for a store lost with it": ("quick-start", starts_after_its_store),
    "a store that has lost its data, and says so": ("reconnect", empty_store),
    "a consumer that finds nothing": ("reconnect", lambda: fails_on("status 404")),
    "a consumer that is asked too much": ("reconnect", lambda: fails_on("status 429: slow down")),
    "a store that is empty once it is back": (
        "reconnect", lambda: fails_on("status 503", store=lambda t_s: 9.0 if t_s < 12.0 else 0.0)),
    "shards, which hold different data": ("replica-ejection", shards),
    "all replicas are lost": ("replica-ejection", lambda: replicas(*every(2, 5.0, 12.0), part={"share": 1.0})),
    "more requests fail than went to the lost one": (
        "replica-ejection", lambda: replicas(*every(2, 5.0, 12.0), total=4)),
    "fewer requests fail than went to the lost one": (
        "replica-ejection", lambda: replicas(*every(6, 5.0, 12.0), total=2)),
    "the replicas that are left have too much to do": (
        "replica-ejection", lambda: replicas(*((lo, hi, BUSY) for lo, hi, _ in every(2, 5.0, 12.0)))),
    "another replica ended as well": (
        "replica-ejection", lambda: replicas(*every(2, 5.0, 12.0)).dies("scorer", 7.0, replica=2)),
    "the lost replica began anew": (
        "replica-ejection",
        lambda: replicas(*every(2, 5.0, 12.0)).add(6.0, "process", service="scorer", what="restarted", at_s=6.0)),
    "an alert that was pending before the fault": (
        "rule-in-time", lambda: late_rule((SLOW, 4.0, 20.0))),
    "wrong only long after the objects are restored": ("digest-on-load", lambda: damaged((20.0, 24.0, WRONG))),
    "wrong only long after the rows are restored": ("value-check", lambda: corrupted((20.0, 24.0, WRONG))),
    "an older version in place, which has its digest": (
        "digest-on-load", lambda: damaged((6.0, 12.0, WRONG), parameters={"operation": "previous"})),
    "two values swapped, each in its range": (
        "value-check", lambda: corrupted((6.0, 12.0, WRONG), operation="swap", fields=["a", "b"])),
    "values of the other sign, which may be in range": (
        "value-check", lambda: corrupted((6.0, 12.0, WRONG), operation="sign")),
    "values scaled by little": (
        "value-check", lambda: corrupted((6.0, 12.0, WRONG), operation="scale", factor=1.1)),
    "a server without data of its own began anew": (
        "filled-before-used", lambda: refilled((9.0, 24.0, WRONG), service="scorer", workload="gateway")),
    "wrong only long after the store is back": ("filled-before-used", lambda: refilled((18.0, 24.0, WRONG))),
    "a few old answers, and nobody who delivers data was stopped": ("age-limit", old_beside_wrong),
    "old answers, and nobody who delivers data was stopped": ("age-limit", lambda: old("prometheus")),
    "old answers, and a store of other data was stopped": ("age-limit", lambda: old("models")),
    "a few old answers beside wrong ones": ("age-limit", lambda: old("retrainer", (9.0, 13.0, WRONG))),
}  # fmt: skip


def both_stores_lost(*bad: Any, **expect: Any) -> Run:
    return run("container.pause", {"services": ["features", "models"]}, expect).answers(*bad).end()


ONE_OF_TWO = "one of the links scorer -> features, scorer -> models"
PLACES: dict[str, tuple[str, Callable[[], Run], str, str]] = {
    "a partition behind who is asked": (
        "fallback-flag", cut_off_behind,
        "gateway, or what it uses on the way to features", "while features could not be reached, "),
    "wrong answers while two stores are lost": (
        "fallback-flag", lambda: both_stores_lost((5.5, 11.0, WRONG), stays=[RIGHT]),
        ONE_OF_TWO, "while features, models could not answer, "),
    "no answers while two stores are lost": (
        "client-timeout", lambda: both_stores_lost((5.5, 11.0, HUNG), stays=[UP]),
        ONE_OF_TWO, "while features, models could not answer"),
}  # fmt: skip


@pytest.mark.parametrize("case", PLACES)
def test_advice_names_no_link_that_works_and_none_of_several_alone(case: str) -> None:
    guard, made, where, seen = PLACES[case]
    advice = advised(made())[guard]
    assert advice.where == where
    assert seen in advice.seen


def test_a_consumer_that_ends_before_what_it_uses_begins_anew_lacked_a_guard() -> None:
    assert "survive-dependency" in advised(dies_after_restart(began_s=9.0, dies_s=8.0))


@pytest.mark.parametrize(("share", "total"), [({"share": 0.5}, 4), ({"share": 0.7}, 3), ({"replica": 2}, 2)])
def test_a_balancer_that_goes_on_to_choose_lost_replicas_lacks_a_guard(share: dict[str, Any], total: int) -> None:
    advice = advised(replicas(*every(2, 5.0, 12.0), part=share, total=total))["replica-ejection"]
    assert re.fullmatch(
        rf"\d of {total} replicas of scorer (was|were) lost, the others ran on, and \d+ of \d+ requests to gateway "
        "failed meanwhile",
        advice.seen,
    )


def test_a_replica_that_is_stopped_is_lost_as_one_that_is_paused() -> None:
    made = replicas(*every(2, 5.0, 12.0))
    made.plan["scenario"]["timeline"][0]["fault"] = "container.stop"
    assert "replica-ejection" in advised(made.dies("scorer", 5.05, asked="harness", replica=1))


@pytest.mark.parametrize("service", ["features", "writer", "broker"])
def test_features_are_delivered_by_their_store_its_writer_and_what_that_reads(service: str) -> None:
    made = wired(old(service), links=["scorer -> features", "writer -> features", "writer -> broker"])
    made.plan["stack"]["services"] = {"scorer": "a", "features": "a", "writer": "b", "broker": "c"}
    assert "age-limit" in advised(made)


@pytest.mark.parametrize("given", [{}, {"factor": 0.01}])
def test_values_of_another_size_show_in_a_check(given: dict[str, Any]) -> None:
    assert "value-check" in advised(corrupted((6.0, 12.0, WRONG), operation="scale", **given))


@pytest.mark.parametrize(
    ("name", "page", "kind"),
    [
        ("lag", "lag", "metric"),
        ("waits", "sum(kafka_consumergroup_lag)", "promql"),
        ("todo", "length of queue:jobs", "redis"),
        ("behind", "/stats: oldest.age", "json"),
        ("topic", "", "kafka_lag"),
    ],
)
def test_a_lag_an_age_and_a_queue_are_worked_off(name: str, page: str, kind: str) -> None:
    assert "catch-up" in advised(falls(name, page, kind))


def test_a_consumer_that_goes_on_to_fail_does_not_connect_anew() -> None:
    assert "reconnect" in advised(fails_on("status 503"))


def test_an_alert_is_told_as_pending_from_where_it_last_became_so() -> None:
    advice = advised(late_rule((SLOW, 6.0, 7.0), (SLOW, 10.0, 20.0)))["rule-in-time"]
    assert advice.seen.startswith(f"{SLOW} was pending from 10.00 s on, ")


def test_an_alert_that_may_have_been_pending_before_the_fault_shows_nothing() -> None:
    made = paused({"detected": [SEEN]}).alerts(pending=[(SLOW, 3.0, 20.0)], down=[(5.2, 6.0)]).end()
    assert "rule-in-time" not in advised(made)


def test_a_store_behind_another_may_be_why_there_is_no_answer() -> None:
    links = ["scorer -> features", "scorer -> cache", "cache -> database"]
    made = run("container.pause", {"services": ["features", "database"]}, {"stays": [UP]})
    assert "client-timeout" not in advised(wired(made, links=links).answers((5.5, 11.0, HUNG)).end())


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_advice_is_not_given_beyond_the_evidence(case: str) -> None:
    guard, made = UNSUPPORTED[case]
    assert guard not in advised(made())
