"""The source: statistics of the drivers who worked lately, one Parquet file per interval.

In production this is the export of a data warehouse that another team runs; here the drivers are random. Sixty of a
hundred work all day. The others come and go: an interval has one of them.
"""

from __future__ import annotations

import logging
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

EVERY_S = float(os.environ.get("SOURCE_EVERY_S", "300"))
KEEP_S = float(os.environ.get("SOURCE_KEEP_S", "172800"))
STATS, OUTCOMES = Path("/data/driver_stats"), Path("/data/outcomes.parquet")
DRIVERS = np.arange(1000, 1100)
FULL_TIME = DRIVERS[DRIVERS % 5 < 3]
PART_TIME = DRIVERS[DRIVERS % 5 >= 3]

log = logging.getLogger("source")


def stats(rng: np.random.Generator, drivers: np.ndarray, at: datetime) -> pd.DataFrame:
    """Return one row per driver: drivers with odd numbers like to accept, the others do not."""
    usual = np.where(drivers % 2 == 1, 0.8, 0.3)
    return pd.DataFrame(
        {
            "driver_id": drivers,
            "event_timestamp": pd.Timestamp(at),
            "acceptance_rate": pd.Series(usual + rng.normal(0, 0.03, len(drivers))).clip(0, 1).astype("float32"),
            "idle_min": pd.Series(rng.exponential(6, len(drivers))).astype("float32"),
            "trips_today": rng.integers(0, 20, len(drivers)),
        }
    )


def outcomes(rng: np.random.Generator, history: pd.DataFrame) -> pd.DataFrame:
    """Return offers after the rows of a history, and whether the driver accepted; the training reads them."""
    pickup_km = rng.uniform(0.5, 6, len(history)).round(1)
    wish = 12 * (history.acceptance_rate - 0.55) - 0.4 * (pickup_km - 3) + rng.logistic(0, 0.3, len(history))
    return pd.DataFrame(
        {
            "driver_id": history.driver_id,
            "event_timestamp": history.event_timestamp + timedelta(minutes=1),
            "pickup_km": pickup_km,
            "accepted": (wish > 0).astype("int64"),
        }
    )


def write(frame: pd.DataFrame, path: Path) -> None:
    """Write a file as a whole: readers see all of it or nothing."""
    unfinished = path.with_name(f".{path.name}")
    frame.to_parquet(unfinished, index=False)
    unfinished.rename(path)


def backfill(rng: np.random.Generator) -> None:
    """Write what happened before the first start: two days with all drivers, and what became of their offers."""
    STATS.mkdir(exist_ok=True)
    days = [stats(rng, DRIVERS, datetime.now(UTC) - timedelta(hours=hours)) for hours in range(2, 50, 2)]
    history = pd.concat(days, ignore_index=True)
    write(outcomes(rng, history), OUTCOMES)
    write(history, STATS / "backfill.parquet")


def main() -> None:
    """Write a file per interval, for ever."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    rng = np.random.default_rng()
    if not OUTCOMES.exists():
        backfill(rng)
    while True:
        at = datetime.now(UTC)
        drivers = np.append(FULL_TIME, rng.choice(PART_TIME))
        write(stats(rng, drivers, at), STATS / f"{time.time_ns()}.parquet")
        for path in STATS.glob("[0-9]*.parquet"):
            if path.stat().st_mtime < time.time() - KEEP_S:
                path.unlink()
        log.info("statistics of %d drivers", len(drivers))
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main()
