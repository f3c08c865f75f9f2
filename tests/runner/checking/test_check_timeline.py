"""Timelines that wait for themselves, or that act twice on one thing at one time."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_files import GOOD, check_problems

from harness.model.errors import ScenarioError

START, END = GOOD.index("timeline:"), GOOD.index("expect:")


def step(id_: str, when: str, link: str = "link: trainer -> object-store", fault: str = "network.latency") -> str:
    with_ = "" if fault == "node.loss" else ", with: {latency: 1s}"
    return f"  - {{id: {id_}, {when}, fault: {fault}, target: {{{link}}}{with_}, for: 5s}}\n"


def timeline(folder: Path, *steps: str) -> tuple[ScenarioError, ...]:
    return check_problems(folder, f"{GOOD[:START]}timeline:\n{''.join(steps)}{GOOD[END:]}")


OTHER = "link: server -> object-store"


@pytest.mark.parametrize(
    "steps",
    [
        (step("a", "at: 1s"), step("b", "at: 6s")),
        (step("a", "at: 1s"), step("b", "at: 2s", OTHER)),
        (step("a", "at: 1s"), step("b", "after: {event: a.reverted}"), step("c", "after: {event: b.reverted}")),
        (step("a", "at: 1s"), step("b", "after: {event: a.confirmed}", OTHER)),
        (step("a", "at: 1s"), step("b", "after: {alert: ObjectStoreSlow}")),
        (step("a.b", "at: 1s"), step("c", "after: {event: a.b.injected}", OTHER)),
        (step("a", "at: 1s", "node: c", "node.loss"), step("b", "at: 1s", "link: trainer -> object-store")),
    ],
)
def test_faults_that_can_follow_one_another(tmp_path: Path, steps: tuple[str, ...]) -> None:
    assert timeline(tmp_path, *steps) == ()


@pytest.mark.parametrize(
    "steps",
    [
        (step("a", "at: 1s"), step("b", "at: 5s")),
        (step("b", "at: 5s"), step("a", "at: 1s")),
        (step("a", "at: 1s"), step("b", "at: 5s", "links: [server -> online, trainer -> object-store]")),
        (step("a", "at: 1s"), step("b", "at: 5s", "service: object-store")),
        (step("a", "at: 1s"), step("b", "at: 5s", "node: a", "node.loss")),
        (step("a", "at: 1s"), step("b", "after: {event: a.confirmed}")),
        (step("a", "after: {alert: ObjectStoreSlow}"), step("b", "after: {event: a.injected}")),
    ],
)
def test_faults_that_overlap_on_one_thing(tmp_path: Path, steps: tuple[str, ...]) -> None:
    (problem,) = timeline(tmp_path, *steps)
    assert problem.message == "'b' overlaps 'a' in time, and both act on link trainer -> object-store"
    assert "after: {event: a.reverted}" in (problem.remedy or "")
    index = next(i for i, text in enumerate(steps) if "id: b" in text)
    assert (problem.field, problem.line) == (f"timeline.{index}", 14 + index)


@pytest.mark.parametrize(
    ("steps", "circle"),
    [
        ((step("a", "after: {event: a.injected}"),), "a -> a"),
        ((step("a", "after: {event: b.reverted}"), step("b", "after: {event: a.reverted}")), "a -> b -> a"),
        (
            (
                step("z", "after: {event: a.injected}", OTHER),
                step("a", "after: {event: b.reverted}"),
                step("b", "after: {event: c.reverted}"),
                step("c", "after: {event: a.reverted}"),
            ),
            "a -> b -> c -> a",
        ),
    ],
)
def test_faults_that_wait_for_one_another(tmp_path: Path, steps: tuple[str, ...], circle: str) -> None:
    (problem,) = timeline(tmp_path, *steps)
    assert problem.message == f"the faults wait for one another: {circle}"
    assert "`at`" in (problem.remedy or "")
    assert str(problem.field).endswith("after.event")


@pytest.mark.parametrize(
    ("event", "message", "remedy"),
    [
        ("slw.injected", "there is no event 'slw.injected'", "did you mean 'slow.injected'?"),
        ("slow.inserted", "a fault has no stage 'inserted'", "did you mean 'injected'?"),
        ("injected", "there is no event 'injected'", "did you mean"),
    ],
)
def test_events_that_there_are_not(tmp_path: Path, event: str, message: str, remedy: str) -> None:
    (problem,) = timeline(tmp_path, step("slow", "at: 1s"), step("b", f"after: {{event: {event}}}", OTHER))
    assert problem.message == message
    assert remedy in (problem.remedy or "")
    assert (problem.field, problem.line) == ("timeline.1.after.event", 15)
