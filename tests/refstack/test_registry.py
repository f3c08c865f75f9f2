"""The gate on real artefacts, and the promotion pointer."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refstack import model
from refstack.gate import Golden, refuse
from refstack.model import Weights, digest_of
from refstack.promotions import PromotionError, PromotionHistory, Version
from refstack.scoring import Encoder, Scorer

BOUND = 0.6


def load_preprocessing(root: Path) -> Any:
    """Return the fitted ColumnTransformer."""
    return pickle.loads((root / "preprocessing.pkl").read_bytes())


@pytest.fixture(scope="module")
def golden(root: Path) -> Golden:
    return Golden.load(root)


@pytest.fixture(scope="module")
def weights(root: Path) -> Weights:
    return Weights.from_json(json.loads((root / "weights-1.json").read_text()))


def exported(root: Path, weights: Weights) -> bytes:
    return model.export(load_preprocessing(root), weights)


def test_a_graph_with_other_weights_is_the_one_that_skl2onnx_makes_of_them(root: Path, weights: Weights) -> None:
    other = replace(weights, coef=tuple(value * 0.9 + 0.01 for value in weights.coef), intercept=0.25)
    made = model.reweighted((root / "model-1.onnx").read_bytes(), other)
    columns = json.loads((root / "golden.json").read_text())["columns"]
    expected = Scorer(exported(root, other)).many(columns)
    assert np.array_equal(Scorer(made).many(columns), expected)
    assert not np.array_equal(Scorer((root / "model-1.onnx").read_bytes()).many(columns), expected)


def test_a_worker_learns_what_scikit_learn_does_from_the_same_rows_in_the_same_order(
    root: Path, weights: Weights
) -> None:
    golden = json.loads((root / "golden.json").read_text())
    columns = {name: values[:200] for name, values in golden["columns"].items()}
    labels = np.array(golden["labels"][:200])
    encoded = Encoder(model.encoding((root / "model-1.onnx").read_bytes())).many(columns)
    expected = load_preprocessing(root).transform(model.table(columns)).astype(float)
    assert np.allclose(encoded, expected, atol=1e-5)
    learned = model.learn(encoded, weights, labels.tolist(), seed=3)
    order = np.random.default_rng(3).permutation(len(labels))
    theirs = model.classifier(weights, encoded.shape[1], shuffle=False)
    theirs.partial_fit(encoded[order], labels[order], classes=np.array([0, 1]))
    assert np.allclose(learned.coef, theirs.coef_[0], atol=1e-9)
    assert learned.intercept == pytest.approx(float(theirs.intercept_[0]), abs=1e-9)
    assert not np.allclose(learned.coef, weights.coef, atol=1e-4)


def test_the_bootstrap_model_passes(root: Path, golden: Golden) -> None:
    data = (root / "model-1.onnx").read_bytes()
    assert refuse(data, digest_of(data), golden, BOUND) is None


def test_an_altered_artefact_is_refused(root: Path, golden: Golden) -> None:
    data = (root / "model-1.onnx").read_bytes()
    assert "digest" in str(refuse(data[:-1] + b"x", digest_of(data), golden, BOUND))
    torn = data[: len(data) // 2]
    assert "does not score" in str(refuse(torn, digest_of(torn), golden, BOUND))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda w: replace(w, coef=(float("nan"),) * len(w.coef)), "not finite"),
        (lambda w: replace(w, coef=(0.0,) * len(w.coef)), "constant"),
        (lambda w: replace(w, coef=tuple(-value for value in w.coef)), "log loss"),
        (lambda w: replace(w, intercept=w.intercept + 4), "log loss"),
    ],
)
def test_bad_weights_are_refused(root: Path, golden: Golden, weights: Weights, change, reason: str) -> None:
    data = exported(root, change(weights))
    assert reason in str(refuse(data, digest_of(data), golden, BOUND))


def version(number: int, parent: int | None) -> Version:
    return Version(number, f"sha256:{number}", parent, number * 3600, 10)


def test_promotion_rejection_rollback_and_history() -> None:
    state = PromotionHistory()
    assert state.decide(version(1, None), None, 0)
    assert state.decide(version(2, 1), None, 10)
    assert not state.decide(version(3, 2), "too bad", 20)
    assert state.pointer()["version"] == 2
    assert state.next_version == 4
    assert not state.decide(version(4, 1), None, 25)  # made from what is not promoted any more
    assert state.rollback(None, 30, "looks wrong").version == 1
    assert [(item["seq"], item["version"], item["action"]) for item in state.history] == [
        (1, 1, "promote"),
        (2, 2, "promote"),
        (3, 3, "reject"),
        (4, 4, "reject"),
        (5, 1, "rollback"),
    ]
    assert state.pointer()["promoted_at"] == 30
    with pytest.raises(PromotionError, match="no version"):
        state.rollback(None, 40, None)
    assert PromotionHistory.load(state.dump()) == state


def test_offering_the_same_version_twice_changes_nothing() -> None:
    state = PromotionHistory()
    state.decide(version(1, None), None, 0)
    assert state.decide(version(1, None), "whatever", 5)
    assert state.seq == 1
    with pytest.raises(PromotionError):
        state.decide(replace(version(1, None), digest="sha256:other"), None, 5)


def test_shards_are_mixed_by_their_sizes() -> None:
    mixed = model.mix([(Weights((0.0, 4.0), 1.0), 1), (Weights((4.0, 0.0), 5.0), 3)])
    assert mixed == Weights((3.0, 1.0), 4.0)


def test_learning_from_real_rows_moves_the_weights_and_keeps_them_finite(root: Path, weights: Weights) -> None:
    golden = json.loads((root / "golden.json").read_text())
    columns = {name: values[:100] for name, values in golden["columns"].items()}
    encoded = Encoder(model.encoding((root / "model-1.onnx").read_bytes())).many(columns)
    learned = model.learn(encoded, weights, golden["labels"][:100])
    assert learned != weights
    assert Weights.from_json(learned.as_json()) == learned
