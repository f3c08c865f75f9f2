"""Faults that wait for a moment in the run: how long they wait for it, and what a control does in their place."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from fake_runs import plan_of

from harness.model.readings import FaultSeen, GateSeen
from harness.runner.execution.script import TimelineScript, wait_for_start
from harness.runner.watching.live import Live
from harness.runner.watching.settling import CONTROL_S, Settling

FAULT = {"fault": "test.fault", "target": {"service": "server"}}


def timeline(*steps: dict[str, Any]) -> list[dict[str, Any]]:
    return [FAULT | step for step in steps]


class Context:
    """What a script has of its run, and what it wrote."""

    def __init__(self, *steps: dict[str, Any], twin: str | None = None) -> None:
        self.plan = plan_of("0s", "1s", twin=twin, timeline=timeline(*steps))
        self.live = Live()
        self.gate_s = 0.0
        self.began: list[tuple[str, float]] = []
        self.failures: list[tuple[str, str]] = []
        self._start_s = asyncio.get_running_loop().time()

    def now_s(self) -> float:
        return asyncio.get_running_loop().time() - self._start_s

    def settled_s(self) -> float:
        return self.now_s()

    def phase(self, phase: str, detail: str | None = None) -> None:
        if phase == "fault":
            self.began.append((str(detail), self.now_s()))

    def failed(self, step: Any, _doing: str, why: str) -> None:
        self.failures.append((step.id, why))
        self.stage(step.id, "failed")

    async def driver(self, step: Any) -> Any:
        async def run() -> None:
            for stage in ("injecting", "injected", "confirmed"):
                self.stage(step.id, stage)
            await asyncio.sleep(step.duration)
            self.stage(step.id, "reverted")

        return SimpleNamespace(run=run)

    def stage(self, fault: str, stage: str) -> None:
        at_s = self.now_s()
        self.live.note(0, at_s, FaultSeen.model_validate({"fault": fault, "stage": stage, "lo_s": at_s, "hi_s": at_s}))


async def played(*steps: dict[str, Any], twin: str | None = None) -> Context:
    context: Any = Context(*steps, twin=twin)
    await TimelineScript()._faults(context, Settling(context.plan, context.live))
    return context


FIRST = {"id": "first", "at": "100ms", "for": "400ms"}


@pytest.mark.parametrize("twin", [None, "control"])
@pytest.mark.parametrize(
    ("event", "at_s"), [("first.injected", 0.1), ("first.confirmed", 0.1), ("first.reverted", 0.5)]
)
async def test_the_time_out_of_an_event_begins_when_it_can_happen(event: str, at_s: float, twin: str | None) -> None:
    second = {"id": "second", "after": {"event": event, "timeout": "300ms"}, "for": "10ms"}
    context = await played(FIRST, second, twin=twin)
    assert context.failures == []
    assert dict(context.began)["second"] > at_s - 0.01


@pytest.mark.parametrize("twin", [None, "control"])
async def test_it_begins_along_a_chain_of_faults(twin: str | None) -> None:
    chain = [
        {"id": name, "after": {"event": f"{before}.reverted", "timeout": "300ms"}, "for": "200ms"}
        for before, name in (("first", "second"), ("second", "third"))
    ]
    context = await played(*reversed(chain), FIRST, twin=twin)
    assert context.failures == []
    assert [name for name, _ in context.began] == ["first", "second", "third"]


async def test_an_event_that_does_not_come_is_waited_for_until_its_time_out() -> None:
    context: Any = Context(
        FIRST, {"id": "second", "after": {"event": "first.reverted", "timeout": "300ms"}, "for": "1s"}
    )
    why = await wait_for_start(context, context.plan.scenario.timeline[1])
    assert why == "its trigger did not happen within 0.3 s"
    assert context.now_s() > 0.79, "from the planned end of the first on"


async def test_a_fault_that_never_began_is_waited_for_no_longer() -> None:
    steps = [
        {"id": "first", "after": {"alert": "Never", "timeout": "50ms"}, "for": "1s"},
        {"id": "second", "after": {"event": "first.reverted"}, "for": "1s"},
    ]
    context = await played(*steps)
    assert context.failures == [
        ("first", "its trigger did not happen within 0.05 s"),
        ("second", "its trigger did not happen: first failed"),
    ]


@pytest.mark.parametrize(
    "trigger", [{"alert": "Broken"}, {"probe": {"id": "b", "probe": "lag", "at_most": 5, "over": "1s"}}]
)
async def test_a_control_goes_on_as_late_as_a_fault_can_begin(trigger: dict[str, Any]) -> None:
    steps = [
        {"id": "first", "after": trigger | {"timeout": "200ms"}, "for": "100ms"},
        {"id": "second", "after": {"event": "first.reverted"}, "for": "100ms"},
    ]
    context = await played(*steps, twin="control")
    assert context.failures == []
    assert context.now_s() > 0.39


def test_a_control_is_observed_for_as_long_as_an_alert_has_time() -> None:
    live = Live()
    live.note(1, 0.0, GateSeen(met=True, at_s=0.0))
    seen = [{"id": "seen", "alert": "Broken", "within": "20s"}]
    settling = Settling(plan_of("1s", "2s", twin="control", expect={"detected": seen}), live)
    settling.began("it", 1.0)
    settling.ended("it", 3.0)
    assert not settling.settled(20.9, 3.0)
    assert settling.settled(21.0 + CONTROL_S, 3.0)
