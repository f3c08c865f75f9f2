"""What was observed of a running stack, compared with its description: one finding for each thing that was checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import aiohttp

from harness.faults.installed import Faults
from harness.model.alert_clauses import AlertClause
from harness.model.alertsources import AlertSource
from harness.model.answers import ANSWER_PROBES
from harness.model.backend import Backend, ServiceStatus
from harness.model.clauses import Bound
from harness.model.errors import ScenarioError, nearest
from harness.model.readings import AlertsSeen, Reading
from harness.model.scenario import Scenario
from harness.model.stack import StackDescription
from harness.model.units import Unit
from harness.onboarding.doctor.observing import LATE_S, Observed, was_evaluated
from harness.onboarding.doctor.rule_reading import RulesServer
from harness.runner.checking.check import check
from harness.runner.checking.stacks import with_stacks
from harness.runner.loading.load import Loaded, load_each
from harness.runner.planning.catalogue import Catalogue
from harness.runner.planning.plan import with_steady_state

State = Literal["ok", "wrong", "note"]
POLLED_WITHIN_S = 1.0
"""By how much the first and the last poll may be nearer to one another than the time that was watched."""
MOST_ALERTS_SHOWN = 5
ALIKE = 0.75
"""From when on a name may be another one misspelt: metrics and alerts that differ have much in common."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: area, name, state, result, and remedy. A note does not fail the examination."""

    area: str
    name: str
    state: State
    says: str
    remedy: str | None = None
    confirms: tuple[str, ...] | None = None
    """Of a link, which faults on links can be confirmed there."""

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {name: value for name, value in asdict(self).items() if name != "confirms" or value is not None}


def all_well(findings: Iterable[Finding]) -> bool:
    """Whether nothing was found that does not work."""
    return all(finding.state != "wrong" for finding in findings)


def services(stack: StackDescription, statuses: Sequence[ServiceStatus]) -> Iterator[Finding]:
    """Whether every service runs."""
    waited_for = {
        name
        for service in stack.services.values()
        for name, condition in service.depends_on.items()
        if condition == "service_completed_successfully"
    }
    for name, service in stack.services.items():
        found = [status for status in statuses if status.service == name]
        down = [status for status in found if status.state != "running"]
        if not found and service.replicas == 0:
            yield Finding("service", name, "note", "is scaled to 0, so that it does not run")
        elif found and not down:
            restarts = sum(status.restarts for status in found)
            often = f", restarted {restarts} times" if restarts else ""
            several = f", with {len(found)} replicas" if len(found) > 1 else ""
            yield Finding("service", name, "ok", f"runs on node {service.node}{several}{often}")
        elif found and name in waited_for:
            yield Finding("service", name, "ok", f"has finished, as expected ({down[0].state})")
        else:
            message = ", ".join(_state(status) for status in down) or "not there"
            yield Finding("service", name, "wrong", message, f"start it, or see its log: `docker compose logs {name}`")


def _state(status: ServiceStatus) -> str:
    return status.state if status.replica is None else f"replica {status.replica} is {status.state}"


def event_clock(stack: StackDescription, observed: Observed) -> Iterator[Finding]:
    """Whether the stack tells its event time."""
    if stack.event_clock is None:
        return
    if observed.clock is None:
        says = observed.clock_error or "no answer"
        yield Finding("clock", "event_clock", "wrong", says, "see x-harness.event_clock in docs/stack-description.md")
    else:
        yield Finding(
            "clock", "event_clock", "ok", f"event time runs {observed.clock.speed:g} times as fast as the clock"
        )


def probes(stack: StackDescription, observed: Observed) -> Iterator[Finding]:
    """What every probe read last, and how often it read nothing."""
    for name, spec in stack.probes.items():
        readings = observed.readings.get(name, [])
        good, gap = [reading for reading in readings if reading.value is not None], observed.gaps.get(name)
        if name in observed.errors:
            yield Finding("probe", name, "wrong", f"cannot be read: {observed.errors[name]}")
        elif gap is not None and not (readings and readings[-1].asked_s >= gap.to_s):
            yield Finding("probe", name, "wrong", gap.why)
        elif good:
            missed = len(readings) - len(good)
            message = _value(good[-1], spec.unit) + (f"; no answer {missed} of {len(readings)} times" if missed else "")
            yield Finding("probe", name, "wrong" if missed and readings[-1].value is None else "ok", message)
        elif readings:
            remedy = f"is the address right, and does it hold what the {spec.kind} probe looks for?"
            yield Finding("probe", name, "wrong", readings[-1].down or "no value", remedy)
        else:
            yield Finding("probe", name, "wrong", "not read in time", "read for longer with --watch")


def _value(reading: Reading, unit: Unit) -> str:
    assert reading.value is not None
    took_ms = (reading.answered_s - reading.asked_s) * 1e3
    word = {Unit.WALL: " s", Unit.EVENT: " s of event time"}.get(unit, "")
    return f"{reading.value:.6g}{word} (in {took_ms:.0f} ms)"


async def alert_sources(stack: StackDescription, backend: Backend, observed: Observed) -> list[Finding]:
    """Whether every source answers, evaluates its rules, and knows the alerts that are declared."""
    found: list[Finding] = []
    known: set[str] | None = set()
    for source in stack.alert_sources:
        if source.name in observed.errors:
            found.append(Finding("alerts", source.name, "wrong", f"cannot be read: {observed.errors[source.name]}"))
        else:
            found.append(alert_source(source, observed.alerts.get(source.name, [])))
        rules = await _rule_names(source, backend)
        known = None if rules is None or known is None else known | rules
    if not stack.alert_sources and stack.alerts:
        remedy = "describe x-harness.alert_sources"
        found.append(
            Finding(
                "alerts",
                "alert_sources",
                "wrong",
                "alerts are declared, but there is no source to read them from",
                remedy,
            )
        )
    if not known or not stack.alerts:
        return found
    missing = [name for name in stack.alerts if name not in known]
    found += [_unknown_alert(name, known) for name in missing]
    message = f"{len(stack.alerts) - len(missing)} of {len(stack.alerts)} are rules of a source"
    return [*found, Finding("alerts", "declared alerts", "ok", message)]


def _unknown_alert(name: str, known: Iterable[str]) -> Finding:
    close = nearest(name, known, ALIKE)
    remedy = "correct its name, or remove it" + (f"; did you mean {close}?" if close is not None else "")
    return Finding("alerts", name, "wrong", "no source has a rule with this name", remedy)


def alert_source(source: AlertSource, observed: Sequence[AlertsSeen]) -> Finding:
    """Whether a source answers, and evaluates its rules."""
    answers = [one for one in observed if one.down is None]
    if not answers:
        says = observed[-1].down or "no answer" if observed else "not read in time"
        return Finding("alerts", source.name, "wrong", says, f"is that where {source.kind} can be read?")
    last = answers[-1]
    firing = [alert.name for alert in last.firing]
    message = f"{len(firing)} firing" + (f": {', '.join(firing[:MOST_ALERTS_SHOWN])}" if firing else "")
    if last.awake is False:
        remedy = "is the rule of the watchdog there, and is it sent here?"
        return Finding("alerts", source.name, "wrong", f"{message}; its watchdog does not fire", remedy)
    if was_evaluated(answers):
        message = f"{message}; rules are being evaluated"
        if firing:
            remedy = "see why: an alert that fires already detects no fault, and may say that something is wrong"
            return Finding("alerts", source.name, "note", message, remedy)
        return Finding("alerts", source.name, "ok", message)
    if last.awake:
        return Finding("alerts", source.name, "ok", f"{message}; its watchdog fires")
    if last.evaluations is not None:
        watched_s = last.asked_s - answers[0].asked_s
        every = f" (they are every {last.interval_s:g} s)" if last.interval_s else ""
        if last.interval_s and watched_s < last.interval_s + LATE_S - POLLED_WITHIN_S:
            said = f"{message}; no rule was due for certain in the {watched_s:.0f} s that were watched{every}"
            return Finding(
                "alerts", source.name, "note", said, f"--watch {last.interval_s + 2 * LATE_S:.0f}s shows more"
            )
        remedy = "see whether it has rules that can be evaluated"
        return Finding("alerts", source.name, "wrong", f"{message}; no rule was evaluated meanwhile{every}", remedy)
    if source.heartbeat is not None:
        remedy = f"is there such a counter on the page /metrics of {source.name}?"
        return Finding("alerts", source.name, "wrong", f"{message}; there is no {source.heartbeat}", remedy)
    remedy = "without that, silence proves nothing: name a watchdog or a heartbeat"
    return Finding("alerts", source.name, "note", f"{message}; nothing shows that rules are evaluated", remedy)


async def _rule_names(source: AlertSource, backend: Backend) -> set[str] | None:
    """Return the alerts for which a source has rules; None where it does not tell."""
    async with aiohttp.ClientSession() as session:
        rules = await RulesServer(source, backend, session).rules()
    return None if rules is None else {rule.name for rule in rules if rule.alerting}


def unusable(findings: Sequence[Finding]) -> Mapping[str, Finding]:
    """Return the failed findings, by the name that scenarios use."""
    return {finding.name: finding for finding in findings if finding.state == "wrong"}


def scenarios(paths: Sequence[Path], stack: str, backend: str, so_far: Sequence[Finding]) -> list[Finding]:
    """Check of every scenario whether it can run on this stack as it is now. Raises ScenarioError for no path."""
    if not paths:
        return []
    broken = unusable(so_far)
    confirms = {one.name: one for one in so_far if one.confirms is not None}
    loaded, wrong = load_each(paths)
    found, unknown = with_stacks(loaded, stack)
    refused = [_refused(problem) for problem in (*wrong, *unknown)]
    return [
        *refused,
        *(finding for item, catalogue in found for finding in _one(item, catalogue, backend, broken, confirms)),
    ]


def _refused(problem: ScenarioError) -> Finding:
    name = Path(problem.file).name if problem.file else "scenarios"
    return Finding("scenario", name, "wrong", str(problem))


def _one(
    item: Loaded, catalogue: Catalogue, backend: str, broken: Mapping[str, Finding], confirms: Mapping[str, Finding]
) -> Iterator[Finding]:
    problems = check(item, catalogue)
    missing = [str(problem) for problem in problems]
    if not problems:
        lacking = (*_missing(item.scenario, catalogue, backend, broken), *_unconfirmed(item, catalogue, confirms))
        missing = list(dict.fromkeys(lacking))
    if missing:
        yield Finding("scenario", item.name, "wrong", "; ".join(missing))
    else:
        yield Finding("scenario", item.name, "ok", "nothing is missing")


def _missing(scenario: Scenario, catalogue: Catalogue, backend: str, broken: Mapping[str, Finding]) -> Iterator[str]:
    for step in scenario.timeline:
        if backend == "local" and getattr(Faults()[step.fault], "in_containers", False):
            yield f"{step.fault} needs containers: --backend compose"
        for name in (*catalogue.links_of(step), step.target.service or ""):
            if name in broken:
                yield f"{broken[name].area} {name}: {broken[name].says}"
    for clause in (*with_steady_state(scenario, catalogue.stack).steady_state, *scenario.expect.clauses):
        probe = clause.probe if isinstance(clause, Bound) else None
        if probe is not None and probe not in ANSWER_PROBES and probe in broken:
            yield f"probe {probe}: {broken[probe].says}"
    expect = scenario.expect
    named = {clause.alert for clause in expect.clauses if isinstance(clause, AlertClause)}
    for name in sorted(named & set(broken)):
        yield f"alert {name}: {broken[name].says}"
    if named or expect.quiet is not None:
        for source in catalogue.stack.alert_sources:
            if source.name in broken:
                yield f"alert source {source.name}: {broken[source.name].says}"


def _unconfirmed(item: Loaded, catalogue: Catalogue, confirms: Mapping[str, Finding]) -> Iterator[str]:
    """Yield which faults can never be confirmed: a run with one of them decides nothing."""
    for step in item.scenario.timeline:
        for name in catalogue.links_of(step):
            found = confirms.get(name)
            by_answers = getattr(catalogue.faults[step.fault], "by_answers", False)
            if found is not None and by_answers and step.fault not in (found.confirms or ()):
                yield f"{step.fault} cannot be confirmed on the link {name}: {found.says}"
