"""What a process does before its first run, so that no run waits for it: imports, and threads to wait in.

An import in the middle of a run holds the interpreter for a quarter of a second, and the harness is late.
"""

from __future__ import annotations

import contextlib
import importlib
from concurrent.futures import ThreadPoolExecutor

THREADS = 32
_NEEDED = ("boto3", "redis.asyncio", "pyarrow.parquet", "onnxruntime", "requests", "toxiproxy", "docker")


def warm_up() -> None:
    """Import what runs need and import late themselves; what is not installed is not needed by this stack."""
    for module in _NEEDED:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)


def waiting_threads() -> ThreadPoolExecutor:
    """Return an executor with more threads than cores: they only wait, for stores and proxies slow on purpose."""
    return ThreadPoolExecutor(THREADS, thread_name_prefix="waiting")
