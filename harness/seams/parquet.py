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
            # Not `read_table`: it imports pandas where that is installed, half a second in the middle of a run.
            rows: list[dict[str, Any]] = pq.ParquetFile(io.BytesIO(data)).read(use_threads=False).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise FaultError(f"not a Parquet object: {error}") from error
        return rows

    def columns(self, data: bytes, names: tuple[str, ...]) -> dict[str, list[Any]]:
        """Return some columns, as far as they are there. Raises FaultError where the bytes are no Parquet."""
        try:
            file = pq.ParquetFile(io.BytesIO(data))
            there = [name for name in names if name in file.schema_arrow.names]
            found: dict[str, list[Any]] = file.read(columns=there, use_threads=False).to_pydict()
        except (pa.ArrowException, OSError) as error:
            raise FaultError(f"not a Parquet object: {error}") from error
        return found

    def rewrite(self, data: bytes, rows: list[dict[str, Any]]) -> bytes:
        """Return an object with these rows and the schema and metadata of the original. Raises FaultError."""
        sink = io.BytesIO()
        try:
            schema = pq.read_schema(io.BytesIO(data))
            pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink)
        except (pa.ArrowException, OSError) as error:
            raise FaultError(f"the rows do not fit the object's schema: {error}") from error
        return sink.getvalue()
