"""Two faults on the same objects: neither takes the other's damage for what an object was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from confirmations import until

from harness.model.fault import Fault

Make = Callable[..., Fault]
WHOLE = b"0123456789abcdef"


async def test_what_one_fault_has_changed_is_changed_by_another_only_once_it_is_whole(make: Make, bucket: Any) -> None:
    def held() -> bytes:
        return bytes(bucket.get_object(Bucket="ml", Key="rows/model")["Body"].read())

    bucket.put_object(Bucket="ml", Key="rows/model", Body=WHOLE)
    older, newer = (make("object.corrupt", {"dataset": "rows"}, {"operation": "truncate"}) for _ in range(2))
    undone = await older.prepare(), await newer.prepare()
    await older.inject()
    await newer.inject()
    assert (await older.confirm()).landed
    assert (await newer.confirm()).landed is False, "nothing is left for it"
    assert held() == WHOLE[:8]
    await older.revert(undone[0])

    async def landed() -> bool:
        return bool((await newer.confirm()).landed)

    await until(landed, "then it is the newer one's")
    assert held() == WHOLE[:8]
    await newer.revert(undone[1])
    assert [(await one.absent()).landed for one in (older, newer)] == [False, False]
    assert held() == WHOLE
