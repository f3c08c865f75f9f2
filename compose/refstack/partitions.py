"""Partitions: hours of rows as Parquet, each with a digest of its rows in the footer.

The digest lets a reader refuse a partition whose rows are not those that were written, whatever changed them.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from refstack.eventtime import hour_name, hour_number
from refstack.schema import FEATURES, GROUPS, stamp_field


class _Absent(MetaPathFinder):
    """Finds no pandas while pyarrow looks for it, which it does once, at its first conversion.

    Otherwise every service would spend a second of CPU on importing it, for types that none of them uses.
    """

    def find_spec(self, name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(f"{name} is not for services", name=name)


def _look_for_pandas_in_vain() -> None:
    absent = _Absent()
    sys.meta_path.insert(0, absent)
    try:
        pa.array([])
    finally:
        sys.meta_path.remove(absent)


_look_for_pandas_in_vain()

Row = dict[str, Any]
_DIGEST = b"rows_sha256"
_VALUES = [(name, pa.float64()) for name in FEATURES]

FEATURE_ROWS = pa.schema([("entity", pa.string()), ("group", pa.string()), ("event_time", pa.int64()), *_VALUES])
TRAINING_ROWS = pa.schema(
    [
        ("id", pa.string()),
        ("label", pa.int8()),
        ("matured_at", pa.int64()),
        ("entity", pa.string()),
        ("carrier", pa.string()),
        ("distance", pa.float64()),
        ("hour", pa.int64()),
        ("weekday", pa.int64()),
        *_VALUES,
        *((stamp_field(group), pa.int64()) for group in GROUPS),
        ("model_version", pa.int64()),
    ]
)
QUARANTINE_ROWS = TRAINING_ROWS.append(pa.field("reason", pa.string()))


class PartitionError(Exception):
    """A partition cannot be read, or its rows are not those that were written."""


def rows_digest(rows: Sequence[Row], schema: pa.Schema) -> str:
    plain = [[row.get(name) for name in schema.names] for row in rows]
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()


def encode(rows: Sequence[Row], schema: pa.Schema) -> bytes:
    table = pa.Table.from_pylist(list(rows), schema=schema)
    table = table.replace_schema_metadata({_DIGEST: rows_digest(rows, schema).encode()})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="snappy", use_dictionary=False, write_statistics=False)
    return sink.getvalue()


def decode(data: bytes, schema: pa.Schema, verify: bool = True) -> list[Row]:
    try:
        table = pq.read_table(io.BytesIO(data), use_threads=False)
        rows: list[Row] = table.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise PartitionError(f"not readable: {error}") from error
    if verify:
        written = (table.schema.metadata or {}).get(_DIGEST, b"").decode()
        if table.schema.names != schema.names:
            raise PartitionError(f"columns {table.schema.names} are not {schema.names}")
        if written != rows_digest(rows, schema):
            raise PartitionError("its rows are not those that were written")
    return rows


def features_key(hour: int) -> str:
    return f"features/{hour_name(hour)}.parquet"


def training_key(hour: int) -> str:
    return f"training/{hour_name(hour)}.parquet"


def quarantine_key(hour: int) -> str:
    return f"quarantine/{hour_name(hour)}.parquet"


def hour_of_key(key: str) -> int:
    """The hour of a partition's key."""
    return hour_number(key.rpartition("/")[2].removesuffix(".parquet"))
