"""Keeps the profiles of customers in Redis up to date: what a customer usually pays, and in how many countries."""

from __future__ import annotations

import os
import time

import redis

EVERY_S = float(os.environ.get("LOADER_EVERY_S", "300"))
CUSTOMERS = range(1000)


def main() -> None:
    """Write all profiles in intervals, for ever."""
    store = redis.Redis.from_url(os.environ["PROFILES_URL"])
    while True:
        batch = store.pipeline()
        for customer in CUSTOMERS:
            profile = {"usual": 10 + customer * 7 % 190, "countries": 1 + customer % 3, "updated_at": time.time()}
            batch.hset(f"customer:{customer}", mapping=profile)
        # Fixed: a store that does not answer does not end the loader.
        try:
            batch.execute()
            print(f"{len(CUSTOMERS)} profiles", flush=True)
        except redis.RedisError as error:
            print(f"the profiles were not written: {error}", flush=True)
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main()
