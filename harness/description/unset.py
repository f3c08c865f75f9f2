"""Variables that must be set and are not (`${NAME:?why}`): all of a compose file at once, for one error to name.

Compose stops at the first; whoever sets up a stack would meet them one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.description.interpolation import UnsetVariableError, interpolate
from harness.description.yamltree import Path_, Tree
from harness.model.errors import StackError

MOST_NAMED = 20


def all_unset(
    tree: Tree, first: Path_, error: ValueError, variables: Mapping[str, str], keep: re.Pattern[str] | None = None
) -> StackError:
    """Return the error of a text that could not be filled in; one of a variable not set names the others too."""
    if not isinstance(error, UnsetVariableError):
        return tree.error(first, str(error))
    others: dict[str, str] = {}
    for path, other in _unset(tree.value, (), variables, keep):
        if other.name != error.name:
            others.setdefault(other.name, f"{other.name} ({_place(tree, path)}: {other.why})")
    named = list(others.values())[:MOST_NAMED]
    if len(others) > len(named):
        named.append(f"{len(others) - len(named)} more")
    message = f"{error}; neither are {', '.join(named)}" if named else str(error)
    return tree.error(first, message)


def names_unset(value: Any, variables: Mapping[str, str]) -> set[str]:
    """Return the variables in a file's values that must be set and are not."""
    return {error.name for _, error in _unset(value, (), variables, None)}


def _unset(
    value: Any, at: Path_, variables: Mapping[str, str], keep: re.Pattern[str] | None
) -> Iterator[tuple[Path_, UnsetVariableError]]:
    if isinstance(value, dict):
        for key, inside in value.items():
            yield from _unset(inside, (*at, key), variables, keep)
    elif isinstance(value, list):
        for index, inside in enumerate(value):
            yield from _unset(inside, (*at, index), variables, keep)
    elif isinstance(value, str) and "$" in value:
        yield from ((at, error) for error in _in_text(value, variables, keep))


def _in_text(text: str, variables: Mapping[str, str], keep: re.Pattern[str] | None) -> Iterator[UnsetVariableError]:
    known = dict(variables)
    while True:
        try:
            interpolate(text, known, keep)
        except UnsetVariableError as error:
            yield error
            known[error.name] = "set"
        except ValueError:
            return
        else:
            return


def _place(tree: Tree, path: Path_) -> str:
    line = tree.line(path)
    name = Path(tree.file_of(path)).name
    return f"{name}:{line}" if line else name
