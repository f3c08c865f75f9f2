"""What `harness init` writes, as text: the override with the `x-harness` block, and scenarios."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.model.errors import StackError
from harness.model.fault import FaultKind
from harness.model.fields import Link
from harness.model.givenfile import is_file
from harness.model.stack import StackDescription
from harness.onboarding.discovery.addresses import References, references_of
from harness.onboarding.discovery.candidate import Candidate
from harness.onboarding.discovery.config_files import config_files
from harness.onboarding.discovery.guess import Guess
from harness.onboarding.discovery.metrics import metrics_of
from harness.onboarding.discovery.probes import candidates
from harness.onboarding.discovery.project import Project, literal
from harness.onboarding.discovery.prometheus_files import USUAL, Rule, Timing, alert_rules, timing
from harness.onboarding.discovery.rendering import MARK, STACK_FILE, comment, render
from harness.onboarding.discovery.services import FoundService, guess_all
from harness.onboarding.discovery.starters.accepted import stack_of
from harness.onboarding.discovery.starters.build_context import build_context
from harness.onboarding.discovery.starters.files import scenario_files
from harness.onboarding.discovery.starters.rules import read_rule
from harness.onboarding.discovery.starters.suite import told
from harness.onboarding.discovery.writing import was_edited

_RULE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""What names in the description of a stack are like."""


@dataclass(frozen=True)
class Discovery:
    """What was found in a project, and the files to be written, by their path seen from the target folder."""

    project: Project
    services: Mapping[str, FoundService]
    references: References
    probes: tuple[Candidate, ...]
    rules: tuple[Rule, ...]
    files: Mapping[str, str]
    not_written: tuple[str, ...] = ()
    """What no scenario was written for, and why."""
    settled: frozenset[str] = frozenset()
    """The links of which the stack's file says whether anybody uses them."""


def discover(
    project: Project, out: Path, faults: Mapping[str, FaultKind], *, standard: bool = False, keep_edits: bool = True
) -> Discovery:
    """Find out what there is, and write down, as text, what is made of it.

    The scenarios are for the stack's file that is there, with all that was added to it, unless nobody edited it or its
    edits are not kept. The `standard` suite is always for the one that is there. Raises StackError if that is invalid.
    """
    references = references_of(project)
    services = guess_all(project, references)
    all_rules, pace = _rules(project, services)
    rules = [rule for rule in all_rules if _RULE_NAME.fullmatch(rule.name)]
    metrics = metrics_of(project, services)
    probes = candidates(project, services, rules, metrics.exporters)
    there = is_file(out / STACK_FILE)
    described = _stack(project, services, references, probes, rules)
    files: dict[str, str] = {}
    if not (standard and there):
        files[STACK_FILE] = render("stack.yaml.j2", base=_base(project, out), **described)
    # What is not written yet may have no folder yet either: it is read as if it lay beside the compose file.
    text = render("stack.yaml.j2", base=_base(project, project.folder), **described)
    ours = (project.folder / STACK_FILE, text)
    theirs = (out / STACK_FILE, None)
    kept = there and (standard or (keep_edits and was_edited(out, STACK_FILE)))
    stack: StackDescription | None = None
    untold: list[str] = []
    for file, content in (theirs, ours) if kept else (ours,):
        try:
            stack = stack_of(project, file, content)
            break
        except StackError as error:
            if standard and kept:
                raise
            untold.append(f"no scenario could be checked against {file.name}: {error.message}")
    if stack is not None:
        services = {name: _with_used_links(one, stack) for name, one in services.items()}
    rule_facts = [read_rule(rule, pace, metrics) for rule in rules]
    context = build_context(project, services, references, probes, rule_facts, pace, faults, stack)
    scenarios, missing = scenario_files(context, stack, standard=standard)
    files |= scenarios
    not_written = (*untold, *_unreached(services), *_unnamed(all_rules), *told(missing))
    settled = frozenset((*stack.more_links, *stack.unused_links)) if stack is not None else frozenset()
    return Discovery(project, services, references, tuple(probes), tuple(rules), files, not_written, settled)


def _with_used_links(found: FoundService, stack: StackDescription) -> FoundService:
    """Return a service without the links that the stack's file takes away."""
    used = {name: where for name, where in found.links.items() if Link(found.name, name).name not in stack.unused_links}
    return replace(found, links=used)


def _unreached(services: Mapping[str, FoundService]) -> list[str]:
    return [
        f"{service.name} has no address of its own ({service.unreached}): no probe asks it and no scenario acts on it"
        for service in services.values()
        if service.unreached and not service.job
    ]


def _rules(project: Project, services: Mapping[str, FoundService]) -> tuple[list[Rule], Timing]:
    rules: dict[str, Rule] = {}
    pace = USUAL
    for found in services.values():
        if found.kind.name != "prometheus":
            continue
        files = list(config_files(project.services[found.name], project.folder))
        pace = timing(files, found.environment)
        for rule in alert_rules(files, project.folder.resolve(), found.environment):
            rules.setdefault(rule.name, rule)
    return list(rules.values()), pace


def _unnamed(rules: Iterable[Rule]) -> list[str]:
    return [
        f"the alert {rule.name!r} is left out: no name here has such characters ({rule.place})"
        for rule in rules
        if not _RULE_NAME.fullmatch(rule.name)
    ]


def _base(project: Project, out: Path) -> list[str]:
    return [os.path.relpath(file.absolute(), out.absolute()) for file in project.files]


def _stack(
    project: Project,
    services: Mapping[str, FoundService],
    references: References,
    probes: list[Candidate],
    rules: list[Rule],
) -> dict[str, Any]:
    profiles: dict[str, list[str]] = {}
    for name, behind in project.left_out.items():
        for profile in behind:
            profiles.setdefault(profile, []).append(name)
    return {
        "mark": MARK,
        "own": STACK_FILE,
        "project": compose_project(project),
        "stack": _stack_name(project),
        "active": project.profiles,
        "profiles": profiles,
        "links": _declared(services),
        "doubted": [link.name for link in references.doubtful_links],
        "probes": [
            {"name": probe.name, "spec": probe.spec, "why": comment(probe.why), "sure": probe.sure} for probe in probes
        ],
        "steady": [
            {"id": f"{probe.name}-before", "probe": probe.name, **probe.good}
            for probe in probes
            if probe.sure and probe.good
        ],
        "sources": _sources(services),
        "alerts": [_alert(rule) for rule in rules],
        "serving": _served(services),
        "services": [_service(found) for found in services.values()],
    }


def compose_project(project: Project) -> str:
    """Return the name of the compose project while it runs, as `--attach` takes it."""
    return project.composed.variables.get("COMPOSE_PROJECT_NAME") or _stack_name(project)


def _stack_name(project: Project) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", project.name).strip("-_.") or "stack"


def _declared(services: Mapping[str, FoundService]) -> list[tuple[str, str]]:
    """Links that the environment and the commands do not show as `service:port`."""
    return [
        (Link(found.name, other).name, comment(places[0].where))
        for found in services.values()
        for other, places in found.links.items()
        if not any(place.plain for place in places)
    ]


def _sources(services: Mapping[str, FoundService]) -> list[tuple[dict[str, Any], str]]:
    """Prometheus, which knows its rules and their history; an Alertmanager only where there is none."""
    for kind in ("prometheus", "alertmanager"):
        found = [
            service
            for service in services.values()
            if service.kind.name == kind and service.port and service.replicas == 1
        ]
        if found:
            return [({"kind": kind, "url": f"http://{one.address}"}, comment(one.kind_why)) for one in found]
    return []


def _alert(rule: Rule) -> dict[str, Any]:
    fields = {"summary": literal(comment(rule.summary))} if rule.summary else {}
    return {"name": rule.name, "fields": fields | {"rule": literal(comment(rule.place))}}


def _served(services: Mapping[str, FoundService]) -> FoundService | None:
    """Return who is asked for predictions, and by no other server of them; one known by its name alone last."""
    able = [s for s in services.values() if s.kind.what == "serving" and s.port is not None and s.replicas == 1]
    front = [s for s in able if not any(s.name in other.links for other in able)] or able
    return next((s for s in front if s.kind_is_known), front[0] if front else None)


def _service(found: FoundService) -> dict[str, Any]:
    fields: list[tuple[str, Any, str]] = []
    if found.node is not None:
        fields.append(("node", found.node.value, _why(found.node)))
    guesses = dict(found.left_out)
    if found.kind_is_known:
        fields.append(("roles", [found.kind.name], comment(found.kind_why)))
    elif found.kind.name != "service":
        guesses = {"roles": Guess([found.kind.name], found.kind_why), **guesses}
    if found.port is not None:
        fields.append(("port", found.port.value, _why(found.port)))
    if found.further_ports:
        why = "; ".join(dict.fromkeys(one.why for one in found.further_ports))
        fields.append(("ports", [one.value for one in found.further_ports], comment(why)))
    health = gating_health(found)
    if health is not None:
        fields.append(("health", health.value, _why(health)))
    if found.health is not None and (health is None or health.value != found.health.value):
        guesses["health"] = found.health
    notes = [found.kind.name if found.kind.name != "service" else "of no kind that is known"]
    if found.volumes:
        notes.append(f"keeps data in {', '.join(found.volumes)}")
    notes.append(f"restart: {found.restart}" if not found.job else "ends by itself")
    links = [
        f"talks to {other}: {comment(places[0].where)}" + (f", and {len(places) - 1} more" if len(places) > 1 else "")
        for other, places in found.links.items()
    ]
    silent = [name for name in found.depends_on if name not in found.links]
    if silent:
        them = "them" if len(silent) > 1 else "it"
        links.append(f"waits for {', '.join(silent)}, but nothing here shows that it talks to {them}")
    if found.replicas > 1:
        notes.append(f"{found.replicas} replicas: a fault on it acts on all, or on one with `replica: 1`")
    if found.unreached:
        notes.append(f"{found.unreached}: no address of its own")
    return {
        "name": found.name,
        "notes": "; ".join(notes),
        "links": links,
        "fields": fields,
        "guesses": [(key, guess.value, _why(guess)) for key, guess in guesses.items()],
    }


def gating_health(found: FoundService) -> Guess | None:
    """Return the health check that every start may wait for: one that the files name, or a connection to a sure port.

    A guess would hold up each run of a stack in which it is wrong.
    """
    if found.health is None or found.health.sure:
        return found.health
    if found.port is None or not found.port.sure:
        return None
    if found.health.value == {"tcp": True}:
        return Guess(found.health.value, found.health.why, sure=True)
    return Guess({"tcp": True}, "these files name its port", sure=True)


def _why(guess: Guess) -> str:
    return comment(guess.why if guess.sure else f"guess: {guess.why}")
