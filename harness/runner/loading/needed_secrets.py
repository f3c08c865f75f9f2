"""Secrets that a stack or a scenario names and the environment does not have: all of them at once, each with its place.

A run reads them while it goes. They are looked for before anything starts, so that nobody meets them one by one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from harness.description.yamltree import Path_
from harness.model.errors import ScenarioError
from harness.model.secrets import names_in
from harness.model.stack import StackDescription
from harness.runner.loading.explain import Source, source_of_stack
from harness.runner.loading.load import Loaded

BLOCK = "x-harness"


@dataclass(frozen=True, slots=True)
class MissingSecret:
    """A secret that is named and is not in the environment, and the error that says where it is named."""

    name: str
    problem: ScenarioError


def missing_in_stack(stack: StackDescription) -> list[MissingSecret]:
    """Return one problem for each secret of a stack description that is not in the environment."""
    used: dict[str, Any] = {
        "probes": [probe.settings.model_dump() for probe in stack.probes.values()],
        "alert_sources": [source.model_dump() for source in stack.alert_sources],
        "workload": stack.workload.model_dump() if stack.workload is not None else None,
        "integrity": stack.integrity.model_dump(),
        "datasets": [dataset.model_dump() for dataset in stack.datasets.values()],
        "keyspaces": [keyspace.model_dump() for keyspace in stack.keyspaces.values()],
    }
    fields: dict[str, str] = {}
    for field, values in used.items():
        for name in sorted(names_in(values)):
            fields.setdefault(name, field)
    missing = {name: field for name, field in fields.items() if name not in os.environ}
    if not missing:
        return []
    source = source_of_stack(stack)
    return [_missing(source, name, (BLOCK, field)) for name, field in missing.items()]


def missing_in_scenario(item: Loaded) -> list[MissingSecret]:
    """Return one problem for each secret that the faults of a scenario need and the environment does not have."""
    found: dict[str, MissingSecret] = {}
    for index, step in enumerate(item.scenario.timeline):
        given = [step.parameters, *([step.misfire.parameters] if step.misfire is not None else [])]
        for name in sorted(names_in(given)):
            if name not in os.environ:
                found.setdefault(name, _missing(item.source, name, ("timeline", index)))
    return list(found.values())


def missing_secrets(loaded: Iterable[tuple[Loaded, StackDescription]]) -> list[ScenarioError]:
    """Return the secrets that scenarios on their stacks need and the environment does not have, each once a file."""
    pairs = list(loaded)
    stacks = {stack.file: stack for _, stack in pairs}
    found = [one for stack in stacks.values() for one in missing_in_stack(stack)]
    found += [one for item, _ in pairs for one in missing_in_scenario(item)]
    return list({str(one.problem): one.problem for one in found}.values())


def check_secrets(stack: StackDescription) -> None:
    """Raise ScenarioError, which names every secret of the description that is not in the environment."""
    missing = missing_in_stack(stack)
    if not missing:
        return
    first, others = missing[0].problem, missing[1:]
    message = first.message
    if others:
        message += "; neither are " + ", ".join(f"{one.name!r} (line {one.problem.line})" for one in others)
    remedy = f"export {' '.join(f'{one.name}=…' for one in missing)}"
    raise ScenarioError(message, file=first.file, line=first.line, field=first.field, remedy=remedy)


def _missing(source: Source, name: str, around: Path_) -> MissingSecret:
    place = next(_places(_value_at(source.tree.value, around), around, name), around)
    message = f"the secret {name!r} is not in the environment"
    return MissingSecret(name, source.problem(place, message, f"export {name}=…"))


def _places(value: Any, at: Path_, name: str) -> Iterator[Path_]:
    """Yield the places of the texts that name a secret."""
    if isinstance(value, dict):
        for key, inside in value.items():
            yield from _places(inside, (*at, key), name)
    elif isinstance(value, list):
        for index, inside in enumerate(value):
            yield from _places(inside, (*at, index), name)
    elif isinstance(value, str) and name in names_in(value):
        yield at


def _value_at(value: Any, path: Path_) -> Any:
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value
