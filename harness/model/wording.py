"""What pydantic finds wrong with a value, in the words of the harness: the one place that reads a library's findings.

No text of pydantic's reaches a user. Messages of our own validators are told as they are, with the remedy after their
semicolon; a finding that nobody thought of is told as a value that is not valid.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from harness.model.errors import did_you_mean

LONGEST = 60
"""Characters of a value that a message shows."""
_FIELDS, _NAMES, _LIST, _WHOLE, _NUMBER = (
    "a mapping of fields",
    "a mapping of names",
    "a list",
    "a whole number",
    "a number",
)
_DATE, _MOMENT = "a date such as 2026-12-31", "a moment such as 2026-12-31T06:00"
_NEEDED: Mapping[str, str] = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "date_from_datetime_inexact": _DATE,
    "date_from_datetime_parsing": _DATE,
    "date_parsing": _DATE,
    "date_type": _DATE,
    "datetime_from_date_parsing": _MOMENT,
    "datetime_parsing": _MOMENT,
    "datetime_type": _MOMENT,
    "dict_type": _NAMES,
    "finite_number": "a finite number",
    "float_parsing": _NUMBER,
    "float_type": _NUMBER,
    "frozen_set_type": _LIST,
    "int_from_float": _WHOLE,
    "int_parsing": _WHOLE,
    "int_type": _WHOLE,
    "list_type": _LIST,
    "mapping_type": _NAMES,
    "model_attributes_type": _FIELDS,
    "model_type": _FIELDS,
    "set_type": _LIST,
    "string_type": "a text",
    "string_unicode": "a text",
    "tuple_type": _LIST,
}
_LIMITS: Mapping[str, tuple[str, str, str]] = {
    "greater_than": ("gt", "too small", "write a number above {}"),
    "greater_than_equal": ("ge", "too small", "write {} or more"),
    "less_than": ("lt", "too large", "write a number below {}"),
    "less_than_equal": ("le", "too large", "write {} or less"),
}
"""Of a number: the name of its limit, on which side of it the number is, and the remedy."""
_PATTERNS: Mapping[str, str] = {"^/": "a path that begins with '/'"}
"""What a text is to be, by its pattern."""


def written(value: Any) -> str:
    """Return a value as a file has it, as short as a message needs it."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    text = json.dumps(value) if isinstance(value, bool | int | float) else repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def needed(found: ErrorDetails) -> str | None:
    """Return what must stand where something of another type does; None where the type is not what is wrong."""
    return _NEEDED.get(found["type"])


def worded(found: ErrorDetails) -> tuple[str, str | None]:
    """Return the message for a value that is not valid, and the remedy where there is one."""
    kind, given, about = found["type"], found["input"], found.get("ctx", {})
    name = str(found["loc"][-1]) if found["loc"] else ""
    if kind == "extra_forbidden":
        return f"unknown field {name!r}", None
    if kind == "missing":
        return f"the field {name!r} is missing", None
    if kind in ("literal_error", "enum"):
        valid = re.findall(r"'([^']*)'", str(about["expected"]))
        # An enumeration is short, and what is meant seldom resembles its name: seconds are `wall`, not `count`.
        remedy = f"valid here: {', '.join(valid)}" if valid else f"{about['expected']} is valid here"
        if valid and kind == "literal_error":
            remedy = did_you_mean("null" if given is None else str(given), valid)
        return f"{written(given)} is not valid here", remedy
    if kind in _NEEDED:
        return f"{_NEEDED[kind]} is needed here, not {written(given)}", None
    if kind in ("value_error", "assertion_error"):
        return own(str(found["msg"]))
    return _beyond(kind, given, about) or (f"{written(given)} is not valid here", None)


def _beyond(kind: str, given: Any, about: Mapping[str, Any]) -> tuple[str, str | None] | None:
    """Word a value of the right type that is too small, too large, too short, too long or of another form."""
    if kind in _LIMITS:
        name, side, remedy = _LIMITS[kind]
        return f"{written(given)} is {side}", remedy.format(f"{about[name]:g}" if about[name] < 1e6 else about[name])
    if kind == "int_parsing_size":
        return f"{written(given)} is too large", "write a smaller number"
    if kind in ("too_short", "string_too_short"):
        if about["min_length"] == 1:
            return "this is empty", "something is needed here"
        return "this is too short", f"write {about['min_length']} or more"
    if kind in ("too_long", "string_too_long"):
        what = "characters" if kind.startswith("string") else "entries"
        return "this is too long", f"write {about['max_length']} {what} at most"
    if kind == "string_pattern_mismatch":
        form = _PATTERNS.get(about["pattern"], f"a text of the form {about['pattern']}")
        return f"{form} is needed here, not {written(given)}", None
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        field = str(about["discriminator"]).strip("'")
        tag = about.get("tag")
        return (f"the field {field!r} is missing" if tag is None else f"unknown {field} {tag!r}"), None
    return None


def own(text: str) -> tuple[str, str | None]:
    """Split a message of a validator of ours into what is wrong and the remedy."""
    text = text.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    message, _, remedy = text.partition("; ")
    return message[:1].lower() + message[1:], remedy or None


def in_short(error: ValidationError) -> str:
    """Return the first finding in one line, with its place: for data that no user wrote, such as a journal."""
    first = error.errors(include_url=False)[0]
    message, _ = worded(first)
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {message}" if where else message


def place_in(found: ErrorDetails, raw: Any) -> tuple[str | int, ...]:
    """Return the place in the file; pydantic's own has the members of unions in it as well."""
    place: list[str | int] = []
    value = raw
    for index, part in enumerate(found["loc"]):
        if (isinstance(value, dict) and part in value) or (
            isinstance(value, list) and isinstance(part, int) and part < len(value)
        ):
            place.append(part)
            value = value[part]  # type: ignore[index]
        elif index == len(found["loc"]) - 1 and found["type"] in ("missing", "extra_forbidden"):
            place.append(part)
    return tuple(place)
