"""The stack of each scenario, and which scenarios a `-k` expression and `--tag` choose.

A stack is named in the scenario, as an installed one or by a path seen from the scenario's own folder; `--stack`
overrides it for all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from harness.backends.stackfile import resolve_stack
from harness.model.errors import ScenarioError, StackError
from harness.model.stack import StackDescription
from harness.runner.catalogue import Catalogue, Faults
from harness.runner.load import Loaded
from harness.runner.source import RefusedError

Chooser = Callable[[str], bool]
MOST_WORDS = 200


def with_stacks(loaded: Sequence[Loaded], override: str | None = None) -> list[tuple[Loaded, Catalogue]]:
    """Give each scenario the catalogue of its stack. Raises what is wrong with the stacks."""
    faults = Faults()
    known: dict[str, Catalogue | StackError] = {}
    found, wrong = [], []
    for item in loaded:
        name = override or _seen_from(item.scenario.stack, Path(item.source.file).parent)
        if name not in known:
            known[name] = _catalogue(name, faults)
        catalogue = known[name]
        if isinstance(catalogue, Catalogue):
            found.append((replace(item, scenario=item.scenario.model_copy(update={"stack": name})), catalogue))
        elif override is not None or catalogue.file is not None:
            raise catalogue  # it is not in a scenario that this is to be put right
        else:
            wrong.append(item.source.problem(("stack",), catalogue.message, catalogue.remedy))
    if wrong:
        raise RefusedError({str(problem): problem for problem in wrong}.values())
    return found


def _catalogue(name: str, faults: Faults) -> Catalogue | StackError:
    try:
        return Catalogue(resolve_stack(name), faults)
    except StackError as error:
        return error


def _seen_from(name: str, folder: Path) -> str:
    is_path = os.sep in name or Path(name).suffix in (".yaml", ".yml")
    return str((folder / name).resolve()) if is_path else name


def stacks_of(chosen: Sequence[tuple[Loaded, Catalogue]]) -> list[tuple[StackDescription, list[Loaded]]]:
    """Group scenarios by stack, in the order in which the stacks are first met."""
    groups: dict[str, tuple[StackDescription, list[Loaded]]] = {}
    for item, catalogue in chosen:
        groups.setdefault(item.scenario.stack, (catalogue.stack, []))[1].append(item)
    return list(groups.values())


_TOKEN = re.compile(r"\s*(\(|\)|[^\s()]+)")


def parse_expression(text: str) -> Chooser:
    """Read an expression such as `slow and not (node or stale)`: each word is looked for in the name, in any case."""
    tokens = _TOKEN.findall(text)
    if not tokens:
        return lambda _: True
    if len(tokens) > MOST_WORDS:
        raise ScenarioError(f"{len(tokens)} words are too many", field="-k", remedy=f"the most is {MOST_WORDS}")
    chooser, rest = _either(tokens, text)
    if rest:
        raise _unreadable(text, rest[0])
    return chooser


def _either(tokens: list[str], text: str) -> tuple[Chooser, list[str]]:
    left, tokens = _both(tokens, text)
    while tokens and tokens[0] == "or":
        right, tokens = _both(tokens[1:], text)
        left = _joined(any, left, right)
    return left, tokens


def _both(tokens: list[str], text: str) -> tuple[Chooser, list[str]]:
    left, tokens = _single(tokens, text)
    while tokens and tokens[0] == "and":
        right, tokens = _single(tokens[1:], text)
        left = _joined(all, left, right)
    return left, tokens


def _joined(how: Callable[[Sequence[bool]], bool], left: Chooser, right: Chooser) -> Chooser:
    return lambda name: how((left(name), right(name)))


def _single(tokens: list[str], text: str) -> tuple[Chooser, list[str]]:
    if not tokens or tokens[0] in (")", "and", "or"):
        raise _unreadable(text, tokens[0] if tokens else "its end")
    word, rest = tokens[0], tokens[1:]
    if word == "not":
        inner, rest = _single(rest, text)
        return lambda name: not inner(name), rest
    if word == "(":
        inner, rest = _either(rest, text)
        if not rest or rest[0] != ")":
            raise _unreadable(text, rest[0] if rest else "its end")
        return inner, rest[1:]
    return lambda name: word.lower() in name.lower(), rest


def _unreadable(text: str, at: str) -> ScenarioError:
    message = f"{text!r} cannot be understood at {at!r}"
    return ScenarioError(message, field="-k", remedy="write words joined by and, or, not and brackets")
