"""What `harness doctor` finds, from what was observed of a stack."""

from __future__ import annotations

import pytest

from harness.model.alertsources import AlertSource
from harness.model.backend import ServiceStatus
from harness.model.probekinds import ProbeSpec
from harness.model.readings import Alert, AlertsSeen, Gap, Reading
from harness.model.stack import ServiceSpec, StackDescription
from harness.onboarding.doctor.checks import alert_source, probes, services
from harness.onboarding.doctor.observing import Observed

STACK = StackDescription(
    schema=1,
    name="small",
    file="compose.yaml",
    services={"web": ServiceSpec(name="web", index=0, node="a", port=1)},
    probes={"lag": ProbeSpec.model_validate({"promql": {"url": "http://web", "query": "lag"}})},
)
OLD = Gap(probe="lag", from_s=1.0, to_s=1.1, why="a sample of lag is 77.5 s old")


def reading(at_s: float) -> Reading:
    return Reading(probe="lag", planned_s=at_s, asked_s=at_s, answered_s=at_s, value=4.0)


def test_a_probe_of_whose_present_nothing_is_known_is_wrong_and_says_why() -> None:
    for earlier in ({}, {"lag": [reading(0.5)]}):
        (finding,) = probes(STACK, Observed(readings=earlier, gaps={"lag": OLD}))
        assert (finding.state, finding.says) == ("wrong", "a sample of lag is 77.5 s old")


def test_a_gap_before_the_last_reading_is_over() -> None:
    (finding,) = probes(STACK, Observed(readings={"lag": [reading(1.5)]}, gaps={"lag": OLD}))
    assert (finding.state, finding.says[:1]) == ("ok", "4")


def test_a_service_runs_where_all_of_its_replicas_do() -> None:
    service = ServiceSpec(name="web", index=0, node="a", port=1, replicas=2)
    stack = STACK.model_copy(update={"services": {"web": service}})
    first = ServiceStatus("web", "a", 7, "running", 1, replica=1)
    (well,) = services(stack, [first, ServiceStatus("web", "a", 8, "running", 2, replica=2)])
    assert (well.state, well.says) == ("ok", "runs on node a, with 2 replicas, restarted 3 times")
    (ill,) = services(stack, [first, ServiceStatus("web", "a", None, "exited", 0, replica=2)])
    assert (ill.state, ill.says) == ("wrong", "replica 2 is exited")
    off = STACK.model_copy(update={"services": {"web": service.model_copy(update={"replicas": 0})}})
    (none,) = services(off, [])
    assert (none.state, none.says) == ("note", "is scaled to 0, so that it does not run")


def polls(evaluations: list[float], interval_s: float | None = 5.0) -> list[AlertsSeen]:
    def poll(k: int, count: float) -> AlertsSeen:
        moments = {"planned_s": k, "asked_s": k, "answered_s": k}
        return AlertsSeen(source="http://web", **moments, evaluations=count, interval_s=interval_s)

    return [poll(k, count) for k, count in enumerate(evaluations)]


@pytest.mark.parametrize(
    ("observed", "state", "says"),
    [
        (polls([3, 3, 4]), "ok", "rules are being evaluated"),
        (polls([3, 3, 3]), "note", "no rule was due for certain in the 2 s that were watched (they are every 5 s)"),
        (polls([3] * 9), "wrong", "no rule was evaluated meanwhile (they are every 5 s)"),
        (polls([3, 3, 3], None), "wrong", "no rule was evaluated meanwhile"),
    ],
    ids=["evaluated", "not due yet", "due and not evaluated", "nobody knows when"],
)
def test_rules_that_were_not_due_are_not_found_dead(observed: list[AlertsSeen], state: str, says: str) -> None:
    source = AlertSource.model_validate({"kind": "prometheus", "url": "http://web"})
    finding = alert_source(source, observed)
    assert (finding.state, finding.says) == (state, f"0 firing; {says}")


def test_a_source_is_watched_until_its_rules_are_due() -> None:
    def within_s(observed: list[AlertsSeen]) -> float:
        return Observed(alerts={"http://web": observed}).evaluates_within_s("http://web")

    assert within_s(polls([3, 3, 3])) > 5.0
    assert not any(map(within_s, (polls([3, 4]), polls([3, 3], None), polls([3, 3], 60.0), [])))


def test_an_alert_that_fires_already_is_noted() -> None:
    source = AlertSource.model_validate({"kind": "prometheus", "url": "http://web"})
    observed = [one.model_copy(update={"firing": (Alert(name="Late"),)}) for one in polls([3, 4])]
    finding = alert_source(source, observed)
    assert (finding.state, finding.says) == ("note", "1 firing: Late; rules are being evaluated")
