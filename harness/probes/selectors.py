"""Which series a query in PromQL selects: every vector selector in it, as it is written.

A reading of the language's words, not of its grammar: a name is a selector unless it calls a function, aggregates, is
one of the language's own words, or stands in a list of labels. After "Querying basics" and "Operators" of Prometheus'
documentation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
    |(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)
    |(?P<number>\.?\d+(?:\.\d*)?[eE][+-]?\d+|\.?\d[\w.]*)
    |(?P<name>[A-Za-z_:][\w:]*)
    |(?P<mark>.)""",
    re.VERBOSE | re.DOTALL,
)
STEP = "5s"
"""How far apart the moments are at which the newest sample of a range is looked for; its age is right to that."""
_OWN_WORDS = frozenset(("and", "or", "unless", "atan2", "bool", "offset", "inf", "nan"))
_BEFORE_LABELS = frozenset(("by", "without", "on", "ignoring", "group_left", "group_right"))
_CLOSING = {"{": "}", "[": "]", "(": ")"}


@dataclass(frozen=True, slots=True)
class Token:
    """One word or mark of a query, and where it ends."""

    kind: str
    text: str
    end: int


@dataclass(frozen=True, slots=True)
class Selector:
    """A vector selector as it is written, and the range that follows it: `1m` of `x{a="b"}[1m]`; None without one."""

    text: str
    over: str | None = None

    @property
    def newest(self) -> str:
        """The query for the Unix time of the newest sample of each of its series, in seconds.

        A series that has ended is no longer found at a moment, though a range still holds its samples.
        """
        now = f"timestamp({self.text})"
        return now if self.over is None else f"({now} or max_over_time({now}[{self.over}:{STEP}]))"


def selectors(query: str) -> tuple[Selector, ...]:
    """Return each vector selector of a query once: `rate(x{a="b"}[1m])` selects `x{a="b"}` over `1m`.

    One with `offset` or `@` is left out: it asks for the past on purpose. A query without any, such as `time()`, rests
    on no sample.
    """
    tokens = tokens_of(query)
    found: dict[Selector, None] = {}
    k = 0
    while k < len(tokens):
        token, after = tokens[k], tokens[k + 1].text if k + 1 < len(tokens) else ""
        if token.kind == "name" and token.text.lower() in _BEFORE_LABELS:
            k = past_bracket(tokens, k + 1) if after == "(" else k + 1
        elif token.text == "[":
            k = past_bracket(tokens, k)
        elif token.text == "{" or (token.kind == "name" and not _is_word(token.text, after)):
            first = k
            k = (
                k + 1
                if token.kind == "name" and after != "{"
                else past_bracket(tokens, k if token.text == "{" else k + 1)
            )
            begin = tokens[first].end - len(tokens[first].text)
            if not _of_the_past(tokens, k):
                found[Selector(query[begin : tokens[k - 1].end], _range(query, tokens, k))] = None
        else:
            k += 1
    return tuple(found)


def tokens_of(query: str) -> list[Token]:
    """Return the words and marks of a query, in their order."""
    found = (Token(str(m.lastgroup), m[0], m.end()) for m in _TOKEN.finditer(query))
    return [token for token in found if token.kind != "space"]


def _is_word(name: str, after: str) -> bool:
    """Whether a name is the language's own: a function, an aggregation or a word between two operands."""
    return after == "(" or after.lower() in ("by", "without") or name.lower() in _OWN_WORDS


def past_bracket(tokens: list[Token], k: int) -> int:
    """Return the place after the bracket that closes the one at `k`, or the end."""
    opening = tokens[k].text
    depth = 0
    for place in range(k, len(tokens)):
        if tokens[place].text == opening:
            depth += 1
        elif tokens[place].text == _CLOSING[opening]:
            depth -= 1
            if depth == 0:
                return place + 1
    return len(tokens)


def _range(query: str, tokens: list[Token], k: int) -> str | None:
    """Return the range that stands at `k`, without the step of a subquery; None where there is none."""
    if k >= len(tokens) or tokens[k].text != "[":
        return None
    end = past_bracket(tokens, k)
    inside = query[tokens[k].end : tokens[end - 1].end - 1] if end > k + 1 else ""
    return inside.partition(":")[0].strip() or None


def _of_the_past(tokens: list[Token], k: int) -> bool:
    """Whether what was selected up to `k` is shifted in time, after its range where it has one."""
    if k < len(tokens) and tokens[k].text == "[":
        k = past_bracket(tokens, k)
    return k < len(tokens) and (tokens[k].text == "@" or tokens[k].text.lower() == "offset")
