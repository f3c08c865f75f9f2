"""Scenarios together with their stacks: loaded, looked up and checked in one go, so that all errors are reported.

A scenario names its stack by the name of an installed one, or by a path relative to its own folder; `--stack` overrides
it for all scenarios.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from harness.description.nearby import similar
from harness.description.stackfile import resolve_stack
from harness.faults.installed import Faults
from harness.model.errors import ScenarioError, StackError, problems_of_stack
from harness.model.givenfile import is_there, resolved
from harness.model.scenario import Scalar
from harness.model.stack import StackDescription
from harness.runner.checking.check import check_all
from harness.runner.loading.explain import RefusedError
from harness.runner.loading.load import Loaded, load_each
from harness.runner.planning.catalogue import Catalogue


def validated(
    paths: Sequence[Path], settings: Mapping[str, Scalar] | None = None, stack: str | None = None
) -> list[tuple[Loaded, Catalogue]]:
    """Load and check every scenario under these paths. Raises ScenarioError with all problems."""
    loaded, errors = load_each(paths, settings)
    found, unknown = with_stacks(loaded, stack)
    errors += [*unknown, *check_all(found)]
    if errors:
        raise RefusedError(sorted(errors, key=lambda problem: (problem.file or "", problem.line or 0)))
    return found


def with_stacks(
    loaded: Sequence[Loaded], override: str | None = None
) -> tuple[list[tuple[Loaded, Catalogue]], list[ScenarioError]]:
    """Give each scenario the catalogue of its stack; return also the problems of the stacks."""
    faults = Faults()
    known: dict[str, Catalogue | StackError] = {}
    found = []
    errors: dict[str, ScenarioError] = {}
    for item in loaded:
        name = override or _relative_to(item.scenario.stack, Path(item.source.file).parent)
        if name not in known:
            known[name] = _catalogue(name, faults)
        catalogue = known[name]
        if isinstance(catalogue, Catalogue):
            found.append((replace(item, scenario=item.scenario.model_copy(update={"stack": name})), catalogue))
            continue
        for one in problems_of_stack(catalogue):
            if override is not None or one.file is not None:  # the mistake is not in the scenario
                problem = _in_the_stack(one)
            else:
                problem = item.source.problem(("stack",), one.message, one.remedy)
            errors[str(problem)] = problem
    return found, list(errors.values())


def _in_the_stack(error: StackError) -> ScenarioError:
    field = "--stack" if error.file is None else error.field
    return ScenarioError(error.message, file=error.file, line=error.line, field=field, remedy=error.remedy)


def _catalogue(name: str, faults: Faults) -> Catalogue | StackError:
    try:
        if _is_path(name) and not is_there(Path(name)):
            remedy = similar(Path(name)) or "a stack is named, or given as its compose file"
            return StackError(f"there is no stack {name!r}", remedy=remedy)
        found = Catalogue(resolve_stack(name), faults)
        _ = found.answer_probes  # a file of requests that cannot be read is met here
    except StackError as error:
        return error
    return found


def _relative_to(name: str, folder: Path) -> str:
    return str(resolved(folder / name)) if _is_path(name) else name


def _is_path(name: str) -> bool:
    return os.sep in name or Path(name).suffix in (".yaml", ".yml")


def stacks_of(chosen: Sequence[tuple[Loaded, Catalogue]]) -> list[tuple[StackDescription, list[Loaded]]]:
    """Group scenarios by stack, in the order in which the stacks are first met."""
    groups: dict[str, tuple[StackDescription, list[Loaded]]] = {}
    for item, catalogue in chosen:
        groups.setdefault(item.scenario.stack, (catalogue.stack, []))[1].append(item)
    return list(groups.values())
