"""Objects are written over what was read, and over nothing else, where the store knows such conditions."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from harness.model.errors import FaultError
from harness.seams.objects import Objects
from harness.seams.stored import OtherObjectError


class Client:
    """A store that answers a condition with an error code; with None it takes the write."""

    def __init__(self, code: str | None) -> None:
        self.code = code
        self.asked: list[dict[str, Any]] = []

    def put_object(self, **given: Any) -> None:
        self.asked.append(given)
        if self.code is not None and "IfMatch" in given:
            raise ClientError({"Error": {"Code": self.code}}, "PutObject")


def objects(code: str | None) -> tuple[Objects, Client]:
    made, client = Objects("http://127.0.0.1:1", "ml"), Client(code)
    made._made = client
    return made, client


async def test_a_write_names_what_was_read() -> None:
    made, client = objects(None)
    await made.put("a", b"x", {"ContentType": "text/plain"}, '"tag"')
    await made.put("a", b"x")
    usual = {"Bucket": "ml", "Key": "a", "Body": b"x"}
    assert client.asked == [usual | {"ContentType": "text/plain", "IfMatch": '"tag"'}, usual]


@pytest.mark.parametrize("code", ["PreconditionFailed", "ConditionalRequestConflict", "412"])
async def test_what_was_written_meanwhile_is_told(code: str) -> None:
    made, client = objects(code)
    with pytest.raises(OtherObjectError):
        await made.put("a", b"x", None, '"tag"')
    assert len(client.asked) == 1


async def test_a_store_without_conditions_is_written_all_the_same() -> None:
    made, client = objects("NotImplemented")
    for _ in range(2):
        await made.put("a", b"x", None, '"tag"')
    assert ["IfMatch" in one for one in client.asked] == [True, False, False], "it is asked once"


async def test_another_error_is_not_taken_for_a_missing_condition() -> None:
    made, client = objects("AccessDenied")
    with pytest.raises(FaultError, match="AccessDenied"):
        await made.put("a", b"x", None, '"tag"')
    assert len(client.asked) == 1
