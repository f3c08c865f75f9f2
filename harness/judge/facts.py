"""What every checker needs to know of a run: its faults, when observation ended, its answers and alerts, and when the
machine or the harness may be the cause of something; derived once for all checkers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from harness.journal.records import Journal
from harness.judge.alert_history import Episode, Poll, episodes
from harness.judge.fault_facts import FaultFacts, fault_facts, observation_end_s, proxy_died_s
from harness.judge.machine import UNDISTURBED, Disturbance, Disturbances, disturbances, joined
from harness.judge.moments import Span
from harness.model.answers import SLOW_ANSWERS, too_old
from harness.model.readings import Answer, MachineSeen, Reading
from harness.model.scenario import Scenario
from harness.model.series import Attributed, as_due

LATE_IN_WINDOW_S = 0.05
"""How late the harness may be in a single request or poll; what was open meanwhile decides nothing."""


@dataclass(frozen=True)
class Facts:
    """A run, ready to be checked. What several checkers need is derived once."""

    journal: Journal
    faults: dict[str, FaultFacts]
    gate_s: float
    end_s: float
    """When observation ended: nothing after it is judged."""

    @property
    def scenario(self) -> Scenario:
        """The scenario of the run."""
        return self.journal.plan.scenario

    @property
    def sources(self) -> tuple[str, ...]:
        """The alert sources that the stack declares."""
        return self.journal.plan.stack.alert_sources

    @property
    def first(self) -> FaultFacts:
        """The fault that went in first; one that never did comes after all others."""
        return min(self.faults.values(), key=lambda fault: math.inf if fault.injected is None else fault.injected.lo)

    @property
    def last(self) -> FaultFacts:
        """The fault that was out last; one that never was comes after all others."""
        outs = {fault.id: math.inf if fault.reverted is None else fault.reverted.hi for fault in self.faults.values()}
        return max(reversed(self.faults.values()), key=lambda fault: outs[fault.id])

    def alone_until_s(self, fault: FaultFacts) -> float:
        """Return until when what is seen may be a fault's: the next injection after its revert, or the end."""
        if fault.reverted is None:
            return self.end_s
        later = (f.injected.lo for f in self.faults.values() if f.injected is not None and f.id != fault.id)
        return min((at_s for at_s in later if fault.reverted.hi <= at_s < self.end_s), default=self.end_s)

    @cached_property
    def polls(self) -> list[Poll]:
        """Polls of the alert sources, in the order in which they were sent."""
        return self.journal.alerts

    @cached_property
    def episodes(self) -> list[Episode]:
        """Every firing of every label set."""
        return episodes(self.polls)

    @cached_property
    def answers(self) -> list[tuple[int, Answer]]:
        """Answers in the order in which they were due; one older than the stack declares is stale, whatever it says."""
        limits = self.journal.plan.stack.freshness_s

        def judged(answer: Answer) -> Answer:
            late = not answer.stale and too_old(answer.ages, limits)
            return answer.model_copy(update={"stale": True}) if late else answer

        return [(n, judged(answer)) for n, answer in self.journal.answers]

    @cached_property
    def attributed(self) -> list[Attributed]:
        """Answers, each for the moment at which it was due.

        One that was open at an injection belongs to that fault. Nothing bad follows from one that was open while the
        machine was busy, or the harness late.
        """
        found = as_due(self.answers)
        if self.journal.plan.faults_on:
            faults = [(f.injected.lo, f.reverted) for f in self.faults.values() if f.injected is not None]
            stays = sorted((in_s, math.inf if out is None else out.hi) for in_s, out in faults)
            counted = ((one, _counts_at_s(one.answer, stays)) for one in found)
            found = [one if at_s == one.at_s else one._replace(at_s=at_s) for one, at_s in counted]
            found.sort(key=lambda one: one.at_s)
        if self.disturbed == UNDISTURBED:
            return found
        return [self._doubted(one) for one in found]

    def _doubted(self, one: Attributed) -> Attributed:
        """Return an answer with what other than the stack may be the cause of what it shows, if anything may."""
        lo_s, hi_s = one.answer.due_s, one.answer.done_s
        harness, machine = self.disturbed.by_harness(lo_s, hi_s), self.disturbed.by_machine(lo_s, hi_s)
        if harness is not None:
            return one._replace(inconclusive=machine or harness, machine=machine is not None)
        if machine is None:
            return one
        lost_s = self.disturbed.lost_s(lo_s, hi_s)
        if not one.answer.ok and 2 * lost_s < hi_s - lo_s:
            return one  # it failed though it had the machine for most of its time
        return one._replace(inconclusive=machine, machine=True, lost_s=lost_s)

    def counted_for(self, probe: str) -> list[Attributed]:
        """Return the answers as a probe counts them: one that is slow without what the machine took is slow."""
        if probe != SLOW_ANSWERS:
            return self.attributed
        slow_s = self.journal.plan.stack.slow_s
        return [
            one._replace(inconclusive=None, machine=False)
            if one.inconclusive is not None and one.answer.done_s - one.answer.due_s - one.lost_s > slow_s
            else one
            for one in self.attributed
        ]

    @cached_property
    def disturbed(self) -> Disturbances:
        """When the machine was busy, or the harness late."""
        found = disturbances((seen for _, seen in self.journal.of(MachineSeen)), self.late)
        died_s = proxy_died_s(self.journal)
        if died_s is None:
            return found
        why = f"the harness's own fault proxy died at {died_s:.2f} s"
        return replace(found, harness=(*found.harness, Disturbance(died_s, math.inf, why)))

    @cached_property
    def late(self) -> list[Span]:
        """The stretches in which the harness itself was late, in sending or in polling."""
        seen = [(a.due_s, a.sent_s) for _, a in self.answers]
        seen += [(r.planned_s, r.asked_s) for _, r in self.journal.of(Reading)]
        seen += [(poll.planned_s, poll.asked_s) for _, poll in self.polls]
        seen += [(m.to_s - m.late_s, m.to_s) for _, m in self.journal.of(MachineSeen)]
        late = sorted(pair for pair in seen if pair[1] - pair[0] > LATE_IN_WINDOW_S)
        return [Span(lo_s, hi_s) for lo_s, hi_s in joined(late)]

    def readings(self, probe: str) -> list[tuple[int, Reading]]:
        """Return the readings of one probe, in the order in which they were sent."""
        return self.journal.readings(probe)

    @cached_property
    def injected(self) -> Span | None:
        """The first injection of any fault."""
        spans = [f.injected for f in self.faults.values() if f.injected is not None]
        return min(spans, key=lambda s: s.lo) if spans else None

    @property
    def reverted(self) -> Span | None:
        """The last revert; None unless every fault was reverted."""
        spans = [f.reverted for f in self.faults.values()]
        found = [s for s in spans if s is not None]
        return max(found, key=lambda s: s.hi) if found and len(found) == len(spans) else None

    @property
    def under_fault(self) -> tuple[float, float]:
        """From when to when a clause is about the run: from the first injection, or the steady state where there is
        none, to the end of observation.
        """
        injected = self.injected if self.journal.plan.faults_on else None
        return (injected.lo if injected is not None else self.gate_s), self.end_s

    @property
    def gone(self) -> bool:
        """Whether every injected fault was measured to be gone."""
        return all(f.injected is None or f.reverted is not None for f in self.faults.values())

    @cached_property
    def inconclusive_fault(self) -> FaultFacts | None:
        """A fault on which no clause can rest, if there is one. A control has no faults."""
        if not self.journal.plan.faults_on:
            return None
        return next((f for f in self.faults.values() if f.inconclusive_reason is not None), None)


def _counts_at_s(answer: Answer, stays: Sequence[tuple[float, float]]) -> float:
    """Return when a request counts: when it was due, or at the first injection at which it was open.

    `stays` are from when to when each fault was in, in order. What was due while one was in belongs to that one.
    """
    due_s, done_s = answer.due_s, answer.done_s
    if any(in_s <= due_s <= out_s for in_s, out_s in stays):
        return due_s
    return next((in_s for in_s, _ in stays if due_s < in_s < done_s), due_s)


def gather(journal: Journal) -> Facts:
    """Read the facts of a run out of its journal."""
    gate = journal.gate
    return Facts(
        journal=journal,
        faults={step.id: fault_facts(journal, step.id) for step in journal.plan.scenario.timeline},
        gate_s=gate[1].at_s if gate is not None else 0.0,
        end_s=observation_end_s(journal),
    )
