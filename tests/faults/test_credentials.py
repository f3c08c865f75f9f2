"""Faults on stores that ask who is there: a key space behind a password, a dataset with keys of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import redis.asyncio as redis
from confirmations import NOW_EVENT, lands
from pydantic import ValidationError
from real_servers import ACCESS

from harness.model.datasets import DatasetSpec, Integrity
from harness.model.errors import FaultError, ScenarioError
from harness.model.fault import Fault
from harness.model.stack import StackDescription
from harness.runner.loading.needed_secrets import check_secrets

Make = Callable[..., Fault]
PASSWORD = "p@ss: word/€"
SCALED = {"operation": "scale", "factor": 60, "fields": ["delay"]}


@pytest.fixture
def description(description: StackDescription) -> StackDescription:
    """The stack with credentials that are in the environment only, and no ledger whose keys could be taken instead."""
    features, rows = description.keyspaces["features"], description.datasets["rows"]
    keys = {"access_key": ACCESS[0], "secret_key": "${secret:ROWS_KEY}"}
    return description.model_copy(
        update={
            "keyspaces": {"features": features.model_copy(update={"password": "${secret:STORE_PASSWORD}"})},
            "datasets": {"rows": rows.model_copy(update=keys)},
            "integrity": Integrity(),
        }
    )


@pytest.fixture
async def locked(online: redis.Redis) -> AsyncIterator[redis.Redis]:
    """A store that asks for a password; this client is known to it already."""
    await online.hset("f:JFK", mapping={"delay": "1", "delay_t": str(NOW_EVENT - 60)})
    await online.config_set("requirepass", PASSWORD)
    yield online
    await online.config_set("requirepass", "")


async def test_a_key_space_behind_a_password(make: Make, locked: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_PASSWORD", PASSWORD)
    fault = make("features.corrupt", {"keyspace": "features"}, SCALED)
    undo = await fault.prepare()
    await fault.inject()
    await lands(fault)
    assert await locked.hget("f:JFK", "delay") == "60.0"
    assert PASSWORD not in str(undo)
    await fault.revert(undo)
    assert await locked.hget("f:JFK", "delay") == "1"


async def test_a_wrong_password_is_an_error_that_does_not_tell_it(
    make: Make, locked: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_PASSWORD", "not this one")
    with pytest.raises(FaultError, match="did not answer") as error:
        await make("features.corrupt", {"keyspace": "features"}, SCALED).prepare()
    assert "not this one" not in str(error.value)


async def test_a_dataset_with_keys_of_its_own(make: Make, bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from test_objects import delays, parquet, put

    monkeypatch.setenv("ROWS_KEY", ACCESS[1])
    put(bucket, "rows/1.parquet", parquet(("JFK", 1, 10.0)))
    fault = make("features.corrupt", {"dataset": "rows"}, SCALED)
    undo = await fault.prepare()
    await fault.inject()
    assert delays(bucket, "rows/1.parquet") == [600.0]
    await fault.revert(undo)
    assert delays(bucket, "rows/1.parquet") == [10.0]


async def test_a_dataset_with_a_wrong_key(make: Make, bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROWS_KEY", "another")
    with pytest.raises(FaultError):
        await make("features.corrupt", {"dataset": "rows"}, SCALED).prepare()


@pytest.mark.parametrize("missing", ["STORE_PASSWORD", "ROWS_KEY"])
def test_a_secret_that_is_not_there_is_met_at_once(
    missing: str, description: StackDescription, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STORE_PASSWORD", "ROWS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.delenv(missing)
    with pytest.raises(ScenarioError, match=f"the secret '{missing}' is not in the environment"):
        check_secrets(description)


def test_one_key_of_two_is_refused() -> None:
    with pytest.raises(ValidationError, match="access_key and secret_key go together"):
        DatasetSpec(service="objects", bucket="ml", prefix="rows/", access_key="a")
