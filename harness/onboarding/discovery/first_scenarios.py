"""A first folder of scenarios that fit what was found: one for each way in which such a stack most often breaks.

They are beginnings. Each holds what can be told from the files, and says in comments what only its owner can know: how
long is too long, and which alert should have fired.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.model.fault import FaultKind
from harness.onboarding.discovery.config_files import Rule, Timing
from harness.onboarding.discovery.probes import Candidate
from harness.onboarding.discovery.services import Found

MOST_OF_A_KIND = 4
MOST_ALERTS = 8
TARGETS_UP = "targets_up"


@dataclass(frozen=True)
class Starter:
    """One scenario to begin with."""

    name: str
    summary: str
    covers: Sequence[str]
    step: Mapping[str, Any]
    edit: Sequence[str]
    """What to look at, for its header."""
    steady: Sequence[Mapping[str, Any]] = ()
    stays: Sequence[Mapping[str, Any]] = ()
    recovered: Sequence[Mapping[str, Any]] = ()
    alerts: Sequence[tuple[Mapping[str, Any], str]] = ()
    """Clauses of detection to choose from, each with what its rule is about; written as comments."""
    variables: Mapping[str, Any] = field(default_factory=dict)
    may_die: Sequence[str] = ()
    may_die_why: str = ""


@dataclass(frozen=True)
class Ground:
    """What was found, as far as scenarios rest on it."""

    services: Mapping[str, Found]
    nodes: Mapping[str, Sequence[str]]
    links: Sequence[tuple[str, str]]
    probes: Sequence[Candidate]
    rules: Sequence[Rule]
    timing: Timing
    faults: Mapping[str, FaultKind]

    def consumers(self, service: str) -> list[str]:
        """Return who talks to a service."""
        return [consumer for consumer, other in self.links if other == service]

    def callers(self, services: Sequence[str]) -> set[str]:
        """Return who talks to services, and who talks to those, but for who only watches."""
        found: set[str] = set()
        new = list(services)
        while new:
            asked = [name for service in new for name in self.consumers(service)]
            new = [name for name in dict.fromkeys(asked) if name not in found]
            new = [name for name in new if self.services[name].kind.what != "watch"]
            found.update(new)
        return found


def starters(ground: Ground) -> list[Starter]:
    """Return the scenarios that fit. A kind of fault that is not there is left out.

    Faults on one of several replicas, or on a service in another's network, are not among them.
    """
    ways = (_slow_stores, _lost_stores, _crashes, _pauses, _stale)
    found = [starter for way in ways for starter in list(way(ground))[:MOST_OF_A_KIND]]
    return found or list(_lost_servers(ground))[:MOST_OF_A_KIND]


def not_written(ground: Ground) -> list[str]:
    """Return which scenarios are missing, each with what it would take."""
    lines = [
        f"{service.name} has no address of its own ({service.unreached}): no probe asks it and no scenario acts on it"
        for service in ground.services.values()
        if service.unreached and not service.job
    ]
    aged = {probe.service for probe in ground.probes if probe.ages}
    for service in ground.services.values():
        stores = [name for name in service.links if ground.services[name].kind.what == "store" and name not in aged]
        if service.kind.name == "data-job" and not service.unreached and stores:
            lines.append(
                f"no stale-{stores[0]} was written: {service.name} seems to write into {stores[0]}, but no probe tells "
                f"how old that is; add one to the stack, and a scenario that pauses {service.name}"
            )
    return lines


def _slow_stores(ground: Ground) -> Iterator[Starter]:
    for service in _in_order(ground, "store", "queue", "tracking"):
        if "network.latency" in ground.faults and ground.consumers(service.name):
            yield _starter(
                ground,
                f"slow-{service.name}",
                f"Every answer of {service.name} ({service.kind.name}) comes late while work goes on.",
                ("network", service.kind.what),
                [service.name],
                {
                    "fault": "network.latency",
                    "target": {"service": service.name},
                    "with": {"latency": "${latency}", "jitter": "20ms"},
                },
                ["vars.latency: what would be a bad day, and not an outage"],
                variables={"latency": "300ms"},
                breaks=False,
            )


def _lost_stores(ground: Ground) -> Iterator[Starter]:
    for service in ground.services.values():
        if "node.loss" not in ground.faults or service.job or not service.stateful or service.port is None:
            continue
        yield _loss_of(ground, service)


def _loss_of(ground: Ground, service: Found) -> Starter:
    node = service.node.value if service.node is not None else service.name
    more = [name for name in ground.nodes.get(node, ()) if name != service.name]
    with_it = f", and with it {', '.join(more)}" if more else ""
    return _starter(
        ground,
        f"lost-{service.name}",
        f"The node of {service.name} ({service.kind.name}) is lost{with_it}, and comes back.",
        ("node", service.kind.what),
        [service.name, *more],
        {"fault": "node.loss", "target": {"node": node}},
        [f"services that share a machine with {service.name}: give them the same `node` in the stack's file"],
        may_die=_may_die(ground, [service.name, *more]),
    )


def _lost_servers(ground: Ground) -> Iterator[Starter]:
    """Where nothing is known of what services do: the loss of each that is asked over HTTP whether it is up."""
    asked = {probe.service for probe in ground.probes if probe.good and "http" in probe.spec}
    for service in ground.services.values():
        if "node.loss" in ground.faults and service.name in asked:
            yield _loss_of(ground, service)


def _crashes(ground: Ground) -> Iterator[Starter]:
    for service in _in_order(ground, "serving", "gateway", "tracking", "training", "pipeline", "other", asked=False):
        if "container.kill" not in ground.faults:
            continue
        restarts = service.restart not in ("no", "")
        edit = [f"restart: {service.restart}, so that the engine is to bring it back by itself"]
        if not restarts:
            edit = [f"{service.name} has no restart policy: this will fail until it has one, and that is a finding"]
        yield _starter(
            ground,
            f"crashed-{service.name}",
            f"The process of {service.name} ({service.kind.name}) dies and must be back by itself.",
            ("process", service.kind.what),
            [service.name],
            {"fault": "container.kill", "target": {"service": service.name}},
            edit,
            heals_itself=True,
        )


def _pauses(ground: Ground) -> Iterator[Starter]:
    for service in _in_order(ground, "store", "queue", "serving", "tracking", "other"):
        # Whether a process of no known kind hangs shows at what is asked of it or its callers, if anything is.
        if "container.pause" in ground.faults and (service.kind.what != "other" or _is_asked(service, ground)):
            yield _starter(
                ground,
                f"hung-{service.name}",
                f"{service.name} ({service.kind.name}) hangs: it accepts connections and answers nothing.",
                ("process", service.kind.what),
                [service.name],
                {"fault": "container.pause", "target": {"service": service.name}},
                ["whether callers give up in time, or hang with it"],
            )


def _stale(ground: Ground) -> Iterator[Starter]:
    for probe in ground.probes:
        if not probe.ages or "container.pause" not in ground.faults:
            continue
        users = [ground.services[name] for name in ground.consumers(probe.service)]
        writers = [user.name for user in users if user.kind.what != "watch" and not user.job]
        if not writers:
            continue
        writer = next((n for n in writers if ground.services[n].kind.what in ("pipeline", "other")), writers[0])
        yield _starter(
            ground,
            f"stale-{probe.name.replace('_', '-')}",
            f"{writer} writes nothing for a while, and what lies in {probe.service} grows old.",
            ("data", "freshness"),
            [writer],
            {"fault": "container.pause", "target": {"service": writer}},
            [
                f"whether {writer} is who writes it",
                f"the age that is too old, as a bound of {probe.name} under `recovered`",
            ],
        )


def _starter(
    ground: Ground,
    name: str,
    summary: str,
    covers: Sequence[str],
    hit: Sequence[str],
    fault: Mapping[str, Any],
    edit: Sequence[str],
    *,
    variables: Mapping[str, Any] | None = None,
    may_die: Sequence[str] = (),
    breaks: bool = True,
    heals_itself: bool = False,
) -> Starter:
    """Put a scenario together: what is up before, what must stay, what must come back, which alerts there are.

    `hit` are the services that the fault acts on. What it breaks there must come back; it cannot be held to stay.
    """
    bounded = [probe for probe in ground.probes if probe.good and _may_gate(probe, hit, ground)]
    about = [probe for probe in bounded if breaks and _is_about(probe, hit, ground)]
    # Between two scrapes a crash that is soon over is missed: neither a pass nor a fail.
    own = [probe for probe in about if not (heals_itself and probe.name == TARGETS_UP)]
    # A job that nobody waits for may still be at work when the fault goes in, and ends then as it should.
    jobs = [name for name, service in ground.services.items() if service.job and not service.awaited]
    reasons = [f"{', '.join(jobs)}: a job, which ends by itself"] if jobs else []
    who = "the others" if jobs else "they"
    reasons += [f"guess: {who} end when it does not answer, and are started again"] if may_die else []
    last_s = max([20, *(_rounded(_detect_s(ground, rule)) for rule in ground.rules)])
    return Starter(
        name=name,
        summary=summary,
        covers=covers,
        step={"id": name, "at": "5s", **fault, "for": f"{last_s}s"},
        edit=edit,
        steady=[_bound(probe, "before") for probe in bounded],
        stays=[_bound(probe, "stays") for probe in bounded if probe not in about],
        recovered=[
            _bound(probe, "again") | {"within": "60s"} | ({"from": "injection"} if heals_itself else {})
            for probe in own
        ],
        alerts=[(_clause(ground, rule), rule.summary) for rule in ground.rules[:MOST_ALERTS]],
        variables=variables or {},
        may_die=list(dict.fromkeys([*jobs, *may_die])),
        may_die_why="; ".join(reasons),
    )


def _may_gate(probe: Candidate, hit: Sequence[str], ground: Ground) -> bool:
    """Whether a run may wait for a probe: it is sure, or concerns who is hit. A wrong guess stops what it is in.

    Who needs the hit service concerns it too, unless only a name tells what that one is.
    """
    known = ground.services[probe.service].kind_is_known
    return probe.sure or _is_about(probe, hit, ground) or (known and probe.service in ground.callers(hit))


def _is_about(probe: Candidate, hit: Sequence[str], ground: Ground) -> bool:
    """Whether a probe must break while services are gone: their own, and the one over all that Prometheus scrapes."""
    if probe.name == TARGETS_UP:
        return any(name == probe.service or name in ground.services[probe.service].links for name in hit)
    return probe.service in hit


def _bound(probe: Candidate, ending: str) -> dict[str, Any]:
    return {"id": f"{probe.name}-{ending}", "probe": probe.name, **probe.good}


def _clause(ground: Ground, rule: Rule) -> dict[str, Any]:
    return {"id": f"seen-{rule.name}", "alert": rule.name, "within": f"{_rounded(_detect_s(ground, rule))}s"}


def _detect_s(ground: Ground, rule: Rule) -> float:
    """Return how long a rule takes at most: a scrape, two evaluations, and its `for`."""
    return ground.timing.scrape_s + 2 * ground.timing.evaluate_s + rule.for_s + 5.0


def _rounded(seconds: float) -> int:
    return int(-(-seconds // 5) * 5)


def _is_asked(service: Found, ground: Ground) -> bool:
    """Whether a probe asks a service or its callers for more than whether the container runs."""
    near = {service.name, *ground.callers([service.name])}
    return any(probe.good and probe.service in near and "container" not in probe.spec for probe in ground.probes)


def _in_order(ground: Ground, *whats: str, asked: bool = True) -> list[Found]:
    """Return services of these groups, the groups in this order.

    Those without a port are asked by nobody: with `asked` they are left out, else only those that may end.
    """
    able = [s for s in ground.services.values() if not s.job and not s.unreached]
    able = [s for s in able if s.port is not None or (not asked and (s.goes_on or s.kind.what == "serving"))]
    return [service for what in whats for service in able if service.kind.what == what]


def _may_die(ground: Ground, services: Sequence[str]) -> list[str]:
    """Return who may well end when these are gone: those that talk to them and that the engine starts again."""
    callers = {caller for name in services for caller in ground.consumers(name)} - set(services)
    return [name for name in ground.services if name in callers and ground.services[name].restart not in ("no", "")]
