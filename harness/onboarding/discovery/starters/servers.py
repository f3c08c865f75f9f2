"""What happens to servers: a crash, a hang, an old model, a broken model."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.dependencies import reached
from harness.onboarding.discovery.probes.stores import S3_KINDS
from harness.onboarding.discovery.services import FoundService
from harness.onboarding.discovery.starters.context import Context
from harness.onboarding.discovery.starters.starter import Missing, Starter
from harness.onboarding.discovery.starters.stores import hang_of

CRASHED = ("serving", "gateway", "tracking", "training", "pipeline", "other")
HUNG = ("serving", "tracking", "other")
STOPPED_S = 5
"""How long a server is stopped, so that it starts anew: with a grace that is shorter."""
LASTS_S = 40
_SERVERS = ("serving", "gateway", "other")
NO_MODELS = ("feast",)
"""Servers that serve something else."""


_MAY_FAIL = "whether requests may fail until it is back: where its callers retry, add a bound on that under `stays`"


def crashed(context: Context) -> Iterator[Starter | Missing]:
    """The process of a service dies."""
    able = [one for one in context.services.values() if not one.job and not one.unreached]
    # Nobody asks a service without a port: only one that may not end is worth a crash.
    able = [one for one in able if one.port is not None or one.goes_on or one.kind.what == "serving"]
    for service in (one for what in CRASHED for one in able if one.kind.what == what):
        if "container.kill" in context.faults:
            yield _crash_of(context, service, "producer" if context.produces(service) else "server")


def _crash_of(context: Context, service: FoundService, family: str) -> Starter:
    restarts = service.restart not in ("no", "")
    edit = f"restart: {service.restart}, so that the engine is to bring it back by itself"
    if not restarts:
        edit = f"{service.name} has no restart policy: this will fail until it has one, and that is a finding"
    near = {service.name, *context.callers([service.name])}
    may_fail = service.replicas == 1 and any(one.answers and one.services & near for one in context.measures)
    return Starter(
        condition="crashed",
        subject=service.name,
        family=family,
        summary=f"The process of {service.one_of} ({service.kind.name}) dies and must be back by itself.",
        covers=("process", service.kind.what),
        hits=(service.name,),
        fault={"fault": "container.kill", "target": service.one_target},
        edit=(edit, *([_MAY_FAIL] if may_fail else [])),
        may_fail=may_fail,
        heals_itself=True,
    )


def hung(context: Context) -> Iterator[Starter | Missing]:
    """A server accepts connections and answers nothing."""
    for service in context.reachable(*HUNG):
        if "container.pause" in context.faults:
            yield hang_of(context, service, "server")


def old_model(context: Context) -> Iterator[Starter | Missing]:
    """The file of a model is the one before."""
    yield from _changed_model(
        context, "old-model", "previous", "is the one before by key", "the objects of the dataset sort by version"
    )


def broken_model(context: Context) -> Iterator[Starter | Missing]:
    """The file of a model is cut off, which a reader notices, or some of its bits are inverted, which few do."""
    look = "the last good version may be kept"
    yield from _changed_model(context, "broken-model", "truncate", "is cut off", look)
    yield from _changed_model(context, "flipped-model", "flip", "has inverted bits", look)


def _changed_model(
    context: Context, condition: str, operation: str, what: str, look: str
) -> Iterator[Starter | Missing]:
    servers = _model_servers(context)
    for dataset in context.declared.models if not servers else ():
        remedy = "x-harness.workload, and the link by which who answers it reads them, under x-harness.links"
        yield Missing(condition, dataset, "nobody who answers requests is known to read them", remedy)
    for server in servers:
        if "object.corrupt" not in context.faults or server.kind.name in NO_MODELS:
            continue
        lacking = _lacking(context, server)
        if lacking is not None:
            why, remedy = lacking
            yield Missing(condition, server.name, why, remedy)
            continue
        for dataset in context.declared.models:
            many = "" if len(context.declared.models) == 1 else f"-{dataset}"
            yield Starter(
                condition=condition,
                subject=f"{server.name}{many}",
                family="server",
                summary=f"Each model in {dataset} {what}; {server.name} loads it, and later the whole one.",
                covers=("model", "serving"),
                hits=(server.name,),
                fault={
                    "fault": "object.corrupt",
                    "target": {"dataset": dataset},
                    "with": {"operation": operation},
                },
                edit=(
                    f"whether {server.name} loads its model from {dataset}, and only when it starts",
                    f"whether {look}",
                ),
                felt_at=frozenset({server.name, *context.callers([server.name])}),
                more_steps=_restart(context, server),
                may_die=(server.name,),
                lasts_s=LASTS_S,
            )


def _model_servers(context: Context) -> list[FoundService]:
    """Return what may load a model: known servers of models, and who answers requests and uses the store of one."""
    known = context.reachable("serving")
    asked = reached(context.declared.workload, lambda name: context.uses(name, *_SERVERS))
    others = [one for one in context.reachable("other", "gateway") if one.name in asked]
    return known + [one for one in others if context.declared.model_stores & set(context.uses(one.name, "store"))]


def _restart(context: Context, server: FoundService) -> list[dict[str, object]]:
    """Return the steps in which the server starts anew: once its model is changed, and once that is whole again.

    The second one tells what the model does from what a restart does. One that has ended over its model can be stopped,
    and started by that, but not killed.
    """
    if "container.stop" not in context.faults:
        return []
    return [
        {
            "id": f"{server.name}-{what}",
            "after": {"event": f"{{id}}.{stage}", "timeout": "30s"},
            "fault": "container.stop",
            "target": {"service": server.name},
            "with": {"grace": "1s"},
            "for": f"{STOPPED_S}s",
        }
        for what, stage in (("loads", "confirmed"), ("reloads", "reverted"))
    ]


def _lacking(context: Context, server: FoundService) -> tuple[str, str] | None:
    """Return what is not declared for a model to be changed and the change to be seen: why, and what it would take."""
    near = {server.name, *context.callers([server.name])}
    judged = any(one.answers and one.services & near for one in context.measures)
    answers = "x-harness.workload with expected answers, as `harness record` makes it"
    if context.declared.models:
        return None if judged else ("nothing tells which answers are right", answers)
    used = {server.name, *context.uses(server.name, "store", "tracking")}
    stores = [store for name in sorted(used) for store in context.uses(name, "store")]
    objects = [name for name in dict.fromkeys(stores) if context.services[name].kind.name in S3_KINDS]
    if not objects:
        own = "a scenario of your own, with container.image (an image from before) or container.file (another file)"
        return "nothing here shows that it loads a model from an object store", own
    dataset = f"x-harness.datasets, as in `models: {{service: {objects[0]}, bucket: …, prefix: …}}`"
    why = "the stack's file does not say where models lie"
    return (why, dataset) if judged else (f"{why}, or which answers are right", f"{dataset}, and {answers}")
