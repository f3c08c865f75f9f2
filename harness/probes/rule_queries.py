"""What a rule's query rests on: which of its selectors must find series before it can give anything.

`a and b` needs both, `a or b` one of them, `a unless b` only `a`, and `absent(a)` none. A reading of the language's
grammar as far as that goes; of a query that it does not know nothing is said. After "Operators" of Prometheus'
documentation.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from harness.probes.selectors import Token, past_bracket, tokens_of

_AGGREGATIONS = frozenset(
    ("sum", "min", "max", "avg", "group", "stddev", "stdvar", "count", "count_values", "bottomk", "topk", "quantile")
)
_NEVER_EMPTY = frozenset(("absent", "absent_over_time", "vector", "scalar", "info"))
"""Functions that may give something though what they are given is empty. `info` looks for labels only."""
_SYMBOLS = frozenset(("==", "!=", ">=", "<=", "<", ">", "+", "-", "*", "/", "%", "^", "atan2"))
_MATCHING = frozenset(("on", "ignoring", "group_left", "group_right"))
LOOK_BACK_S = 3600.0
"""How long ago a series may have ended that counts as there: a service may be down just now."""
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdwy])")
_SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0, "y": 365 * 86400.0}
_SERIES = r"[A-Za-z_:][\w:]*(?:\{[^{}]*\})?"
_OLDER = re.compile(
    rf"\(*\s*(?:time\(\)\s*-\s*)?[\s(]*(?:(?:max|min)\s*(?:by\s*\([^()]*\)\s*)?\(\s*)?(?!\w*_total\b){_SERIES}[\s)]*"
    r">=?\s*(?P<limit>\d+(?:\.\d+)?(?:\s*\*\s*\d+(?:\.\d+)?)*)[\s)]*"
    rf"|[\s(]*(?:sum\s*(?:by\s*\([^()]*\)\s*)?\(\s*)?(?:increase|rate|changes|delta)\({_SERIES}\[(?P<range>\w+)\]\)[\s)]*"
    r"(?:==|<=)\s*0[\s)]*"
)
"""A query that gives something once nothing has happened for so long."""
_BUILT_IN = frozenset(("ALERTS", "ALERTS_FOR_STATE"))
"""Series that the server itself writes, and only while an alert is active."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label, with its value as it is written."""

    label: str
    operator: str
    value: str

    @property
    def text(self) -> str:
        """As it is written in a selector."""
        return self.label + self.operator + self.value

    def matches(self, value: str) -> bool | None:
        """Whether a value of the label fits; None where that takes more than is read here."""
        wanted = self.value[1:-1]
        if "\\" in wanted:
            return None  # it would have to be read as Prometheus does
        if self.operator in ("=", "!="):
            return (wanted == value) is (self.operator == "=")
        try:
            return (re.fullmatch(wanted, value) is not None) is (self.operator == "=~")
        except re.error:
            return None


@dataclass(frozen=True, slots=True)
class Selects:
    """A vector selector: something only where a series matches."""

    text: str
    metric: str | None
    matchers: tuple[Matcher, ...] = ()


@dataclass(frozen=True, slots=True)
class Needs:
    """Something only where each part is something. Without parts it always may be."""

    parts: tuple[Rests, ...] = ()


@dataclass(frozen=True, slots=True)
class Either:
    """Something where any part is."""

    parts: tuple[Rests, ...]


Rests = Selects | Needs | Either
ALWAYS = Needs()


def rests_on(query: str) -> Rests:
    """Return what a query rests on; of one that cannot be read, that it may always give something."""
    try:
        return _Parser(query).whole()
    except _UnknownFormError:
        return ALWAYS


def selected(rests: Rests) -> Iterator[Selects]:
    """Yield every selector that counts."""
    if isinstance(rests, Selects):
        yield rests
    else:
        for part in rests.parts:
            yield from selected(part)


def nothing_from(rests: Rests, is_empty: Callable[[Selects], bool]) -> tuple[Selects, ...]:
    """Return the empty selectors for which a query gives nothing; none where it may give something."""
    if isinstance(rests, Selects):
        return (rests,) if is_empty(rests) else ()
    empty = [nothing_from(part, is_empty) for part in rests.parts]
    if isinstance(rests, Either) and not all(empty):
        return ()
    return tuple(dict.fromkeys(selector for found in empty for selector in found))


def duration_s(text: str) -> float:
    """Return a duration of Prometheus in seconds: `5m`, `1h30m`, and `24h` of the subquery `24h:5m`; 0 for none."""
    parts = _DURATION.findall(text.partition(":")[0])
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def fires_after_s(query: str) -> float | None:
    """Return how long nothing may happen before a rule's query says so; None where it is of another form.

    Such as `time() - job_last_run > 600`, `job_last_run_age_seconds > 600` and `increase(job_runs_total[10m]) == 0`.
    """
    found = _OLDER.fullmatch(query.strip())
    if found is None:
        return None
    if found["range"] is not None:
        return duration_s(found["range"]) or None
    return math.prod(float(number) for number in found["limit"].split("*"))


class _UnknownFormError(Exception):
    """The query is not of a form that is known here."""


class _Parser:
    """Reads one query from left to right."""

    def __init__(self, query: str) -> None:
        self._query = query
        self._tokens = tokens_of(query)
        self._k = 0

    def whole(self) -> Rests:
        found = self._either()
        if self._k < len(self._tokens):
            raise _UnknownFormError
        return found

    @property
    def _token(self) -> Token:
        """The next token; an empty one at the end."""
        return self._tokens[self._k] if self._k < len(self._tokens) else Token("end", "", len(self._query))

    def _word(self) -> str:
        return self._token.text.lower()

    def _take(self, text: str) -> None:
        if self._token.text != text:
            raise _UnknownFormError
        self._k += 1

    def _skip(self) -> None:
        """Go past the bracket that closes the next one."""
        if self._token.text not in ("(", "[", "{"):
            raise _UnknownFormError
        self._k = past_bracket(self._tokens, self._k)

    def _either(self) -> Rests:
        parts = [self._both()]
        while self._word() == "or":
            self._k += 1
            self._matching()
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _both(self) -> Rests:
        parts = [self._arithmetic()]
        while self._word() in ("and", "unless"):
            needed = self._word() == "and"
            self._k += 1
            self._matching()
            part = self._arithmetic()
            if needed:
                parts.append(part)
        return parts[0] if len(parts) == 1 else Needs(tuple(parts))

    def _arithmetic(self) -> Rests:
        parts = [self._operand()]
        while self._operator():
            if self._word() == "bool":
                self._k += 1
            self._matching()
            parts.append(self._operand())
        return parts[0] if len(parts) == 1 else Needs(tuple(parts))

    def _operator(self) -> bool:
        """Go past an operator between two operands, and say whether there was one."""
        following = self._tokens[self._k + 1].text if self._k + 1 < len(self._tokens) else ""
        length = 2 if self._token.text + following in _SYMBOLS and following == "=" else 1
        if length == 1 and self._word() not in _SYMBOLS:
            return False
        self._k += length
        return True

    def _matching(self) -> None:
        while self._word() in _MATCHING:
            self._k += 1
            if self._token.text == "(":
                self._skip()

    def _operand(self) -> Rests:
        while self._token.text in ("+", "-"):
            self._k += 1
        found = self._primary()
        while True:
            if self._token.text == "[":
                begin = self._token.end
                self._skip()
                if duration_s(self._query[begin : self._tokens[self._k - 1].end]) > LOOK_BACK_S:
                    found = ALWAYS  # it asks for a longer past than is looked at here
            elif self._word() == "offset":
                self._k += 1
                while self._token.text in ("+", "-"):
                    self._k += 1
                self._k += 1
                found = ALWAYS  # it asks for the past, of which the present series say nothing
            elif self._token.text == "@":
                self._k += 2
                if self._token.text == "(":  # @ start()
                    self._skip()
                found = ALWAYS
            else:
                return found

    def _primary(self) -> Rests:
        token = self._token
        if token.text == "(":
            self._k += 1
            found = self._either()
            self._take(")")
            return found
        if token.text == "{":
            return self._selector(None)
        if token.kind in ("number", "text"):
            self._k += 1
            return ALWAYS
        if token.kind != "name":
            raise _UnknownFormError
        self._k += 1
        if token.text.lower() in ("inf", "nan"):
            return ALWAYS
        if token.text.lower() in _AGGREGATIONS and (self._token.text == "(" or self._labels_follow()):
            self._labels()
            found = self._call(token.text.lower())
            self._labels()
            return found
        return self._call(token.text) if self._token.text == "(" else self._selector(token)

    def _labels_follow(self) -> bool:
        return self._word() in ("by", "without")

    def _labels(self) -> None:
        if self._labels_follow():
            self._k += 1
            self._skip()

    def _call(self, function: str) -> Rests:
        self._take("(")
        parts = []
        while self._token.text != ")":
            parts.append(self._either())
            if self._token.text != ")":
                self._take(",")
        self._k += 1
        return ALWAYS if function in _NEVER_EMPTY else Needs(tuple(parts))

    def _selector(self, name: Token | None) -> Rests:
        begin = self._token.end - 1 if name is None else name.end - len(name.text)
        matchers = self._matchers() if self._token.text == "{" else ()
        text = self._query[begin : self._tokens[self._k - 1].end]
        metric = name.text if name is not None else None
        return ALWAYS if metric in _BUILT_IN else Selects(text, metric, matchers)

    def _matchers(self) -> tuple[Matcher, ...]:
        self._take("{")
        found = []
        while self._token.text != "}":
            label, operator = self._token, ""
            self._k += 1
            while self._token.text in ("=", "!", "~"):
                operator += self._token.text
                self._k += 1
            if label.kind != "name" or not operator or self._token.kind != "text":
                raise _UnknownFormError
            found.append(Matcher(label.text, operator, self._token.text))
            self._k += 1
            if self._token.text != "}":
                self._take(",")
        self._k += 1
        return tuple(found)
