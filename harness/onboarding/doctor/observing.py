"""Reads a running stack for a few seconds with the watchers of a run, and keeps the readings."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.faults.installed import Faults
from harness.journal.files import NAME as JOURNAL
from harness.journal.writer import JournalWriter
from harness.model.backend import Backend
from harness.model.errors import HarnessError
from harness.model.eventtime import EventClock
from harness.model.plan import Plan
from harness.model.readings import AlertsSeen, Body, Gap, Reading
from harness.model.scenario import Scenario
from harness.model.stack import StackDescription
from harness.probes.event_clock import read_event_clock
from harness.runner.planning.catalogue import Catalogue
from harness.runner.planning.plan import DEFAULT_SEED, stack_facts, with_steady_state
from harness.runner.watching.watchers import Watchers
from harness.seams import Seams

LATE_S = 2.0
"""How much later than its interval says an evaluation is seen, at most."""
LONGEST_WATCH_S = 20.0
"""How long a source is watched, at most, to see it evaluate its rules."""


@dataclass
class Observed:
    """All that was read in the time, in its order."""

    readings: dict[str, list[Reading]] = field(default_factory=dict)
    alerts: dict[str, list[AlertsSeen]] = field(default_factory=dict)
    gaps: dict[str, Gap] = field(default_factory=dict)
    """Of each probe or source the last stretch of which nothing is known."""
    errors: dict[str, str] = field(default_factory=dict)
    """Why a probe or a source could not be read at all."""
    clock: EventClock | None = None
    clock_error: str | None = None

    def take(self, _n: int, _at_s: float, body: Body) -> None:
        """Keep one line of the journal."""
        if isinstance(body, Reading):
            self.readings.setdefault(body.probe, []).append(body)
        elif isinstance(body, AlertsSeen):
            self.alerts.setdefault(body.source, []).append(body)
        elif isinstance(body, Gap):
            self.gaps[body.probe] = body

    def evaluates_within_s(self, source: str) -> float:
        """Return for how long to watch a source to see it evaluate its rules; 0 where that was seen, or takes long."""
        answers = [one for one in self.alerts.get(source, ()) if one.evaluations is not None]
        if not answers or was_evaluated(answers) or not answers[-1].interval_s:
            return 0.0
        within_s = answers[-1].interval_s + LATE_S
        return within_s if within_s <= LONGEST_WATCH_S else 0.0


def was_evaluated(answers: Sequence[AlertsSeen]) -> bool:
    """Whether a counter of evaluations rose between the first and the last of some answers that have it."""
    beats = [one.evaluations for one in answers if one.evaluations is not None]
    return bool(beats) and beats[-1] > beats[0]


async def observe(stack: StackDescription, backend: Backend, for_s: float, settle_s: float) -> Observed:
    """Read every probe and alert source of a running stack for some seconds.

    Each has its own watcher, so that one which cannot be read does not keep the others from being read. The event
    clock, which ages are taken by, is waited for up to `settle_s`.
    """
    observed = Observed()
    try:
        observed.clock = await read_event_clock(stack, backend, settle_s)
    except HarnessError as error:
        observed.clock_error = str(error)
    with tempfile.TemporaryDirectory(prefix="harness-doctor-") as folder:
        plan = plan_of(stack, for_s)
        journal = JournalWriter(Path(folder) / JOURNAL, plan, observed.take)
        parts: dict[str, StackDescription] = {}
        for name, spec in stack.probes.items():
            parts[name] = stack.model_copy(update={"probes": {name: spec}, "alert_sources": ()})
        for source in stack.alert_sources:
            parts[source.name] = stack.model_copy(update={"probes": {}, "alert_sources": (source,)})

        async def watch(name: str, part: StackDescription) -> None:
            seams = Seams(backend, part, observed.clock)
            watchers = Watchers(plan, part, backend, journal)
            try:
                watchers.start(seams, None)
                await asyncio.sleep(for_s)
                await asyncio.sleep(max(0.0, observed.evaluates_within_s(name) - for_s))
                watchers.check()
            except HarnessError as error:
                observed.errors[name] = str(error)
            finally:
                await watchers.stop()
                await seams.close()

        try:
            await asyncio.gather(*(watch(name, part) for name, part in parts.items()))
        finally:
            journal.close()
    return observed


def plan_of(stack: StackDescription, gate_timeout_s: float) -> Plan:
    """Return a plan under which nothing is done: watchers belong to a run, and a run to a plan."""
    nothing = {
        "schema": 1,
        "scenario": "doctor",
        "summary": "Nothing is broken; what can be read is read.",
        "stack": stack.name,
        "timeline": [{"id": "nothing", "at": "0s", "fault": "none", "target": {"service": "none"}, "for": "1s"}],
        "expect": {},
    }
    facts = stack_facts(Catalogue(stack, Faults()))
    scenario = with_steady_state(Scenario.model_validate(nothing), stack)
    scenario = scenario.model_copy(update={"gate_timeout": gate_timeout_s})
    return Plan(run="doctor", scenario=scenario, stack=facts, seed=DEFAULT_SEED, twin="control", links=())
