"""Values that probes can have: what their kind rules out is known before a run."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import TypeAdapter

from harness.model.clauses import Bound
from harness.model.probe_values import cannot_break, values_of
from harness.model.probekinds import PROBE_KINDS, ProbeSpec

AT: dict[str, dict[str, Any]] = {
    "http": {"url": "http://web:8000/ready"},
    "tcp": {"service": "store", "port": 6379},
    "grpc": {"service": "web", "port": 50051},
    "container": {"service": "web"},
    "kafka_lag": {"bootstrap": "store:9092", "group": "g", "topic": "t"},
    "log": {"service": "web", "pattern": "ERROR"},
    "file": {"path": "out/*.json"},
    "command": {"argv": ["true"]},
    "airflow": {"url": "http://airflow:8080", "dag": "train"},
    "redis": {"service": "store", "keys": "*"},
    "feast": {"service": "store", "project": "p", "view": "v"},
    "s3": {"service": "objects", "bucket": "b"},
    "mongo": {"url": "mongodb://db:27017/shop"},
}
ANY_NUMBER = {
    *((kind, "") for kind in ("json", "metric", "promql", "sql")),
    ("http", "json"), ("command", "number"), ("redis", "value"), ("mlflow", "version"),
    # An age is below 0 where another clock is ahead.
    ("file", "age"), ("airflow", "success_age"), ("mlflow", "age"), ("redis", "age"), ("redis", "event_age"),
    ("feast", "age"), ("feast", "event_age"), ("s3", "age"), ("mongo", "age"), ("mongo", "event_age"),
}  # fmt: skip


def reads_of(kind: str) -> tuple[str, ...]:
    field = PROBE_KINDS[kind].model_fields.get("read")
    return get_args(field.annotation) if field is not None else ("",)


def spec_of(kind: str, read: str) -> ProbeSpec:
    more: dict[str, Any] = {"read": read} if read else {}
    if (kind, read) == ("s3", "equal"):
        more |= {"key": "k", "digest": "sha256:" + "0" * 64}
    elif kind == "s3":
        more |= {"key": "k"} if read == "changed" else {"prefix": ""}
    if kind == "mongo" and read != "up":
        more |= {"collection": "c"} | ({"field": "at"} if "age" in read else {})
    return TypeAdapter(ProbeSpec).validate_python({kind: {**AT[kind], **more}})


def bound(**limit: float) -> Bound:
    return Bound.model_validate({"id": "b", "probe": "p", **limit})


@pytest.mark.parametrize(("kind", "read"), [(kind, read) for kind in PROBE_KINDS for read in reads_of(kind)])
def test_what_every_probe_can_read_is_known_or_may_be_any_number(kind: str, read: str) -> None:
    if (kind, read) not in ANY_NUMBER:
        assert values_of(spec_of(kind, read)) is not None


@pytest.mark.parametrize(
    ("kind", "read", "values", "never"),
    [
        ("tcp", "up", "0 or 1", 200),
        ("tcp", "latency", "from 0 on", -1),
        ("grpc", "up", "0 or 1", 2),
        ("grpc", "status", "whole numbers 0 to 3", 7),
        ("kafka_lag", "", "whole numbers from 0 on", 0.5),
        ("feast", "count", "whole numbers from 0 on", 0.5),
        ("s3", "changed", "0 or 1", 2),
        ("mongo", "up", "1 or no answer", 0),
        ("mongo", "count", "whole numbers from 0 on", -1),
    ],
)
def test_a_value_that_a_probe_cannot_have_is_known(kind: str, read: str, values: str, never: float) -> None:
    found = values_of(spec_of(kind, read))
    assert found is not None
    assert str(found) == values
    assert not found.may_meet(bound(equals=never))


@pytest.mark.parametrize("kind", ["http", "tcp", "container"])
def test_a_bound_that_no_reading_breaks_is_known_where_there_always_is_one(kind: str) -> None:
    spec = spec_of(kind, "up")
    assert cannot_break(spec, bound(at_least=0))
    assert cannot_break(spec, bound(at_most=1))
    assert not cannot_break(spec, bound(at_least=1))


@pytest.mark.parametrize(("kind", "read"), [("kafka_lag", ""), ("redis", "count"), ("s3", "count"), ("grpc", "up")])
def test_a_bound_that_no_answer_breaks_can_be_broken(kind: str, read: str) -> None:
    assert not cannot_break(spec_of(kind, read), bound(at_least=0))
