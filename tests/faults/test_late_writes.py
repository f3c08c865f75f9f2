"""Writes of a fault that a store takes without an answer: they may arrive after its revert."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from harness.model.errors import FaultError
from harness.model.fault import Fault
from harness.seams.objects import Objects

Make = Callable[..., Fault]
WHOLE = b"a model, as its owner wrote it"
LATE_S = 0.5


@pytest.mark.parametrize("restarted", [False, True], ids=["the same process", "who heals"])
async def test_a_write_that_arrives_after_the_revert_is_taken_back(
    make: Make, bucket: Any, monkeypatch: pytest.MonkeyPatch, restarted: bool
) -> None:
    bucket.put_object(Bucket="ml", Key="rows/model", Body=WHOLE)
    monkeypatch.setattr("harness.faults.changed_objects.LATE_S", 3 * LATE_S)
    at_once, late = Objects.put, []

    async def slowly(self: Objects, key: str, data: bytes, *more: Any) -> None:
        async def arrive() -> None:
            await asyncio.sleep(LATE_S)
            await at_once(self, key, data)

        late.append(asyncio.create_task(arrive()))
        raise FaultError("the object store refused: read timeout")

    fault = make("object.corrupt", {"dataset": "rows"}, {"operation": "flip"})
    undo = await fault.prepare()
    with monkeypatch.context() as patched:
        patched.setattr(Objects, "put", slowly)
        with pytest.raises(FaultError):
            await fault.inject()
    healer = make("object.corrupt", {"dataset": "rows"}, {"operation": "flip"}) if restarted else fault
    await healer.revert(undo)
    assert (await healer.absent()).landed is False
    await asyncio.gather(*late)
    assert bytes(bucket.get_object(Bucket="ml", Key="rows/model")["Body"].read()) == WHOLE
