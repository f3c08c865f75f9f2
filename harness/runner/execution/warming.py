"""Imports and threads that a run needs, made before it starts: an import in the middle of a run makes the harness late.

Only what the plan and its stack use is imported. A stack without stores, links or models needs none of it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import sys
from concurrent.futures import ThreadPoolExecutor

from harness.model.plan import Plan
from harness.model.stack import StackDescription

THREADS = 32
SWITCH_S = 0.0005
"""How long a thread keeps the interpreter while others want it; ten times shorter than usual."""


def modules_for(plan: Plan, stack: StackDescription) -> list[str]:
    """Return the modules that parts of the harness import on first use and that this run may use."""
    integrity = stack.integrity
    kinds = {probe.kind for probe in stack.probes.values()}
    wanted = {
        "toxiproxy": bool(plan.links),
        "docker": plan.backend != "local",
        "boto3": bool(stack.datasets) or integrity.store is not None or "s3" in kinds,
        "pyarrow.parquet": bool(stack.datasets) or integrity.examples is not None,
        # pyarrow imports it, where it is installed, when rows are written for the first time.
        "pandas": any(step.target.dataset is not None for step in plan.scenario.timeline),
        "numpy": integrity.models is not None,
        "onnxruntime": integrity.models is not None,
        "grpclib.client": "grpc" in kinds
        or any(one.health and one.health.grpc is not None for one in stack.services.values()),
        "kafka.admin": "kafka_lag" in kinds,
        "pymongo": "mongo" in kinds,
        "redis.asyncio": "redis" in kinds or bool(stack.keyspaces),
        "prometheus_client.parser": "metric" in kinds or bool(stack.alert_sources) or bool(plan.links),
        "harness.probes.webhook": any(source.kind == "webhook" for source in stack.alert_sources),
    }
    return [name for name, needed in wanted.items() if needed]


def warm_up(plan: Plan, stack: StackDescription) -> None:
    """Import what this run needs. What is not installed is reported where it is used, with the remedy."""
    missing = [name for name in modules_for(plan, stack) if name not in sys.modules]
    for name in missing:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    if "boto3" in missing:
        with contextlib.suppress(ImportError):
            importlib.import_module("harness.seams.objects").warm_up()
    if missing:
        # Objects of the imports live as long as the process; collections would pause the run to look at them.
        gc.collect()
        gc.freeze()


def waiting_threads() -> ThreadPoolExecutor:
    """Return an executor with more threads than cores: they mostly wait, for stores and proxies slow on purpose.

    What they do of their own, such as reading an engine's answers, must not hold up the loop that sends requests: it
    gives up the interpreter at every send and receive, and would wait for it each time.
    """
    sys.setswitchinterval(SWITCH_S)
    return ThreadPoolExecutor(THREADS, thread_name_prefix="waiting")
