"""From files to scenarios: find them, read them, fill in their variables, and validate them.

All problems of all files are collected before anything is refused. A loaded scenario remembers where each of
its fields was written, for the checks that come later.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.description.nearby import similar
from harness.description.yamltree import Tree, read_tree
from harness.model.cleaned import forbidden
from harness.model.errors import ScenarioError, StackError, did_you_mean
from harness.model.givenfile import is_file, is_folder, is_there, resolved, wrong_path
from harness.model.run_folders import reserved
from harness.model.scenario import Scalar, Scenario
from harness.runner.loading.explain import Place, RefusedError, Source, problems, problems_of, read_model
from harness.runner.loading.variables import VERBATIM, as_text, check_names, combinations, fill

ENDING = ".scenario.yaml"
LARGEST_NUMBER = 2**63


@dataclass(frozen=True)
class Loaded:
    """One scenario of a file, for one combination of its matrix, with the places where it was written."""

    scenario: Scenario
    source: Source
    matrix: dict[str, Scalar]

    @property
    def name(self) -> str:
        """The scenario's name, with the values of its matrix: `slow-object-store[latency=1s]`."""
        values = ",".join(f"{key}={as_text(value)}" for key, value in self.matrix.items())
        return f"{self.scenario.scenario}[{values}]" if values else self.scenario.scenario


def load_each(
    paths: Sequence[Path], settings: Mapping[str, Scalar] | None = None
) -> tuple[list[Loaded], list[ScenarioError]]:
    """Load every scenario under these paths; return what could be loaded, and all problems."""
    loaded: list[Loaded] = []
    errors: list[ScenarioError] = []
    for path in discover(paths):
        try:
            loaded += load_file(path, settings)
        except ScenarioError as error:
            errors += problems_of(error)
    errors += _duplicate_names(loaded)
    if not errors:
        errors += _unknown_settings(loaded, settings or {})
    return loaded, errors


def discover(paths: Sequence[Path]) -> list[Path]:
    """Find the scenario files: those named, and all that end in `.scenario.yaml` in the folders named."""
    found: dict[Path, Path] = {}
    for path in paths:
        if not is_there(path):
            message = wrong_path(path) or "there is no such file or folder"
            raise ScenarioError(message, file=str(path), remedy=similar(path))
        if not is_folder(path) and not is_file(path):
            raise ScenarioError("this is not a regular file", file=str(path), remedy="give a scenario file or a folder")
        files = [path] if not is_folder(path) else _in_folder(path)
        for file in files:
            found.setdefault(resolved(file), file)
    if not found:
        where = ", ".join(str(path) for path in paths) or "no path"
        raise ScenarioError(f"no scenario found in {where}", remedy=f"scenario files are named *{ENDING}")
    return list(found.values())


def _in_folder(folder: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise ScenarioError(f"cannot be read: {error.strerror}", file=str(error.filename))

    files = []
    for root, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(root) / name for name in names if name.endswith(ENDING)]
    return sorted(files)


def load_file(path: Path, settings: Mapping[str, Scalar] | None = None) -> list[Loaded]:
    """Load one file: one scenario for each combination of its matrix. Raises ScenarioError with all problems."""
    return load_tree(_read(path), settings)


def load_tree(tree: Tree, settings: Mapping[str, Scalar] | None = None) -> list[Loaded]:
    """Load what was read of a file, or is going to be written into it. Raises ScenarioError with all problems."""
    source = Source(tree)
    raw = source.tree.value
    if raw is None:
        raise source.problem((), "the file is empty", "see docs/scenarios.md for what a scenario is made of")
    if not isinstance(raw, dict):
        raise source.problem((), "a scenario is a mapping of fields", "begin with `schema: 1`")
    if "services" in raw and "scenario" not in raw:
        remedy = "give a scenario file, and name this one in it as its `stack`, or with --stack"
        raise source.problem((), "this is a compose file, not a scenario", remedy)
    errors = [*_odd_values(raw, source), *_tags(source), *check_names(raw, source)]
    if errors:
        raise RefusedError(errors)
    chosen = dict(settings or {})
    result, by_text = [], {}
    for matrix in combinations(raw, source, chosen):
        try:
            result.append(_one(raw, source, matrix, chosen))
        except ScenarioError as error:
            # Runs of one matrix have most of their errors in common.
            by_text.update({str(problem): problem for problem in problems_of(error)})
    if by_text:
        raise RefusedError(by_text.values())
    return result


def _read(path: Path) -> Tree:
    try:
        return read_tree(path)
    except StackError as error:
        raise ScenarioError(
            error.message, file=error.file, line=error.line, field=error.field, remedy=error.remedy
        ) from error


def _one(raw: dict[str, Any], source: Source, matrix: dict[str, Scalar], settings: Mapping[str, Scalar]) -> Loaded:
    given = raw.get("vars")
    own = dict(given) if isinstance(given, dict) else {}
    own.update({name: value for name, value in settings.items() if name in own})
    errors: list[ScenarioError] = []
    filled = {
        key: value if key in VERBATIM else fill(value, {**own, **matrix}, source, errors.append, (key,))
        for key, value in raw.items()
    }
    if own:
        filled["vars"] = own
    if errors:
        raise RefusedError(errors)
    twice = _duplicate_ids(filled, source)
    try:
        scenario = read_model(Scenario, filled)
    except ValidationError as error:
        found = problems(error, Scenario, filled, source)
        # The model says of the whole scenario that an id is used twice; here it is known where.
        errors = [problem for problem in found if problem.field is not None or not twice]
    errors += twice
    if errors:
        raise RefusedError(errors)
    if scenario.scenario.startswith("."):
        raise source.problem(("scenario",), f"{scenario.scenario!r} begins with a dot", "begin with a letter or digit")
    if reserved(scenario.scenario):
        message = f"{scenario.scenario!r} is the name of a file in the folder of a suite"
        raise source.problem(("scenario",), message, "give the scenario another name: its run gets a folder there")
    return Loaded(scenario, source, matrix)


def _odd_values(value: Any, source: Source, place: Place = ()) -> Iterable[ScenarioError]:
    """Yield what YAML can say and neither a plan nor a journal can hold."""
    if isinstance(value, dict):
        for key, inside in value.items():
            yield from _odd_values(key, source, place)
            yield from _odd_values(inside, source, (*place, key))
    elif isinstance(value, list):
        for index, inside in enumerate(value):
            yield from _odd_values(inside, source, (*place, index))
    elif isinstance(value, float) and not math.isfinite(value):
        yield source.problem(place, f"{value} is not a finite number", "write a finite number")
    elif isinstance(value, int) and not -LARGEST_NUMBER <= value < LARGEST_NUMBER:
        yield source.problem(place, "the number is too large", f"the largest is {LARGEST_NUMBER - 1}")
    elif isinstance(value, str) and (odd := forbidden(value)) is not None:
        remedy = "write it without control characters and characters that do not show"
        yield source.problem(place, f"the text contains U+{ord(odd):04X}", remedy)


def _tags(source: Source) -> Iterable[ScenarioError]:
    """Yield the tags with which a compose file changes another one: a scenario changes none."""
    for place, tag in source.tree.tags.items():
        yield source.problem(place, f"{tag} means nothing in a scenario", "leave the tag out")


def _duplicate_ids(raw: Mapping[str, Any], source: Source) -> list[ScenarioError]:
    expect = raw.get("expect")
    blocks: list[tuple[Place, Any]] = [((name,), raw.get(name)) for name in ("steady_state", "timeline")]
    blocks += [(("expect", name), block) for name, block in expect.items()] if isinstance(expect, dict) else []
    first: dict[str, Place] = {}
    errors = []
    for base, block in blocks:
        for index, clause in enumerate(block if isinstance(block, list) else ()):
            clause_id = clause.get("id") if isinstance(clause, dict) else None
            if not isinstance(clause_id, str):
                continue
            place = (*base, index, "id")
            if clause_id in first:
                message = f"the id {clause_id!r} is used twice, first on line {source.line(first[clause_id])}"
                errors.append(
                    source.problem(place, message, "ids identify clauses in the history: make each one unique")
                )
            first.setdefault(clause_id, place)
    return errors


def _duplicate_names(loaded: Sequence[Loaded]) -> list[ScenarioError]:
    first: dict[str, Source] = {}
    errors: dict[str, ScenarioError] = {}
    for item in loaded:
        name = item.scenario.scenario
        other = first.setdefault(name, item.source)
        if other is not item.source:
            message = f"the scenario {name!r} is also defined in {other.file}:{other.line(('scenario',))}"
            remedy = "names identify scenarios in the history: make each one unique"
            errors[item.source.file] = item.source.problem(("scenario",), message, remedy)
    return list(errors.values())


def _unknown_settings(loaded: Sequence[Loaded], settings: Mapping[str, Scalar]) -> list[ScenarioError]:
    known = {name for item in loaded for name in (*item.scenario.vars, *item.scenario.matrix)}
    return [
        ScenarioError(f"no scenario has a variable {name!r}", field="--set", remedy=did_you_mean(name, known))
        for name in settings
        if name not in known
    ]
