"""From a starter to a scenario: what is up before, what must stay, what must come back, which alerts there are.

A scenario is only written where something that it measures could feel the fault: where the work of whoever needs the
broken service is asked for, a guarantee is judged, or an alert has to fire.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.model.fields import Link
from harness.onboarding.discovery.starters.context import STORES, Context, Measure
from harness.onboarding.discovery.starters.expected_alerts import ExpectedAlerts, expected_alerts, is_soon
from harness.onboarding.discovery.starters.rules import RuleFacts
from harness.onboarding.discovery.starters.starter import LONGEST_S, Missing, Starter

TARGETS_UP = "targets_up"
WITHIN = "60s"
BY_ITSELF_S = 30
"""How soon a service has to be back by itself, and for how much longer it is seen: until the fault is taken out."""
SEEN_BACK_S = 10
_NAME = re.compile(r"[\w.-]+")


@dataclass(frozen=True)
class ScenarioDraft:
    """The values of one scenario file."""

    name: str
    starter: Starter
    tags: Sequence[str]
    steps: Sequence[Mapping[str, Any]]
    steady: Sequence[Mapping[str, Any]]
    stays: Sequence[Mapping[str, Any]]
    recovered: Sequence[Mapping[str, Any]]
    alerts: ExpectedAlerts
    observe_s: int
    """How long to observe after the fault, at least."""
    may_die: Sequence[str]
    may_die_why: str


def first(context: Context, starter: Starter) -> ScenarioDraft | Missing:
    """Return a first scenario: which alert should have fired is left to its owner."""
    return _written(context, starter, starter.first_name, "first", ())


def standard(context: Context, starter: Starter) -> ScenarioDraft | Missing:
    """Return a scenario of the standard suite, which states the alerts that have to fire.

    A slow rule has one of its own, and makes no other one longer.
    """
    detects = [rule for rule in starter.detects if starter.family == "alert" or is_soon(rule)]
    return _written(context, starter, starter.standard_name, "standard", detects)


def _written(
    context: Context, starter: Starter, name: str, tag: str, detects: Sequence[RuleFacts]
) -> ScenarioDraft | Missing:
    if not _NAME.fullmatch(name):  # it becomes a file's
        return Missing(
            starter.condition, starter.subject, "its name has characters that the name of a scenario cannot have"
        )
    bounded = [one for one in context.measures if one.good and _may_gate(one, starter, context)]
    about = [one for one in bounded if starter.breaks and _is_about(one, starter.hits, context)]
    # Between two scrapes a crash that is soon over is missed: neither a pass nor a fail.
    soon_back = starter.heals_itself or bool(starter.more_steps)
    own = [one for one in about if not (soon_back and one.name == TARGETS_UP)]
    if starter.fault["fault"] == "container.pause":  # to the engine it runs
        own = [one for one in own if not one.of_engine]
    hit = starter.hits or _ends(starter)
    alerts = expected_alerts(context, starter, hit, detects)
    by_itself_s = BY_ITSELF_S + SEEN_BACK_S if starter.heals_itself else 0
    lasts_s = max(starter.lasts_s, by_itself_s, alerts.take_s) + starter.begins_after_s
    broken = [dict(one) for one in starter.bounds] if starter.breaks else []
    broken += [{"probe": one.name, **one.good} for one in bounded if _grows_old(one, starter, context, lasts_s)]
    borne = [] if starter.breaks else [dict(one) for one in starter.bounds]
    kept = [one for one in bounded if _stays(one, about, starter, context, hit)]
    stays = [_bound(one.name, one.good, "stays") for one in kept]
    stays += [_bound(str(one["probe"]), one, "borne") for one in borne]
    recovered = [_again(one.name, one.good, starter) for one in own]
    recovered += [
        _again(str(one["probe"]), one, starter) for one in broken if one["probe"] not in {m.name for m in own}
    ]
    judged = {clause["probe"] for clause in (*stays, *recovered)}
    why = _unfelt(context, starter, own, [one for one in bounded if one.name in judged], detects)
    if why is not None:
        return why
    jobs, may_die, reasons = _deaths(context, starter)
    return ScenarioDraft(
        name=name,
        starter=starter,
        tags=(tag,),
        steps=_steps(starter, name, lasts_s),
        steady=[_bound(one.name, one.good, "before") for one in bounded if one.name not in context.declared.steady],
        stays=stays,
        recovered=recovered,
        alerts=alerts,
        observe_s=_observe_s(kept, lasts_s),
        may_die=list(dict.fromkeys([*jobs, *may_die])),
        may_die_why="; ".join(reasons),
    )


def _observe_s(kept: Sequence[Measure], lasts_s: int) -> int:
    """Return how long to observe after the fault, so that an age that must stay could reach its bound; 0 where it may.

    Whatever makes what it tells of may have ended with the fault, and the age does not show that for as long.
    """
    needed = (one.breaks_after_s for one in kept if one.breaks_after_s is not None)
    return max((after_s - lasts_s for after_s in needed if lasts_s < after_s <= LONGEST_S), default=0)


def _unfelt(
    context: Context,
    starter: Starter,
    own: Sequence[Measure],
    judged: Sequence[Measure],
    detects: Sequence[RuleFacts],
) -> Missing | None:
    """Return why nothing that is judged could feel a fault; None where something could."""
    if detects or starter.bounds or starter.guarantees:
        return None
    if starter.felt_at is None:
        if own:
            return None
        return Missing(
            starter.condition, starter.subject, f"no probe tells whether {starter.subject} does its work", _PROBE
        )
    hit = starter.missed or starter.hits
    if any(context.could_feel(one, starter.felt_at, hit) for one in judged):
        return None
    near = [name for name in context.services if name in starter.felt_at]
    what = ", ".join(sorted(hit, key=list(context.services).index))
    why = f"no probe asks {_any_of(near)} for work that needs {what}"
    return Missing(starter.condition, starter.subject, why, _WORK)


_PROBE = "one in x-harness.probes, with its bound in x-harness.steady_state"
_WORK = (
    "x-harness.workload (`harness record` makes it), or a probe of such an answer with its bound in steady_state; a "
    "health page may answer as before"
)


def _any_of(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + f" or {names[-1]}" if len(names) > 1 else "".join(names)


def _ends(starter: Starter) -> set[str]:
    """Return the services at the ends of the links that are hit."""
    links = [Link.parse(str(link)) for link in starter.fault["target"].get("links", ())]
    return {end for link in links for end in (link.consumer, link.service)}


def _stays(
    measure: Measure, about: Sequence[Measure], starter: Starter, context: Context, hit: Collection[str]
) -> bool:
    """Whether a measure has to hold all the time: of who needs what is hit, or of that where it is not to break.

    A health page of who needs what is gone has to do no such thing: a good one says that its service cannot work.
    """
    if starter.breaks and measure.over_http and not measure.works:
        return False
    if starter.may_fail and (measure.answers or measure.over_http) and not measure.never_breaks:
        return False
    if starter.family == "alert" and {one.name for one in context.writers(measure)} & set(starter.missed):
        return False  # it grows old, as the alert is to tell
    near = {*context.callers(hit), *hit}
    told = measure in about or measure.name in {one["probe"] for one in starter.bounds}
    return not told and bool(measure.services & near)


def _grows_old(measure: Measure, starter: Starter, context: Context, lasts_s: float) -> bool:
    """Whether an age breaks its bound because its only writer lacks a store that is hit, and for long enough."""
    writer, after_s = context.only_writer(measure), measure.breaks_after_s
    if starter.family != "store" or not starter.breaks or writer is None or after_s is None:
        return False
    lacks = set(context.uses(writer.name, *STORES)) & set(starter.hits)
    return bool(lacks) and after_s <= lasts_s


def _may_gate(measure: Measure, starter: Starter, context: Context) -> bool:
    """Whether a run may wait for a measure: it is sure, or concerns who is hit. A wrong guess stops what it is in.

    Who needs the hit service concerns it too, unless only a name tells what that one is.
    """
    if measure.sure or measure.name in context.declared.steady or _is_about(measure, starter.hits, context):
        return True
    near = context.callers(starter.hits or _ends(starter))
    return any(name in near and context.services[name].kind_is_known for name in measure.services)


def _is_about(measure: Measure, hit: Sequence[str], context: Context) -> bool:
    """Whether a measure must break while services are gone: their own, and the one over all that Prometheus scrapes."""
    if measure.name == TARGETS_UP:
        watched = {other for name in measure.services for consumer, other in context.links if consumer == name}
        return bool((measure.services | watched) & set(hit))
    return bool(measure.services & set(hit)) and not measure.never_breaks


def _steps(starter: Starter, name: str, lasts_s: int) -> list[dict[str, Any]]:
    steps = [{"id": name, "at": "5s", **starter.fault, "for": f"{lasts_s}s"}]
    for more in starter.more_steps:
        after = {key: str(value).replace("{id}", name) for key, value in more["after"].items()}
        steps.append({**more, "after": after})
    return steps


def _deaths(context: Context, starter: Starter) -> tuple[list[str], Sequence[str], list[str]]:
    # A job that nobody waits for may still be at work when the fault goes in, and ends then as it should.
    jobs = [name for name, service in context.services.items() if service.job and not service.awaited]
    reasons = [f"{', '.join(jobs)}: a job, which ends by itself"] if jobs else []
    who = "the others" if jobs else "they"
    reasons += [f"guess: {who} end when it does not answer, and are started again"] if starter.may_die else []
    return jobs, starter.may_die, reasons


def _bound(probe: str, good: Mapping[str, Any], ending: str) -> dict[str, Any]:
    return {"id": f"{probe}-{ending}", "probe": probe, **{key: value for key, value in good.items() if key != "probe"}}


def _again(probe: str, good: Mapping[str, Any], starter: Starter) -> dict[str, Any]:
    if starter.heals_itself:
        return _bound(probe, good, "again") | {"within": f"{BY_ITSELF_S}s", "from": "injection"}
    return _bound(probe, good, "again") | {"within": WITHIN}
