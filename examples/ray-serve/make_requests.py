"""Writes requests with expected answers: `python make_requests.py > requests.jsonl`.

Every second payment is six times what its customer usually pays, the others one and a half times:
every well-trained model agrees, as long as it knows the customer.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from typing import Any


def requests(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yield requests, fraud and others in turn."""
    rng = random.Random(seed)
    for number in range(count):
        customer, fraud = rng.randrange(1000), number % 2 == 1
        amount = (10 + customer * 7 % 190) * (6 if fraud else 1.5)
        yield {
            "id": f"payment-{number:04}",
            "body": {"customer": customer, "amount": amount},
            "expect": {"status": 200, "json": {"fraud": int(fraud)}},
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
