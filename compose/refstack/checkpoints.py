"""Checkpoints: JSON with a digest of itself, so that a torn or altered one is refused, not resumed from.

`checkpoints/v<version>.json` holds the weights of a version; `checkpoints/job-<version>-<n>.json` what the
shards of a running job have brought so far.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from refstack.model import Weights


class CheckpointError(Exception):
    """A checkpoint cannot be restored; the message has the reason."""


def version_key(version: int) -> str:
    return f"checkpoints/v{version:06d}.json"


def job_key(version: int, step: int) -> str:
    return f"checkpoints/job-{version:06d}-{step:03d}.json"


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def dump(body: Mapping[str, Any]) -> bytes:
    return json.dumps({"sha256": _digest(body), "body": body}).encode()


def load(data: bytes) -> dict[str, Any]:
    """The body of a checkpoint, its digest and its weights checked."""
    try:
        outer = json.loads(data)
        body: dict[str, Any] = outer["body"]
        written = outer["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"not a checkpoint: {type(error).__name__}: {error}") from error
    if written != _digest(body):
        raise CheckpointError("its digest is not that of its content")
    try:
        for weights in [body["weights"], *(part["weights"] for part in body.get("shards", {}).values())]:
            Weights.from_json(weights)
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"no usable weights: {type(error).__name__}: {error}") from error
    return body
