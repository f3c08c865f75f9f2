"""What every checker needs to know of a run: when each fault was injected and reverted, whether it was confirmed, when
observation ended, and the journal indexed once for all checkers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from harness.journal.records import Journal
from harness.judge.alert_history import Episode, Poll, episodes
from harness.judge.machine import UNDISTURBED, Disturbance, Disturbances, disturbances, joined
from harness.judge.moments import Span
from harness.model.answers import SLOW_ANSWERS, too_old
from harness.model.backend import FAULT_PROXY
from harness.model.readings import Answer, FaultSeen, MachineSeen, Phase, ProcessSeen, Reading
from harness.model.scenario import Scenario
from harness.model.series import Attributed, as_due
from harness.model.verdict import Cause

# A fault is confirmed repeatedly until revert; after a longer silence than this it may no longer have been in effect.
EFFECT_SILENCE_S = 5.0
LATE_IN_WINDOW_S = 0.05
"""How late the harness may be in a single request or poll; what was open meanwhile decides nothing."""
_AFTERWARDS = ("observed", "healing", "stopping")


@dataclass(frozen=True, slots=True)
class FaultFacts:
    """One fault as the journal shows it; `inconclusive_reason` says why clauses cannot rest on it."""

    id: str
    injected: Span | None
    confirmed_s: float | None
    reverted: Span | None
    inconclusive_reason: str | None
    cites: tuple[int, ...]
    cause: Cause | None = None
    """Of an inconclusive one: what a clause that rests on it is unknown from."""


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
        return min((at_s for at_s in later if at_s >= fault.reverted.hi), default=self.end_s)

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
        faults={step.id: _fault(journal, step.id) for step in journal.plan.scenario.timeline},
        gate_s=gate[1].at_s if gate is not None else 0.0,
        end_s=observation_end_s(journal),
    )


def observation_end_s(journal: Journal) -> float:
    """Return when observation ended: an interrupted run heals and stops its stack, and no clause is about that.

    Nor is any about a stack whose links lead through a proxy that has died. Where nothing says so, observation ended
    with the last line of the journal.
    """
    last_s = journal.lines[-1].t_s if journal.lines else 0.0
    over = [line.t_s for line in journal.lines if isinstance(line.body, Phase) and line.body.phase in _AFTERWARDS]
    died_s = proxy_died_s(journal)
    return min(over if died_s is None else [*over, died_s], default=last_s)


def proxy_died_s(journal: Journal) -> float | None:
    """Return when the fault proxy died: it is the harness's own, and what follows from its end is not the stack's."""
    seen = (one for _, one in journal.of(ProcessSeen) if one.service == FAULT_PROXY)
    return min((one.at_s for one in seen if one.what == "exited" and one.asked is None), default=None)


def _fault(journal: Journal, fault: str) -> FaultFacts:
    injected = journal.fault_stage(fault, "injected")
    confirmed = journal.fault_stage(fault, "confirmed")
    reverted = journal.fault_stage(fault, "reverted")
    failed = journal.fault_stage(fault, "failed")
    cites = tuple(found[0] for found in (injected, confirmed, reverted, failed) if found is not None)
    return FaultFacts(
        id=fault,
        injected=_span(injected),
        confirmed_s=confirmed[1].hi_s if confirmed is not None else None,
        reverted=_span(reverted),
        inconclusive_reason=_inconclusive_reason(journal, fault),
        cites=cites,
        cause="other" if failed is None and _met_nothing(journal, fault, confirmed) else None,
    )


def _inconclusive_reason(journal: Journal, fault: str) -> str | None:
    """Return why no clause can rest on a fault: it failed, was not injected, or not confirmed until its revert."""
    failed = journal.fault_stage(fault, "failed")
    if failed is not None:
        return f"the fault failed: {failed[1].error or 'no reason given'}"
    if journal.fault_stage(fault, "injected") is None:
        return "the fault was never injected"
    confirmed = journal.fault_stage(fault, "confirmed")
    if confirmed is None or not confirmed[1].landed:
        last = _looked_last(journal, fault)
        return "the fault was injected but never confirmed" + (f": {last.why}" if last is not None else "")
    reverted = journal.fault_stage(fault, "reverted")
    if reverted is not None and reverted[1].landed:
        return "the fault was reverted, but its effect was still measured"
    if reverted is not None and reverted[1].landed is None:
        return "the fault was reverted, but its absence was not measured"
    return _out_of_order(journal, fault, confirmed[1]) or _effect_gap(journal, fault, confirmed[1])


def _looked_last(journal: Journal, fault: str) -> FaultSeen | None:
    """Return the last time that the effect of a fault was looked for, and it says why it was not found."""
    looked = [seen for _, seen in journal.of(FaultSeen) if seen.fault == fault and seen.stage == "effect"]
    return next((seen for seen in reversed(looked) if seen.why is not None), None)


def _met_nothing(journal: Journal, fault: str, confirmed: tuple[int, FaultSeen] | None) -> bool:
    """Whether a fault was not confirmed because no traffic met it, which no machine is the cause of."""
    last = _looked_last(journal, fault)
    return (confirmed is None or not confirmed[1].landed) and last is not None and last.met_nothing


def _out_of_order(journal: Journal, fault: str, confirmed: FaultSeen) -> str | None:
    """Return what was measured at the wrong time: the effect belongs between injection and revert, and nowhere else."""
    injected, reverted = journal.fault_stage(fault, "injected"), journal.fault_stage(fault, "reverted")
    out = journal.fault_stage(fault, "reverting") or reverted
    if injected is not None and confirmed.lo_s < injected[1].lo_s:
        return f"the fault was confirmed at {confirmed.lo_s:.2f} s, before its injection"
    if out is not None and confirmed.hi_s > out[1].lo_s:
        return f"the fault was only confirmed at {confirmed.hi_s:.2f} s, when its revert had begun"
    if reverted is None:
        return None
    if injected is not None and reverted[1].lo_s < injected[1].hi_s:
        return f"the fault was reverted at {reverted[1].lo_s:.2f} s, before it was injected"
    again = [e for _, e in journal.of(FaultSeen) if e.fault == fault and e.landed and e.lo_s >= reverted[1].hi_s]
    if again:
        return f"the effect of the fault was measured again at {again[0].lo_s:.2f} s, after its revert"
    return None


def _effect_gap(journal: Journal, fault: str, confirmed: FaultSeen) -> str | None:
    """Return when its effect was lost or unmeasured, between its confirmation and the start of its revert."""
    out = journal.fault_stage(fault, "reverting") or journal.fault_stage(fault, "reverted")
    until_s = out[1].lo_s if out is not None else observation_end_s(journal)
    seen_s = confirmed.hi_s
    if confirmed.hi_s - confirmed.lo_s > EFFECT_SILENCE_S:
        return _took_too_long(confirmed)
    effects = [e for _, e in journal.of(FaultSeen) if e.fault == fault and e.stage == "effect"]
    for effect in sorted(effects, key=lambda e: e.lo_s):
        # Measurements before its confirmation, or during its revert, prove nothing about the time between.
        if effect.hi_s <= confirmed.hi_s or effect.hi_s > until_s:
            continue
        if effect.landed is False:
            return f"the fault had no effect at {effect.hi_s:.2f} s, before its revert"
        if effect.landed:
            if effect.hi_s - effect.lo_s > EFFECT_SILENCE_S:
                return _took_too_long(effect)
            if effect.lo_s - seen_s > EFFECT_SILENCE_S:
                return f"the fault was not measured from {seen_s:.2f} s to {effect.lo_s:.2f} s"
            seen_s = max(seen_s, effect.hi_s)
    if until_s - seen_s > EFFECT_SILENCE_S:
        return f"the fault was not measured from {seen_s:.2f} s to {until_s:.2f} s, before its revert"
    return None


def _took_too_long(measured: FaultSeen) -> str:
    """Say that a measurement is itself a silence: it found the effect at one moment of that time."""
    return (
        f"the fault was not measured from {measured.lo_s:.2f} s to {measured.hi_s:.2f} s, the time of one measurement"
    )


def _span(stage: tuple[int, FaultSeen] | None) -> Span | None:
    return Span(stage[1].lo_s, stage[1].hi_s) if stage is not None else None
