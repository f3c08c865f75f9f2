"""Secrets: `${secret:NAME}` is read from the environment at the moment of use, and masked in every output.

Values that were read in this process are remembered, so that they can be masked in texts of others (a driver's error,
a command's output). Plans, journals and reports hold the placeholder only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from harness.model.errors import ScenarioError

HIDDEN = "***"
_SECRET = re.compile(r"\$\{secret:([A-Za-z_]\w*)\}")
_revealed: set[str] = set()


def reveal(text: str, environment: Mapping[str, str] | None = None) -> str:
    """Put the secrets into a text, for use at once. Raises ScenarioError for one that is not in the environment."""
    values = os.environ if environment is None else environment

    def found(match: re.Match[str]) -> str:
        name = match[1]
        if name not in values:
            raise ScenarioError(f"the secret {name!r} is not in the environment", remedy=f"export {name}=…")
        value = values[name]
        if value:
            # As a driver may print it: plain, URL-encoded, and as a Python literal.
            _revealed.update({value, quote(value, safe=""), quote_plus(value), repr(value)[1:-1]})
        return value

    return _SECRET.sub(found, text)


def hide(text: str) -> str:
    """Take out of a text every secret that was revealed in this process."""
    for value in sorted(_revealed, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return text


def hide_all(value: Any) -> Any:
    """The same for every text in a JSON value."""
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, list | tuple):
        return [hide_all(item) for item in value]
    if isinstance(value, dict):
        return {key: hide_all(item) for key, item in value.items()}
    return value


def names_in(value: Any) -> set[str]:
    """Return the names of the secrets in a JSON value."""
    if isinstance(value, str):
        return set(_SECRET.findall(value))
    if isinstance(value, dict):
        return {name for item in value.values() for name in names_in(item)}
    if isinstance(value, list | tuple):
        return {name for item in value for name in names_in(item)}
    return set()
