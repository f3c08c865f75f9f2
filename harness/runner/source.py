"""Where something in a scenario file was written, and the errors that say so.

A scenario is checked long after it was read: by then only the path of a field is at hand, and this turns it back into a
file and a line. All problems of a set of files are collected, so that one error does not hide the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.model.errors import ScenarioError

if TYPE_CHECKING:
    from harness.description.yamltree import Tree

Place = tuple[str | int, ...]


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


def problems_of(error: ScenarioError) -> tuple[ScenarioError, ...]:
    """Return the single problems that an error stands for."""
    return error.problems if isinstance(error, RefusedError) else (error,)
