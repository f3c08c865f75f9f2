"""Verifies answers: features are compared with ground truth at their timestamps, scores with the model's artefact.

Age is judged separately: an old feature that was right at its timestamp is stale, not wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from harness.model.errors import ProbeError
from harness.model.eventtime import EventClock
from harness.probes.artefacts import TOLERANCE, Artefact, Artefacts, DigestError
from harness.probes.workload_file import Request, Workload


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found. `wrong` is None where the score could not be checked."""

    wrong: bool | None
    why: str | None
    stale: bool
    ages: dict[str, float]
    stamps: dict[str, int | None]


class MalformedError(Exception):
    """An answer that is not of the documented form."""


class Verifier:
    """Checks answers of one run."""

    def __init__(
        self, workload: Workload, clock: EventClock, freshness_s: dict[str, float], artefacts: Artefacts | None
    ) -> None:
        self._workload = workload
        self._clock = clock
        self._freshness_s = freshness_s
        self._artefacts = artefacts

    async def check(self, request: Request, answer: dict[str, Any]) -> Checked:
        """Check one answer. Raises MalformedError where it is not of the documented form."""
        try:
            return await self._check(request, answer)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise MalformedError(f"{type(error).__name__}: {error}") from error

    async def _check(self, request: Request, answer: dict[str, Any]) -> Checked:
        features = {n: (f["value"], f["event_time"]) for n, f in answer["features"].items()}
        score, inputs = float(answer["score"]), dict(answer.get("inputs") or {})
        digest = str(answer["model"]["digest"])
        if not math.isfinite(score):
            raise ValueError(f"the score is {score}")
        stamps = self._stamps(features)
        ages = {g: self._clock.age_s(request.at_event, t) for g, t in stamps.items() if t is not None}
        stale = any(age > self._freshness_s.get(group, math.inf) for group, age in ages.items())
        why = self._feature_error(request, features, inputs)
        wrong: bool | None = why is not None
        if why is None and self._artefacts is not None:
            wrong, why = await self._score_error(digest, inputs, score)
        return Checked(wrong, why, stale, ages, stamps)

    def _stamps(self, features: dict[str, tuple[Any, Any]]) -> dict[str, int | None]:
        stamps: dict[str, int | None] = {}
        for name, (_, stamp) in features.items():
            spec = self._workload.features.get(name)
            if spec is not None:
                stamps[spec.group] = None if stamp is None else int(stamp)
        return stamps

    def _feature_error(
        self, request: Request, features: dict[str, tuple[Any, Any]], inputs: dict[str, Any]
    ) -> str | None:
        entity = str(request.body.get(self._workload.entity_field or "", ""))
        for name, spec in self._workload.features.items():
            if name not in features:
                return f"{name} is missing"
            value, stamp = features[name]
            if stamp is None:
                return f"{name} carries no event time"
            known = self._workload.truth.as_of(entity, spec.group, int(stamp))
            if known is None:
                return f"{name} is stamped {stamp}, earlier than anything known"
            true = known.get(name)
            if not _close(value, true, spec.rtol, spec.atol):
                return f"{name} is {_short(value)}, but was {_short(true)} as of its event time"
            if name in inputs and not _close(inputs[name], value, spec.rtol, spec.atol):
                return f"{name} went into the model as {_short(inputs[name])}, not as {_short(value)}"
        return None

    async def _score_error(self, digest: str, inputs: dict[str, Any], score: float) -> tuple[bool | None, str | None]:
        assert self._artefacts is not None
        artefact = self._artefacts.ready(digest)
        if artefact is None:
            try:
                artefact = await self._artefacts.fetch(digest)
            except DigestError as error:
                return True, error.message
            except ProbeError as error:
                return None, error.message
        return _score_differs(artefact, inputs, score)


def _score_differs(artefact: Artefact, inputs: dict[str, Any], score: float) -> tuple[bool, str | None]:
    try:
        expected = artefact.score(inputs)
    except (KeyError, ValueError, TypeError) as error:
        return True, f"the model cannot take the answer's inputs: {error}"
    if not abs(score - expected) <= TOLERANCE:
        return True, f"the score is {score:.5g}, but the model gives {expected:.5g} for these inputs"
    return False, None


def _close(value: Any, true: Any, rtol: float, atol: float) -> bool:
    if value is None or true is None:
        return value is None and true is None
    if isinstance(value, str) or isinstance(true, str):
        return bool(value == true)
    return math.isclose(float(value), float(true), rel_tol=rtol, abs_tol=atol)


def _short(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
