"""Alert rules that can never fire, because what they ask for is exported by nobody; and those that no scenario fires.

Each selector of a rule is asked for at the server. What only the first failure brings (a counter with labels, a
status code) may still come, so that is noted and fails nothing; and while a target is not scraped, nothing is certain.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence

import aiohttp

from harness.model.alertsources import AlertSource
from harness.model.backend import Backend
from harness.model.errors import nearest
from harness.model.scenario import Scenario
from harness.model.stack import StackDescription
from harness.onboarding.doctor.checks import ALIKE, Finding
from harness.onboarding.doctor.rule_reading import RulesServer, ServedRule, Targets
from harness.onboarding.doctor.scraping import OF_THE_TARGET, Scraping
from harness.probes.promql_tree import Matcher, Selects
from harness.probes.rule_queries import nothing_from, selected

AT_ONCE = 8
MOST_SHOWN = 3
POLL_S = 0.5
FIRST_SCRAPE_S = 75.0
"""How long a first scrape is waited for: the usual longest interval, and some more."""
COMES_UP_S = 15.0
"""How long a target that does not answer is waited for, or targets at all, which a server takes seconds to find."""


async def dead_rules(
    stack: StackDescription, backend: Backend, settle_s: float
) -> tuple[list[Finding], list[ServedRule]]:
    """Return what keeps rules from firing, and every alert rule but the watchdogs.

    Targets that have not been scraped are waited for up to `settle_s` where a rule lacks a series.
    """
    found: list[Finding] = []
    alerts: list[ServedRule] = []
    async with aiohttp.ClientSession() as session:
        for source in stack.alert_sources:
            server = RulesServer(source, backend, session)
            rules = await server.rules()
            if rules is None:
                found += _unread(source)
                continue
            own = [rule for rule in rules if rule.alerting and rule.name not in source.watchdog]
            alerts += own
            found += await _Examination(server, rules).findings(own, settle_s)
    return found, alerts


def _unread(source: AlertSource) -> Iterator[Finding]:
    """Say that nothing is said of the rules of a Prometheus: silence would look as if all of them could fire."""
    if source.kind == "prometheus":
        says = f"{source.name} does not list its rules: which of them can never fire is not known"
        yield Finding("alerts", "rules", "note", says, "is /api/v1/rules served there, and in time?")


def _meant(name: str, known: Iterable[str]) -> str:
    """Return the question whether a known name was meant; nothing where none resembles it."""
    close = nearest(name, known, ALIKE)
    return f" (did you mean {close}?)" if close is not None else ""


def without_scenario(rules: Sequence[ServedRule], scenarios: Iterable[Scenario]) -> list[Finding]:
    """Say which alerts no scenario expects to fire."""
    fired = {clause.alert for scenario in scenarios for clause in scenario.expect.detected}
    names = list(dict.fromkeys(rule.name for rule in rules))
    missing = [name for name in names if name not in fired]
    if not names:
        return []
    says = f"scenarios fire {len(names) - len(missing)} of {len(names)}"
    if not missing:
        return [Finding("alerts", "alerts with a scenario", "ok", says)]
    remedy = "write a scenario whose fault each should detect, and name it under `detected`"
    return [Finding("alerts", "alerts with a scenario", "note", f"{says}; none fires {', '.join(missing)}", remedy)]


class _Examination:
    """What one server has for the selectors of its rules."""

    def __init__(self, server: RulesServer, rules: Sequence[ServedRule]) -> None:
        self._server = server
        self._recorded: dict[str, list[ServedRule]] = {}
        for rule in rules:
            if not rule.alerting:
                self._recorded.setdefault(rule.name, []).append(rule)
        self._wanted = {one for rule in rules for one in selected(rule.rests)}
        self._empty: dict[Selects, bool] = {}
        self._scraping: Scraping | None = None

    async def findings(self, alerts: Sequence[ServedRule], settle_s: float) -> list[Finding]:
        began_s, all_scraped = time.monotonic(), False
        while True:
            targets = await self._server.targets()
            await self._look()
            dead = {rule: why for rule in alerts if (why := self._lacking(rule, ()))}
            # A scrape that has just ended may not be among the series yet: look again once all have been.
            if not dead or (all_scraped and targets.all_up):
                break
            longest_s = min(settle_s, FIRST_SCRAPE_S if targets.unscraped else COMES_UP_S)
            if time.monotonic() - began_s > longest_s:
                break
            all_scraped = targets.all_up
            await asyncio.sleep(POLL_S)
        alive = {rule.name for rule in alerts if rule not in dead}
        self._scraping = await self._server.scraping() if dead else None
        return [await self._finding(rule, why, targets, alive) for rule, why in dead.items()]

    async def _look(self) -> None:
        """Ask for every selector that is not known to match."""
        limit = asyncio.Semaphore(AT_ONCE)

        async def ask(selector: Selects) -> None:
            async with limit:
                self._empty[selector] = await self._server.has_series(selector.text) is False

        await asyncio.gather(*(ask(one) for one in self._wanted if self._empty.get(one, True)))

    def _lacking(self, rule: ServedRule, through: tuple[str, ...]) -> tuple[Selects, ...]:
        """Return the selectors for want of which a rule gives nothing, also by way of recording rules."""
        reasons: list[Selects] = []

        def is_empty(selector: Selects) -> bool:
            recorded = self._recorded.get(selector.metric or "", [])
            if not recorded or not self._empty[selector]:
                return self._empty[selector]
            if selector.metric in through:
                return False
            # A recorded series may be empty because its own condition does not hold, as an alert's.
            lacking = [self._lacking(one, (*through, one.name)) for one in recorded]
            if not all(lacking):
                return False
            reasons.extend(one for found in lacking for one in found)
            return True

        found = nothing_from(rule.rests, is_empty)
        own = (one for one in found if one.metric not in self._recorded)
        return tuple(dict.fromkeys((*own, *reasons))) if found else ()

    async def _finding(
        self, rule: ServedRule, lacking: tuple[Selects, ...], targets: Targets, alive: set[str]
    ) -> Finding:
        told = [await self._why(selector) for selector in lacking]
        says = f"cannot fire: {'; '.join(why for why, _ in told)} ({rule.place})"
        certain = all(sure for _, sure in told)
        if not targets.all_up:
            why = ", ".join(targets.lacking[:MOST_SHOWN]) or "the server scrapes nothing"
            return Finding("alerts", rule.name, "note", f"{says}; not certain: {why}")
        if rule.name in alive:
            says += "; another rule of this name can"
        if certain and rule.name not in alive:
            remedy = (
                "correct the rule; where the series comes only with the first failure, export it at 0 from the start"
            )
            return Finding("alerts", rule.name, "wrong", says, remedy)
        remedy = "is that a value which comes with a failure? otherwise correct the rule"
        return Finding("alerts", rule.name, "note", says.replace("cannot fire", "cannot fire now", 1), remedy)

    async def _why(self, selector: Selects) -> tuple[str, bool]:
        """Return why nothing matches, and whether no failure can change that."""
        metric = selector.metric
        if metric is None:
            return f"nothing matches {selector.text}", False
        there = await self._server.has_series(metric) if selector.matchers else False
        if not there:
            declared = await self._server.declares(metric)
            if declared:
                return f"{metric} has no series yet", False
            meant = _meant(metric, await self._server.metrics())
            return f"nothing exports {metric}{meant}", there is False and declared is False
        for matcher in selector.matchers:
            if await self._server.has_series(f"{metric}{{{matcher.text}}}") is False:
                return await self._unmatched(metric, matcher)
        return f"no series matches all of {selector.text}", False

    async def _unmatched(self, metric: str, matcher: Matcher) -> tuple[str, bool]:
        values = await self._server.values_of(metric, matcher.label)
        if values is not None and not values:
            meant = _meant(matcher.label, await self._server.labels_of(metric))
            return f"no series of {metric} has a label {matcher.label}{meant}", True
        close = nearest(matcher.value[1:-1], values or (), ALIKE)
        shown = ", ".join(sorted(values or (), key=lambda value: value != close)[:MOST_SHOWN])
        more = ", …" if values and len(values) > MOST_SHOWN else ""
        there = f" (there is: {shown}{more})" if shown else ""
        says = f"no series of {metric} has {matcher.text}{there}"
        if matcher.label not in OF_THE_TARGET:
            return says, False
        if self._scraping is not None and self._scraping.rules_out(matcher):
            return says, True
        return f"{says}, but a target may come that has it", False
