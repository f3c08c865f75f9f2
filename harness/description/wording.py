"""What pydantic finds wrong with a value of a stack description, in the words of the harness."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic_core import ErrorDetails

from harness.model.errors import did_you_mean

_NEEDED: Mapping[str, str] = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "a mapping of names",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "list_type": "a list",
    "string_type": "a text",
    "tuple_type": "a list",
}


def worded(found: ErrorDetails) -> tuple[str, str | None]:
    """Return the message for a value that is not valid, and the remedy where there is one."""
    kind, given = found["type"], found["input"]
    if kind in ("literal_error", "enum"):
        valid = re.findall(r"'([^']*)'", str(found["ctx"]["expected"]))
        # An enumeration is short, and what is meant seldom resembles its name: seconds are `wall`, not `count`.
        remedy = did_you_mean(str(given), valid) if kind == "literal_error" else f"valid here: {', '.join(valid)}"
        return f"{given!r} is not valid here", remedy
    if kind in _NEEDED:
        return f"{_NEEDED[kind]} is needed here, not {_short(given)}", None
    message = str(found["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return message[:1].lower() + message[1:], None


def _short(given: object) -> str:
    text = "a mapping" if isinstance(given, dict) else "a list" if isinstance(given, list | tuple) else repr(given)
    return text if len(text) <= 60 else f"{text[:59]}…"
