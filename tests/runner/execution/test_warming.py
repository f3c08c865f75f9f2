"""What a run imports before it starts: what its stack and plan use, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from harness.description.stackfile import resolve_stack
from harness.model.plan import Plan
from harness.model.stack import StackDescription
from harness.runner.execution.warming import modules_for
from harness.runner.loading.load import load_file
from harness.runner.planning.plan import make_plans

ROOT = Path(__file__).parents[3]
HEAVY = ("numpy", "boto3", "botocore", "pyarrow", "onnxruntime", "redis", "docker", "requests", "toxiproxy")


def planned(scenario: str, stack: str, backend: str = "local") -> tuple[Plan, StackDescription]:
    description = resolve_stack(str(ROOT / stack))
    (plan,) = make_plans(load_file(ROOT / scenario), description, seed=1, twin=None, backend=backend)
    return plan, description


def test_a_small_stack_needs_what_its_proxy_takes_alone() -> None:
    tiny = ("benchmarks/tiny_stack/slow-link.scenario.yaml", "benchmarks/tiny_stack/compose.yaml")
    assert modules_for(*planned(*tiny)) == ["toxiproxy", "prometheus_client.parser"]
    assert modules_for(*planned(*tiny, backend="compose")) == ["toxiproxy", "docker", "prometheus_client.parser"]


def test_the_reference_stack_needs_its_stores_and_models() -> None:
    found = set(modules_for(*planned("scenarios/features/corrupted-features.scenario.yaml", "compose/compose.yaml")))
    assert {"boto3", "pyarrow.parquet", "numpy", "onnxruntime", "redis.asyncio", "prometheus_client.parser"} <= found
    assert not {"docker", "pandas"} & found


def test_the_process_of_a_run_starts_without_the_clients_of_stores() -> None:
    code = f"import sys, harness.runner.execution.worker; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_reading_parquet_does_not_import_pandas() -> None:
    code = (
        "import io, sys, pyarrow.parquet as pq, pyarrow as pa; from harness.seams.parquet import ParquetRows; "
        "sink = io.BytesIO(); schema = pa.schema([('a', pa.int64())]); "
        "pq.ParquetWriter(sink, schema).close(); before = 'pandas' in sys.modules; "
        "rows = ParquetRows(); rows.read(sink.getvalue()); rows.columns(sink.getvalue(), ('a',)); "
        "print(before, 'pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False", "False"]
