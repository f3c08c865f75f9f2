"""Guardrails as they are given on the command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from harness.description.yamltree import Tree, parse_tree
from harness.model.errors import StackError
from harness.model.guardrails import AbortRule, Guardrails, Limits, strictest
from harness.runner.loading.explain import RefusedError, Source, problems, read_model

RULE, LIMIT = "--abort-if", "--limit"
EXAMPLES = {
    "AbortRule": "in a scenario, such as 'probe: availability, at_most: 0.5, over: 2s'",
    "Limits": "NAME=VALUE, such as fault_time=20s",
}
Model = TypeVar("Model", bound=BaseModel)


class GivenGuardrails(Guardrails):
    """The guardrails of the command line, with each rule as it was given: a user wrote no list to count them in."""

    rules: tuple[str, ...] = ()

    def each(self) -> Iterator[tuple[AbortRule, Source]]:
        """Yield each rule with the source of its errors, which names the option and the rule."""
        for rule, text in zip(self.abort_if, self.rules, strict=True):
            yield rule, _source(RULE, text)


def _source(option: str, text: str) -> Source:
    return Source(Tree(f"{option} {text!r}"))


def parse_guardrails(rules: Sequence[str], limits: Sequence[str]) -> GivenGuardrails:
    """Read rules, written as in a scenario, and limits, `NAME=VALUE`. Raises ScenarioError."""
    abort_if = tuple(_parsed(AbortRule, text, _source(RULE, text)) for text in rules)
    given = [_parsed(Limits, _as_field(text), _source(LIMIT, text)) for text in limits]
    return GivenGuardrails(abort_if=abort_if, limits=strictest(given), rules=tuple(rules))


def _as_field(text: str) -> str:
    name, sign, value = text.partition("=")
    if not sign:
        remedy = f"write NAME=VALUE, such as fault_time=20s; the limits are {', '.join(Limits.model_fields)}"
        raise _source(LIMIT, text).problem((), "this is not a limit", remedy)
    return f"{name.strip()}: {value.strip()}"


def _parsed(kind: type[Model], text: str, source: Source) -> Model:
    whole = text if text.lstrip().startswith("{") else "{" + text + "}"
    try:
        tree = parse_tree(whole, source.file)
        return read_model(kind, tree.value)
    except StackError as error:
        remedy = f"write it as {EXAMPLES[kind.__name__]}"
        raise source.problem((), f"this cannot be read: {error.message}", remedy) from error
    except ValidationError as error:
        raise RefusedError(problems(error, kind, tree.value, source)) from error
