"""What a guard in a container carries: all that reverts import, and nothing that they do not."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys

import pytest

from harness.guard.sidecar_image import _needed

IMPORT_ALL = """
import importlib, json, pkgutil, sys
before = set(sys.modules)  # what a file of site-packages imports at each start
import harness.guard.sidecar_main, harness.guard.heal
for package in ("faults", "seams", "backends", "guard", "journal"):
    found = importlib.import_module(f"harness.{package}")
    for one in pkgutil.walk_packages(found.__path__, f"harness.{package}."):
        if not one.name.endswith(("parquet", "__main__")):  # reverts put bytes back as they were
            importlib.import_module(one.name)
import docker, redis.asyncio, boto3, toxiproxy
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""


@pytest.mark.slow
def test_all_that_reverts_import_is_carried() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, timeout=120, check=True)
    owners = importlib.metadata.packages_distributions()
    imported = {owner.lower() for name in json.loads(done.stdout) for owner in owners.get(name, [])}
    carried = {one.name.lower() for one in _needed()}
    assert imported - carried - {"ml-chaos-harness"} == set()
    assert {"pydantic", "pydantic_core", "docker", "urllib3"} <= carried
    assert not carried & {"numpy", "pyarrow", "pytest"}
