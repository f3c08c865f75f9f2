"""Reads a query in PromQL: as much of the grammar as advice and scenarios need.

A query of another form has no tree, and nothing is said of it. After "Operators" and "Querying basics" of Prometheus'
documentation.
"""

from __future__ import annotations

from harness.probes.promql_tree import (
    FunctionCall,
    Literal,
    Matcher,
    Negative,
    Operation,
    Past,
    Query,
    Range,
    Selects,
)
from harness.probes.selectors import Token, past_bracket, tokens_of

_AGGREGATIONS = frozenset(
    ("sum", "min", "max", "avg", "group", "stddev", "stdvar", "count", "count_values", "bottomk", "topk", "quantile")
)
_PRECEDENCE = {
    operator: level
    for level, operators in enumerate(
        (("or",), ("and", "unless"), ("==", "!=", ">=", "<=", "<", ">"), ("+", "-"), ("*", "/", "%", "atan2"), ("^",))
    )
    for operator in operators
}
_MATCHING = frozenset(("on", "ignoring", "group_left", "group_right"))
_DEEPEST = 100
_LONGEST = 1000
"""So deep a query may be nested, and so many words and marks it may have: nobody writes such, and the tree is walked by
recursion."""


def parse(query: str) -> Query | None:
    """Return a query as a tree; None for one of a form that is not known here."""
    try:
        return _Parser(query).whole()
    except _UnknownFormError:
        return None


class _UnknownFormError(Exception):
    """The query is not of a form that is known here."""


class _Parser:
    """Reads one query from left to right."""

    def __init__(self, query: str) -> None:
        self._query = query
        self._tokens = tokens_of(query)
        self._k = 0
        self._depth = 0

    def whole(self) -> Query:
        if len(self._tokens) > _LONGEST:
            raise _UnknownFormError
        found = self._expression()
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

    def _skip(self) -> str:
        """Go past the bracket that closes the next one, and return what stands between them."""
        if self._token.text not in ("(", "[", "{"):
            raise _UnknownFormError
        begin = self._token.end
        self._k = past_bracket(self._tokens, self._k)
        last = self._tokens[self._k - 1]
        if last.text not in (")", "]", "}"):
            raise _UnknownFormError
        return self._query[begin : last.end - 1]

    def _expression(self, level: int = 0) -> Query:
        """Read operands for as long as what stands between them binds at least as tightly as this level."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _UnknownFormError
        left = self._operand()
        while _PRECEDENCE.get(operator := self._operator(), -1) >= level:
            self._k += 2 if len(operator) == 2 and not operator.isalpha() else 1
            if self._word() == "bool":
                self._k += 1
            self._matching()
            # A power binds to the right: a ^ b ^ c is a ^ (b ^ c).
            left = Operation(operator, left, self._expression(_PRECEDENCE[operator] + (operator != "^")))
        self._depth -= 1
        return left

    def _operator(self) -> str:
        """Return the operator that comes next, if one does: one of two marks, or one word."""
        following = self._tokens[self._k + 1].text if self._k + 1 < len(self._tokens) else ""
        both = self._token.text + following
        return both if following == "=" and both in _PRECEDENCE else self._word()

    def _matching(self) -> None:
        while self._word() in _MATCHING:
            self._k += 1
            if self._token.text == "(":
                self._skip()

    def _operand(self) -> Query:
        negative = False
        while self._token.text in ("+", "-"):
            negative ^= self._token.text == "-"
            self._k += 1
        found = self._primary()
        while True:
            if self._token.text == "[":
                found = Range(found, self._skip().strip())
            elif self._word() == "offset":
                self._k += 1
                while self._token.text in ("+", "-"):
                    self._k += 1
                self._k += 1
                found = Past(found)
            elif self._token.text == "@":
                self._k += 2
                if self._token.text == "(":  # @ start()
                    self._skip()
                found = Past(found)
            else:
                return Negative(found) if negative else found

    def _primary(self) -> Query:
        token = self._token
        if token.text == "(":
            self._k += 1
            found = self._expression()
            self._take(")")
            return found
        if token.text == "{":
            return self._selector(None)
        if token.kind in ("number", "text") or token.text.lower() in ("inf", "nan"):
            self._k += 1
            return Literal(token.text)
        if token.kind != "name":
            raise _UnknownFormError
        self._k += 1
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

    def _call(self, function: str) -> Query:
        self._take("(")
        arguments = []
        while self._token.text != ")":
            arguments.append(self._expression())
            if self._token.text != ")":
                self._take(",")
        self._k += 1
        return FunctionCall(function, tuple(arguments))

    def _selector(self, name: Token | None) -> Query:
        begin = self._token.end - 1 if name is None else name.end - len(name.text)
        matchers = self._matchers() if self._token.text == "{" else ()
        text = self._query[begin : self._tokens[self._k - 1].end]
        return Selects(text, name.text if name is not None else None, matchers)

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
