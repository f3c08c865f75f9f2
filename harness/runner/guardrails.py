"""Guardrails as they are given on the command line, and where those of a stack description are written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from harness.description.yamltree import Tree, parse_tree, read_tree
from harness.model.errors import ScenarioError, StackError
from harness.model.guardrails import AbortRule, Guardrails, Limits, strictest
from harness.model.stack import StackDescription
from harness.runner.explain import RefusedError, Source, problems, read_model

RULE, LIMIT = "--abort-if", "--limit"
Model = TypeVar("Model", bound=BaseModel)


def source_of_stack(stack: StackDescription) -> Source:
    """Return the file of a stack as the source of errors, with its lines."""
    try:
        return Source(read_tree(Path(stack.file)))
    except StackError:  # it could be read a moment ago; the error is told without its line
        return Source(Tree(stack.file))


def given_on_the_command_line() -> Source:
    """Return the source of errors for rules of the command line."""
    return Source(Tree(RULE))


def parse_guardrails(rules: Sequence[str], limits: Sequence[str]) -> Guardrails:
    """Read rules, written as in a scenario, and limits, `NAME=VALUE`. Raises ScenarioError."""
    abort_if = tuple(_parsed(AbortRule, text, RULE) for text in rules)
    given = [_parsed(Limits, _as_field(text), LIMIT) for text in limits]
    return Guardrails(abort_if=abort_if, limits=strictest(given))


def _as_field(text: str) -> str:
    name, sign, value = text.partition("=")
    if not sign:
        remedy = f"write NAME=VALUE, such as fault_time=20s; the limits are {', '.join(Limits.model_fields)}"
        raise ScenarioError(f"{text!r} is not a limit", field=LIMIT, remedy=remedy)
    return f"{name.strip()}: {value.strip()}"


def _parsed(kind: type[Model], text: str, option: str) -> Model:
    written = text if text.lstrip().startswith("{") else "{" + text + "}"
    try:
        tree = parse_tree(written, option)
        return read_model(kind, tree.value)
    except StackError as error:
        remedy = "write it as in a scenario, such as 'probe: availability, at_most: 0.5, over: 2s'"
        raise ScenarioError(f"{text!r} cannot be read: {error.message}", field=option, remedy=remedy) from error
    except ValidationError as error:
        raise RefusedError(problems(error, kind, tree.value, Source(Tree(option)))) from error
