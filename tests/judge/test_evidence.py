"""A clause rests on evidence: without any sort of what it needs it does not pass, and less of it is never rewarded."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from evidence import ALWAYS, EXPECT, GUARANTEES, GUARD, RULES, SORTS, TABLE, Needs, Story, told
from hypothesis import HealthCheck, assume, event, example, given, settings
from hypothesis import strategies as st
from journals import SLOW, Run

from harness.journal.records import parse
from harness.judge import judge
from harness.judge.kinds import KINDS
from harness.model.errors import JournalError
from harness.model.expectations import Expect

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs" / "scenarios.md"
GAPS = {"alerts": "monitor", "answer": "workload"}
"""How a gap names what was not measured; a reading is named by its probe."""
WHOLE = told(Story())


def values(run: Run) -> dict[str, str]:
    return {c.id: str(c.value) for c in run.judged().clauses}


def without(run: Run, sort: str) -> Run:
    left = copy.deepcopy(run)
    if sort == RULES:
        for _, body in left.lines:
            if body["kind"] == "alerts":
                body["evaluations"] = None
    else:
        left.lines = [(t_s, body) for t_s, body in left.lines if not SORTS[sort](body)]
        assert len(left.lines) < len(run.lines)
    return left


# The table


def test_the_table_has_every_kind_of_clause() -> None:
    assert {needs.kind for needs in TABLE} == {kind.clause for kind in KINDS}
    clauses = (*Expect.model_validate(EXPECT).all_clauses(GUARANTEES), *GUARD)
    assert [(clause.id, type(clause)) for clause in clauses] == [(needs.clause, needs.kind) for needs in TABLE]


def test_a_run_with_all_of_the_evidence_passes() -> None:
    verdict = WHOLE.judged()
    assert verdict.value == "pass", verdict.reasons
    assert {c.id for c in verdict.clauses} == {needs.clause for needs in TABLE} | {"collateral"}


@pytest.mark.parametrize(
    ("needs", "sort"),
    [(needs, sort) for needs in TABLE for sort in (*ALWAYS, *needs.sorts)],
    ids=lambda value: value.clause if isinstance(value, Needs) else value,
)
def test_without_any_sort_of_its_evidence_a_clause_does_not_pass(needs: Needs, sort: str) -> None:
    left = without(WHOLE, sort)
    found = values(left)
    assert found.get(needs.clause, "unknown") != "pass"
    assert left.judged().value != "pass"


@pytest.mark.parametrize("needs", TABLE, ids=lambda needs: needs.clause)
def test_a_clause_rests_on_nothing_else(needs: Needs) -> None:
    left = WHOLE
    for sort in {*SORTS} - {*ALWAYS, *needs.sorts}:
        left = without(left, sort)
    assert values(left)[needs.clause] == "pass"


def test_the_documentation_shows_the_table() -> None:
    rows = [f"| {needs.name} | {', '.join(needs.sorts)} |" for needs in TABLE]
    shown = "\n".join(("| clause | evidence |", "|--|--|", f"| every one | {', '.join(ALWAYS)} |", *rows))
    assert shown in DOCS.read_text(encoding="utf-8"), shown


# Less of it


moments = st.integers(0, 250).map(lambda n: n / 10)
stretches = st.just((0.0, 25.0)) | st.tuples(moments, moments).map(lambda pair: (min(pair), max(pair)))
short = st.tuples(st.integers(10, 240), st.integers(1, 40)).map(lambda pair: (pair[0] / 10, (pair[0] + pair[1]) / 10))
names = st.sampled_from([SLOW, "Slow{r=1}", "Stale"])
changes = st.sampled_from([{"ok": False}, {"wrong": True}, {"wrong": None}, {"flagged": "stale"}, {"stale": True}])


OTHERWISE: dict[str, st.SearchStrategy[Any]] = {
    "fires": st.lists(st.tuples(names, short).map(lambda f: (f[0], *f[1])), max_size=3).map(tuple),
    "lags": st.lists(short, max_size=3).map(tuple),
    "refuses": st.lists(short, max_size=3).map(tuple),
    "bad": st.lists(st.tuples(short, changes).map(lambda b: (*b[0], b[1])), max_size=3).map(tuple),
    "restarts": st.lists(moments, max_size=3).map(lambda found: tuple(sorted(found))),
    "moves": st.lists(moments, max_size=3).map(tuple),
    "promotes": st.lists(st.tuples(moments, st.sampled_from([1.0, 2.0, 3.0])), max_size=4).map(
        lambda found: ((0.0, 1.0), *sorted(found))
    ),
    "poisoned": st.lists(st.sampled_from(["t1", "t2", "t3"]), max_size=2, unique=True).map(tuple),
    "lost": st.lists(st.sampled_from(["b", "c"]), max_size=2, unique=True).map(tuple),
}


def admitted(run: Run, sort: str, lost: tuple[float, float]) -> None:
    """Lose a stretch of measurements, and admit the gap."""
    lo_s, hi_s = lost
    subjects = set()
    left = []
    for t_s, body in run.lines:
        moment = body.get("asked_s", body.get("due_s"))
        if SORTS[sort](body) and lo_s <= moment < hi_s:
            subjects.add(GAPS.get(body["kind"]) or body["probe"])
        else:
            left.append((t_s, body))
    run.lines = left
    for subject in subjects:
        run.gap(subject, lo_s, hi_s)


def only_a_gap(run: Run, sort: str, lost: tuple[float, float]) -> None:
    """Admit a gap over what was measured all the same."""
    body = next(body for _, body in run.lines if SORTS[sort](body))
    run.gap(GAPS.get(body["kind"]) or body["probe"], *lost)


def later(run: Run, _sort: str, by: tuple[float, float]) -> None:
    """Measure alerts and probes less sharply: asked sooner, answered later, one after the other all the same."""
    sooner_s, later_s = (min(side, 8.0) / 100 for side in by)
    for k, (t_s, body) in enumerate(run.lines):
        if body["kind"] in ("alerts", "reading"):
            body["asked_s"] -= sooner_s
            body["planned_s"] -= sooner_s
            body["answered_s"] += later_s
            run.lines[k] = (max(t_s, body["answered_s"]), body)


def unsharp(run: Run, _sort: str, by: tuple[float, float]) -> None:
    """Know less sharply when the fault was in, and when it was gone."""
    for k, (t_s, body) in enumerate(run.lines):
        stage = body.get("stage")
        if stage == "injected":
            body["hi_s"] += min(by[0], 2.0) / 10
        if stage == "reverted":
            body["lo_s"] -= min(by[0], 10.0) / 10
            body["hi_s"] += by[1] / 10
        run.lines[k] = (max(t_s, body.get("hi_s", t_s)), body)


def unknown_answers(run: Run, _sort: str, lost: tuple[float, float]) -> None:
    """Leave open whether answers were right."""
    for _, body in run.lines:
        if body["kind"] == "answer" and lost[0] <= body["due_s"] < lost[1]:
            body["wrong"] = None


def uncounted(run: Run, _sort: str, lost: tuple[float, float]) -> None:
    """Read no history of firings, and no proof of evaluations."""
    for _, body in run.lines:
        if body["kind"] == "alerts" and lost[0] <= body["asked_s"] < lost[1]:
            body.update(evaluations=None, fired=None)


def unmeasured(run: Run, _sort: str, lost: tuple[float, float]) -> None:
    """Leave open whether the fault had its effect."""
    for _, body in run.lines:
        if body["kind"] == "fault" and body["stage"] != "injected" and lost[0] <= body["lo_s"] < lost[1]:
            body["landed"] = None


def unread(run: Run, sort: str, _lost: tuple[float, float]) -> None:
    """Read no such part of the ledger."""
    for _, body in run.lines:
        if SORTS[sort](body):
            body.update(data=None, error="timed out")


MEASURED = tuple(
    sort for sort in SORTS if sort.startswith(("readings", "answers", "polls"))
)  # what is measured again and again
LEDGER = tuple(sort for sort in SORTS if sort.endswith("of the ledger"))
TOUCHED: dict[str, tuple[str, ...]] = {
    "fires": ("polls of every alert source",),
    "lags": ("readings of the probe",),
    "refuses": ("readings of the readiness endpoint",),
    "bad": ("answers of the workload",),
    "restarts": MEASURED,
    "moves": ("readings of the pointer",),
    "promotes": ("readings of the promoted version", "promotions of the ledger"),
    "poisoned": ("readings of the promoted version", "lineage of the ledger"),
    "lost": ("answers of the workload", "examples of the ledger", "checkpoints of the ledger"),
}
"""What shows that a part of a story is otherwise."""
Blur = tuple[Callable[[Run, str, tuple[float, float]], None], str, tuple[float, float]]


@st.composite
def blurs(draw: st.DrawFn, sorts: tuple[str, ...]) -> Blur:
    """Draw one way of having less evidence of one of these sorts."""
    sort = draw(st.sampled_from(sorts))
    less = [unread] if sort in LEDGER else [admitted, admitted, only_a_gap]
    others = [later, unsharp, unknown_answers, uncounted, unmeasured]
    return draw(st.sampled_from(less) | st.sampled_from(others)), sort, draw(stretches)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Story, list[Blur]]:
    """Draw a run in which a few things are otherwise than in one that passes, and less evidence, mostly of those."""
    fields = draw(st.lists(st.sampled_from(sorted(OTHERWISE)), min_size=1, max_size=2, unique=True))
    given: dict[str, Any] = {field: draw(OTHERWISE[field]) for field in fields}
    story = Story(counted=draw(st.booleans()), forgetful=draw(st.booleans()), **given)
    touched = tuple(sort for field in fields for sort in TOUCHED[field])
    return story, draw(st.lists(blurs(touched) | blurs((*MEASURED, *LEDGER)), min_size=1, max_size=2))


spans = st.sampled_from([5.0, (5.0, 5.2)]), st.sampled_from([12.0, (11.8, 12.3)])


BACK_UNSEEN = Story(promotes=((0.0, 1.0), (8.0, 3.0), (9.0, 2.0)), forgetful=True)
MOVING_AT_ITS_END = Story(moves=(5.0, 24.8))
FAILING_UNTIL_18_1 = Story(bad=((14.1, 18.1, {"ok": False}),))
POISONED_AFTER_REVERT = Story(promotes=((0.0, 1.0), (13.0, 2.0), (16.0, 3.0)), poisoned=("t2",))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@example((BACK_UNSEEN, [(admitted, "readings of the promoted version", (0.0, 25.0))]), 5.0, 12.0)
@example((Story(lost=("b",)), [(admitted, "answers of the workload", (7.0, 9.0))]), 5.0, 12.0)
@example((POISONED_AFTER_REVERT, [(unsharp, MEASURED[0], (0.0, 25.0))]), 5.0, 12.0)
@example((FAILING_UNTIL_18_1, [(unsharp, MEASURED[0], (0.0, 25.0))]), 5.0, 12.0)
@example((MOVING_AT_ITS_END, [(later, "readings of the pointer", (0.0, 25.0))] * 2), 5.0, 12.0)
@given(cases(), *spans)
def test_less_evidence_never_turns_anything_into_a_pass(
    case: tuple[Story, list[Blur]], injected: Any, reverted: Any
) -> None:
    story, less = case
    run = told(story, injected, reverted)
    blurred = copy.deepcopy(run)
    for blur, sort, lost in less:
        blur(blurred, sort, lost)
    before, after = run.judged(), blurred.judged()
    values = {c.id: c for c in before.clauses}
    event(f"{before.value} to {after.value}")
    for clause in after.clauses:
        if clause.value == "pass":
            was = values.get(clause.id)
            assert was is not None
            assert was.value == "pass", (clause.id, was.reason, clause.reason, less)
    assert after.value != "pass" or before.value == "pass"


TEXTS = {"passes": WHOLE.text(), "fails": told(Story(lags=((6.0, 24.0),))).text()}


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(TEXTS)), st.sampled_from(sorted(SORTS)), st.data())
def test_lines_that_were_lost_are_missed_whichever_they_are(text: str, sort: str, data: st.DataObject) -> None:
    lines = TEXTS[text]
    of_sort = [at for at, line in enumerate(lines) if at and SORTS[sort](json.loads(line))]
    lost = data.draw(st.sets(st.sampled_from(of_sort), min_size=1, max_size=20))
    left = [line for at, line in enumerate(lines) if at not in lost]
    assume(len(left) < len(lines))
    with pytest.raises(JournalError, match="lines are missing, doubled or moved"):
        parse(left)
    assert judge(parse(lines)).value == ("pass" if text == "passes" else "fail")
