"""For each alert rule a fault that should fire it, as its query says, or why nothing here can fire it by itself.

A rule on what is up: a crash that lasts. On how long answers take: slow links to what its service uses. On errors: the
loss of a store that its service uses. On an age, or a counter that stands still: whoever writes or counts, cut off from
what it uses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from harness.model.fields import Link
from harness.onboarding.discovery.starters.context import STORES, Context
from harness.onboarding.discovery.starters.rules import RuleFacts
from harness.onboarding.discovery.starters.starter import LONGEST_S, ROUND_TRIPS, Missing, Starter

USED = (*STORES, "tracking", "serving")
_ANSWERS = ("watch", "serving", "gateway")
"""Services that do what they are asked, and nothing on their own."""
FASTEST_S = 1e-3
MOST_LATENCY_S = 5.0
APART = 1.25
"""By how much a latency differs at least from the limit that it must exceed, and from the timeout."""
_ORDER = ("serving", "gateway", "tracking", "pipeline", "training", "store", "queue", "other", "watch")
_PLACE = "its query is in {place}"


def firing(context: Context) -> Iterator[Starter | Missing]:
    """Yield for each rule the scenario that should fire it."""
    for rule in context.rules:
        way = {"down": _down, "slow": _slow, "errors": _errors, "old": _old, "still": _still}.get(rule.shows)
        if rule.shows == "always":
            yield Missing("fires", rule.name, f"it fires always, as a watchdog does ({rule.rule.place})")
        elif way is None:
            yield _cannot(rule, "its query has no form that is known")
        else:
            yield way(context, rule)


def _down(context: Context, rule: RuleFacts) -> Starter | Missing:
    if rule.subject is not None:
        able = [rule.subject] if not context.services[rule.subject].unreached else []
        why = f"guess: its metric is named after {rule.subject}"
    else:
        scraped = [context.services[name] for name in _sorted(context, rule.exported_by)]
        able = [one.name for one in scraped if not one.unreached and not one.job]
        why = f"it asks whether {_one_of(able)} can be scraped" if able else ""
    if not able or "container.kill" not in context.faults:
        return _cannot(rule, "it is not known whose metrics it reads")
    # One target of several is enough, unless the query puts them together.
    lost = 1 if rule.subject is not None else rule.lost
    if lost > len(able):
        return _cannot(rule, f"{lost} services would have to be down, and {len(able)} can be ended")
    hits = tuple(able[:lost])
    target: dict[str, object] = {"service": hits[0]} if len(hits) == 1 else {"services": list(hits)}
    fault = {"fault": "container.kill", "target": target, "with": {"restart": "none"}}
    return _starter(context, rule, f"Down, and not started again: {_one_of(list(hits))}.", hits, fault, why)


def _slow(context: Context, rule: RuleFacts) -> Starter | Missing:
    service, used, lacking = _behind(context, rule)
    if lacking is not None:
        return lacking
    limit_s = rule.limit_s
    if limit_s is None or not FASTEST_S <= 2 * limit_s <= MOST_LATENCY_S or "network.latency" not in context.faults:
        return _cannot(rule, "its limit is not one that a slow link could exceed")
    timeout_s = context.waits_s([service])
    latency_s = _latency_s(limit_s, timeout_s)
    if latency_s is None:
        why = (
            f"its limit of {limit_s:g} s is too near to the workload's timeout of {timeout_s:g} s: requests would fail"
        )
        return _cannot(rule, why, f"x-harness.workload.timeout above {2 * APART * limit_s:g}s, if clients wait so long")
    links = [Link(service, name).name for name in used]
    fault = {
        "fault": "network.latency",
        "target": {"links": links},
        "with": {"latency": "${latency}"},
    }
    summary = f"Everything that {service} uses answers late, and so does {service}."
    why = f"whether {service} asks {_one_of(used)} for each answer; its limit is {rule.threshold:g}"
    may_fail = timeout_s is not None and latency_s * ROUND_TRIPS > timeout_s
    if may_fail:
        why += f". A request on a new connection may exceed the workload's timeout of {timeout_s:g} s: it may fail"
    variables = {"latency": f"{round(latency_s * 1e3)}ms"}
    return _starter(context, rule, summary, (), fault, why, variables=variables, may_fail=may_fail)


def _latency_s(limit_s: float, timeout_s: float | None) -> float | None:
    """Return a latency well beyond a rule's limit and well within the workload's timeout; None where none is both."""
    if timeout_s is None or 2 * limit_s * APART <= timeout_s:
        return 2 * limit_s
    between_s = (limit_s + timeout_s) / 2
    return between_s if limit_s * APART <= between_s <= timeout_s / APART else None


def _errors(context: Context, rule: RuleFacts) -> Starter | Missing:
    service, used, lacking = _behind(context, rule)
    if lacking is not None:
        return lacking
    if "container.kill" not in context.faults:
        return _cannot(rule, "no fault ends what its service uses")
    fault = {"fault": "container.kill", "target": {"service": used[0]}, "with": {"restart": "none"}}
    why = f"whether {service} fails without {used[0]}"
    summary = f"{used[0]} is down and stays down, and what {service} does with it fails."
    return _starter(context, rule, summary, (used[0],), fault, why, may_die=context.dies_with([used[0]]))


def _behind(context: Context, rule: RuleFacts) -> tuple[str, list[str], Missing | None]:
    """Return the service that a rule measures, what it uses, and what is missing for that to show."""
    able = [name for name in _sorted(context, rule.exported_by) if context.services[name].kind.what != "watch"]
    if len(able) != 1:
        known = f"it may be about any of {', '.join(able)}" if able else "it is not known who exports its metric"
        return "", [], _cannot(rule, known)
    used = [name for name in context.uses(able[0], *USED) if context.services[name].port is not None]
    used = _sorted(context, frozenset(used), ("store", "queue", "tracking", "serving"))
    if not used:
        return "", [], _cannot(rule, f"nothing here shows that {able[0]} uses another service")
    answers = context.services[able[0]].kind.what in ("serving", "gateway", "tracking")
    near = {able[0], *context.callers([able[0]])}
    if answers and not near & context.declared.workload and not context.consumers(able[0]):
        remedy = f"x-harness.workload, with requests for {able[0]}"
        return "", [], _cannot(rule, f"nobody sends requests to {able[0]} during a run", remedy)
    return able[0], used, None


def _old(context: Context, rule: RuleFacts) -> Starter | Missing:
    if rule.age_s is None or rule.age_s > LONGEST_S:
        age = "a time that could not be read" if rule.age_s is None else f"{rule.age_s:g} s"
        return _cannot(rule, f"it fires at an age of {age}: no run is that long", _SHORTER)
    able = [name for name in rule.exported_by if context.uses(name, *STORES)]
    writers = [name for name in able if context.services[name].kind.what not in _ANSWERS]
    if len(writers) != 1 or "network.partition" not in context.faults:
        return _cannot(
            rule, "who writes what it measures is not known", "a scenario of your own that pauses the writer"
        )
    stores = context.uses(writers[0], *STORES)
    summary = f"{writers[0]} reaches {_one_of(stores)} no more and writes nothing, while it answers its scrapes."
    why = f"whether {writers[0]} writes what the rule measures into {_one_of(stores)}"
    return _starter(context, rule, summary, (), _apart(writers[0], stores), why)


def firing_on_errors(context: Context) -> Iterator[Starter | Missing]:
    """Yield for each rule on an age the same with errors at once instead of silence: a run that fails is a run, too.

    Only where an age tells into which store the writer writes: what it reads first may keep it from writing at all.
    """
    for rule in context.rules:
        silent = _old(context, rule) if rule.shows == "old" and "network.reset" in context.faults else None
        if not isinstance(silent, Starter):
            continue
        writer = str(silent.fault["target"]["service"])
        aged = [one for one in context.measures if context.only_writer(one) == context.services[writer]]
        written = {name for one in aged for name in one.services}
        stores = [name for name in context.uses(writer, *STORES) if name in written and context.services[name].port]
        if not stores:
            continue
        yield replace(
            silent,
            condition="fires-on-errors",
            summary=f"Every connection of {writer} to {_one_of(stores)} is reset: its runs fail at once. "
            f"{rule.name} has to fire.",
            fault={"fault": "network.reset", "target": {"links": [Link(writer, name).name for name in stores]}},
            missed=(writer,),
            may_die=[writer] if context.services[writer].restart not in ("no", "") else [],
        )


def _still(context: Context, rule: RuleFacts) -> Starter | Missing:
    able = [name for name in rule.exported_by if context.services[name].kind.what != "watch"]
    if len(able) != 1 or "network.partition" not in context.faults:
        known = f"any of {', '.join(sorted(able))} may count it" if able else "it is not known who exports its metric"
        return _cannot(rule, known, "a scenario of your own that keeps from work whoever counts")
    counts = able[0]
    if context.services[counts].kind.what in _ANSWERS:
        # Without what it uses, it may still count the requests that it can no longer answer well.
        remedy = "a scenario of your own that keeps requests from it"
        return _cannot(rule, f"{counts} may count requests, whatever becomes of them", remedy)
    used = context.uses(counts, *USED, "gateway", "pipeline", "training", "other")
    if not used:
        return _cannot(rule, f"nothing here shows that {counts} uses another service", "x-harness.links")
    summary = f"{counts} reaches {_one_of(used)} no more and has nothing to count, while it answers its scrapes."
    why = f"whether {counts} counts nothing more without {_one_of(used)}"
    return _starter(context, rule, summary, (), _apart(counts, used), why)


def _apart(service: str, others: list[str]) -> dict[str, Any]:
    # A service that is paused exports nothing either, and a rule on its own metrics would have nothing to read.
    return {"fault": "network.partition", "target": {"service": service}, "with": {"apart_from": others}}


_SHORTER = "shorter times in a test configuration"


def _starter(
    context: Context,
    rule: RuleFacts,
    summary: str,
    hits: tuple[str, ...],
    fault: Mapping[str, Any],
    why: str,
    *,
    variables: Mapping[str, Any] | None = None,
    may_die: list[str] | None = None,
    may_fail: bool = False,
) -> Starter | Missing:
    lasts_s = rule.fires_within_s
    if lasts_s > LONGEST_S:
        return _cannot(rule, f"it takes {lasts_s:.0f} s to fire", _SHORTER)
    return Starter(
        condition="fires",
        subject=rule.name,
        family="alert",
        summary=f"{summary} {rule.name} has to fire.",
        covers=("alert", fault["fault"].partition(".")[0]),
        hits=hits,
        fault=fault,
        edit=(why, _PLACE.format(place=rule.rule.place)),
        breaks=bool(hits),
        may_fail=may_fail,
        variables=variables or {},
        may_die=may_die if may_die is not None else context.dies_with(hits),
        detects=[rule],
        lasts_s=int(-(-lasts_s // 5) * 5),
    )


def _cannot(rule: RuleFacts, why: str, remedy: str = "") -> Missing:
    return Missing("fires", rule.name, f"nothing here can fire it by itself: {why} ({rule.rule.place})", remedy)


def _sorted(context: Context, names: frozenset[str], order: tuple[str, ...] = _ORDER) -> list[str]:
    known = [name for name in context.services if name in names]
    return sorted(known, key=lambda name: (order + _ORDER).index(_what(context, name)))


def _what(context: Context, name: str) -> str:
    what = context.services[name].kind.what
    return what if what in _ORDER else "other"


def _one_of(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
