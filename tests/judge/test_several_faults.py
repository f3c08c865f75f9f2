"""Alerts in a run with several faults: to which of them an alert belongs, and where nobody can tell."""

from __future__ import annotations

from typing import Any

import pytest
from journals import CLEAR, CROWDED, SEEN, SLOW, Firing, Run, Stretch

APART = ((5.0, 8.0), (15.0, 18.0))
OVERLAPPING = ((5.0, 12.0), (8.0, 13.0))
FIRST, SECOND = {"fault": "first"}, {"fault": "second"}


def two(expect: dict[str, Any], spans: tuple[Stretch, Stretch], *firing: Firing, **polls: Any) -> Run:
    run = Run(expect, faults=("first", "second")).gate()
    for fault, (in_s, out_s) in zip(("first", "second"), spans, strict=True):
        run.fault(fault, injected=in_s, confirmed=in_s + 0.3, reverted=out_s)
    return run.alerts(*firing, **polls).end()


def clearing(spans: tuple[Stretch, Stretch], *firing: Firing, **clause: Any) -> Run:
    return two({"cleared": [CLEAR | clause]}, spans, *firing)


# Cleared


@pytest.mark.parametrize(
    "firing", [(("Slow{link=a}", 6.0, 99.0), ("Slow{link=b}", 9.0, 14.0)), ((SLOW, 6.0, 99.0),), ((SLOW, 9.0, 99.0),)]
)
@pytest.mark.parametrize("fault", ["first", "second"])
def test_what_still_fires_when_every_fault_is_long_gone_was_not_cleared(firing: tuple[Firing, ...], fault: str) -> None:
    found = clearing(OVERLAPPING, *firing, fault=fault).clause("clear")
    assert found.value == "fail"
    assert "still firing at 25.00 s" in found.reason


def test_what_another_fault_raised_clears_with_the_last_of_them() -> None:
    assert clearing(OVERLAPPING, (SLOW, 6.0, 14.0)).clause("clear").value == "pass"
    assert clearing(OVERLAPPING, (SLOW, 6.0, 20.0)).clause("clear").value == "fail"


def test_what_was_over_before_the_fault_was_gone_and_may_be_another_s_is_not_exercised() -> None:
    for firing, fault in (((SLOW, 6.0, 9.0), SECOND), ((SLOW, 9.0, 11.0), FIRST)):
        found = clearing(OVERLAPPING, firing, **fault).clause("clear")
        assert found.value == "unknown"
        assert "not exercised" in found.reason
        assert "never fired" not in found.reason


def test_what_fires_since_before_any_fault_fails_nothing() -> None:
    run = Run({"cleared": [CLEAR]}).gate().fault().alerts(("Slow{r=1}", 2.0, 99.0), ("Slow{r=2}", 7.0, 9.0)).end()
    assert run.clause("clear").value == "unknown"
    assert "may have been firing before injection" in run.clause("clear").reason
    alone = Run({"cleared": [CLEAR]}).gate().fault().alerts((SLOW, 2.0, 99.0)).end().clause("clear")
    assert alone.value == "unknown"
    assert "was already firing at injection" in alone.reason


def test_a_late_one_fails_beside_what_fires_since_before_any_fault() -> None:
    run = Run({"cleared": [CLEAR]}).gate().fault()
    run.alerts(("Slow{r=1}", 2.0, 99.0), ("Slow{r=2}", 7.0, 20.0)).end()
    assert run.clause("clear").value == "fail"


def test_only_what_no_source_ever_showed_never_fired() -> None:
    assert "never fired" in clearing(APART).clause("clear").reason
    assert "did not fire for this fault" in clearing(APART, (SLOW, 6.0, 9.0)).clause("clear").reason


def test_each_of_two_faults_apart_has_its_own_clearing() -> None:
    both = two(
        {"cleared": [CLEAR | FIRST | {"id": "a"}, CLEAR | SECOND | {"id": "b"}]},
        APART,
        (SLOW, 6.0, 9.0),
        (SLOW, 16.0, 19.0),
    )
    assert (both.clause("a").value, both.clause("b").value) == ("pass", "pass")
    assert both.clause("a").measured.after_s == pytest.approx(1.01)
    stuck = clearing(APART, (SLOW, 6.0, 99.0), **FIRST).clause("clear")
    assert stuck.value == "fail"
    assert "was still firing at 15.00 s, when the fault second was injected" in stuck.reason
    assert clearing(APART, (SLOW, 6.0, 14.5), **FIRST).clause("clear").value == "fail"
    assert clearing(APART, (SLOW, 6.0, 9.0), (SLOW, 14.95, 17.0), **FIRST).clause("clear").value == "unknown"


def test_what_the_next_fault_may_keep_firing_is_left_open() -> None:
    found = clearing(APART, (SLOW, 6.0, 17.0), **FIRST, within="8s").clause("clear")
    assert found.value == "unknown"
    assert "when the fault second was injected" in found.reason


@pytest.mark.parametrize(("until_s", "value"), [(14.0, "pass"), (18.5, "unknown"), (19.5, "fail")])
def test_what_a_fault_beside_it_may_have_kept_firing_is_left_open_until_that_is_gone_too(
    until_s: float, value: str
) -> None:
    found = clearing(OVERLAPPING, (SLOW, 6.0, until_s), **FIRST).clause("clear")
    assert found.value == value
    assert ("second may have kept it firing" in found.reason) is (value == "unknown")


def test_a_fault_that_stays_in_may_keep_an_alert_firing() -> None:
    for spans, fault in ((((5.0, 24.0), (8.0, 13.0)), SECOND), (((5.0, 12.0), (8.0, 24.0)), FIRST)):
        found = clearing(spans, (SLOW, 9.0, 99.0), **fault).clause("clear")
        assert found.value == "unknown"
        assert "may have kept it firing" in found.reason


def test_a_counted_firing_after_the_deadline_may_be_the_alert_again() -> None:
    clause = CLEAR | {"labels": {"service": "a", "severity": "page"}}
    run = Run({"cleared": [clause]}).gate().fault()
    counted = [("Slow{service=a}", 7.0), ("Slow{service=a}", 20.05)]
    found = run.alerts(("Slow{service=a,severity=page}", 7.0, 14.0), counted=counted).end().clause("clear")
    assert found.value == "unknown"
    assert "not by all of these labels" in found.reason


# Detected


def seeing(spans: tuple[Stretch, Stretch], *firing: Firing, **clause: Any) -> Run:
    return two({"detected": [SEEN | clause]}, spans, *firing)


@pytest.mark.parametrize(("at_s", "value"), [(14.5, "pass"), (14.95, "unknown"), (16.0, "unknown"), (20.0, "fail")])
def test_an_alert_that_the_next_fault_may_have_raised_detects_nothing_of_the_one_before(
    at_s: float, value: str
) -> None:
    found = seeing(APART, (SLOW, at_s, 21.0), **FIRST, within="12s").clause("seen")
    assert found.value == value
    assert ("but second was injected by then" in found.reason) is (value == "unknown")
    assert seeing(APART, (SLOW, 16.0, 21.0), **SECOND).clause("seen").value == "pass"


def test_what_fired_before_the_next_fault_is_enough() -> None:
    run = seeing(OVERLAPPING, ("Slow{r=1}", 6.0, 14.0), ("Slow{r=2}", 9.0, 14.0), **FIRST)
    assert run.clause("seen").value == "pass"


def test_labels_may_tell_that_the_next_fault_did_not_raise_it() -> None:
    for name, value in (("server-1", "pass"), ("router", "unknown")):
        run = seeing(OVERLAPPING, (f"Slow{{service={name}}}", 9.0, 14.0), **FIRST)
        run.plan["stack"]["services"] = {"server-1": "a", "server-2": "b", "router": "b"}
        for step, service in zip(run.plan["scenario"]["timeline"], ("server-1", "server-2"), strict=True):
            step["target"] = {"service": service}
        assert run.clause("seen").value == value


def test_the_first_injection_is_the_first_in_time_and_not_in_the_file() -> None:
    run = Run({"detected": [SEEN | {"fault": "early"}]}, faults=("late", "early")).gate()
    run.fault("early", injected=5.0, confirmed=5.3, reverted=8.0)
    run.fault("late", injected=15.0, confirmed=15.3, reverted=18.0)
    assert run.alerts((SLOW, 6.0, 9.0)).end().clause("seen").value == "pass"


def test_time_on_a_calm_machine_after_the_revert_is_none_in_which_an_alert_could_fire() -> None:
    run = seeing(APART, **FIRST).machine((5.0, 8.0, CROWDED)).clause("seen")
    assert (run.value, run.cause) == ("unknown", "machine")
