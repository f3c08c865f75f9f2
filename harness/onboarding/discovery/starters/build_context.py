"""The context for starters: what was discovered, put together with what the stack's file declares."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from harness.description.asked import service_at, services_asked
from harness.description.ties import names_of
from harness.model.answers import ANSWER_PROBES
from harness.model.clauses import Bound
from harness.model.errors import StackError
from harness.model.fault import FaultKind
from harness.model.probe_values import any_answer_keeps
from harness.model.probekinds import ProbeSpec
from harness.model.stack import StackDescription
from harness.model.units import Quantity, Unit
from harness.onboarding.discovery.addresses import References
from harness.onboarding.discovery.candidate import Candidate
from harness.onboarding.discovery.project import Project
from harness.onboarding.discovery.prometheus_files import Timing
from harness.onboarding.discovery.services import FoundService
from harness.onboarding.discovery.starters.context import Context, Declared, Measure
from harness.onboarding.discovery.starters.rules import RuleFacts
from harness.runner.planning.catalogue import Catalogue

_HOLDS_MODELS = re.compile(r"model|artifact|artefact|checkpoint", re.IGNORECASE)
_ENOUGH = 5.0
"""Answers needed to judge a bound on a share, times that share; a run has several such bounds."""
_SHARES = (0.01, 0.02, 0.05, 0.1)
OVER_S = 5


def build_context(
    project: Project,
    services: Mapping[str, FoundService],
    references: References,
    probes: Sequence[Candidate],
    rules: Sequence[RuleFacts],
    timing: Timing,
    faults: Mapping[str, FaultKind],
    stack: StackDescription | None,
) -> Context:
    """Put together what scenarios rest on. `stack` is None where its file cannot be read yet."""
    found = [(one.name, other) for one in services.values() for other in one.links]
    unclear = _unclear(references, stack)
    declared = [(link.consumer, link.service) for link in stack.links] if stack is not None else []
    declared = [pair for pair in declared if pair not in unclear and {*pair} <= services.keys()]
    return Context(
        services=services,
        nodes=_nodes(services, stack),
        links=list(dict.fromkeys((*found, *declared))),
        measures=_measures(services, probes, stack, faults),
        rules=rules,
        timing=timing,
        faults=faults,
        declared=_declared(stack) if stack is not None else Declared(),
        memory={name: list(_in_memory(body)) for name, body in project.services.items()},
        unclear=unclear,
    )


def _unclear(references: References, stack: StackDescription | None) -> list[tuple[str, str]]:
    """Return the links that may be meant for others, unless the stack's file says whether they are used."""
    settled = {*stack.more_links, *stack.unused_links} if stack is not None else set()
    return [(link.consumer, link.service) for link in references.doubtful_links if link.name not in settled]


def _nodes(services: Mapping[str, FoundService], stack: StackDescription | None) -> Mapping[str, Sequence[str]]:
    if stack is not None:
        return stack.nodes
    nodes: dict[str, list[str]] = {}
    for found in services.values():
        nodes.setdefault(str(found.node.value) if found.node else found.name, []).append(found.name)
    return nodes


def _measures(
    services: Mapping[str, FoundService],
    probes: Sequence[Candidate],
    stack: StackDescription | None,
    faults: Mapping[str, FaultKind],
) -> list[Measure]:
    """Return the probes of the stack's file, with what discovery knows of them; without it, those that were found."""
    if stack is None:
        return list(_unchecked(probes))
    known = {one.name: one for one in probes}
    bounds = {one.probe: one for one in stack.steady_state}
    names = names_of(stack)
    found: list[Measure] = []
    for name, spec in stack.probes.items():
        bound = bounds.get(name)
        good: Mapping[str, Any] = {} if bound is None else {bound.side: _limit(bound.limit)}
        if name in known and not _reads_another(known[name], spec):
            found.append(_of_candidate(known[name], spec, good or known[name].good))
        else:
            about = frozenset(services_asked(spec, names) & services.keys())
            found.append(_of_probe(name, spec, about, good))
    return [*found, *_answers(stack, faults)]


def _unchecked(probes: Sequence[Candidate]) -> Iterator[Measure]:
    """Yield the probes that were found; one whose variables are not filled in may not be valid as it is."""
    for one in probes:
        with suppress(ValidationError):
            yield _of_candidate(one, ProbeSpec.model_validate(one.spec), one.good)


def _reads_another(one: Candidate, spec: ProbeSpec) -> bool:
    """Whether somebody made a probe read something else, and kept its name: then what init knew of it is not so."""
    given = one.spec.get(spec.kind)
    if given is None:
        return True
    if spec.kind == "http" and not spec.asks_health and not given.get("expect"):
        return True
    field = type(spec.settings).model_fields.get("read")
    return field is not None and getattr(spec.settings, "read", None) != given.get("read", field.default)


def _limit(limit: Quantity) -> float | int | str:
    """Return a limit as a scenario has it: a bare number, or one with its unit."""
    if limit.unit in (Unit.WALL, Unit.EVENT):
        return str(limit)
    return int(limit.value) if limit.value == int(limit.value) else limit.value


def _of_candidate(one: Candidate, spec: ProbeSpec, good: Mapping[str, Any]) -> Measure:
    measure = _of_probe(one.name, spec, frozenset({one.service}), good)
    return replace(measure, sure=one.sure, needs=one.needs)


def _of_probe(name: str, spec: ProbeSpec, about: frozenset[str], good: Mapping[str, Any]) -> Measure:
    of_engine = spec.kind in ("container", "log")
    return Measure(
        name=name,
        services=about,
        good=good,
        sure=bool(good),
        works=not of_engine and not spec.asks_health and not _holds_for_any(name, spec, good),
        ages=_is_age(spec),
        over_http=spec.kind == "http",
        of_engine=of_engine,
    )


def _is_age(spec: ProbeSpec) -> bool:
    """Whether a probe tells how old something is: it reads an age, or a stamp as one."""
    settings: Any = spec.settings
    told = (getattr(settings, "read", ""), getattr(settings, "as_", ""))
    return spec.kind == "feast" or any(str(one).endswith("age") for one in told)


def _holds_for_any(name: str, spec: ProbeSpec, good: Mapping[str, Any]) -> bool:
    return bool(good) and any_answer_keeps(spec, Bound.model_validate({"id": name, "probe": name, **good}))


def _answers(stack: StackDescription, faults: Mapping[str, FaultKind]) -> Iterator[Measure]:
    """Yield what the workload's answers tell, with bounds that its rate is enough for."""
    if stack.workload is None:
        return
    asked = _asked_by_workload(stack)
    try:
        there = Catalogue(stack, faults).answer_probes
    except StackError:  # `harness check` says what is wrong with the file of requests
        return
    rate = stack.workload.most_per_s
    share = next((one for one in _SHARES if rate is not None and rate * 20 * one >= _ENOUGH), _SHARES[-1])
    samples = {"over": f"{OVER_S}s", "min_samples": max(1, int((rate or 1.0) * OVER_S / 2))}
    for name, side, limit in (("availability", "at_least", 1 - share), ("silent_wrong_answers", "at_most", share)):
        if name in there and name in ANSWER_PROBES and asked:
            good = {side: round(limit, 2), **samples}
            never = name == "silent_wrong_answers"
            yield Measure(name, asked, good, sure=True, works=True, answers=True, never_breaks=never)


def _asked_by_workload(stack: StackDescription) -> frozenset[str]:
    service = service_at(stack.workload.url, names_of(stack)) if stack.workload is not None else None
    return frozenset() if service is None else frozenset({service})


def _declared(stack: StackDescription) -> Declared:
    integrity, workload = stack.integrity, stack.workload
    artefacts = integrity.models.prefix if integrity.models is not None else None
    models = {
        name: one
        for name, one in stack.datasets.items()
        if one.prefix == artefacts or _HOLDS_MODELS.search(f"{name} {one.bucket} {one.prefix}")
    }
    return Declared(
        steady=frozenset(one.probe for one in stack.steady_state),
        workload=_asked_by_workload(stack),
        timeout_s=workload.timeout_s if workload else None,
        models=tuple(models),
        model_stores=frozenset(one.service for one in models.values()),
        traces_examples=None not in (integrity.store, integrity.examples, integrity.lineage),
    )


def _in_memory(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield where a service mounts memory of a certain size: what fills that fills nothing else."""
    given = body.get("tmpfs")
    for one in given if isinstance(given, list) else [given] if isinstance(given, str) else []:
        path, _, options = str(one).partition(":")
        if "size=" in options:
            yield path
    volumes = body.get("volumes")
    for volume in volumes if isinstance(volumes, list) else []:
        if isinstance(volume, dict) and volume.get("type") == "tmpfs" and volume.get("target"):
            limits = volume.get("tmpfs")
            if isinstance(limits, dict) and limits.get("size"):
                yield str(volume["target"])
