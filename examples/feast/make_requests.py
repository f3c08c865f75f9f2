"""Writes requests with expected answers: `python make_requests.py > requests.jsonl`.

The pickup is neither near nor far, so the driver decides: odd numbers like to accept. Every well-trained model agrees,
as long as it knows the driver.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from typing import Any

DRIVERS = range(1000, 1100)


def requests(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yield requests about all drivers, in random order, again and again."""
    rng = random.Random(seed)
    drivers: list[int] = []
    for number in range(count):
        if not drivers:
            drivers = rng.sample(DRIVERS, len(DRIVERS))
        driver = drivers.pop()
        yield {
            "id": f"offer-{number:04}",
            "body": {"driver_id": driver, "pickup_km": round(rng.uniform(2.7, 3.3), 1)},
            "expect": {"status": 200, "json": {"driver_id": driver, "accepts": driver % 2}},
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
