"""Brings new rows from the offline store into the online store, in intervals."""

from __future__ import annotations

import logging
import os
import time
from datetime import UTC, datetime

from feast import FeatureStore
from prometheus_client import Counter, Histogram, start_http_server

EVERY_S = float(os.environ.get("MATERIALIZE_EVERY_S", "300"))

log = logging.getLogger("materialize")
RUNS = Counter("materialize_runs_total", "Materializations by result", ["result"])
SECONDS = Histogram("materialize_seconds", "Duration of a materialization")


def main() -> None:
    """Materialize in intervals, for ever."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    start_http_server(9100)
    store = FeatureStore(repo_path="repo")
    while True:
        try:
            with SECONDS.time():
                store.materialize_incremental(end_date=datetime.now(UTC))
            RUNS.labels("success").inc()
        except Exception:
            RUNS.labels("failure").inc()
            log.exception("the features were not materialized")
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main()
