"""Tries to restore every checkpoint in the object store and prints a JSON line for each.

Exit status 0 when the store was read, whatever the checkpoints are worth; 1 when it could not be.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

from prometheus_client import CollectorRegistry

from refstack.checkpoints import CheckpointError, load
from refstack.objects import MissingObject, ObjectStore, StoreError

READ_S = "2"
"""How long a read may take, in seconds: nobody waits for it, and the machine may be busy."""


def check(store: ObjectStore) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for key in store.keys("checkpoints/"):
        try:
            load(store.get(key))
        except MissingObject:
            continue  # removed by the trainer since it was listed
        except CheckpointError as error:  # a store that does not answer says nothing of what it holds
            found.append({"key": key, "ok": False, "error": str(error)})
        else:
            found.append({"key": key, "ok": True, "error": None})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m refstack.restore", description=__doc__)
    for name in ("endpoint", "access-key", "secret-key"):
        setting = f"S3_{name.upper().replace('-', '_')}"
        parser.add_argument(f"--{name}", dest=setting, help=f"instead of the environment's {setting}")
    os.environ.update({name: value for name, value in vars(parser.parse_args()).items() if value})
    os.environ.setdefault("S3_READ_TIMEOUT", READ_S)
    try:
        for line in check(ObjectStore(CollectorRegistry())):
            sys.stdout.write(json.dumps(line) + "\n")
    except StoreError as error:
        raise SystemExit(f"the object store cannot be read: {error}") from None


if __name__ == "__main__":
    main()
