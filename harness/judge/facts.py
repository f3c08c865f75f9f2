"""What every checker needs to know of a run: when each fault went in and out, whether it landed, and where looking
ended."""

from __future__ import annotations

from dataclasses import dataclass

from harness.journal.records import Journal
from harness.judge.moments import Span
from harness.model.readings import FaultSeen
from harness.model.scenario import Scenario

# A fault is measured again and again while it is in; a longer silence than this and nobody knows that it still was.
EFFECT_SILENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class FaultFacts:
    """One fault as the journal shows it; `doubt` says why clauses cannot rest on it."""

    id: str
    injected: Span | None
    confirmed_s: float | None
    reverted: Span | None
    doubt: str | None
    cites: tuple[int, ...]


@dataclass(frozen=True)
class Facts:
    """A run, ready to be checked."""

    journal: Journal
    faults: dict[str, FaultFacts]
    gate_s: float
    end_s: float
    """Where observation ended: nothing after it is judged."""

    @property
    def scenario(self) -> Scenario:
        """The scenario of the run."""
        return self.journal.plan.scenario

    @property
    def first(self) -> FaultFacts:
        """The first fault of the timeline."""
        return self.faults[self.scenario.timeline[0].id]

    @property
    def last(self) -> FaultFacts:
        """The last fault of the timeline."""
        return self.faults[self.scenario.timeline[-1].id]

    @property
    def injected(self) -> Span | None:
        """The first injection of any fault."""
        spans = [f.injected for f in self.faults.values() if f.injected is not None]
        return min(spans, key=lambda s: s.lo) if spans else None

    @property
    def reverted(self) -> Span | None:
        """The last revert, None unless every fault that went in came out."""
        spans = [f.reverted for f in self.faults.values()]
        found = [s for s in spans if s is not None]
        return max(found, key=lambda s: s.hi) if found and len(found) == len(spans) else None

    @property
    def doubt(self) -> FaultFacts | None:
        """A fault on which nothing can rest, if there is one."""
        return next((f for f in self.faults.values() if f.doubt is not None), None)


def gather(journal: Journal) -> Facts:
    """Read the facts of a run out of its journal."""
    gate = journal.gate
    last_s = journal.lines[-1].t_s if journal.lines else 0.0
    observed_s = journal.phase_s("observed")
    return Facts(
        journal=journal,
        faults={step.id: _fault(journal, step.id) for step in journal.plan.scenario.timeline},
        gate_s=gate[1].at_s if gate is not None else 0.0,
        end_s=observed_s if observed_s is not None else last_s,
    )


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
        doubt=_doubt(journal, fault, injected, confirmed, reverted, failed),
        cites=cites,
    )


Stage = tuple[int, FaultSeen] | None


def _doubt(
    journal: Journal, fault: str, injected: Stage, confirmed: Stage, reverted: Stage, failed: Stage
) -> str | None:
    if failed is not None:
        return f"the fault could not be handled: {failed[1].evidence.get('error', 'no reason given')}"
    if injected is None:
        return "the fault was never injected"
    if confirmed is None:
        return "the fault was injected but never confirmed at its seam"
    until_s = reverted[1].lo_s if reverted is not None else None
    seen_s = confirmed[1].hi_s
    for _, effect in journal.of(FaultSeen):
        if effect.fault != fault or effect.stage != "effect" or (until_s is not None and effect.lo_s >= until_s):
            continue
        if effect.landed is False:
            return f"the fault was no longer measured at its seam at {effect.hi_s:.2f} s"
        if effect.landed:
            if effect.lo_s - seen_s > EFFECT_SILENCE_S:
                return f"nobody measured the fault from {seen_s:.2f} s to {effect.lo_s:.2f} s"
            seen_s = effect.hi_s
    if until_s is not None and until_s - seen_s > EFFECT_SILENCE_S:
        return f"nobody measured the fault from {seen_s:.2f} s until it was taken out at {until_s:.2f} s"
    return None


def _span(stage: Stage) -> Span | None:
    return Span(stage[1].lo_s, stage[1].hi_s) if stage is not None else None
