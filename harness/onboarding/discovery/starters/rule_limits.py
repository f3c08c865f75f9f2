"""The limit in a rule's query: the number that a value must exceed, and the age in seconds where the value is one.

A value that grows by a second each second reaches its limit only after so many seconds, whatever is broken. So an age
whose unit cannot be told is no age that is known.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from harness.probes.rule_queries import duration_s

_FACTOR = r"(?:(?:\d+(?:ms|[smhdwy]))+|\d+(?:\.\d+)?(?:e[+-]?\d+)?)"
_ABOVE = re.compile(rf">=?(?:bool)?({_FACTOR}(?:\*{_FACTOR})*)(?=and|or|unless|[^\w.*/+^%-]|$)")
_LOGICAL = re.compile(r"\b(?:and|or|unless)\b|;")
_QUOTED = re.compile(r'"[^"]*"|\'[^\']*\'')
_SCALED = re.compile(rf"((?:[*/]\(?{_FACTOR}(?:\*{_FACTOR})*\)?)+)>")
_ONE_SCALE = re.compile(rf"([*/])\(?({_FACTOR}(?:\*{_FACTOR})*)\)?")
_SINCE = re.compile(r"time\(\)(\*(?:1000|1e3))?-")
_AGE = re.compile(r"(^|_)(age|lag|staleness|freshness|since)(_|$)", re.I)
_UNIT = re.compile(r"(?:^|_)(milliseconds|millis|ms|seconds|secs|sec|minutes|mins|hours|days)(?:_|$)", re.I)
_UNITS_S = {"mi": 1e-3, "ms": 1e-3, "se": 1.0, "ho": 3600.0, "da": 86400.0}
_WORD = re.compile(r"[A-Za-z_:][\w:]*")


def bare(text: str) -> str:
    """Return a query without its spaces and without what stands in quotes and braces."""
    return re.sub(r"\s|\{[^}]*\}", "", _QUOTED.sub("", text))


def limit_of(text: str, about: Callable[[str], bool]) -> float | None:
    """Return the number that a query's value must exceed: of several conditions, that of the first with such a word."""
    found = _condition(text, about)
    return None if found is None else found[1]


def age_limit_s(text: str) -> float | None:
    """Return the age in seconds from which on a query fires; None where it is about none, or its unit is not told."""
    since = _SINCE.search(bare(text))
    found = _condition(text, lambda word: word == "time" or _AGE.search(word) is not None)
    if found is None:
        return None
    condition, limit = found
    unit_s = (1e-3 if since[1] else 1.0) if since is not None else _unit_s(text)
    return None if unit_s is None else limit * unit_s * _divided_by(condition)


def is_above(text: str) -> bool:
    """Whether a query asks whether something exceeds a constant."""
    return _ABOVE.search(bare(text)) is not None


def is_age(text: str) -> bool:
    """Whether a query measures how long ago something was."""
    return _SINCE.search(bare(text)) is not None


def constant(text: str) -> float:
    """Return the value of a product of numbers and durations: `5*60`, `10m`."""
    return math.prod(duration_s(one) if one[-1].isalpha() else float(one) for one in text.split("*"))


def _condition(text: str, about: Callable[[str], bool]) -> tuple[str, float] | None:
    """Return the condition that compares with a constant, and that: the one about a word, else the first."""
    found = []
    for part in _LOGICAL.split(re.sub(r"\{[^}]*\}", "", _QUOTED.sub("", text))):
        compared = _ABOVE.search(bare(part))
        if compared is not None:
            found.append((bare(part), constant(compared[1])))
    fitting = (one for one in found if any(about(word) for word in _WORD.findall(one[0])))
    return next(fitting, found[0] if found else None)


def _unit_s(text: str) -> float | None:
    """Return the unit of the metric that is an age, as its name tells."""
    for word in _WORD.findall(bare(text)):
        unit = _UNIT.search(word)
        if _AGE.search(word) and unit is not None:
            name = unit[1].lower()
            return 60.0 if name in ("minutes", "mins") else _UNITS_S[name[:2]]
    return None


def _divided_by(condition: str) -> float:
    """Return by how much a value is divided before it is compared, as minutes are made of seconds.

    What divides only a part of the value, as in `time() - written_ms / 1000`, is of another's unit.
    """
    scale = _SCALED.search(condition)
    if scale is None:
        return 1.0
    before = condition[: scale.start()]
    if "time()" in before and "time()" not in _last_group(before):
        return 1.0
    return math.prod(constant(by) ** (1 if sign == "/" else -1) for sign, by in _ONE_SCALE.findall(scale[1]))


def _last_group(text: str) -> str:
    """Return what stands in the brackets with which a text ends."""
    depth = 0
    for k in range(len(text) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(text[k], 0)
        if depth <= 0:
            return text[k:]
    return ""
