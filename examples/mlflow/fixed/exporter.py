"""Metrics that MLflow does not export: whether the tracking server works, and the age of the champion.

Fixed: it works if it answers a query that needs its database; its /health succeeds without one.
"""

from __future__ import annotations

import logging
import os
import time

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from prometheus_client import Gauge, start_http_server

MODEL = os.environ.get("MODEL_NAME", "late-delivery")
ALIAS = os.environ.get("MODEL_ALIAS", "champion")
EVERY_S = float(os.environ.get("EXPORT_EVERY_S", "15"))

log = logging.getLogger("exporter")
UP = Gauge("mlflow_up", "Whether the tracking server answers questions")
VERSION = Gauge("mlflow_champion_version", "The version that is the champion")
SINCE = Gauge("mlflow_champion_created_timestamp_seconds", "When the champion was registered")


def main() -> None:
    """Look every so often, for ever."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    start_http_server(9100)
    registry = MlflowClient()
    while True:
        try:
            champion = registry.get_model_version_by_alias(MODEL, ALIAS)
            VERSION.set(float(champion.version))
            SINCE.set(champion.creation_timestamp / 1000)
            UP.set(True)
        except MlflowException as error:
            log.warning("the champion is not known: %s", error)
            UP.set(error.error_code == "RESOURCE_DOES_NOT_EXIST")  # an answer, before the first model is there
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main()
