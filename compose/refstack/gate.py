"""The validation gate: what a model must show on a golden hold-out before it may be promoted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from refstack.model import digest_of
from refstack.scoring import Scorer

LEAST_SPREAD = 1e-3


@dataclass(frozen=True)
class Golden:
    columns: dict[str, list[Any]]
    labels: list[int]

    @classmethod
    def load(cls, root: Path) -> Golden:
        value = json.loads((root / "golden.json").read_text())
        return cls(value["columns"], value["labels"])


def log_loss(labels: list[int], scores: Any) -> float:
    clipped = np.clip(np.asarray(scores, dtype=np.float64), 1e-7, 1 - 1e-7)
    truth = np.asarray(labels)
    return float(-np.mean(truth * np.log(clipped) + (1 - truth) * np.log(1 - clipped)))


def refuse(data: bytes, digest: str, golden: Golden, bound: float) -> str | None:
    """Why this artefact must not be promoted, or None."""
    if digest_of(data) != digest:
        return f"the artefact's digest is {digest_of(data)}, not {digest}"
    try:
        scores = Scorer(data).many(golden.columns)
    except Exception as error:  # noqa: BLE001  # onnxruntime raises what it likes on a bad file
        return f"does not score: {type(error).__name__}: {str(error)[:200]}"
    if not np.isfinite(scores).all():
        return "scores are not finite"
    if float(np.std(scores)) < LEAST_SPREAD:
        return f"scores are constant ({float(np.mean(scores)):.4f})"
    loss = log_loss(golden.labels, scores)
    return f"log loss {loss:.4f} on the golden hold-out is above {bound}" if loss > bound else None
