"""The model: fixed preprocessing fitted once, and a logistic regression that goes on learning by SGD.

Weights travel as plain lists, so that a lease or a checkpoint is JSON; the exported ONNX graph takes one
named input of shape [n, 1] a column and gives the probability of leaving 15 minutes late or more.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refstack.schema import CATEGORIES, INPUTS, NAMES, NUMERIC

Floats = NDArray[np.float64]
STEP = 0.002
"""The constant learning rate of the online updates."""
ALPHA = 1e-5
"""Their L2 penalty."""
ENCODED = "transformed_column"
"""The graph's matrix between preprocessing and regression."""


@dataclass(frozen=True)
class Weights:
    coef: tuple[float, ...]
    intercept: float

    def as_json(self) -> dict[str, Any]:
        return {"coef": list(self.coef), "intercept": self.intercept}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Weights:
        weights = cls(tuple(float(v) for v in value["coef"]), float(value["intercept"]))
        if not np.isfinite([*weights.coef, weights.intercept]).all():
            raise ValueError("weights are not finite")
        return weights


def mix(parts: Sequence[tuple[Weights, int]]) -> Weights:
    """Iterative parameter mixing (McDonald et al. 2010): average what the shards learned, by their sizes."""
    total = sum(size for _, size in parts)
    coef = sum(np.array(weights.coef) * (size / total) for weights, size in parts)
    intercept = sum(weights.intercept * (size / total) for weights, size in parts)
    return Weights(tuple(float(v) for v in np.asarray(coef)), float(intercept))


def table(columns: Mapping[str, Any]) -> NDArray[np.object_]:
    """Columns by name to the array that the preprocessing takes."""
    rows = len(columns[INPUTS[0]])
    out = np.empty((rows, len(INPUTS)), dtype=object)
    for index, name in enumerate(INPUTS):
        out[:, index] = columns[name]
    return out


def classifier(weights: Weights | None, width: int, seed: int = 7, **settings: Any) -> Any:
    from sklearn.linear_model import SGDClassifier

    chosen = {"learning_rate": "constant", "eta0": STEP, "alpha": ALPHA, **settings}
    made = SGDClassifier(loss="log_loss", random_state=seed, **chosen)
    if weights is not None:
        made.coef_ = np.array([weights.coef], dtype=np.float64)
        made.intercept_ = np.array([weights.intercept], dtype=np.float64)
        made.classes_ = np.array([0, 1])
        made.n_features_in_ = width
        made.t_ = 1.0
    return made


def weights_of(fitted: Any) -> Weights:
    return Weights(tuple(float(v) for v in fitted.coef_[0]), float(fitted.intercept_[0]))


def learn(encoded: Floats, weights: Weights, labels: Sequence[int], seed: int = 7) -> Weights:
    """One pass over one shard from the given weights: what SGDClassifier.partial_fit does, without scikit-learn, whose
    import would cost each worker more than all that it ever learns."""
    coef, intercept = np.array(weights.coef), weights.intercept
    for row in np.random.default_rng(seed).permutation(len(labels)):
        x, sign = encoded[row], 1.0 if labels[row] else -1.0
        slope = -sign / (1.0 + math.exp(min(sign * (float(x @ coef) + intercept), 500.0)))
        coef = coef * (1.0 - STEP * ALPHA) - STEP * slope * x
        intercept -= STEP * slope
    return Weights(tuple(float(value) for value in coef), intercept)


def export(preprocessing: Any, weights: Weights) -> bytes:
    """The whole graph, made by skl2onnx: once, when the data is prepared."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
    from sklearn.pipeline import Pipeline

    fitted = classifier(weights, len(weights.coef))
    types = [(name, FloatTensorType([None, 1])) for name in NUMERIC]
    types += [(name, Int64TensorType([None, 1])) for name in CATEGORIES]
    types += [(name, StringTensorType([None, 1])) for name in NAMES]
    pipeline = Pipeline([("encode", preprocessing), ("score", fitted)])
    graph = to_onnx(pipeline, initial_types=types, options={id(fitted): {"zipmap": False}}, target_opset=18)
    data: bytes = graph.SerializeToString()
    return data


def reweighted(graph: bytes, weights: Weights) -> bytes:
    """The same graph with other weights, for preprocessing is fixed: nothing else changes from version to version."""
    import onnx
    from onnx import numpy_helper

    made = onnx.load_from_string(graph)
    values = {"coef": weights.coef, "intercept": (weights.intercept,)}
    kept = {tensor.name: tensor for tensor in made.graph.initializer}
    for name, floats in values.items():
        array = np.array(floats, dtype=np.float32).reshape(tuple(kept[name].dims))
        kept[name].CopyFrom(numpy_helper.from_array(array, name))
    data: bytes = made.SerializeToString()
    return data


def encoding(graph: bytes) -> bytes:
    """The part of the graph that is preprocessing."""
    import onnx

    made = onnx.load_from_string(graph)
    del made.graph.output[:]
    made.graph.output.append(onnx.helper.make_tensor_value_info(ENCODED, onnx.TensorProto.FLOAT, [None, None]))
    data: bytes = made.SerializeToString()
    return data


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def model_key(digest: str) -> str:
    return f"models/{digest.removeprefix('sha256:')}.onnx"
