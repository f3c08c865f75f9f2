"""The workload: sent open loop at its own times, and exactly one answer for every request that was due."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from aiohttp import web
from servers import START, Handler, event_clock, hang, serving, until, workload

from harness.journal.clock import Clock
from harness.model.errors import JournalError
from harness.model.readings import Answer, Gap
from harness.model.workload import WorkloadSpec
from harness.probes.senders import Sender
from harness.probes.verify import Verifier

pytestmark = pytest.mark.slow


def good(k: int | str, **changes: Any) -> dict[str, Any]:
    return {
        "id": str(k), "score": 0.5, "model": {"version": 3, "digest": "sha256:0"}, "inputs": {"delay": 2.0},
        "features": {"delay": {"value": 2.0, "event_time": START - 60}}, "fallback": None,
    } | changes  # fmt: skip


def said(**changes: Any) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.json_response(good((await request.json())["id"], **changes))

    return handler


async def send(url: str, count: int = 10, in_time: str = "300ms", slow: str = "50ms") -> list[Answer]:
    told: list[Answer | Gap] = []
    sender = sender_of(url, told, count, in_time, slow)
    await asyncio.wait_for(sender.run(), 10)
    assert isinstance(told[-1], Gap) or any(isinstance(one, Gap) for one in told)
    answers = [one for one in told if isinstance(one, Answer)]
    assert sorted(answer.id for answer in answers) == sorted(f"r{k}" for k in range(count))
    return sorted(answers, key=lambda answer: answer.due_s)


def sender_of(url: str, told: list[Any], count: int = 10, in_time: str = "300ms", slow: str = "50ms") -> Sender:
    clock, work = event_clock(), workload(count)
    spec = WorkloadSpec(make=("make",), url="http://server/predict", timeout=in_time, slow=slow)
    verifier = Verifier(work, clock, {"delay": 1800.0}, None)
    return Sender(work, spec, f"{url}/predict", clock, verifier, told.append, Clock())


async def test_d4_an_empty_fallback_is_no_flag() -> None:
    async with serving(said(fallback="")) as url:
        assert {answer.flagged for answer in await send(url, 3)} == {None}


async def test_answers_that_are_right() -> None:
    async with serving(said()) as url:
        for answer in await send(url):
            assert answer.ok
            assert answer.wrong is None, "no model is there to check its score against"
            assert (answer.stale, answer.flagged, answer.version, answer.outcome) == (False, None, 3, 1)
            assert answer.sent_s >= answer.due_s - 1e-3
            assert answer.ages["delay"] == pytest.approx(answer.at_event - START + 60)


async def test_a_server_that_answers_slowly_does_not_slow_the_arrivals() -> None:
    arrived: list[str] = []
    all_are_there = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        arrived.append((await request.json())["id"])
        if len(arrived) == 20:
            all_are_there.set()
        await all_are_there.wait()  # for ever, where the last one is not sent before the first was answered
        await asyncio.sleep(0.2)
        return web.json_response(good("r"))

    async with serving(slow) as url:
        answers = await send(url, count=20, in_time="5s")
    assert all(answer.ok and answer.slow for answer in answers)
    assert answers[0].done_s - answers[0].due_s >= 0.38 + 0.2, "20 requests, 20 ms apart; counted from when it was due"
    assert all(answer.done_s - answer.due_s >= 0.2 for answer in answers)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"fallback": "stale"}, {"flagged": "stale", "wrong": None}),
        ({"features": {"delay": {"value": 2.0, "event_time": START - 3600}}}, {"stale": True, "wrong": None}),
        ({"features": {"delay": {"value": 9.0, "event_time": START - 60}}}, {"stale": False, "wrong": True}),
        ({"features": {}}, {"wrong": True}),
    ],
)
async def test_flagged_stale_and_wrong(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    async with serving(said(**changes)) as url:
        for answer in await send(url, count=3):
            assert answer.ok
            assert {name: getattr(answer, name) for name in expected} == expected


BAD_BODIES = [
    b"", b"not json", b"[]", b"3", b'"text"', b"null", b"{}", b"[" * 100_000, b'{"score": NaN}', b"\xff\xfe",
    b'{"score": 0.5, "model": {"digest": "d"}, "features": {"delay": 3}}',
    b'{"score": 0.5, "model": {"digest": "d"}, "features": {"delay": {"value": [1], "event_time": 1370999940}}}',
    b'{"score": 0.5, "model": {"digest": "d"}, "features": {"delay": {"value": 1, "event_time": {}}}}',
    b'{"score": 1e999, "model": {"digest": "d"}, "features": {}}',
    b'{"score": 0.5, "model": {"digest": "d", "version": "x"}, "features": {}}',
    b'{"score": 0.5, "model": ["digest"], "features": {}}',
    b'{"score": 0.5, "model": {"digest": "d"}, "features": {}, "inputs": 3}',
]  # fmt: skip


@pytest.mark.parametrize("body", BAD_BODIES, ids=[str(body[:30]) for body in BAD_BODIES])
async def test_malformed_answers_are_failed_requests(body: bytes) -> None:
    async def odd(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body)

    async with serving(odd) as url:
        for answer in await send(url, count=2):
            assert not answer.ok
            assert answer.wrong is None, "another client may take it for an answer"
            assert "documented format" in (answer.error or "")


async def test_statuses_refusals_and_hangs_are_failed_requests_in_bounded_time() -> None:
    async def broken(_: web.Request) -> web.StreamResponse:
        return web.Response(status=503)

    async with serving(broken) as url:
        assert {(a.error, a.wrong) for a in await send(url, count=3)} == {("status 503", False)}
    assert all(not a.ok and "Connect" in (a.error or "") for a in await send("http://127.0.0.1:1", count=3))
    async with serving(hang) as url:
        answers = await send(url, count=5)
        assert {a.error for a in answers} == {"no answer within 0.3 s"}
        assert all(a.done_s - a.due_s > 0.28 for a in answers), "it was waited for"
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts by its backlog and never says a word
        answers = await send(f"http://127.0.0.1:{silent.getsockname()[1]}", count=3)
        assert all(not a.ok for a in answers)


async def test_stopped_early_every_request_that_was_due_has_its_answer() -> None:
    async with serving(hang) as url:
        told: list[Any] = []
        sender = sender_of(url, told, count=500)
        task = asyncio.create_task(sender.run())
        await until(lambda: bool(sender._open))
        sent = len(sender._open)
        task.cancel()
        await asyncio.wait([task], timeout=5)
        assert task.cancelled()
    assert len(told) >= sent
    assert len({answer.id for answer in told}) == len(told)
    assert not any(answer.ok for answer in told)


async def test_settled_waits_for_the_oldest_request_that_is_open() -> None:
    gate = asyncio.Event()

    async def held(request: web.Request) -> web.StreamResponse:
        if (await request.json())["id"] == "r1":
            await gate.wait()
        return web.json_response(good("r"))

    async with serving(held) as url:
        told: list[Any] = []
        sender = sender_of(url, told, count=6, in_time="5s")
        task = asyncio.create_task(sender.run())
        await until(lambda: sum(isinstance(answer, Answer) for answer in told) == 5)
        dues = {answer.id: answer.due_s for answer in told if isinstance(answer, Answer)}
        assert dues["r0"] <= sender.settled_s() < dues["r2"]
        gate.set()
        await asyncio.wait_for(task, 5)
        assert sender.settled_s() > dues["r5"]


async def test_a_journal_that_takes_nothing_ends_the_sending() -> None:
    def full(_: object) -> None:
        raise JournalError("no room")

    async with serving(said()) as url:
        sender = sender_of(url, [], count=500)
        sender._record = full
        with pytest.raises(JournalError):
            await asyncio.wait_for(sender.run(), 5)
