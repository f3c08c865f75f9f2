"""The landing zone of the delivery records: location, columns, and how to read the latest ones.

A batch is one Parquet object under landing/, named by the time it was written, so that keys sort by time.
"""

from __future__ import annotations

import io
import os
from typing import Any

import boto3
import pandas as pd

BUCKET = os.environ.get("DELIVERIES_BUCKET", "deliveries")
PREFIX = "landing/"
FEATURES = ["distance_km", "stops", "rain_mm", "promised_h"]
LABEL = "late"


def object_store() -> Any:
    """Return an S3 client; keys and region come from the usual AWS_ variables."""
    return boto3.client("s3", endpoint_url=os.environ["S3_ENDPOINT"])


def batch_keys(s3: Any) -> list[str]:
    """Return the keys of all batches, the oldest first."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=PREFIX)
    return sorted(item["Key"] for page in pages for item in page.get("Contents", []))


def last_batches(s3: Any, count: int) -> pd.DataFrame:
    """Return the rows of the last batches."""
    keys = batch_keys(s3)[-count:]
    if not keys:
        raise LookupError("there are no deliveries yet")
    bodies = (s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys)
    return pd.concat([pd.read_parquet(io.BytesIO(body)) for body in bodies], ignore_index=True)
