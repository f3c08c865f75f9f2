"""Alerts that must not fire, must clear, and must not flap."""

from __future__ import annotations

from typing import Any

import pytest
from journals import CLEAR, SEEN, SLOW, Firing, Run

from harness.model.alert_clauses import AlertCount


def quiet(*firing: Firing, expect: dict[str, Any] | None = None, **polls: Any) -> Run:
    return Run({"quiet": "others", **(expect or {})}).gate().fault().alerts(*firing, **polls).end()


def clearing(*firing: Firing, **polls: Any) -> Run:
    return Run({"cleared": [CLEAR]}).gate().fault().alerts(*firing, **polls).end()


def flapping(*firing: Firing, at_most: int = 2, **polls: Any) -> Run:
    expect = {"flaps_at_most": [{"id": "flaps", "alert": SLOW, "at_most": at_most}]}
    return Run(expect).gate().fault().alerts(*firing, **polls).end()


def test_silence_passes_with_every_rule_counted() -> None:
    found = quiet().clause("quiet")
    assert found.value == "pass"
    assert found.measured.alerts == (
        AlertCount(alert="Slow", fired=0, met=True),
        AlertCount(alert="Stale", fired=0, met=True),
    )


def test_an_alert_that_nothing_expects_fails() -> None:
    found = quiet(("Stale", 7.0, 8.0), ("Stale", 9.0, 9.5)).clause("quiet")
    assert found.value == "fail"
    assert "Stale" in found.reason
    assert "1 more" in found.reason
    assert AlertCount(alert="Stale", fired=2, met=False) in found.measured.alerts


def test_an_alert_that_the_stack_does_not_list_fails_too() -> None:
    assert quiet(("Strange", 7.0, 8.0)).clause("quiet").value == "fail"


def test_a_short_firing_between_polls_fails() -> None:
    assert quiet(counted=[("Stale", 7.05)]).clause("quiet").value == "fail"


def test_alerts_that_are_expected_or_allowed_may_fire() -> None:
    assert quiet((SLOW, 7.0, 8.0), expect={"detected": [SEEN]}).clause("quiet").value == "pass"
    allowed = {"quiet": {"others": True, "except": [SLOW]}}
    assert quiet((SLOW, 7.0, 8.0), expect=allowed).clause("quiet").value == "pass"


def test_pending_is_quiet() -> None:
    assert quiet(pending=[("Stale", 7.0, 8.0)]).clause("quiet").value == "pass"


def test_what_was_over_before_the_gate_or_came_after_observation_does_not_count() -> None:
    assert quiet(("Stale", 0.5, 0.9), ("Stale", 25.2, 26.0)).clause("quiet").value == "pass"


def test_what_fired_at_the_gate_already_is_unknown() -> None:
    for until_s in (4.0, 30.0):
        found = quiet(("Stale", 0.5, until_s)).clause("quiet")
        assert found.value == "unknown"
        assert "already" in found.reason


@pytest.mark.parametrize(
    "polls",
    [
        {"beats": lambda t_s: 3.0},
        {"beats": lambda t_s: None},
        {"beats": lambda t_s: float(int(t_s * 5)) if t_s < 20 else 100.0},
        {"beats": lambda t_s: float(int(t_s * 5)) if not 8 < t_s < 12 else 40.0},
        {"down": [(8.0, 12.0)]},
    ],
)
def test_quiet_without_proof_that_rules_were_evaluated_is_unknown(polls: dict[str, Any]) -> None:
    found = quiet(**polls).clause("quiet")
    assert found.value == "unknown"
    assert "evaluated" in found.reason


def test_a_short_run_needs_the_proof_too() -> None:
    run = Run({"quiet": "others"}).gate(4.9).fault(confirmed=5.1, reverted=5.5)
    run.alerts(beats=lambda t_s: None).end(observed=6.0)
    assert run.clause("quiet").value == "unknown"


def test_a_source_that_restarted_goes_on_to_prove_itself() -> None:
    assert quiet(beats=lambda t_s: float(int((t_s % 9) * 5))).clause("quiet").value == "pass"


def test_quiet_with_a_gap_in_polling_is_unknown() -> None:
    assert "no polls of the alerts from" in quiet(skip=[(8.0, 9.5)]).clause("quiet").reason
    assert quiet(skip=[(8.0, 8.3)]).gap("monitor", 8.0, 8.3).clause("quiet").value == "unknown"
    assert quiet(to_s=20.0).clause("quiet").value == "unknown"


def test_quiet_without_any_poll_is_unknown() -> None:
    assert Run({"quiet": "others"}).gate().fault().end().clause("quiet").value == "unknown"


def test_every_source_must_prove_itself() -> None:
    run = quiet().alerts(source="other", beats=lambda t_s: 1.0)
    assert run.clause("quiet").value == "unknown"
    assert quiet().alerts(source="other", to_s=0.8).clause("quiet").value == "unknown"


def test_a_false_alarm_beats_a_gap() -> None:
    assert quiet(("Stale", 7.0, 7.5), skip=[(8.0, 9.5)]).clause("quiet").value == "fail"


def test_cleared_in_time_passes() -> None:
    found = clearing((SLOW, 7.0, 14.0)).clause("clear")
    assert found.value == "pass"
    assert found.measured.after_lo_s == pytest.approx(1.9)
    assert found.measured.after_s == pytest.approx(2.01)


def test_cleared_before_revert_took_no_time() -> None:
    found = clearing((SLOW, 7.0, 10.0)).clause("clear")
    assert (found.value, found.measured.after_s) == ("pass", 0.0)


def test_cleared_too_late_fails_and_around_the_deadline_is_unknown() -> None:
    assert clearing((SLOW, 7.0, 18.5)).clause("clear").value == "fail"
    assert clearing((SLOW, 7.0, 18.0)).clause("clear").value == "unknown"


def test_the_last_firing_counts() -> None:
    assert clearing((SLOW, 7.0, 13.0), (SLOW, 19.0, 20.0)).clause("clear").value == "fail"


def test_still_firing_when_observation_ends_fails_after_the_deadline_only() -> None:
    found = clearing((SLOW, 7.0, 30.0)).clause("clear")
    assert found.value == "fail"
    assert "still firing" in found.reason
    early = Run({"cleared": [{**CLEAR, "within": "20s"}]}).gate().fault().alerts((SLOW, 7.0, 30.0)).end()
    assert early.clause("clear").value == "unknown"
    unseen = Run({"cleared": [{**CLEAR, "within": "12.9s"}]}).gate().fault().alerts((SLOW, 7.0, 30.0), to_s=24.8).end()
    assert unseen.clause("clear").value == "unknown"


def test_an_alert_that_never_fired_was_not_exercised() -> None:
    found = clearing().clause("clear")
    assert found.value == "unknown"
    assert "not exercised" in found.reason


def test_cleared_needs_the_fault_to_be_seen_gone() -> None:
    run = Run({"cleared": [CLEAR]}).gate().fault(reverted=None).alerts((SLOW, 7.0, 9.0)).end()
    found = run.clause("clear")
    assert found.value == "unknown"
    assert "gone" in found.reason


@pytest.mark.parametrize("polls", [{"skip": [(15.0, 17.0)]}, {"down": [(15.0, 17.0)]}, {"to_s": 20.0}])
def test_cleared_but_unseen_after_that_is_unknown(polls: dict[str, Any]) -> None:
    assert clearing((SLOW, 7.0, 14.0), **polls).clause("clear").value == "unknown"


def test_cleared_looks_at_labels() -> None:
    run = Run({"cleared": [{**CLEAR, "labels": {"service": "a"}}]}).gate().fault()
    run.alerts(("Slow{service=a}", 7.0, 14.0), ("Slow{service=b}", 7.0, 30.0)).end()
    assert run.clause("clear").value == "pass"


def test_flaps_are_counted_up_to_their_limit() -> None:
    twice = ((SLOW, 6.0, 7.0), (SLOW, 8.0, 9.0))
    assert flapping(*twice).clause("flaps").value == "pass"
    found = flapping(*twice, (SLOW, 10.0, 11.0)).clause("flaps")
    assert (found.value, found.measured.starts) == ("fail", 3)


def test_each_label_set_flaps_alone() -> None:
    both = (("Slow{r=1}", 6.0, 7.0), ("Slow{r=2}", 6.0, 7.0))
    assert flapping(*both, at_most=1).clause("flaps").value == "pass"


def test_firings_that_only_the_counter_saw_are_flaps() -> None:
    counted = [("Slow{r=1}", t) for t in (6.0, 8.05, 9.05)]
    run = flapping(("Slow{r=1,severity=page}", 6.0, 7.0), counted=counted)
    assert (run.clause("flaps").value, run.clause("flaps").measured.starts) == ("fail", 3)


def test_a_counter_over_several_label_sets_leaves_it_open() -> None:
    counted = [(SLOW, t) for t in (6.0, 6.0, 8.05)]
    run = flapping(("Slow{r=1}", 6.0, 7.0), ("Slow{r=2}", 6.0, 7.0), counted=counted, at_most=1)
    found = run.clause("flaps")
    assert found.value == "unknown"
    assert "1 to 2 times" in found.reason


@pytest.mark.parametrize("polls", [{"skip": [(8.0, 9.5)]}, {"down": [(8.0, 9.5)]}])
def test_flaps_unseen_are_unknown(polls: dict[str, Any]) -> None:
    assert flapping((SLOW, 6.0, 7.0), **polls).clause("flaps").value == "unknown"


def test_flaps_after_observation_do_not_count() -> None:
    assert flapping((SLOW, 25.2, 25.3), at_most=0).clause("flaps").value == "pass"


def test_a_late_clearing_of_what_may_have_fired_before_the_fault_is_unknown() -> None:
    run = clearing(("Slow{r=1}", 2.0, 20.0), ("Slow{r=2}", 7.0, 9.0), skip=[(1.5, 5.0)]).gap("monitor", 1.5, 5.0)
    assert run.clause("clear").value == "unknown"
    only = clearing((SLOW, 2.0, 9.0), skip=[(1.5, 5.0)])
    assert "not exercised" in only.clause("clear").reason


def test_what_may_have_begun_before_the_gate_is_no_sure_firing() -> None:
    early = {"skip": [(0.6, 1.0)], "from_s": 0.5}
    assert quiet(("Stale", 0.7, 4.0), **early).gap("monitor", 0.6, 1.0).clause("quiet").value == "unknown"
    run = flapping((SLOW, 0.7, 4.0), (SLOW, 6.0, 7.0), at_most=1, **early).gap("monitor", 0.6, 1.0)
    assert run.clause("flaps").value == "unknown"


@pytest.mark.parametrize("clause", ["quiet", "flaps"])
def test_a_firing_before_the_counters_were_first_read_may_have_been_missed(clause: str) -> None:
    # It fires at 1.05 s, right after the gate, and is over at the first poll, which counts it as of old.
    asked: dict[str, Any] = {"counted": [("Stale", 1.05), (SLOW, 1.05)], "from_s": 1.2}
    run = quiet(**asked) if clause == "quiet" else flapping(**asked)
    found = run.clause(clause)
    assert found.value == "unknown"
    assert "was first read after the steady state" in found.reason


@pytest.mark.parametrize(
    ("start_s", "value"), [(24.95, "unknown"), (24.85, "fail"), (25.05, "unknown"), (25.15, "pass")]
)
def test_an_alert_that_fires_around_the_end_of_observation_is_left_open(start_s: float, value: str) -> None:
    # Polls are asked at 24.8, 24.9, 25.0 s and so on; observation ends at 25.0 s.
    firing = ("Stale", start_s, 26.0)
    found = quiet(firing).clause("quiet")
    assert found.value == value
    assert [count.met for count in found.measured.alerts] == [
        True,
        {"unknown": None, "fail": False, "pass": True}[value],
    ]
    flaps = flapping((SLOW, 7.0, 8.0), (SLOW, start_s, 26.0), at_most=1).clause("flaps")
    assert flaps.value == value
    assert flaps.measured.starts == (2 if value == "fail" else 1)


@pytest.mark.parametrize(
    ("start_s", "value"), [(24.85, "fail"), (24.95, "unknown"), (25.05, "unknown"), (25.15, "pass")]
)
def test_an_alert_that_fires_again_around_the_end_of_observation_may_have_stayed_clear(
    start_s: float, value: str
) -> None:
    found = clearing((SLOW, 7.0, 14.0), (SLOW, start_s, 26.0)).clause("clear")
    assert found.value == value
    assert ("cleared, but fired again before or after observation ended at 25.00 s" in found.reason) is (
        value == "unknown"
    )


def test_a_firing_that_the_counter_shows_after_a_silence_over_the_end_is_left_open() -> None:
    run = quiet(counted=[("Stale", 25.3)], down=[(24.8, 25.35)], to_s=26.0)
    assert run.clause("quiet").value == "unknown"


def test_two_sources_that_show_one_firing_show_no_more_than_one() -> None:
    def both(run: Run, *later: Firing) -> Run:
        return run.alerts((SLOW, 7.05, 14.0), *later, source="alertmanager")

    once = both(flapping((SLOW, 7.0, 14.0), at_most=1)).clause("flaps")
    assert (once.value, once.measured.starts) == ("pass", 1)
    again = ((SLOW, 15.0, 16.0),)
    twice = both(flapping((SLOW, 7.0, 14.0), *again, at_most=1), *again).clause("flaps")
    assert (twice.value, twice.measured.starts) == ("fail", 2)
    found = both(quiet((SLOW, 7.0, 14.0))).clause("quiet")
    assert "more" not in found.reason
    assert AlertCount(alert=SLOW, fired=1, met=False) in found.measured.alerts
    assert both(quiet((SLOW, 7.0, 14.0), ("Stale", 8.0, 9.0))).clause("quiet").reason.endswith("(and 1 more)")


def test_a_counter_of_one_source_counts_nothing_of_another() -> None:
    run = flapping(at_most=1, counted=[(SLOW, 7.05)]).alerts((SLOW, 7.0, 7.5), source="alertmanager")
    assert (run.clause("flaps").value, run.clause("flaps").measured.starts) == ("pass", 1)
