"""Metrics that MLflow does not export: whether the tracking server is up, and the age of the champion."""

from __future__ import annotations

import logging
import os
import time

import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from prometheus_client import Gauge, start_http_server

MLFLOW = os.environ["MLFLOW_TRACKING_URI"]
MODEL = os.environ.get("MODEL_NAME", "late-delivery")
ALIAS = os.environ.get("MODEL_ALIAS", "champion")
EVERY_S = float(os.environ.get("EXPORT_EVERY_S", "15"))

log = logging.getLogger("exporter")
UP = Gauge("mlflow_up", "Whether the tracking server says that it is healthy")
VERSION = Gauge("mlflow_champion_version", "The version that is the champion")
SINCE = Gauge("mlflow_champion_created_timestamp_seconds", "When the champion was registered")


def healthy() -> bool:
    """Ask the tracking server how it is."""
    try:
        return requests.get(f"{MLFLOW}/health", timeout=2).ok
    except requests.RequestException as error:
        log.warning("the tracking server does not answer: %s", error)
        return False


def main() -> None:
    """Look every so often, for ever."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    start_http_server(9100)
    registry = MlflowClient()
    while True:
        UP.set(healthy())
        try:
            champion = registry.get_model_version_by_alias(MODEL, ALIAS)
            VERSION.set(float(champion.version))
            SINCE.set(champion.creation_timestamp / 1000)
        except MlflowException as error:
            log.warning("the champion is not known: %s", error)
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main()
