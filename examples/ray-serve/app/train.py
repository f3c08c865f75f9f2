"""Trains the model once, and puts it on the volume of models.

In production the payments of a year are read here; in this example they are random, and a fixed rule decides which of
them are fraud.
"""

from __future__ import annotations

from pathlib import Path

import joblib
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split

MODEL = Path("/models/fraud.joblib")


def main() -> None:
    """Train."""
    rng = np.random.default_rng(0)
    usual, amount, countries = rng.uniform(10, 200, 5000), rng.exponential(150, 5000), rng.integers(1, 5, 5000)
    fraud = (amount > 4 * usual) | ((amount > 2 * usual) & (countries > 3))
    rows = np.column_stack([usual, amount, countries])
    rows, held_out, fraud, held_out_fraud = train_test_split(rows, fraud, test_size=0.2, random_state=0)
    model = HistGradientBoostingClassifier(max_iter=50).fit(rows, fraud)
    print(f"accuracy on held-out payments: {model.score(held_out, held_out_fraud):.3f}")
    joblib.dump(model, MODEL)


if __name__ == "__main__":
    main()
