"""Trains the model on what Feast knew at the time of each offer, and puts it on the volume of models."""

from __future__ import annotations

import logging
from pathlib import Path

import joblib
import pandas as pd
from feast import FeatureStore
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

COLUMNS = ["acceptance_rate", "idle_min", "trips_today", "pickup_km"]
MODEL = Path("/models/acceptance.joblib")


def main() -> None:
    """Train once."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    store = FeatureStore(repo_path="repo")
    offers = pd.read_parquet("/data/outcomes.parquet")
    rows = store.get_historical_features(entity_df=offers, features=store.get_feature_service("acceptance_v1")).to_df()
    train, held_out = train_test_split(rows, test_size=0.2, random_state=0)
    model = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), LogisticRegression())
    model.fit(train[COLUMNS], train.accepted)
    logging.info("accuracy on held-out offers: %.3f", model.score(held_out[COLUMNS], held_out.accepted))
    joblib.dump(model, MODEL)


if __name__ == "__main__":
    main()
