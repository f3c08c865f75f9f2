"""What must hold of every journal, whatever it says: the judge never raises, and lost information is never rewarded."""

from __future__ import annotations

import copy

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from journals import ALL, SLOW, Run, good_run, lag

from harness.journal.records import Journal, parse
from harness.judge import judge
from harness.judge import verdict as verdicts
from harness.model.errors import JournalError
from harness.model.verdict import ClauseResult, Verdict

pytestmark = pytest.mark.slow

MOMENTS = ("lo_s", "hi_s", "at_s", "planned_s", "asked_s", "answered_s", "due_s", "sent_s", "done_s", "from_s", "to_s")
LENGTHS = ("after_lo_s", "after_s", "within_s", "starts", "worst", "met")

few = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
many = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))

moments = st.integers(0, 300).map(lambda n: n / 10)
stretches = st.tuples(moments, moments).map(lambda pair: (min(pair), max(pair)))
labels = st.sampled_from([SLOW, "Slow{r=1}", "Slow{r=2}", "Stale"])
firings = st.tuples(labels, stretches).map(lambda f: (f[0], *f[1]))
TOLD = {"id": "told", "probe": "lag", "at_most": 5, "within": "6s"}
EXPECT = {**ALL, "noticed": [TOLD], "flaps_at_most": [{"id": "flaps", "alert": SLOW, "at_most": 1}]}
GUARANTEES = ["nothing_poisoned", "promotion_monotonic"]


@st.composite
def runs(draw: st.DrawFn) -> Run:
    """Draw a run in which anything may have gone wrong, with few polls to keep it quick."""
    twin = draw(st.sampled_from([None, None, None, "control"]))
    run = Run(EXPECT, twin=twin, guarantees=draw(st.sampled_from([[], GUARANTEES])))
    if draw(st.integers(0, 9)):
        run.gate(met=draw(st.integers(0, 9)) > 0)
    moment = st.none() | moments | stretches
    often = st.sampled_from([5.0, (4.9, 5.1)]) | moment
    if draw(st.integers(0, 9)):
        run.fault(
            injected=draw(often),
            confirmed=draw(st.just(5.3) | st.none() | moments),
            reverted=draw(st.just(12.0) | moment),
        )
    counted = draw(st.none() | st.lists(st.tuples(labels, moments), max_size=4))
    for source in ("monitor", "other")[: draw(st.integers(0, 2))]:
        run.alerts(
            *draw(st.lists(firings, max_size=4)),
            pending=draw(st.lists(firings, max_size=2)),
            counted=counted,
            resets=draw(st.lists(moments, max_size=1)),
            down=draw(st.lists(stretches, max_size=1)),
            skip=draw(st.lists(stretches, max_size=1)),
            source=source,
            every_s=draw(st.sampled_from([0.2, 0.5])),
        )
    bad = {"ok": False}, {"wrong": True}, {"wrong": None}, {"flagged": "stale"}
    run.answers(
        *((*s, change) for s, change in draw(st.lists(st.tuples(stretches, st.sampled_from(bad)), max_size=2))), rate=5
    )
    run.readings(
        "lag", lag(*draw(st.lists(stretches, max_size=2))), skip=draw(st.lists(stretches, max_size=1)), every_s=0.5
    )
    for service in draw(st.lists(st.sampled_from(["server", "harness:proxy"]), max_size=1)):
        run.dies(service, draw(moments), asked=draw(st.sampled_from([None, "slow"])))
    if draw(st.booleans()):
        run.evidence("promotions", history=[]).evidence("lineage", versions=[], poisoned={})
        run.readings("promoted_version", lambda t_s: float(t_s // 5), every_s=1.0)
    return run.end(draw(st.just(25.0) | st.none()), draw(st.just("completed") | st.sampled_from([None, "interrupted"])))


def rank(value: str) -> int:
    """How good a value is: losing information may never make it better."""
    return {"fail": 0, "unknown": 1, "pass": 2}[value]


def by_id(verdict: Verdict) -> dict[str, ClauseResult]:
    return {c.id: c for c in verdict.clauses}


def shifted(run: Run, by_s: float) -> Run:
    moved = copy.deepcopy(run)
    moved.lines = [(t + by_s, {k: v + by_s if k in MOMENTS else v for k, v in body.items()}) for t, body in moved.lines]
    return moved


@many
@given(runs())
def test_the_judge_never_fails_and_is_deterministic(run: Run) -> None:
    journal = run.build()
    first = judge(journal)
    assert not [c for c in first.clauses if c.id == "judge" or "checker failed" in c.reason], first.reasons
    assert judge(run.build()) == first
    assert Verdict.model_validate_json(first.model_dump_json()) == first


@many
@given(runs())
def test_a_verdict_has_reasons_and_cites_lines_that_exist(run: Run) -> None:
    verdict = run.judged()
    lines = {line.n for line in run.build().lines}
    assert all(set(c.cites) <= lines for c in verdict.clauses)
    assert bool(verdict.reasons) is (verdict.value != "pass")
    assert verdict.value != "pass" or all(c.value == "pass" for c in verdict.clauses)


@many
@given(runs(), st.integers(1, 64).map(lambda n: n / 4))
def test_shifting_a_run_in_time_changes_no_verdict(run: Run, by_s: float) -> None:
    assume(any(body["kind"] == "gate" for _, body in run.lines))
    before, after = run.judged(), shifted(run, by_s).judged()
    for name, clause in by_id(before).items():
        other = by_id(after)[name]
        # A deadline that is met to the last bit of a float may fall on either side of it.
        assert clause.value == other.value, (clause, other)
        for length in LENGTHS:
            theirs, ours = (getattr(c.measured, length, None) for c in (other, clause))
            assert theirs == pytest.approx(ours, abs=1e-6)
    assert before.damage == after.damage


@few
@given(st.integers(51, 240), st.integers(0, 100), st.booleans())
def test_an_alert_that_comes_later_never_makes_a_failure_a_pass(tenth: int, by: int, counted: bool) -> None:
    def detected(at_s: float) -> str:
        run = Run({"detected": ALL["detected"]}).gate().fault()
        fired = [(SLOW, at_s)] if counted else None
        return str(run.alerts((SLOW, at_s, at_s + 0.05 if counted else at_s + 1), counted=fired).end().judged().value)

    assert rank(detected((tenth + by) / 10)) <= rank(detected(tenth / 10))


def without(run: Run, kind: str, lost: tuple[float, float], gap: str | None = None) -> Run:
    thinner = copy.deepcopy(run)
    lo_s, hi_s = lost
    thinner.lines = [(t, b) for t, b in run.lines if not (b["kind"] == kind and lo_s <= b["asked_s"] < hi_s)]
    return thinner.gap(gap, lo_s, hi_s) if gap is not None else thinner


@st.composite
def alerting(draw: st.DrawFn, counted: bool) -> Run:
    """Draw a run whose alerts do anything, polled as they should be; `counted`: its source keeps a history."""
    told = draw(st.lists(firings, max_size=4))
    run = Run({k: EXPECT[k] for k in ("detected", "quiet", "cleared", "flaps_at_most")}).gate().fault()
    starts = []
    for name in dict.fromkeys(name for name, _, _ in told):
        covered = sorted((lo, hi) for n, lo, hi in told if n == name and lo < hi)
        end_s = -1.0
        for lo_s, hi_s in covered:
            if lo_s > end_s:
                starts.append((name, lo_s))
            end_s = max(end_s, hi_s)
    return run.alerts(*told, counted=starts if counted else None, every_s=0.2).end()


def never_rewarded(whole: Run, thinner: Run) -> None:
    before, after = by_id(whole.judged()), by_id(thinner.judged())
    for name, clause in after.items():
        if name not in before:
            assert clause.value == "unknown"
        elif before[name].value == "pass":
            assert clause.value != "fail", (name, before[name].reason, clause.reason)
        else:
            assert clause.value != "pass", (name, before[name].reason, clause.reason)


@many
@given(alerting(counted=True), stretches)
def test_polls_lost_from_a_source_with_a_history_are_never_rewarded(run: Run, lost: tuple[float, float]) -> None:
    # The last poll before injection may be half a second old; what began since then is taken for the fault's.
    assume(lost[1] <= 4.0 or lost[0] >= 5.5)
    never_rewarded(run, without(run, "alerts", lost))


@many
@given(alerting(counted=False), stretches)
def test_polls_lost_with_a_gap_admitted_are_never_rewarded(run: Run, lost: tuple[float, float]) -> None:
    never_rewarded(run, without(run, "alerts", lost, gap="monitor"))


@many
@given(st.lists(stretches, max_size=3), stretches)
def test_readings_lost_are_never_rewarded(broken: list[tuple[float, float]], lost: tuple[float, float]) -> None:
    stays = {"id": "low", "probe": "lag", "at_most": 5}
    expect = {"noticed": [TOLD], "stays": [stays], "recovered": ALL["recovered"]}
    run = Run(expect).gate().fault().readings("lag", lag(*broken)).end()
    never_rewarded(run, without(run, "reading", lost, gap="lag"))


GOOD = good_run().text()
WEAK = {"known_weakness": {"reason": "no retry", "ticket": "ML-7", "until": "2026-07-01"}}
WEAKLY = good_run(**WEAK).dies("server", 8.0).text()


@few
@given(st.sampled_from([GOOD, WEAKLY]), st.data())
def test_a_run_cut_off_anywhere_is_never_a_pass(text: list[str], data: st.DataObject) -> None:
    assert judge(parse(text)).value == "pass"
    whole = "".join(text)
    at = data.draw(st.integers(0, len(whole) - 1))
    try:
        journal = parse(whole[:at].splitlines(keepends=True))
    except JournalError:
        assert at < len(text[0])  # nothing but a piece of the head
    else:
        assert journal.cut_off or whole[at - 1] == "\n"
        assert judge(journal).value != "pass"


def test_a_crash_outside_of_the_checkers_makes_the_run_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(_journal: Journal) -> None:
        raise ZeroDivisionError("so many")

    monkeypatch.setattr(verdicts, "gather", crash)
    verdict = judge(good_run(**WEAK).build())
    assert (verdict.value, verdict.reasons) == ("unknown", ("the judge failed: ZeroDivisionError: so many",))
