"""One model artefact in ONNX, ready to score, and who is to blame where it does not.

What the bytes or an answer's inputs show is the stack's: no model at all, an input that is missing or of another shape.
What this process lacks is the harness's own: memory, a thread, the runtime, an operator or a type that it does not
know. Then the score is not checked, which is neither right nor wrong.
"""

from __future__ import annotations

from typing import Any

_DTYPES = {
    "tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16", "tensor(bool)": "bool",
    "tensor(int64)": "int64", "tensor(int32)": "int32", "tensor(int16)": "int16", "tensor(int8)": "int8",
    "tensor(uint64)": "uint64", "tensor(uint32)": "uint32", "tensor(uint16)": "uint16", "tensor(uint8)": "uint8",
}  # fmt: skip
_STRING = "tensor(string)"
_UNKNOWN_OPERATOR = ("No Op registered", "not a registered")
"""What the runtime says of a graph whose operator it does not know: another version of it may know it."""


class NoModelError(Exception):
    """Bytes that are no model."""


class InputError(Exception):
    """Inputs that the model cannot take."""


class Artefact:
    """One model, ready to score."""

    def __init__(self, data: bytes) -> None:
        """Raises NoModelError; whatever else it raises is the harness's own trouble."""
        import onnxruntime as ort
        from onnxruntime.capi import onnxruntime_pybind11_state as errors

        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session: Any = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except (errors.InvalidProtobuf, errors.InvalidGraph, errors.InvalidArgument) as error:
            if any(text in str(error) for text in _UNKNOWN_OPERATOR):
                raise
            raise NoModelError(str(error)) from error
        self._refused: type[Exception] = errors.InvalidArgument
        self._inputs = {i.name: i.type for i in self._session.get_inputs()}
        self._output = self._session.get_outputs()[-1].name
        for one in self._session.get_inputs():
            if (one.type != _STRING and one.type not in _DTYPES) or not _takes_one(one.shape):
                raise ValueError(
                    f"only single values can be given to a model, and {one.name} is {one.type} {one.shape}"
                )

    def score(self, inputs: dict[str, Any]) -> float:
        """Return the probability of class 1. Raises InputError; whatever else it raises is the harness's own."""
        missing = sorted(self._inputs.keys() - inputs.keys())
        if missing:
            raise InputError(f"{missing[0]} is missing")
        feed = {name: _tensor(name, inputs[name], kind) for name, kind in self._inputs.items()}
        try:
            (found,) = self._session.run([self._output], feed)
        except self._refused as error:
            raise InputError(str(error)) from error
        if isinstance(found, list):  # a ZipMap: one mapping from class to probability a row
            return float(found[0][1])
        return float(found.reshape(1, -1)[0, -1])


def _takes_one(shape: list[Any]) -> bool:
    """Whether a shape is that of one row of one value; a dimension without a number may be any."""
    return len(shape) == 2 and all(size == 1 or not isinstance(size, int) for size in shape)


def _tensor(name: str, value: Any, kind: str) -> Any:
    """Return an input as the model takes it. Raises InputError where it cannot be one."""
    import numpy as np  # only stacks with model artefacts need it

    if kind == _STRING:
        if value is None:
            raise ValueError(f"{name} is null, and what a text is then is the stack's own choice")
        return np.array([[str(value)]])
    try:
        return np.array([[np.nan if value is None else value]], dtype=_DTYPES[kind])
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{name}: {error}") from error
