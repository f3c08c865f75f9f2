"""What pydantic finds wrong in a part of a stack description, as errors with their places: all of it at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from harness.description.yamltree import Path_, Tree
from harness.model.errors import StackError, StackProblemsError, did_you_mean
from harness.model.probekinds import ProbeSpec
from harness.model.wording import place_in, worded


def all_problems(
    error: ValidationError,
    kind: type[BaseModel],
    path: Sequence[str],
    raw: Any,
    tree: Tree,
    probe_kinds: Mapping[str, type[BaseModel]],
) -> StackProblemsError:
    """Turn pydantic's findings about the value at a path into ours, one a place, in the order of the file."""
    by_place: dict[Path_, ErrorDetails] = {}
    for found in error.errors(include_url=False):
        by_place.setdefault(place_in(found, raw), found)
    around = {place[:length] for place in by_place for length in range(len(place))}
    mistyped = {place[:-1] for place, found in by_place.items() if found["type"] == "extra_forbidden"}
    problems = [
        _problem(found, kind, (*path, *place), tree, probe_kinds)
        for place, found in by_place.items()
        # One around others is a member of a union that was not meant; a mistyped name is often missing as well.
        if (place not in around or found["type"] == "value_error")
        and not (found["type"] == "missing" and place[:-1] in mistyped)
    ]
    return StackProblemsError(sorted(problems, key=lambda problem: problem.line or 0))


def _problem(
    found: ErrorDetails, kind: type[BaseModel], where: Path_, tree: Tree, probe_kinds: Mapping[str, type[BaseModel]]
) -> StackError:
    if found["type"] == "extra_forbidden":
        name = str(where[-1])
        valid = field_names(_model_at(kind, found["loc"][:-1], probe_kinds))
        return tree.error(where, f"unknown field {name!r}", did_you_mean(name, valid))
    return tree.error(where, *worded(found))


def _model_at(
    kind: type[BaseModel], loc: Sequence[str | int], probe_kinds: Mapping[str, type[BaseModel]]
) -> type[BaseModel] | None:
    """Return the model that stands at this place inside another."""
    current: type[BaseModel] | None = kind
    for part in loc:
        fields = current.model_fields if current else {}
        field = next((f for name, f in fields.items() if part in (name, f.alias)), None)
        if field is not None:
            current = next(iter(models_in(field.annotation)), None)
        elif current is ProbeSpec and part in probe_kinds:
            current = probe_kinds[str(part)]
    return current


def field_names(kind: type[BaseModel] | None) -> list[str]:
    """Return a model's field names as they are written in the file."""
    return [field.alias or name for name, field in kind.model_fields.items()] if kind else []


def models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in models_in(part)]
