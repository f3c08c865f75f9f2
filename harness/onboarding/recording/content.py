"""Which parts of an answer are content: what must come again for the same request, unlike ids and time stamps.

A value that the request holds too is content, whatever it looks like: an answer for somebody else would have another.
Of the rest, values that differ between answers to the same request are none, but for numbers that differ little; nor
are those whose name or form says so, but for ids that came again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote_plus

from harness.onboarding.recording.exchange import RecordedExchange
from harness.onboarding.secret_forms import is_secret_header, secrets_in

MOST_LEAVES = 64
"""How many values of one answer are expected; the first ones of a longer answer."""
LONG_ENOUGH = 4
"""How long a value of a body is that an answer does not hold by coincidence, under another name."""
DIFFERS_LITTLE = 0.05
"""Up to which share of itself a number may differ between answers to the same request and still be expected."""
MARGIN = 5.0
"""How far from the middle it may be then, in multiples of what lay between the answers seen."""
ANY = {"any": True}
_DAY_S = 86_400.0
_IDS = re.compile(r"(^|_)(id|ids|uuid|guid|uid|etag)$")
"""Names of what may be drawn anew each time. What came again for the same request is content all the same."""
_PASSING = re.compile(
    r"(^|_)(trace|traceparent|span|nonce|csrf|cursor|ts|timestamp|datetime|now|created|updated|expires|remaining|served"
    r"|latency|duration|elapsed|took|timing|uptime|host|hostname|pod|instance)(_|$)|(^|_)(time|date|at|ms|us|ns)$"
    r"|processing_time|inference_time|inference_s$"
)
"""Names of what belongs to one moment, or to who has answered."""
_UUID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
_MOMENT = re.compile(r"\d{4}-?\d\d-?\d\d[T ]\d\d:?\d\d(:?\d\d(\.\d+)?)?( ?(Z|[+-]\d\d:?\d\d))?")
_HTTP_DATE = re.compile(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d.*")


def same_request(exchange: RecordedExchange) -> str:
    """Return a key that two exchanges share exactly where the same was asked; what is nested too deep is alone."""
    try:
        return json.dumps([exchange.method, exchange.path, exchange.body], sort_keys=True)
    except RecursionError:
        return str(id(exchange))


def expected_values(exchange: RecordedExchange, others: Iterable[RecordedExchange]) -> dict[str, Any]:
    """Return what is expected of the answer, by its place; `others` are exchanges with the same request.

    What is a secret by its form or by a name on its way may be anything.
    """
    if not exchange.answer_is_json:
        return {}
    found: dict[str, Any] = dict(_leaves(exchange.answer))
    known = [dict(_leaves(other.answer)) for other in others if other.answer_is_json]
    asked = _asked(exchange)
    secret = {place for place, _ in secrets_in(exchange.answer)}
    sent = {part for value in secret_headers_of(exchange).values() for part in (value, *re.split(r"[\s;,=]+", value))}
    expected: dict[str, Any] = {}
    for place, value in found.items():
        if len(expected) == MOST_LEAVES:
            break
        if any(place not in other for other in known):
            continue
        name = _name_of(place)
        differs = any(not _alike(other[place], value) for other in known)
        echoed = bool({("", str(value)), (name, str(value))} & asked) and not isinstance(value, bool | None)
        drawn = not known and (_IDS.search(name) is not None or _looks_drawn(value))
        names = [_snake(part) for part in place.split(".")]
        passing = any(map(_PASSING.search, names)) or _is_moment(value, exchange.unix_s)
        around = _around([value, *(other[place] for other in known)]) if differs else _comparison(value)
        hidden = place in secret or (isinstance(value, str) and len(value) >= LONG_ENOUGH and value in sent)
        expected[place] = ANY if hidden or (not echoed and (drawn or passing)) else around
    return expected if any(value != ANY for value in expected.values()) else {}


def secret_headers_of(exchange: RecordedExchange) -> dict[str, str]:
    """Return the headers of a request that hold secrets."""
    return {name: value for name, value in exchange.headers.items() if is_secret_header(name, value)}


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every single value with its dotted place; a field whose name holds a dot has none."""
    if isinstance(value, dict) and value:
        for key, inside in value.items():
            if key and "." not in key:
                yield from _leaves(inside, f"{place}.{key}" if place else key)
    elif isinstance(value, list) and value:
        for index, inside in enumerate(value):
            yield from _leaves(inside, f"{place}.{index}" if place else str(index))
    elif place:
        yield place, value


def _comparison(value: Any) -> Any:
    if isinstance(value, float):
        return {"approx": value}
    return {"equal": value} if isinstance(value, dict) else value


def _around(values: list[Any]) -> Any:
    """Return what is expected of a value that differed: near the others, if it is a number that did not differ much.

    So a model that is trained again and again may answer a little differently, and a wrong answer is seen all the same.
    """
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < len(values) or all(isinstance(number, int) for number in numbers):
        return ANY  # not a measure: a version, a count, a name
    least, most = min(numbers), max(numbers)
    apart = most - least
    if apart > DIFFERS_LITTLE * max(abs(least), abs(most)):
        return ANY
    return {"approx": least + apart / 2, "atol": MARGIN * apart}


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, int | float):
        return abs(one - other) <= 1e-6 * max(abs(one), abs(other))
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _looks_drawn(value: Any) -> bool:
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def _is_moment(value: Any, now_s: float) -> bool:
    """Whether a value looks like a moment: written as one, or a number near that of the request."""
    if isinstance(value, str):
        if _MOMENT.fullmatch(value) or _HTTP_DATE.fullmatch(value):
            return True
        return value.isdecimal() and len(value) <= 20 and _is_moment(int(value), now_s)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return any(abs(value / scale - now_s) < _DAY_S for scale in (1, 1e3, 1e6, 1e9))


def _asked(exchange: RecordedExchange) -> set[tuple[str, str]]:
    """Return the single values that a request holds, with their names; without one those that are no coincidence."""
    leaves = [(_name_of(place), str(value)) for place, value in _leaves({"body": exchange.body})]
    found = {(name if len(text) < LONG_ENOUGH else "", text) for name, text in leaves}
    return found | {("", unquote_plus(part)) for part in re.split(r"[/?&=]", exchange.path) if part}


def _name_of(place: str) -> str:
    """Return the name of the field at a place, or of the list that the place is in, in the form `request_id`."""
    return _snake(next((part for part in reversed(place.split(".")) if not part.isdigit()), ""))


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower()


def counts(expected: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many values are expected as they are, and how many may be any."""
    loose = sum(value == ANY for value in expected.values())
    return len(expected) - loose, loose
