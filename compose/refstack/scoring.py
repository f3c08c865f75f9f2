"""Scores a request with an exported model: onnxruntime on one thread, no scikit-learn.

Used by the servers, by the registry's gate and by the monitor's canary, so that all three agree; and by the workers,
which encode what they learn from as the model will.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refstack.schema import CATEGORIES, INPUTS, NAMES

# Its telemetry starts a thread on import, which a process forked afterwards would wait for in vain when it exits.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime


def _dtype(name: str) -> Any:
    if name in NAMES:
        return np.object_
    return np.int64 if name in CATEGORIES else np.float32


_DTYPES = {name: _dtype(name) for name in INPUTS}


def _session(graph: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _feed(columns: Mapping[str, Sequence[Any]]) -> dict[str, NDArray[Any]]:
    return {name: np.asarray(columns[name], dtype=_DTYPES[name]).reshape(-1, 1) for name in INPUTS}


class Encoder:
    """Encodes rows as the model does; the graph is that of ``model.encoding``."""

    def __init__(self, graph: bytes) -> None:
        self._session = _session(graph)

    def many(self, columns: Mapping[str, Sequence[Any]]) -> NDArray[np.float64]:
        encoded: NDArray[np.float64] = self._session.run(None, _feed(columns))[0].astype(np.float64)
        return encoded


class Scorer:
    def __init__(self, model: bytes) -> None:
        self._session = _session(model)
        self._output = [self._session.get_outputs()[1].name]

    def many(self, columns: Mapping[str, Sequence[Any]]) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = self._session.run(self._output, _feed(columns))[0][:, 1]
        return scores

    def one(self, inputs: Mapping[str, Any]) -> float:
        return float(self.many({name: [inputs[name]] for name in INPUTS})[0])
