"""What happens to producers: one that stops, one whose output is late, one that does its work twice."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from harness.model.fields import Link
from harness.model.units import SECONDS_PER_UNIT
from harness.onboarding.discovery.services import FoundService
from harness.onboarding.discovery.starters.context import STORES, Context, Measure
from harness.onboarding.discovery.starters.expected_alerts import is_soon
from harness.onboarding.discovery.starters.rules import RuleFacts
from harness.onboarding.discovery.starters.starter import LONGEST_S, Missing, Starter

_EVERY = re.compile(r"(?:^|_)(?:EVERY|INTERVAL|PERIOD)(?:_(S|SECS?|SECONDS|MINS?|MINUTES))?$")
_UNITS_S = SECONDS_PER_UNIT | {"m": 60.0}
_OTHER_INTERVALS = re.compile(r"SCRAPE|HEALTH|TIMEOUT|RETRY|EXPORT|METRIC|HEARTBEAT|POLL|FLUSH|LOG|CHECK|EVALUATION")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|min|h|d)?")
"""As programs are told how often to do something: `m` are minutes; the variable's name may say the unit instead."""
STOPS_WITHIN_S = 10
"""What the engine gives a process to end in an orderly way, unless it is told otherwise; then it kills it."""
TWICE_NEEDS = "x-harness.integrity with store, examples and lineage, so that `examples_exactly_once` can be judged"


def stale(context: Context) -> Iterator[Starter | Missing]:
    """A writer writes nothing for a while, and what it wrote grows old."""
    if "container.pause" not in context.faults:
        return
    for measure in context.measures:
        stores = [name for name in context.services if name in measure.services and context.services[name].stateful]
        if measure.ages and stores:
            yield _stale(context, measure, stores[0])
    yield from _without_age(context)


def _stale(context: Context, measure: Measure, store: str) -> Starter | Missing:
    subject = measure.name.replace("_", "-")
    writer = context.only_writer(measure)
    if writer is None:
        unclear = [consumer for consumer, other in context.unclear if other == store]
        may = dict.fromkeys([*(one.name for one in context.writers(measure)), *unclear]) or context.consumers(store)
        names = ", ".join(may) or "nobody that is known"
        remedy = f"x-harness.unused_links, which says who does not use {store}; or {_OWN}" if unclear else _OWN
        return Missing(
            "stale", subject, f"it is not clear who writes what {measure.name} measures: {names} may", remedy
        )
    bound, lasts_s, why = _guessed_bound(writer)
    if measure.good:
        bound, lasts_s, why = dict(measure.good), measure.breaks_after_s or 0, "the stack's file says so"
    if not lasts_s and measure.good:
        why = f"how long a pause makes {measure.name} break its bound is not known"
        return Missing("stale", subject, why, _OWN)
    if not bound:
        remedy = f"a bound in x-harness.steady_state, as in `{{id: fresh, probe: {measure.name}, at_most: …}}`"
        return Missing("stale", subject, f"no file tells how old {measure.name} may be", remedy)
    if lasts_s > LONGEST_S:
        return Missing("stale", subject, f"{why}: a pause that shows would last {lasts_s} s", _OWN)
    return Starter(
        condition="stale",
        subject=subject,
        family="producer",
        summary=f"{writer.name} writes nothing for a while, and what lies in {store} grows old.",
        covers=("data", "freshness"),
        hits=(writer.name,),
        fault={"fault": "container.pause", "target": {"service": writer.name}},
        edit=(f"whether {writer.name} is who writes it", f"the age that is too old: {why}"),
        bounds=({"probe": measure.name, **bound},),
        lasts_s=lasts_s,
    )


_OWN = "a scenario of your own that pauses who writes it"


def _guessed_bound(writer: FoundService) -> tuple[dict[str, object], int, str]:
    """Return the same by how often a writer writes, as its environment says."""
    for name, value in writer.environment.items():
        match, given = _EVERY.search(name), _DURATION.fullmatch(value.strip())
        if match is None or given is None or _OTHER_INTERVALS.search(name) or not (match[1] or given[2]):
            continue
        every_s = float(given[1]) * _UNITS_S[given[2] or ("m" if match[1].startswith("M") else "s")]
        if every_s > 0:
            most_s = int(3 * every_s) + 5
            return {"at_most": f"{most_s}s"}, most_s + 10, f"guess: {name} says that it writes every {every_s:g} s"
    return {}, 0, ""


def _without_age(context: Context) -> Iterator[Missing]:
    """Yield the materialize loops into stores of which no probe tells an age."""
    aged = {name for one in context.measures if one.ages for name in one.services}
    for service in context.services.values():
        stores = [name for name in context.uses(service.name, "store") if name not in aged]
        if service.kind.name == "data-job" and not service.unreached and stores:
            why = f"{service.name} seems to write into {' or '.join(stores)}, but no probe tells how old that is"
            remedy = f"one in x-harness.probes, and a scenario that pauses {service.name}"
            yield from (Missing("stale", store, why, remedy) for store in stores)


def stopped(context: Context) -> Iterator[Starter | Missing]:
    """A producer is stopped in an orderly way, and nobody starts it again."""
    for producer in filter(context.produces, context.services.values()):
        if "container.stop" not in context.faults:
            continue
        if not producer.goes_on:
            yield Missing(
                "stopped", producer.name, "it may end by itself, and nothing starts it again", "a restart policy"
            )
        else:
            stores = context.uses(producer.name, *STORES)
            bounds, lasts_s = _breaking(context, producer)
            rules, more = _that_tell(context, producer)
            yield Starter(
                condition="stopped",
                subject=producer.name,
                family="producer",
                summary=f"{producer.name} is stopped, and nothing more comes into {', '.join(stores)}.",
                covers=("data", "freshness"),
                hits=(producer.name,),
                fault={"fault": "container.stop", "target": {"service": producer.name}},
                edit=(f"whether {producer.name} writes into {', '.join(stores)}", *more),
                felt_at=frozenset(stores) | context.callers(stores),
                bounds=bounds,
                lasts_s=lasts_s,
                begins_after_s=STOPS_WITHIN_S,
                detects=rules,
            )


def _that_tell(context: Context, producer: FoundService) -> tuple[list[RuleFacts], list[str]]:
    """Return the rules that have to fire once a producer is gone for good, and what to look at because of them.

    Where none asks whether it is up, those on what it makes have to, though its metrics are gone with it.
    """
    asking = [rule for rule in context.rules if rule.fires_for(producer.name)]
    if asking:
        return asking, []
    on_results = [
        rule
        for rule in context.rules
        if rule.shows in ("old", "still") and rule.exported_by == {producer.name} and is_soon(rule)
    ]
    names = ", ".join(rule.name for rule in on_results)
    why = f"no rule asks whether {producer.name} is up, so that {names} has to fire, though its metric is gone"
    return on_results, [why] if on_results else []


def _reached(context: Context, producer: FoundService) -> list[str]:
    """Return the stores into which a producer may write over links that a proxy can lead."""
    return [name for name in context.uses(producer.name, *STORES) if context.services[name].port is not None]


def _links(producer: FoundService, stores: Sequence[str]) -> dict[str, list[str]]:
    return {"links": [Link(producer.name, name).name for name in stores]}


def late(context: Context) -> Iterator[Starter | Missing]:
    """What a producer writes arrives late."""
    for producer in filter(context.produces, context.services.values()):
        stores = _reached(context, producer)
        if "network.latency" in context.faults and stores:
            yield Starter(
                condition="late",
                subject=producer.name,
                family="producer",
                summary=f"{producer.name} waits for every answer of {', '.join(stores)}: what it writes is late.",
                covers=("data", "network"),
                hits=(),
                fault={
                    "fault": "network.latency",
                    "target": _links(producer, stores),
                    "with": {"latency": "${latency}"},
                },
                edit=(
                    f"whether {producer.name} writes into {', '.join(stores)}",
                    "vars.latency: what would be a bad day",
                ),
                felt_at=frozenset(stores) | context.callers(stores),
                missed=(producer.name,),
                breaks=False,
                variables={"latency": "2s"},
                bounds=_ages(context, producer),
            )


def twice(context: Context) -> Iterator[Starter | Missing]:
    """A producer never gets the answer to what it wrote, and may write it again."""
    for producer in filter(context.produces, context.services.values()):
        stores = _reached(context, producer)
        if "network.reset" not in context.faults or not stores:
            continue
        if not context.declared.traces_examples:
            yield Missing("twice", producer.name, "nothing could tell that something was written twice", TWICE_NEEDS)
            continue
        yield Starter(
            condition="twice",
            subject=producer.name,
            family="producer",
            summary=f"{producer.name} never gets the answers of {', '.join(stores)}, and writes again.",
            covers=("data", "network"),
            hits=(),
            fault={
                "fault": "network.reset",
                "target": _links(producer, stores),
                "with": {"lose": "response"},
            },
            edit=(f"whether {producer.name} writes into {', '.join(stores)}",),
            breaks=False,
            guarantees=("examples_exactly_once",),
            bounds=_ages(context, producer),
        )


def _breaking(context: Context, producer: FoundService) -> tuple[list[dict[str, object]], int]:
    """Return the bounds on ages that break while nothing is written for a time that a run can last, and that time."""
    lasting = [(one, one.breaks_after_s or 0) for one in context.measures if _is_age_of(context, one, producer)]
    bounds = [(one, lasts_s) for one, lasts_s in lasting if 0 < lasts_s <= LONGEST_S]
    return [{"probe": one.name, **one.good} for one, _ in bounds], max([20, *(lasts_s for _, lasts_s in bounds)])


def _ages(context: Context, producer: FoundService) -> list[dict[str, object]]:
    """Return the bounds on the age of what a producer writes, as far as the stack's file has them."""
    return [{"probe": one.name, **one.good} for one in context.measures if _is_age_of(context, one, producer)]


def _is_age_of(context: Context, measure: Measure, producer: FoundService) -> bool:
    """Whether an age with a bound tells of what one producer writes, and no other one may write."""
    return bool(measure.good) and context.only_writer(measure) == producer
