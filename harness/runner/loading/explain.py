"""What is wrong in a scenario file, and where: pydantic's errors and our own, with file, line, field and a remedy.

A scenario is checked long after it was read: by then only the path of a field is at hand, and this turns it back into a
file and a line. All problems of a set of files are collected, so that one error does not hide the next. Validation is
strict and by the names that the file uses, so that `true` is no number and the schema for editors says the same as the
loader; what is near a name that does not exist is named.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from harness.description.findings import field_names as field_names
from harness.description.findings import models_in
from harness.description.yamltree import Tree, read_tree
from harness.model.errors import ScenarioError, StackError, did_you_mean
from harness.model.stack import StackDescription
from harness.model.wording import needed, place_in, worded, written

Place = tuple[str | int, ...]
MOST_PROBLEMS = 25
"""Of one file, in one message."""
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Source:
    """One file as read, with the line of every value."""

    tree: Tree

    @property
    def file(self) -> str:
        """The path of the file, as it was given."""
        return self.tree.file

    def line(self, place: Sequence[str | int]) -> int | None:
        """Return the line of a field, or of the nearest one around it."""
        return self.tree.line(place)

    def problem(self, place: Sequence[str | int], message: str, remedy: str | None = None) -> ScenarioError:
        """Return the error that names this place."""
        field = ".".join(str(part) for part in place) or None
        return ScenarioError(message, file=self.file, line=self.line(place), field=field, remedy=remedy)


class RefusedError(ScenarioError):
    """All problems of one or more files, as one error. Its own place is that of the first."""

    def __init__(self, problems: Iterable[ScenarioError]) -> None:
        self.problems = tuple(problems)
        first = self.problems[0]
        super().__init__(first.message, file=first.file, line=first.line, field=first.field, remedy=first.remedy)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)

    def __reduce__(self) -> tuple[object, ...]:
        return (RefusedError, (self.problems,))


def source_of_stack(stack: StackDescription) -> Source:
    """Return the file of a stack as the source of errors, with its lines."""
    try:
        return Source(read_tree(Path(stack.file)))
    except StackError:  # it could be read a moment ago; the error is told without its line
        return Source(Tree(stack.file))


def problems_of(error: ScenarioError) -> tuple[ScenarioError, ...]:
    """Return the single problems that an error stands for."""
    return error.problems if isinstance(error, RefusedError) else (error,)


def read_model(kind: type[Model], raw: Any) -> Model:
    """Validate values strictly, by the names of the file. Raises ValidationError, which `problems` translates."""
    return kind.model_validate_json(json.dumps(raw), strict=True, by_alias=True, by_name=False)


def problems(
    error: ValidationError, kind: type[BaseModel], raw: Any, source: Source, base: Place = ()
) -> list[ScenarioError]:
    """Return one error a place, in the order of the file; of very many the first ones, and how many more there are."""
    by_place: dict[Place, list[ErrorDetails]] = {}
    for found in error.errors(include_url=False):
        by_place.setdefault(place_in(found, raw), []).append(found)
    around = {other[:length] for other in by_place for length in range(1, len(other))}
    # One inside of another is the other member of a union, or a list that seems empty as all its items are invalid.
    places = [p for p, f in by_place.items() if p not in around or any(one["type"] == "value_error" for one in f)]
    places.sort(key=lambda place: source.line((*base, *place)) or 0)
    result = []
    for place in places[:MOST_PROBLEMS]:
        message, remedy = _message(by_place[place], kind, _value_at(raw, place))
        result.append(source.problem((*base, *place), message, remedy))
    if len(places) > MOST_PROBLEMS:
        result.append(source.problem(base, f"and {len(places) - MOST_PROBLEMS} more problems", "mend these first"))
    return result


def _value_at(raw: Any, place: Sequence[str | int]) -> Any:
    for part in place:
        try:
            raw = raw[part]
        except (KeyError, IndexError, TypeError):
            return None
    return raw


def _message(found: list[ErrorDetails], kind: type[BaseModel], value: Any) -> tuple[str, str | None]:
    first = next((f for f in found if f["type"] == "literal_error"), found[0])
    name = str(first["loc"][-1]) if first["loc"] else ""
    if first["type"] == "extra_forbidden":
        inside = _field_with(kind, first["loc"][:-1], name)
        if inside is not None:
            return f"unknown field {name!r}", f"it belongs under `{inside}`: write it there, or indent it further"
        return f"unknown field {name!r}", did_you_mean(name, _fields_at(kind, first["loc"][:-1]))
    wanted = list(dict.fromkeys(what for one in found if (what := needed(one)) is not None))
    if wanted and needed(first) is not None:
        quotes = "put it in quotes" if wanted == ["a text"] and isinstance(value, bool | int | float) else None
        return f"{' or '.join(wanted)} is needed here, not {written(value)}", quotes
    return worded(first)


def _field_with(kind: type[BaseModel], loc: Sequence[str | int], name: str) -> str | None:
    """Return the only field at a place that takes a mapping, or mappings, with a field of this name."""
    found = [
        field.alias or own
        for model in _models_at(kind, loc)
        for own, field in model.model_fields.items()
        if any(name in field_names(inner) for inner in models_in(field.annotation))
    ]
    return found[0] if len(set(found)) == 1 else None


def _fields_at(kind: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """Return the names of the fields that are known at a place."""
    return list(dict.fromkeys(name for model in _models_at(kind, loc) for name in field_names(model)))


def _models_at(kind: type[BaseModel], loc: Sequence[str | int]) -> list[type[BaseModel]]:
    models: list[type[BaseModel]] = [kind]
    for part in loc:
        fields = [f for m in models for name, f in m.model_fields.items() if part in (name, f.alias)]
        named = [m for m in models if m.__name__ == part]
        if fields:
            models = [m for f in fields for m in models_in(f.annotation)]
        elif named:
            models = named
    return models
