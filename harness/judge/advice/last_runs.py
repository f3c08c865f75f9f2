"""Advice on jobs that count runs without a result: what they make grows old, and their metric says that they ran."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice, pairwise

from harness.judge.advice.case import FEWEST, Case, MissingGuard, falls, undetected, values_of
from harness.model.clauses import RecoveryResult, StaysResult
from harness.model.last_runs import tells_of_last_run
from harness.model.readings import RuleSeen
from harness.model.units import Unit
from harness.model.verdict import ClauseResult
from harness.model.wiring import ProbeFacts

_APART = re.compile(
    r"fail|error|skip|retry|retries|abort|reject|cancel|drop|miss|empty|invalid|start|attempt|trigger|begin|began"
    r"|schedul|queue|pending|time_?out|dead|dry_?run",
    re.IGNORECASE,
)
"""In the names of metrics that count runs without a result, or not yet with one: those are the guard itself."""
MOST_CHANCE = 0.05
"""How likely it may be that runs had no result by chance, as runs without the fault have none now and then."""
_NAMED_AS_AGE = re.compile("since|(^|_)age(_|$)", re.IGNORECASE)


def run_with_result(case: Case) -> Iterator[MissingGuard]:
    """A result grows old, and the metric for the last run of who makes it goes on as if nothing were wrong."""
    if not case.away and case.kind != "network.reset":
        return
    for clause, measured in case.failed_bounds(StaysResult, RecoveryResult):
        others = (name for name in case.wiring.probes if name != measured.probe)
        yield from (found for name in others if (found := _ran_in_vain(case, clause, name, measured.probe)) is not None)
    for clause, silent in undetected(case):
        rules = [one for _, one in case.facts.journal.of(RuleSeen) if one.alert == silent.alert]
        metrics = {metric for one in rules for metric in one.metrics}
        # A rule that waits for longer than the fault was in, or the clause does, was silent for that.
        soon_s = min(case.out_s - case.injected.hi, silent.within_s)
        if any(one.fires_after_s is None or one.fires_after_s > soon_s for one in rules):
            continue
        for name, probe in case.wiring.probes.items():
            # A rule that goes by something else too may be silent for that.
            if probe.kind == "metric" and {probe.page.partition("{")[0]} == metrics:
                ages = (age for age, asked in case.wiring.probes.items() if age != name and not asked.health)
                told = (one for age in ages if (one := _ran_in_vain(case, clause, name, age)) is not None)
                yield from islice(told, 1)


def _ran_in_vain(case: Case, clause: ClauseResult, name: str, age: str) -> MissingGuard | None:
    """Return what shows that a service counts runs that made nothing: its metric of a run, and its result's age."""
    probe, unit = case.probe(name), case.unit(age)
    link = next((one for one in case.broken if probe.services == (one.consumer,)), None)
    if link is None or unit not in (Unit.WALL, Unit.EVENT) or not _of_last_run(name, probe):
        return None
    runs = _runs(case, name, case.injected.hi, case.out_s)
    if len(runs) < FEWEST or not _makes(case, link.consumer, age) or _began_anew(case, link.consumer):
        return None
    # What lies in a store that is gone cannot be made anew.
    gone = case.away and case.asked(age) in case.hit
    if not (gone or _only_grew(case, age)) or not _makes_results(case, name, age, len(runs)):
        return None
    how = "could not be set back" if gone else "only grew"
    seen = f"{age} {how} while {case.what_was([link])}, and {name} showed {len(runs)} new runs of {link.consumer}"
    where = f"{link.consumer}: {probe.page or name}"
    return MissingGuard("run-with-result", where, f"{seen} in that time", (clause.id,), tuple(runs[:FEWEST]))


def _makes(case: Case, service: str, age: str) -> bool:
    """Whether the result whose age is read is a service's: who else was cut off, and may write there, may make it."""
    asked, wiring = case.asked(age), case.wiring
    if asked is None or asked == service:
        return asked == service
    cut_off = {one.consumer for one in case.broken} - {service}
    readers = {one for one in cut_off if wiring.workload in (None, one) or wiring.reaches(str(wiring.workload), one)}
    return asked in wiring.used_by(service) and not any(asked in wiring.used_by(one) for one in cut_off - readers)


def _began_anew(case: Case, service: str) -> bool:
    """Whether a service ended meanwhile: its metrics begin anew then, which looks like a run."""
    return any(case.facts.gate_s <= one.at_s <= case.out_s for _, one in case.processes(service))


def _only_grew(case: Case, age: str) -> bool:
    """Whether an age grew while the fault was in, and was never set back; one that stands still is no age."""
    read = [one for _, one in case.readings(age, case.injected.hi, case.out_s) if one.value is not None]
    values = [one.value for one in read if one.value is not None]
    if sum(later > before for before, later in pairwise(values)) < FEWEST or falls(list(enumerate(values))):
        return False
    return case.unit(age) is not Unit.WALL or 2 * (values[-1] - values[0]) >= read[-1].asked_s - read[0].asked_s


def _makes_results(case: Case, name: str, age: str, in_vain: int) -> bool:
    """Whether runs have results without the fault so often that so many runs without one are hardly chance."""
    without_fault = (case.facts.gate_s, case.injected.lo), (case.gone_s, case.facts.end_s)
    runs = sum(len(_runs(case, name, *span)) for span in without_fault)
    results = sum(len(falls(values_of(case.readings(age, *span)))) for span in without_fault)
    # One run more, as a result may be seen on this side of an end, and its run beyond it.
    return runs > 0 and (1 - min(1.0, results / (runs + 1))) ** in_vain <= MOST_CHANCE


def _of_last_run(name: str, probe: ProbeFacts) -> bool:
    """Whether a probe reads when a job last ran, or how often, and may count runs as done that made nothing."""
    told = probe.page if probe.kind in ("metric", "promql") and probe.page else name
    return tells_of_last_run(told) and _APART.search(f"{name} {probe.page}") is None


def _runs(case: Case, probe: str, from_s: float, to_s: float) -> list[int]:
    """Return the lines with which a last-run metric showed another run: an age falls, a number or a stamp rises."""
    read = case.readings(probe, from_s, to_s)
    named = f"{probe} {case.probe(probe).page}"
    ages = case.unit(probe) in (Unit.WALL, Unit.EVENT) or _NAMED_AS_AGE.search(named) is not None
    values = values_of(read)
    return falls(values) if ages else falls([(n, -value) for n, value in values])
