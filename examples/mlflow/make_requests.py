"""Writes requests with expected answers: `python make_requests.py > requests.jsonl`.

All are about deliveries that are clearly late or clearly on time: every well-trained model agrees on them.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from typing import Any

COLUMNS = ("distance_km", "stops", "rain_mm", "promised_h")
PLAINLY_H = 2.0


def needed_h(distance_km: float, stops: float, rain_mm: float) -> float:
    """Return how long a delivery takes on average; the depot's rule of thumb."""
    return distance_km / 30 + 0.4 * stops + 0.2 * rain_mm


def requests(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yield requests, late ones and others in turn."""
    rng = random.Random(seed)
    for number in range(count):
        late = number % 2 == 1
        while True:
            distance_km, stops = round(rng.uniform(5, 400), 1), float(rng.randint(0, 14))
            rain_mm, promised_h = round(rng.uniform(0, 9), 1), float(rng.randint(2, 24))
            over_h = needed_h(distance_km, stops, rain_mm) - promised_h
            if (over_h > PLAINLY_H) if late else (over_h < -PLAINLY_H):
                break
        yield {
            "id": f"delivery-{number:04}",
            "body": {"dataframe_split": {"columns": COLUMNS, "data": [[distance_km, stops, rain_mm, promised_h]]}},
            "expect": {"status": 200, "json": {"predictions.0": int(late)}},
        }


def main() -> None:
    """Write as many as are asked for."""
    parser = argparse.ArgumentParser(description="Writes requests with the answers that are right, as JSON lines.")
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    for request in requests(asked.count, asked.seed):
        print(json.dumps(request))


if __name__ == "__main__":
    main()
