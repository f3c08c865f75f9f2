"""The workload file: requests with event times, what features truly were as of each moment, and outcomes.

JSON lines, made by a stack's own tooling from its source data, never by the running services. The truth of a feature
group of an entity is a step function: each line holds until the next.
"""

from __future__ import annotations

import io
import json
import math
from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from harness.model.errors import ProbeError
from harness.model.givenfile import open_regular

SCHEMA = 1
LATEST = 2**53
"""The last second since 1970 with which times can be computed exactly."""
LONGEST_SHOWN = 60
_KINDS: dict[type[Any], str] = {str: "a text", int: "a whole number", dict: "a mapping"}
_FEATURE_FIELDS = frozenset(("group", "rtol", "atol"))

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """How a feature is compared with the truth, and which group's stamp it carries."""

    group: str
    rtol: float = 1e-6
    atol: float = 1e-6


@dataclass(frozen=True, slots=True)
class Request:
    """One request: when it is due in event time, what is sent, and what will become of its subject."""

    id: str
    at_event: int
    body: dict[str, Any]
    outcome: int | None
    outcome_at: int | None


@dataclass(slots=True)
class Truth:
    """What each feature group of each entity truly was, as a step function of event time."""

    _times: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    _values: dict[tuple[str, str], list[dict[str, float | None]]] = field(default_factory=dict)

    def add(self, entity: str, group: str, at_event: int, values: dict[str, float | None]) -> None:
        """Append a step; steps of one entity and group come in the order of time. Raises ValueError otherwise."""
        times = self._times.setdefault((entity, group), [])
        if times and at_event <= times[-1]:
            raise ValueError(f"the truth of {entity} {group} at {at_event} does not come after the one before it")
        times.append(at_event)
        self._values.setdefault((entity, group), []).append(values)

    def as_of(self, entity: str, group: str, event: int) -> dict[str, float | None] | None:
        """Return the true values as of an event time, None where nothing is known that early."""
        times = self._times.get((entity, group), [])
        at = bisect_right(times, event)
        return self._values[entity, group][at - 1] if at else None


@dataclass(frozen=True, slots=True)
class Workload:
    """A whole workload file."""

    start: int
    end: int
    entity_field: str | None
    features: dict[str, FeatureSpec]
    truth: Truth
    requests: tuple[Request, ...]


def read_workload(path: Path) -> Workload:
    """Read a workload file. Raises ProbeError with file and line."""
    try:
        with io.TextIOWrapper(open_regular(path, ProbeError), "utf-8") as lines:
            return _read(path, list(lines))
    except OSError as error:
        raise ProbeError(f"the workload cannot be read: {error.strerror}", file=str(path)) from error
    except UnicodeDecodeError as error:
        raise ProbeError("the workload is not text in UTF-8", file=str(path)) from error


def _read(path: Path, lines: list[str]) -> Workload:
    head: _Head | None = None
    truth, requests = Truth(), []
    for number, line in enumerate(lines, start=1):
        try:
            data = json.loads(line)
            kind = data["kind"]
            if head is None:
                if kind != "workload" or data["schema"] != SCHEMA:
                    raise ValueError(f"the first line must be the head of a workload of schema {SCHEMA}")
                head = _head(data)
            elif kind == "truth":
                entity, group = _of(data, "entity", str), _of(data, "group", str)
                truth.add(entity, group, _of(data, "at", int), _values(_of(data, "values", dict)))
            elif kind == "request":
                given = _of(data, "id", str), _of(data, "at", int), _of(data, "body", dict)
                requests.append(Request(*given, _maybe(data, "outcome", int), _maybe(data, "outcome_at", int)))
            else:
                raise ValueError(f"no line is of kind {kind!r}; truth and request are")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise ProbeError(f"not a line of a workload: {what}", file=str(path), line=number) from None
    if head is None:
        raise ProbeError("the workload is empty", file=str(path))
    ordered = tuple(sorted(requests, key=lambda r: (r.at_event, r.id)))
    return Workload(head.start, head.end, head.entity_field, head.features, truth, ordered)


@dataclass(frozen=True, slots=True)
class _Head:
    start: int
    end: int
    entity_field: str | None
    features: dict[str, FeatureSpec]


def _head(data: dict[str, Any]) -> _Head:
    features = {}
    for name, spec in (_maybe(data, "features", dict) or {}).items():
        if not isinstance(spec, dict):
            raise ValueError(f"the feature {name!r} must be a mapping, not {_shortened(spec)}")
        unknown = set(spec) - _FEATURE_FIELDS
        if unknown:
            raise ValueError(f"a feature has no field {min(unknown)!r}: {', '.join(sorted(_FEATURE_FIELDS))}")
        tolerances = {key: _finite(key, value) for key, value in spec.items() if key != "group"}
        features[name] = FeatureSpec(group=_of(spec, "group", str), **tolerances)
    return _Head(_of(data, "start", int), _of(data, "end", int), _maybe(data, "entity_field", str), features)


def _of(data: dict[str, Any], key: str, kind: type[T]) -> T:
    """Return a field of this type. Raises KeyError, ValueError."""
    value = data[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{key!r} must be {_KINDS[kind]}, not {_shortened(value)}")
    if isinstance(value, int) and abs(value) > LATEST:
        raise ValueError(f"{key!r} is beyond any moment: {_shortened(value)}")
    return value


def _maybe(data: dict[str, Any], key: str, kind: type[T]) -> T | None:
    return None if data.get(key) is None else _of(data, key, kind)


def _values(values: dict[str, Any]) -> dict[str, float | None]:
    for name, value in values.items():
        if value is not None:
            _number(name, value)
    return values


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name!r} must be a number, not {_shortened(value)}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name!r} is too large a number") from None


def _finite(name: str, value: Any) -> float:
    number = _number(name, value)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{name!r} must be a tolerance of 0 or more, not {number}")
    return number


def _shortened(value: Any) -> str:
    """Return how a value is written, as far as it fits into a message."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of more digits than Python writes
        return f"one of the type {type(value).__name__}"
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
