"""What an answer is expected to be: its status, its headers, and values at places in its JSON.

At a place in JSON, dots descend and numbers index lists. A value is compared as it stands; a mapping says how else:
`{approx: 0.7, atol: 0.01}`, `{at_least: 0, at_most: 1}`, `{one_of: [a, b]}`, `{any: true}` for whatever is there,
`{equal: …}` for a mapping itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from pydantic import Field, field_validator, model_validator

from harness.model.errors import did_you_mean
from harness.model.fields import Frozen

_WAYS = {
    "approx": {"approx", "atol", "rtol"},
    "at_least": {"at_least", "at_most"},
    "at_most": {"at_least", "at_most"},
    "one_of": {"one_of"},
    "any": {"any"},
    "equal": {"equal"},
}
RTOL = 1e-6
ATOL = 1e-9


class NothingThereError(LookupError):
    """Nothing lies at that place; the text says at which."""


def at_path(data: Any, path: str) -> Any:
    """Return what lies at a dotted path. Raises NothingThereError."""
    for step in path.split("."):
        try:
            data = data[int(step)] if isinstance(data, list) else data[step]
        except (KeyError, IndexError, ValueError, TypeError):
            raise NothingThereError(f"nothing at {path!r}") from None
    return data


class Expected(Frozen):
    """What is expected of one answer. Without a status, 200 to 299 is expected."""

    status: tuple[int, ...] = ()
    values: dict[str, Any] = Field(default_factory=dict, alias="json")
    header: dict[str, str] = Field(default_factory=dict)

    @field_validator("status", mode="before")
    @classmethod
    def _one_or_several(cls, raw: object) -> object:
        codes = raw if isinstance(raw, list | tuple) else [raw]
        for code in codes:
            if isinstance(code, bool) or not isinstance(code, int) or not 100 <= code <= 599:
                raise ValueError(f"{code!r} is not a status of HTTP")
        if not codes:
            raise ValueError("no status is named; leave it out for 200 to 299")
        return tuple(codes)

    @field_validator("values")
    @classmethod
    def _known_ways(cls, values: dict[str, Any]) -> dict[str, Any]:
        for path, wanted in values.items():
            if isinstance(wanted, dict):
                _check_way(path, wanted)
        return values

    @model_validator(mode="after")
    def _something(self) -> Expected:
        if not (self.status or self.values or self.header):
            raise ValueError("nothing is expected: give `status`, `json` or `header`")
        return self

    def takes(self, status: int) -> bool:
        """Whether this status is an expected one."""
        return status in self.status if self.status else 200 <= status <= 299

    def header_differs(self, headers: Any) -> str | None:
        """Return how the headers differ from what is expected, None where they do not."""
        return next(self.header_differences(headers), None)

    def differs(self, answer: Any) -> str | None:
        """Return how an answer in JSON differs from what is expected, None where it does not."""
        return next(self.differences(answer), None)

    def header_differences(self, headers: Any) -> Iterator[str]:
        """Yield each header that is not as expected."""
        for name, wanted in self.header.items():
            found = headers.get(name)
            if found != wanted:
                yield f"the header {name} is {_short(found)}, not {_short(wanted)}"

    def differences(self, answer: Any) -> Iterator[str]:
        """Yield each value of an answer in JSON that is not as expected."""
        for path, wanted in self.values.items():
            try:
                found = at_path(answer, path)
            except NothingThereError as error:
                yield str(error)
                continue
            if not matches(found, wanted):
                yield f"{path} is {_short(found)}, not {_short(wanted)}"


def matches(found: Any, wanted: Any) -> bool:
    """Whether a value of an answer is as expected."""
    if not isinstance(wanted, dict):
        return _equal(found, wanted)
    if "equal" in wanted:
        return _equal(found, wanted["equal"])
    if "one_of" in wanted:
        return any(_equal(found, one) for one in wanted["one_of"])
    if "any" in wanted:
        return True
    if isinstance(found, bool) or not isinstance(found, int | float):
        return False
    if "approx" in wanted:
        rtol, atol = float(wanted.get("rtol", RTOL)), float(wanted.get("atol", ATOL))
        # Not math.isclose: it is the expected value that a share is taken of.
        return bool(abs(found - wanted["approx"]) <= max(atol, rtol * abs(wanted["approx"])))
    return bool(wanted.get("at_least", -math.inf) <= found <= wanted.get("at_most", math.inf))


def _check_way(path: str, wanted: dict[str, Any]) -> None:
    way = next((name for name in _WAYS if name in wanted), None)
    if way is None:
        name = next(iter(wanted), "")
        raise ValueError(f"{path}: {name!r} is not a comparison: {did_you_mean(str(name), _WAYS)}")
    for name, value in wanted.items():
        if name not in _WAYS[way]:
            raise ValueError(f"{path}: {name!r} does not go with {way!r}")
        if name in ("approx", "atol", "rtol", "at_least", "at_most") and not _is_number(value):
            raise ValueError(f"{path}: {name} must be a number")
        if name in ("atol", "rtol") and value < 0:
            raise ValueError(f"{path}: {name} must not be negative")
    if way == "one_of" and not isinstance(wanted["one_of"], list):
        raise ValueError(f"{path}: one_of must be a list")
    if way == "any" and wanted["any"] is not True:
        raise ValueError(f"{path}: write any: true")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _equal(found: Any, wanted: Any) -> bool:
    """Compare as JSON does: 1 is 1.0, but true is not 1."""
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    if isinstance(found, list) and isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(_equal, found, wanted))
    if isinstance(found, dict) and isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(_equal(found[key], wanted[key]) for key in found)
    return bool(found == wanted)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
