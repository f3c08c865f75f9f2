"""What happens to stores and what else is asked over links: slow answers, a hang, a lost node, a full disk.

Each is felt where work is done that needs the store. A store's own probe breaks with it and comes back with it,
whatever its consumers do.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.onboarding.discovery.services import FoundService
from harness.onboarding.discovery.starters.context import STORES, Context
from harness.onboarding.discovery.starters.starter import ROUND_TRIPS, Missing, Starter

LATENCY_MS = 300
NOBODY = "nothing here shows that anybody uses it"


def slow(context: Context) -> Iterator[Starter | Missing]:
    """Every answer of a store comes late."""
    for service in context.reachable(*STORES, "tracking"):
        if "network.latency" not in context.faults or not context.consumers(service.name):
            continue
        # An answer that comes after the workload's timeout is none: that would be an outage.
        waits_s = context.waits_s([service.name])
        latency_ms = LATENCY_MS if waits_s is None else min(LATENCY_MS, max(1, int(waits_s / ROUND_TRIPS * 1e3)))
        yield Starter(
            condition="slow",
            subject=service.name,
            family="store",
            summary=f"Every answer of {service.name} ({service.kind.name}) comes late while work goes on.",
            covers=("network", service.kind.what),
            hits=(service.name,),
            fault={
                "fault": "network.latency",
                "target": {"service": service.name},
                "with": {"latency": "${latency}", "jitter": "20ms"},
            },
            edit=("vars.latency: what would be a bad day, and not an outage",),
            felt_at=frozenset(context.callers([service.name])),
            breaks=False,
            variables={"latency": f"{latency_ms}ms"},
        )


def hung(context: Context) -> Iterator[Starter | Missing]:
    """A store accepts connections and answers nothing."""
    for service in context.reachable(*STORES):
        if "container.pause" in context.faults:
            yield hang_of(context, service, "store") if context.consumers(service.name) else _unused("hung", service)


def hang_of(context: Context, service: FoundService, family: str) -> Starter:
    """Return the hang of one service. Whom nobody in the stack needs, its users ask directly, as its probe does."""
    callers = frozenset(context.callers([service.name]))
    return Starter(
        condition="hung",
        subject=service.name,
        family=family,
        summary=f"{service.one_of} ({service.kind.name}) hangs: it accepts connections and answers nothing.",
        covers=("process", service.kind.what),
        hits=(service.name,),
        fault={"fault": "container.pause", "target": service.one_target},
        edit=("whether callers give up in time, or hang with it",),
        felt_at=callers or None,
        detects=[rule for rule in context.rules if rule.fires_for(service.name)],
        silent=True,
    )


def lost(context: Context) -> Iterator[Starter | Missing]:
    """The node of a store is lost, and comes back."""
    for service in context.services.values():
        if "node.loss" not in context.faults or service.job or not service.stateful or service.port is None:
            continue
        yield loss_of(context, service) if context.consumers(service.name) else _unused("lost", service)


def loss_of(context: Context, service: FoundService) -> Starter:
    """Return the loss of one service's node."""
    node, more = context.with_node(service.name)
    hits = (service.name, *more)
    with_it = f", and with it {', '.join(more)}" if more else ""
    return Starter(
        condition="lost",
        subject=service.name,
        family="store",
        summary=f"The node of {service.name} ({service.kind.name}) is lost{with_it}, and comes back.",
        covers=("node", service.kind.what),
        hits=hits,
        fault={"fault": "node.loss", "target": {"node": node}},
        edit=(f"services that share a machine with {service.name}: give them the same `node` in the stack's file",),
        felt_at=frozenset(context.callers(hits)) or None,
        may_die=context.dies_with(hits),
        detects=[rule for rule in context.rules if rule.fires_for(service.name)],
        silent=True,
    )


def lost_servers(context: Context) -> Iterator[Starter | Missing]:
    """Where nothing else fits: the loss of each service that is asked over HTTP whether it is up."""
    asked = {name for one in context.measures if one.good and one.over_http for name in one.services}
    for service in context.services.values():
        if "node.loss" in context.faults and service.name in asked and not context.callers([service.name]):
            yield loss_of(context, service)


def full(context: Context) -> Iterator[Starter | Missing]:
    """A store has no space left."""
    for service in context.reachable(*STORES):
        if "disk.full" not in context.faults:
            continue
        paths = context.memory.get(service.name, ())
        if not paths:
            yield Missing(
                "full",
                service.name,
                "its data lie on the engine's disk, which no fault may fill",
                'a tmpfs with a size where it writes, as in `tmpfs: ["/data:size=256m"]`, in a test configuration',
            )
        for path in paths:
            yield Starter(
                condition="full",
                subject=service.name,
                family="store",
                summary=f"{service.name} ({service.kind.name}) has no space left at {path}.",
                covers=("storage", service.kind.what),
                hits=(service.name,),
                fault={"fault": "disk.full", "target": {"service": service.name}, "with": {"path": path}},
                edit=(f"whether {path} is where it writes what is sent to it",),
                felt_at=frozenset(context.callers([service.name])) or None,
                breaks=False,
                may_die=context.dies_with([service.name]),
            )


def _unused(condition: str, service: FoundService) -> Missing:
    return Missing(condition, service.name, NOBODY, "x-harness.links, as in `consumer -> service`")
