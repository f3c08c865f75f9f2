"""Brings new rows from the offline store into the online store, in intervals."""

from __future__ import annotations

import logging
import os
import time
from datetime import UTC, datetime, timedelta

import pandas as pd
from feast import FeatureStore
from prometheus_client import Counter, Gauge, Histogram, start_http_server

EVERY_S = float(os.environ.get("MATERIALIZE_EVERY_S", "300"))

log = logging.getLogger("materialize")
RUNS = Counter("materialize_runs_total", "Materializations by result", ["result"])
# Fixed: what is in the online store, instead of only that the job ran.
NEWEST = Gauge("features_newest_event_timestamp_seconds", "Event time of the newest row in the online store")
MISSING = Gauge("features_missing_drivers", "Drivers of the offline store without features in the online store")
SECONDS = Histogram("materialize_seconds", "Duration of a materialization")


def online_state(store: FeatureStore) -> tuple[int, float]:
    """Read the online store: how many drivers are missing, and the newest event time."""
    drivers = pd.read_parquet("/data/driver_stats", columns=["driver_id"]).driver_id.unique()
    rows = store.get_online_features(
        features=["driver_stats:acceptance_rate"], entity_rows=[{"driver_id": int(driver)} for driver in drivers]
    ).to_dict(include_event_timestamps=True)
    missing = sum(value is None for value in rows["acceptance_rate"])
    return missing, float(max(rows["acceptance_rate__ts"]))


def main() -> None:
    """Materialize in intervals, for ever."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    start_http_server(9100)
    store = FeatureStore(repo_path="repo")
    while True:
        try:
            with SECONDS.time():
                store.materialize_incremental(end_date=datetime.now(UTC))
                missing, newest = online_state(store)
                if missing:
                    # Fixed: an incremental run never repeats old rows; an online store that lost them needs all.
                    log.warning("%d drivers are missing in the online store", missing)
                    store.materialize(datetime.now(UTC) - timedelta(days=7), datetime.now(UTC))
                    missing, newest = online_state(store)
            MISSING.set(missing)
            NEWEST.set(newest)
            RUNS.labels("success").inc()
        except Exception:
            RUNS.labels("failure").inc()
            log.exception("the features were not materialized")
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main()
