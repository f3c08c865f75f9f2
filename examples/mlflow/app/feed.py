"""The feed: writes newly completed deliveries to the landing zone in batches.

In production this reads the depot's system; here deliveries are random, and a fixed rule decides whether they are late.
"""

from __future__ import annotations

import io
import logging
import os
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from deliveries import BUCKET, PREFIX, batch_keys, object_store
from prometheus_client import Counter, start_http_server

EVERY_S = float(os.environ.get("FEED_EVERY_S", "60"))
ROWS = int(os.environ.get("FEED_ROWS", "100"))
BACKFILL = int(os.environ.get("FEED_BACKFILL_BATCHES", "20"))
KEEP = int(os.environ.get("FEED_KEEP_BATCHES", "500"))

log = logging.getLogger("feed")
ROWS_WRITTEN = Counter("feed_rows_written_total", "Delivery records put into the landing zone")
ERRORS = Counter("feed_errors_total", "Batches that could not be written")


def completed_deliveries(rng: np.random.Generator, rows: int, at: float) -> pd.DataFrame:
    """Return records of deliveries; one in some fifty is late, or not, for a reason that no feature tells."""
    frame = pd.DataFrame(
        {
            "delivery": [uuid.uuid4().hex for _ in range(rows)],
            "delivered_at": np.full(rows, int(at), dtype=np.int64),
            "distance_km": rng.uniform(5, 400, rows).round(1),
            "stops": rng.integers(0, 15, rows).astype(float),
            "rain_mm": rng.exponential(3.0, rows).round(1),
            "promised_h": rng.integers(2, 25, rows).astype(float),
        }
    )
    needed_h = frame.distance_km / 30 + 0.4 * frame.stops + 0.2 * frame.rain_mm + rng.normal(0, 0.3, rows)
    frame["late"] = (needed_h > frame.promised_h).astype(np.int64)
    return frame


def write(s3: Any, frame: pd.DataFrame) -> None:
    """Put one batch into the landing zone, and take the oldest ones away."""
    body = io.BytesIO()
    frame.to_parquet(body, index=False)
    key = f"{PREFIX}{datetime.now(UTC):%Y%m%dT%H%M%S.%f}.parquet"
    s3.put_object(Bucket=BUCKET, Key=key, Body=body.getvalue())
    ROWS_WRITTEN.inc(len(frame))
    for old in batch_keys(s3)[:-KEEP]:
        s3.delete_object(Bucket=BUCKET, Key=old)


def main() -> None:
    """Write a batch every so often, for ever; at the very first start, some history."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    start_http_server(9100)
    rng = np.random.default_rng()
    s3 = object_store()
    if not batch_keys(s3):
        for _ in range(BACKFILL):
            write(s3, completed_deliveries(rng, ROWS, time.time()))
    while True:
        try:
            write(s3, completed_deliveries(rng, ROWS, time.time()))
        except Exception:
            ERRORS.inc()
            log.exception("the batch was not written; its deliveries are lost")
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main()
