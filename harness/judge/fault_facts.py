"""What a journal shows of one fault: when it went in and out, and why clauses cannot rest on it, if they cannot.

Observation ends here too: a fault that is still in then was measured up to that moment.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.journal.records import Journal
from harness.judge.moments import Span
from harness.model.backend import FAULT_PROXY
from harness.model.readings import FaultSeen, Phase, ProcessSeen
from harness.model.verdict import Cause

# A fault is confirmed repeatedly until revert; after a longer silence than this it may no longer have been in effect.
EFFECT_SILENCE_S = 5.0
_AFTERWARDS = ("observed", "healing", "stopping")


@dataclass(frozen=True, slots=True)
class FaultFacts:
    """One fault as the journal shows it; `inconclusive_reason` says why clauses cannot rest on it."""

    id: str
    injected: Span | None
    confirmed_s: float | None
    reverted: Span | None
    taken_out_s: float | None
    """When its revert began: what is well from then on may be so by the harness's doing."""
    inconclusive_reason: str | None
    cites: tuple[int, ...]
    cause: Cause | None = None
    """Of an inconclusive one: what a clause that rests on it is unknown from."""


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


def fault_facts(journal: Journal, fault: str) -> FaultFacts:
    """Return what the journal shows of a fault."""
    injected = journal.fault_stage(fault, "injected")
    confirmed = journal.fault_stage(fault, "confirmed")
    reverted = journal.fault_stage(fault, "reverted")
    failed = journal.fault_stage(fault, "failed")
    out = _taken_out(journal, fault)
    cites = tuple(found[0] for found in (injected, confirmed, reverted, failed) if found is not None)
    return FaultFacts(
        id=fault,
        injected=_span(injected),
        confirmed_s=confirmed[1].hi_s if confirmed is not None else None,
        reverted=_span(reverted),
        taken_out_s=out[1].lo_s if out is not None else None,
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


def _taken_out(journal: Journal, fault: str) -> tuple[int, FaultSeen] | None:
    """Return the line with which its revert began."""
    return journal.fault_stage(fault, "reverting") or journal.fault_stage(fault, "reverted")


def _out_of_order(journal: Journal, fault: str, confirmed: FaultSeen) -> str | None:
    """Return what was measured at the wrong time: the effect belongs between injection and revert, and nowhere else."""
    injected, reverted = journal.fault_stage(fault, "injected"), journal.fault_stage(fault, "reverted")
    out = _taken_out(journal, fault)
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
    out = _taken_out(journal, fault)
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
