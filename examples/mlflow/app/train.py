"""The retraining job: trains on the latest deliveries, registers the model, and promotes it to champion if it is good.

It runs in a loop, because one job does not need a scheduler. The model server follows the alias.
"""

from __future__ import annotations

import logging
import os
import time
from typing import Any

import mlflow
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


@DURATION.time()
def retrain(s3: Any, registry: MlflowClient) -> None:
    """Train one model, log and register it, and promote it."""
    rows = last_batches(s3, BATCHES)
    train, test = train_test_split(rows, test_size=0.25, random_state=7)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(train[FEATURES], train[LABEL])
    accuracy = float(model.score(test[FEATURES], test[LABEL]))
    ROWS.set(len(train))
    ACCURACY.set(accuracy)
    with mlflow.start_run():
        mlflow.log_params({"rows": len(train), "batches": BATCHES})
        mlflow.log_metric("accuracy", accuracy)
        logged = mlflow.sklearn.log_model(
            model,
            name="model",
            registered_model_name=MODEL,
            signature=infer_signature(test[FEATURES], model.predict(test[FEATURES])),
            pip_requirements="requirements.txt",
        )
    if accuracy < MIN_ACCURACY:
        REJECTED.inc()
        log.warning("version %s is not promoted: accuracy %.3f", logged.registered_model_version, accuracy)
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
