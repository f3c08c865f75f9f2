"""Verifies answers: features are compared with ground truth at their timestamps, scores with the model's artefact.

Age is judged separately: an old feature that was right at its timestamp is stale, not wrong. Artefacts are read from
the object store by their digest, each once; one whose bytes do not have the digest that names it is as wrong as a wrong
score. They are ONNX, with inputs named as in the answer's `inputs`. A score that the harness cannot compute is neither.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.model.answers import too_old
from harness.model.errors import FaultError, ProbeError
from harness.model.eventtime import EventClock
from harness.probes.artefact import Artefact, InputError, NoModelError
from harness.probes.open_loop import CHECK_S
from harness.probes.workload_file import Request, Workload

if TYPE_CHECKING:
    from harness.seams.objects import Objects

TOLERANCE = 1e-4
FETCH_S = 5.0
AHEAD_S = 1.0
"""By how much the clocks of harness and stack may differ, wall clock."""
AGAIN_S = 0.5
"""How long an artefact that could not be read is not fetched again: every answer of that version would fetch it."""

NO_ARTEFACTS = "the stack declares no model to check scores against, x-harness.integrity.models"


class DigestError(ProbeError):
    """An artefact whose bytes do not have the digest that names it, or are no model."""


class Artefacts:
    """Fetches each artefact once and keeps it."""

    def __init__(self, objects: Objects, prefix: str) -> None:
        self._objects = objects
        self._prefix = prefix
        self._ready: dict[str, Artefact] = {}
        self._pending: dict[str, asyncio.Task[Artefact]] = {}
        self._failed: dict[str, tuple[float, ProbeError]] = {}

    def ready(self, digest: str) -> Artefact | None:
        """Return the artefact if it is here already."""
        return self._ready.get(digest)

    async def fetch(self, digest: str) -> Artefact:
        """Return the artefact, fetching it where it is not here. Raises ProbeError; a later call tries again."""
        if digest in self._ready:
            return self._ready[digest]
        tried_s, error = self._failed.get(digest, (-math.inf, None))
        if error is not None and time.monotonic() < tried_s + AGAIN_S:
            raise type(error)(error.message)
        if digest not in self._pending:
            task = self._pending[digest] = asyncio.create_task(self._load(digest))
            task.add_done_callback(lambda done: self._loaded(digest, done))
        try:
            return await asyncio.wait_for(asyncio.shield(self._pending[digest]), FETCH_S)
        except TimeoutError:
            raise ProbeError(f"the artefact {digest} did not come within {FETCH_S:g} s") from None

    def _loaded(self, digest: str, task: asyncio.Task[Artefact]) -> None:
        self._pending.pop(digest, None)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, ProbeError):
            self._failed[digest] = time.monotonic(), error

    async def _load(self, digest: str) -> Artefact:
        key = f"{self._prefix}{digest.removeprefix('sha256:')}.onnx"
        try:
            data = await self._objects.get(key)
        except FaultError as error:
            raise ProbeError(f"the artefact {key} cannot be read: {error.message}") from error
        except Exception as error:  # the harness's own trouble, such as no more threads
            raise ProbeError(f"the artefact {key} cannot be read: {_named(error)}") from error
        if hashlib.sha256(data).hexdigest() != digest.removeprefix("sha256:"):
            raise DigestError(f"the artefact {key} does not have the digest in its name")
        try:
            artefact = await asyncio.to_thread(Artefact, data)
        except NoModelError as error:
            raise DigestError(f"the artefact {key} is no model: {error}") from error
        except Exception as error:  # the bytes may well be a model: it cannot be loaded here
            raise ProbeError(f"the artefact {key} cannot be loaded here: {_named(error)}") from error
        self._ready[digest] = artefact
        return artefact


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found. `wrong` is None where nothing shows that it is, and the score could not be checked."""

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
        self._asked = {str(request.body["id"]) for request in workload.requests if "id" in request.body}

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
        stale = too_old(ages, self._freshness_s)
        why = self._another_s(request, answer, inputs) or self._feature_error(request, features, inputs)
        wrong: bool | None = why is not None
        if why is None:
            try:
                async with asyncio.timeout(CHECK_S):
                    wrong, why = await self._score_error(digest, inputs, score)
            except TimeoutError:  # the age is known all the same
                wrong, why = None, "its score could not be checked in time"
        return Checked(wrong, why, stale, ages, stamps)

    def _another_s(self, request: Request, answer: dict[str, Any], inputs: dict[str, Any]) -> str | None:
        """Return how an answer is one to another request; None where nothing of it shows that."""
        asked, told = request.body.get("id"), answer.get("id")
        # A server may give its answers numbers of its own.
        if asked is not None and str(told) != str(asked) and str(told) in self._asked:
            return f"it answers the request {_short(told)}, not {_short(asked)}"
        for name, sent in request.body.items():
            if name in inputs and not _same(inputs[name], sent):
                return f"{name} went into the model as {_short(inputs[name])}, but was sent as {_short(sent)}"
        return None

    def _stamps(self, features: dict[str, tuple[Any, Any]]) -> dict[str, int | None]:
        """Return the oldest stamp of each group: a fresh feature must not hide a stale one beside it."""
        stamps: dict[str, int | None] = {}
        for name, (_, stamp) in features.items():
            spec = self._workload.features.get(name)
            if spec is not None:
                known = [int(one) for one in (stamps.get(spec.group), stamp) if one is not None]
                stamps[spec.group] = min(known, default=None)
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
            if stamp > self._clock.event_at(time.time() + AHEAD_S):
                return f"{name} is stamped {stamp}, which has not come yet"
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
        if self._artefacts is None:
            return None, NO_ARTEFACTS
        artefact = self._artefacts.ready(digest)
        if artefact is None:
            try:
                artefact = await self._artefacts.fetch(digest)
            except DigestError as error:
                return True, error.message
            except ProbeError as error:
                return None, error.message
        return _score_differs(artefact, inputs, score)


def _score_differs(artefact: Artefact, inputs: dict[str, Any], score: float) -> tuple[bool | None, str | None]:
    try:
        expected = artefact.score(inputs)
    except InputError as error:
        return True, f"the model cannot take the answer's inputs: {error}"
    except Exception as error:  # noqa: BLE001 - whatever it is, it was not the inputs: the score was not checked
        return None, f"the score cannot be computed here: {_named(error)}"
    if not abs(score - expected) <= TOLERANCE:
        return True, f"the score is {score:.5g}, but the model gives {expected:.5g} for these inputs"
    return False, None


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _same(used: Any, sent: Any) -> bool:
    """Whether an input may be what was sent, whatever type the model takes it as; what is no scalar is not compared."""
    if not isinstance(used, str | int | float) or not isinstance(sent, str | int | float):
        return True
    try:
        return math.isclose(float(used), float(sent), rel_tol=1e-5, abs_tol=1e-9)
    except (TypeError, ValueError):
        return str(used).lower() == str(sent).lower()


def _close(value: Any, true: Any, rtol: float, atol: float) -> bool:
    if value is None or true is None:
        return value is None and true is None
    if isinstance(value, str) or isinstance(true, str):
        return bool(value == true)
    return math.isclose(float(value), float(true), rel_tol=rtol, abs_tol=atol)


def _short(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
