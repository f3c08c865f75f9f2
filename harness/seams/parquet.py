"""Parquet objects as rows, and rows back into an object of the same schema and metadata."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from harness.model.errors import FaultError


class ParquetRows:
    """Reads and rewrites whole Parquet objects."""

    def read(self, data: bytes) -> list[dict[str, Any]]:
        """Return the rows. Raises FaultError where the bytes are no Parquet."""
        try:
            rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(data), use_threads=False).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise FaultError(f"not a Parquet object: {error}") from error
        return rows

    def rewrite(self, data: bytes, rows: list[dict[str, Any]]) -> bytes:
        """Return an object with these rows and the schema and metadata of the original."""
        schema = pq.read_schema(io.BytesIO(data))
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink)
        return sink.getvalue()
