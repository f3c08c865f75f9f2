"""Writes a workload file from the source data: requests, true features as of each moment, outcomes.

One request a scheduled departure, sent about an hour of active event time before it, spread over ten
minutes by a hash of its id (schedules bunch on full hours). Truth comes from the data, never from services.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from refstack.dataset import Dataset, Flight, default_dir
from refstack.definitions import mean_delays
from refstack.eventtime import HOUR_S, SLOT_S, active, advance, event_at, hour_of, parse
from refstack.schema import DELAY, ENTITIES, GROUP_OF, GROUPS, LATE_MIN, WEATHER

HISTORY_S = 12 * 3600
LEAD_S = 3600
SPREAD_S = 600
SKEW = {"rtol": 1e-6, "atol": 1e-6}


def request_at(flight: Flight) -> int:
    """When the request is sent: 65 to 55 active minutes before the scheduled departure."""
    spread = zlib.crc32(flight.id.encode()) % SPREAD_S - SPREAD_S // 2
    return advance(flight.sched, spread - LEAD_S)


def body_of(flight: Flight) -> dict[str, Any]:
    return {
        "id": flight.id,
        "origin": flight.origin,
        "dest": flight.dest,
        "carrier": flight.carrier,
        "distance": flight.distance,
        "hour": flight.sched // HOUR_S % 24,
        "weekday": (flight.sched // 86_400 + 3) % 7,
        "scheduled": flight.sched,
    }


def requests(data: Dataset, start: int, end: int) -> list[dict[str, Any]]:
    low, high = data.between("flight_sched", start - SLOT_S, advance(end, LEAD_S + SPREAD_S))
    found = []
    for index in range(low, high):
        flight = data.flight(index)
        at = request_at(flight)
        if not start <= at < end:
            continue
        left = flight.delay_min is not None
        found.append(
            {
                "kind": "request",
                "id": flight.id,
                "at": at,
                "body": body_of(flight),
                "outcome": int(flight.delay_min >= LATE_MIN) if flight.delay_min is not None else None,
                "outcome_at": flight.sched + 60 * (flight.delay_min or 0) if left else None,
            }
        )
    found.sort(key=lambda line: (line["at"], line["id"]))
    return found


def truth(data: Dataset, start: int, end: int) -> Iterator[dict[str, Any]]:
    """What every group of every entity was, step by step, from well before the start."""
    since = advance(start, -HISTORY_S)
    slots = event_at(np.arange(active(since) // SLOT_S * SLOT_S, active(end) + 1, SLOT_S))
    low, high = data.between("departure_at", since - 3 * 86_400, end)
    at, flight = data["departure_at"][low:high], data["departure_flight"][low:high]
    origins, delays = data["flight_origin"][flight], data["flight_delay"][flight].astype(np.int64)
    columns = [mean_delays(at[origins == n], delays[origins == n], slots) for n in range(len(ENTITIES))]
    names = GROUPS[WEATHER]
    lines: list[tuple[int, dict[str, Any]]] = []
    for number, entity in enumerate(ENTITIES):
        for stamp, value in zip(slots.tolist(), columns[number].tolist(), strict=True):
            lines.append((stamp, {"entity": entity, "group": DELAY, "at": stamp, "values": {DELAY: value}}))
        first, last = data.between("weather_at", since - HOUR_S, end)
        for row in range(first, last):
            stamp = int(data["weather_at"][row])
            if event_at(active(stamp)) != stamp:
                continue  # the event clock skips the night, and its observations with it
            observed = dict(zip(names, data["weather_values"][row, number].tolist(), strict=True))
            lines.append((stamp, {"entity": entity, "group": WEATHER, "at": stamp, "values": observed}))
    lines.sort(key=lambda line: line[0])
    return ({"kind": "truth", **line} for _, line in lines)


USUAL_START = "2013-06-14T06:00"  # as compose.yaml has it where START_AT is not set


def write(data: Dataset, start: int, hours: int, out: Path) -> int:
    """Writes the file and returns the number of requests."""
    end = event_at(active(start) + hours * HOUR_S)
    sent = requests(data, start, end)
    header = {
        "kind": "workload",
        "schema": 1,
        "stack": "reference",
        "start": start,
        "end": end,
        "entity_field": "origin",
        "features": {name: {"group": group, **SKEW} for name, group in GROUP_OF.items()},
    }
    partial = out.with_name(out.name + ".part")
    with partial.open("w") as file:
        for line in (header, *truth(data, start, end), *sent):
            file.write(json.dumps(line) + "\n")
    partial.replace(out)
    return len(sent)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m refstack.workload", description=__doc__)
    parser.add_argument("--start", required=True, help="event time, ISO, New York local; empty for the usual one")
    parser.add_argument("--hours", required=True, type=int, help="active event hours")
    parser.add_argument("--out", required=True, type=Path)
    given = parser.parse_args()
    start = parse(given.start or USUAL_START)
    if event_at(active(start)) != start:
        parser.error(f"--start {given.start} lies in the night that the event clock skips (23:00-05:00)")
    if hour_of(start) >= hour_of(parse("2013-12-31T00:00")) - given.hours:
        parser.error("--start and --hours reach beyond the data of 2013")
    write(Dataset(default_dir()), start, given.hours, given.out)


if __name__ == "__main__":
    main()
