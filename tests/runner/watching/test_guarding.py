"""How long a run goes on for its guard, and which guard it is planned with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_runs import plan_of
from scenario_files import GOOD, STACK, changed, check_problems, load_problems, loaded
from test_check_samples import MADE

from harness.description.stackfile import load_stack
from harness.model.answers import ANSWER_PROBES
from harness.model.guard import Guard, guard_of
from harness.model.plan import Plan
from harness.model.readings import Answer, FaultSeen
from harness.runner.planning.plan import make_plans
from harness.runner.watching.guarding import looked_at_s
from harness.runner.watching.live import Live
from harness.runner.watching.settling import Settling

BACK = {"id": "back", "probe": "lag", "at_most": 5, "within": "6s"}


def plan_with(guard: dict[str, Any] | None = None, *, twin: Any = None, scores_checked: bool = True) -> Plan:
    """Return a plan with the usual guard, of a run whose fault goes out at 10 s."""
    plan = plan_of("0s", "1s", twin=twin, scores_checked=scores_checked, expect={"stays": []})
    limits = guard_of(Guard.model_validate(guard or {}), tuple(ANSWER_PROBES), scores_checked=scores_checked)
    return plan.model_copy(update={"guard": limits})


def settled_at(plan: Plan, until_s: float, **bad: Any) -> float:
    """Return when a run ends whose fault is out at 10 s, and whose answers are bad until then."""
    live = Live()
    settling = Settling(plan, live)
    for stage, at_s in (("injected", 5.0), ("reverted", 10.0)):
        live.note(0, at_s, FaultSeen.model_validate({"fault": "it", "stage": stage, "lo_s": at_s, "hi_s": at_s}))
    for tick in range(100, 400):
        now_s = tick / 10
        for k in range(5):
            due_s = now_s + 0.02 * k
            fields: dict[str, Any] = {"ok": True} | (bad if due_s < until_s else {})
            times = {"due_s": due_s, "sent_s": due_s, "done_s": due_s}
            live.note(tick, now_s, Answer(id=f"r{due_s}", at_event=0, **times, **fields))
        settling.tick(now_s)
        if settling.settled(now_s, 10.0):
            return now_s
    raise AssertionError("it goes on for ever")


def test_a_run_that_is_well_again_shows_it_for_three_seconds() -> None:
    assert settled_at(plan_with(), 0.0) == pytest.approx(13.5, abs=0.11)
    assert settled_at(plan_with().model_copy(update={"guard": ()}), 0.0) == pytest.approx(11.0, abs=0.11)
    assert settled_at(plan_with(twin="control"), 99.0, ok=False) == pytest.approx(13.0, abs=0.11), "it shows all it can"


@pytest.mark.parametrize("bad", [{"ok": False}, {"slow": True}, {"flagged": "x"}, {"wrong": True}, {"stale": True}])
def test_a_run_that_is_not_well_yet_goes_on_until_it_is(bad: dict[str, Any]) -> None:
    assert 14.5 < settled_at(plan_with(), 12.0, **bad) < 15.2


def test_and_until_the_recovery_and_the_look_at_what_follows_are_over_at_the_latest() -> None:
    assert settled_at(plan_with(), 99.0, flagged="x") == pytest.approx(10.0 + 5.0 + 3.5, abs=0.11)
    plan = plan_with()
    within = plan_of("0s", "1s", expect={"recovered": [BACK]}).scenario
    # Its probe is never read, so the recovery itself is waited for until its time and its `hold` are over.
    found = settled_at(plan.model_copy(update={"scenario": within}), 99.0, flagged="x")
    assert found == pytest.approx(10.0 + 6.0 + 3.5, abs=0.11)


def test_a_wider_limit_is_met_sooner() -> None:
    wide = {"flagged": {"at_most": 0.99, "because": "the cache fills for a minute"}}
    assert settled_at(plan_with(wide), 10.2, flagged="x") == pytest.approx(13.5, abs=0.11)


def test_what_no_model_can_show_is_not_waited_for() -> None:
    assert settled_at(plan_with(scores_checked=False), 99.0, wrong=None) == pytest.approx(13.5, abs=0.11)


def planned(folder: Path, text: str = GOOD, *changes: tuple[str, str]) -> Plan:
    """Return the plan of a scenario on the small stack, changed."""
    described = STACK.read_text("utf-8")
    for old, new in changes:
        assert described.count(old) == 1
        described = described.replace(old, new)
    (folder / "stack.yaml").write_text(described, "utf-8")
    (folder / "requests.jsonl").write_text('{"body": 1}\n', "utf-8")
    (plan,) = make_plans(loaded(folder, text), load_stack(folder / "stack.yaml"))
    return plan


def test_every_run_is_planned_with_a_guard(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    shown = {limit.id: (limit.limit_text, limit.known_only) for limit in plan.guard}
    assert shown == {
        "guard.failed": ("at least 0.99", False), "guard.slow": ("at most 0.05", False),
        "guard.flagged": ("at most 0.01", False), "guard.wrong": ("at most 0", True),
    }  # fmt: skip
    assert plan.clauses[-4:] == plan.guard
    assert Plan.model_validate_json(plan.model_dump_json()) == plan, "it is judged as it was planned"


def test_a_guard_is_of_what_the_stack_makes_measurable(tmp_path: Path) -> None:
    assert planned(tmp_path, GOOD, (f"  {MADE}\n", "")).guard == ()
    requests = 'workload: {requests: requests.jsonl, url: "http://server:18001", rate: 0.5/s}'
    plan = planned(tmp_path, GOOD, (MADE, requests))
    assert [limit.id for limit in plan.guard] == ["guard.failed", "guard.slow"]
    assert looked_at_s(plan) == 6.0


WIDE = "expect:\n  guard:\n    flagged: {at_most: 0.3, because: the cache fills for a minute}\n"


def test_a_scenario_widens_a_limit(tmp_path: Path) -> None:
    (limit,) = [one for one in planned(tmp_path, changed("expect:\n", WIDE)).guard if one.id == "guard.flagged"]
    assert (limit.allowed, limit.because) == (0.3, "the cache fills for a minute")


@pytest.mark.parametrize(
    ("old", "new", "field", "hint"),
    [
        (", because: the cache fills for a minute", "", "expect.guard.flagged.because", "missing"),
        ("at_most: 0.3", "at_most: 1", "expect.guard.flagged.at_most", "a number below 1"),
        ("at_most: 0.3", "at_most: 0.01", "expect.guard", "can only be widened"),
        ("flagged:", "flaged:", "expect.guard.flaged", "did you mean 'flagged'?"),
    ],
)
def test_mistakes_in_a_guard_are_named_with_their_place(
    tmp_path: Path, old: str, new: str, field: str, hint: str
) -> None:
    (found,) = load_problems(tmp_path, changed("expect:\n", WIDE.replace(old, new)))
    assert found.field == field
    assert hint in str(found)


def test_the_ids_of_the_guard_are_its_own(tmp_path: Path) -> None:
    (found,) = check_problems(tmp_path, changed("id: serving", "id: guard.failed"))
    assert "is reserved" in found.message
