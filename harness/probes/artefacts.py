"""Model artefacts read from the object store by their digest, and scores computed with them again.

The artefact is ONNX; its inputs are named as in the answer's `inputs`. Each digest is fetched once; an artefact whose
bytes do not have the digest that names it is as wrong as a wrong score.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from typing import TYPE_CHECKING, Any

from harness.model.errors import FaultError, ProbeError

if TYPE_CHECKING:
    from harness.seams.objects import Objects

TOLERANCE = 1e-4
FETCH_S = 5.0
AGAIN_S = 0.5
"""How long an artefact that could not be read is not fetched again: every answer of that version would fetch it."""


class DigestError(ProbeError):
    """An artefact whose bytes do not have the digest that names it."""


class Artefact:
    """One model, ready to score."""

    def __init__(self, data: bytes) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session: Any = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self._inputs = {i.name: i.type for i in self._session.get_inputs()}
        self._output = self._session.get_outputs()[-1].name

    def score(self, inputs: dict[str, Any]) -> float:
        """Return the probability of class 1. Raises KeyError where an input is missing, ValueError where one does not
        fit."""
        feed = {name: _tensor(inputs[name], kind) for name, kind in self._inputs.items()}
        try:
            (found,) = self._session.run([self._output], feed)
        except Exception as error:  # the runtime's own errors have no common base
            raise ValueError(str(error)) from error
        if isinstance(found, list):  # a ZipMap: one mapping from class to probability a row
            return float(found[0][1])
        return float(found.reshape(1, -1)[0, -1])


def _tensor(value: Any, kind: str) -> Any:
    import numpy as np  # only stacks with model artefacts need it

    if "string" in kind:
        return np.array([[str(value)]])
    dtype = np.int64 if "int64" in kind else np.float64 if "double" in kind else np.float32
    try:
        return np.array([[np.nan if value is None else value]], dtype=dtype)
    except OverflowError as error:
        raise ValueError(str(error)) from error


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
        if hashlib.sha256(data).hexdigest() != digest.removeprefix("sha256:"):
            raise DigestError(f"the artefact {key} does not have the digest in its name")
        try:
            artefact = await asyncio.to_thread(Artefact, data)
        except Exception as error:
            raise DigestError(f"the artefact {key} is no model: {error}") from error
        self._ready[digest] = artefact
        return artefact
