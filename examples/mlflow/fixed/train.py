"""The retraining job: trains on the latest deliveries, registers the model, and promotes it to champion if it is good.

Fixed: good on held-out rows, and on requests with known answers that do not depend on the landing zone.
It runs in a loop, because one job does not need a scheduler. The model server follows the alias.
"""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from deliveries import FEATURES, LABEL, last_batches, object_store
from mlflow import MlflowClient
from mlflow.models import infer_signature
from prometheus_client import Counter, Gauge, Histogram, start_http_server
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

MODEL = os.environ.get("MODEL_NAME", "late-delivery")
ALIAS = os.environ.get("MODEL_ALIAS", "champion")
EVERY_S = float(os.environ.get("RETRAIN_EVERY_S", "3600"))
BATCHES = int(os.environ.get("TRAIN_BATCHES", "20"))
MIN_ACCURACY = float(os.environ.get("MIN_ACCURACY", "0.9"))
GOLDEN = Path(os.environ.get("GOLDEN_REQUESTS", "/golden/requests.jsonl"))
MIN_GOLDEN = float(os.environ.get("MIN_GOLDEN", "0.99"))

log = logging.getLogger("trainer")
RUNS = Counter("retraining_runs_total", "Retrainings that were started")
FAILURES = Counter("retraining_failures_total", "Retrainings that failed")
REJECTED = Counter("retraining_rejected_total", "Models that were not good enough to be promoted")
LAST_SUCCESS = Gauge("retraining_last_success_timestamp_seconds", "When a retraining last succeeded")
ACCURACY = Gauge("retraining_accuracy", "Accuracy of the last trained model on the rows held out")
ROWS = Gauge("retraining_rows", "Rows that the last model was trained on")
DURATION = Histogram(
    "retraining_duration_seconds", "How long a retraining took", buckets=(0.5, 1, 2, 5, 10, 30, 60, 300)
)


def golden_share(model: Any) -> float:
    """Return the share of the golden requests that a model answers rightly."""
    asked = [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines()]
    rows = pd.DataFrame([request["body"]["dataframe_split"]["data"][0] for request in asked], columns=FEATURES)
    right = [request["expect"]["json"]["predictions.0"] for request in asked]
    return float((model.predict(rows) == right).mean())


@DURATION.time()
def retrain(s3: Any, registry: MlflowClient) -> None:
    """Train one model, log and register it, and promote it."""
    rows = last_batches(s3, BATCHES)
    train, test = train_test_split(rows, test_size=0.25, random_state=7)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(train[FEATURES], train[LABEL])
    accuracy = float(model.score(test[FEATURES], test[LABEL]))
    golden = golden_share(model)
    ROWS.set(len(train))
    ACCURACY.set(accuracy)
    with mlflow.start_run():
        mlflow.log_params({"rows": len(train), "batches": BATCHES})
        mlflow.log_metrics({"accuracy": accuracy, "golden": golden})
        logged = mlflow.sklearn.log_model(
            model,
            name="model",
            registered_model_name=MODEL,
            signature=infer_signature(test[FEATURES], model.predict(test[FEATURES])),
            pip_requirements="requirements.txt",
        )
    if accuracy < MIN_ACCURACY or golden < MIN_GOLDEN:
        REJECTED.inc()
        version = logged.registered_model_version
        log.warning("version %s is not promoted: accuracy %.3f, golden %.3f", version, accuracy, golden)
        return
    registry.set_registered_model_alias(MODEL, ALIAS, logged.registered_model_version)
    LAST_SUCCESS.set_to_current_time()
    log.info("version %s is the %s: accuracy %.3f", logged.registered_model_version, ALIAS, accuracy)


def main() -> None:
    """Retrain every so often, for ever."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    start_http_server(9100)
    # A new deployment has a full interval before it counts as stalled.
    LAST_SUCCESS.set_to_current_time()
    mlflow.set_experiment(MODEL)
    s3, registry = object_store(), MlflowClient()
    while True:
        RUNS.inc()
        try:
            retrain(s3, registry)
        except Exception:
            FAILURES.inc()
            log.exception("retraining failed")
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main()
