"""Values that probes of servers and queues can have: what their kind rules out is known before a run."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from harness.model.probe_values import values_of
from harness.model.probekinds import ProbeSpec

KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "tcp": ({"service": "store", "port": 6379}, "0 or 1"),
    "grpc": ({"service": "web", "port": 50051}, "0 or 1"),
    "kafka_lag": ({"bootstrap": "store:9092", "group": "g", "topic": "t"}, "whole numbers from 0 on"),
}


@pytest.mark.xfail(reason="the table has no probe of this kind", strict=True, raises=AssertionError)
@pytest.mark.parametrize("kind", KINDS)
def test_a_value_that_a_probe_cannot_have_is_known(kind: str) -> None:
    settings, values = KINDS[kind]
    spec = TypeAdapter(ProbeSpec).validate_python({kind: settings})
    assert str(values_of(spec)) == values
