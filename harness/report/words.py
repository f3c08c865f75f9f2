"""Numbers and verdicts in words, the same in every report: seconds, values with their unit, met or not."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.judge.misfire import PROVES_NOTHING
from harness.judge.verdict import KNOWN_WEAKNESS
from harness.model.advice import Advice
from harness.model.alert_clauses import DetectionResult
from harness.model.answers import ANSWER_PROBES
from harness.model.clauses import NoticedResult, RecoveryResult, Result, ShareResult, StaysResult
from harness.model.expectations import AbortResult, IntegrityResult
from harness.model.plan import StackFacts
from harness.model.units import Unit, format_amount
from harness.model.verdict import Value, Verdict

NEVER = "never"
NONE = "–"


def seconds(value_s: float | None, never: str = NONE) -> str:
    """Write seconds with the digits that matter."""
    if value_s is None or not math.isfinite(value_s):
        return never
    if abs(value_s) < 10:
        return f"{value_s:.2f} s"
    return f"{value_s:.1f} s" if abs(value_s) < 100 else f"{value_s:.0f} s"


def between(lo_s: float | None, hi_s: float | None) -> str | None:
    """Write the interval that encloses a moment, where that is more exact than its end."""
    if lo_s is None or hi_s is None or not math.isfinite(lo_s) or hi_s - lo_s < 0.01:
        return None
    return f"between {seconds(lo_s)} and {seconds(hi_s)}"


def unit_of(probe: str, stack: StackFacts) -> Unit:
    """Return what a probe's number is."""
    if probe in ANSWER_PROBES:
        return ANSWER_PROBES[probe].unit
    return stack.probe_units.get(probe, Unit.NUMBER)


def amount(value: float | None, unit: Unit) -> str:
    """Write a probe's number with its unit."""
    return format_amount(value, unit) or NONE


def per_cent(share: float) -> str:
    """Write a share in whole per cent."""
    return f"{share * 100:.0f} %"


def count(number: int, singular: str, plural: str | None = None) -> str:
    """Write `1 answer`, `2 answers`."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def unseen_text(counted: Result) -> str | None:
    """Write how many answers were beyond a bound on a share, and which share of them would have shown.

    None for other bounds.
    """
    if (
        not isinstance(counted, ShareResult)
        or counted.samples is None
        or counted.beyond is None
        or counted.unseen is None
    ):
        return None
    text = f"{counted.beyond:,} of {count(counted.samples, 'answer')} beyond it; "
    if counted.unseen >= 1:
        return f"{text}no share of them would have shown"
    return f"{text}more than {amount(counted.unseen, Unit.RATIO)} would have shown (level {counted.level})"


_DONE = {
    DetectionResult.KIND: "detected the fault",
    NoticedResult.KIND: "showed the fault in its probes",
    RecoveryResult.KIND: "recovered from it",
    StaysResult.KIND: "stayed within its bounds",
    IntegrityResult.KIND: "kept its guarantees about data",
}
"""What a stack did, by the kind of clause that passed."""


def _passed(verdict: Verdict) -> str:
    """Return what a pass rests on: only what was expected, and measured."""
    done = [words for kind, words in _DONE.items() if verdict.of_kind(kind)]
    listed = f"{', '.join(done[:-1])} and {done[-1]}" if len(done) > 1 else "".join(done)
    text = f"The stack {listed}." if listed else "The stack met what the scenario expects of it."
    if verdict.unbounded:
        text += f" {unbounded_text(verdict.unbounded)}"
    return text


def unbounded_text(unbounded: Sequence[str]) -> str:
    """Return what a run did that no clause of its scenario looks at, as a sentence."""
    return f"But {' and '.join(unbounded)}, and no clause looks at that."


def advice_lines(advice: Sequence[Advice]) -> list[str]:
    """Return each piece of advice as a line, and after them what proves a repair, once."""
    lines = [f"advice on {', '.join(one.clauses)}: {one.text}" for one in advice]
    return [*lines, *dict.fromkeys(f"the repair is proved when {one.proof_text}" for one in advice)]


def _misfire(verdict: Verdict) -> str:
    if verdict.value is Value.PASS:
        return "With the faults where they cannot matter, nothing passed that should rest on them, as it should be."
    if verdict.value is Value.UNKNOWN:
        return "It is not known whether the scenario tells its faults from others: the evidence does not decide."
    if any(reason.startswith(PROVES_NOTHING) for reason in verdict.reasons):
        return "The scenario proves nothing: what it expects of the faults happened where they could not matter."
    return "An alert fired or a bound broke, although the faults were where they could not matter."


def _sabotage(verdict: Verdict) -> str:
    off = f"{verdict.sabotage} was switched off"
    if verdict.catch == "caught":
        return f"The harness caught the sabotage: {off}, and every clause that must fail without it did."
    return f"{off}, and not every clause that must fail without it did."


def _known_weakness(verdict: Verdict) -> str:
    if verdict.value is Value.PASS:
        return "The stack failed as expected: the scenario declares this weakness."
    if verdict.reasons and verdict.reasons[0].startswith(KNOWN_WEAKNESS):
        return "A known weakness that passes, or whose date has passed, fails the run."
    return "A clause failed that is not part of the known weakness."


def headline(verdict: Verdict) -> str:
    """Return what the verdict means, in one sentence."""
    if verdict.of_kind(AbortResult.KIND):
        return "A guardrail was crossed: all faults were reverted at once, and the run ended early."
    if verdict.catch is not None:
        return _sabotage(verdict)
    if verdict.twin == "control":
        return {
            Value.PASS: "Without the fault no alert fired and no bound broke, as it should be.",
            Value.FAIL: "An alert fired or a bound broke, although no fault was injected.",
            Value.UNKNOWN: "No fault was injected, and the evidence does not decide.",
        }[verdict.value]
    if verdict.twin == "misfire":
        return _misfire(verdict)
    if verdict.known_weakness is not None and verdict.value is not Value.UNKNOWN:
        return _known_weakness(verdict)
    return {
        Value.PASS: _passed(verdict),
        Value.FAIL: "The stack did not meet all that the scenario expects.",
        Value.UNKNOWN: "The evidence does not decide: the run proves nothing, good or bad.",
    }[verdict.value]
