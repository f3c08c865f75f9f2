"""The workload file: requests with event times, what features truly were as of each moment, and outcomes.

JSON lines, made by a stack's own tooling from its source data, never by the running services. The truth of a feature
group of an entity is a step function: each line holds until the next.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.model.errors import ProbeError

SCHEMA = 1


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
        with path.open(encoding="utf-8") as lines:
            return _read(path, list(lines))
    except OSError as error:
        raise ProbeError(f"the workload cannot be read: {error.strerror}", file=str(path)) from error


def _read(path: Path, lines: list[str]) -> Workload:
    head: dict[str, Any] | None = None
    truth, requests = Truth(), []
    for number, line in enumerate(lines, start=1):
        try:
            data = json.loads(line)
            kind = data["kind"]
            if head is None:
                if kind != "workload" or data["schema"] != SCHEMA:
                    raise ValueError(f"the first line must be the head of a workload of schema {SCHEMA}")
                head = data
            elif kind == "truth":
                truth.add(data["entity"], data["group"], data["at"], data["values"])
            elif kind == "request":
                known = data.get("outcome"), data.get("outcome_at")
                requests.append(Request(data["id"], data["at"], data["body"], *known))
            else:
                raise ValueError(f"no line is of kind {kind!r}; truth and request are")
        except (ValueError, KeyError, TypeError) as error:
            what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise ProbeError(f"not a line of a workload: {what}", file=str(path), line=number) from None
    if head is None:
        raise ProbeError("the workload is empty", file=str(path))
    return Workload(
        start=int(head["start"]),
        end=int(head["end"]),
        entity_field=head.get("entity_field"),
        features={name: FeatureSpec(**spec) for name, spec in head.get("features", {}).items()},
        truth=truth,
        requests=tuple(sorted(requests, key=lambda r: (r.at_event, r.id))),
    )
