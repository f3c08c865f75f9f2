"""Which plans to run: an expression such as `-k "slow and not (node or stale)"`, by the grammar that pytest has."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from harness.model.errors import ScenarioError

Chooser = Callable[[str], bool]
MOST_WORDS = 200

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
