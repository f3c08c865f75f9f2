"""Requests from a file: each sent when it is due, and each answer right, wrong or failed as its line says."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers import Handler, hang, serving, until

from harness.journal.clock import Clock
from harness.model.answers import ANSWER_PROBES
from harness.model.readings import Answer, Gap
from harness.model.response_match import Expected
from harness.model.workload import WorkloadSpec
from harness.probes.request_file import FileRequest, RequestFile, read_requests
from harness.probes.senders import RequestSender

pytestmark = pytest.mark.slow


def sender(file: RequestFile, url: str, told: list[Any], **fields: Any) -> RequestSender:
    given = {"requests": "f", "url": "http://server:1", "timeout": "300ms", "slow": "50ms", **fields}
    spec = WorkloadSpec.model_validate(given)
    return RequestSender(file, spec, url, {"X-All": "yes"}, told.append, Clock())


def lines(*requests: dict[str, Any]) -> RequestFile:
    made = tuple(
        FileRequest(f"r{k}", k + 1, None, r.get("method"), r.get("path"), r.get("headers", {}), r.get("body"),
                    Expected.model_validate(r["expect"]) if "expect" in r else None)
        for k, r in enumerate(requests)
    )  # fmt: skip
    return RequestFile(made, expects="expect" in requests[0])


async def sent(url: str, *requests: dict[str, Any], **fields: Any) -> list[Answer]:
    told: list[Any] = []
    await asyncio.wait_for(sender(lines(*requests), url, told, rate="200/s", **fields).run(), 10)
    assert [gap.why for gap in told if isinstance(gap, Gap)] == ["the workload had come to its end"]
    return sorted((one for one in told if isinstance(one, Answer)), key=lambda answer: answer.due_s)


def says(body: Any, status: int = 200, **headers: str) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(text=text, status=status, headers=headers)

    return handler


async def test_what_is_sent_is_what_the_line_says() -> None:
    seen: list[tuple[str, str, dict[str, str], bytes]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append((request.method, request.path_qs, dict(request.headers), await request.read()))
        return web.Response()

    async with serving(handler) as url:
        await sent(
            f"{url}/v1/",
            {"method": "GET", "path": "/x?y=1", "headers": {"X-All": "no"}},
            {"body": {"a": 1}},
            {"body": "plain", "headers": {"Content-Type": "text/csv"}},
            {"body": [1], "headers": {"content-type": "application/x"}},
        )
    first, second, third, fourth = seen
    assert (first[0], first[1], first[2]["X-All"], first[3]) == ("GET", "/v1/x?y=1", "no", b"")
    assert (second[0], second[1], second[2]["X-All"]) == ("POST", "/v1/", "yes")
    assert (second[2]["Content-Type"], second[3]) == ("application/json", b'{"a": 1}')
    assert (third[2]["Content-Type"], third[3]) == ("text/csv", b"plain")
    assert (fourth[2]["Content-Type"], fourth[3]) == ("application/x", b"[1]")


RIGHT = {"json": {"score": {"approx": 0.5, "atol": 0.1}}}
CASES: list[tuple[Handler, dict[str, Any] | None, dict[str, Any]]] = [
    (says({"score": 0.55}), RIGHT, {"ok": True, "wrong": False, "why": None}),
    (says({"score": 0.7}), RIGHT, {"ok": True, "wrong": True, "why": "score is 0.7, not {'approx': 0.5, 'atol': 0.1}"}),
    (says({}), RIGHT, {"ok": True, "wrong": True, "why": "nothing at 'score'"}),
    (says("<html>"), RIGHT, {"ok": False}),
    (says("[" * 100_000), RIGHT, {"ok": False}),
    (says({"score": 0.55}, 500), RIGHT, {"ok": False, "error": "status 500", "wrong": False}),
    (says('{"score": NaN}'), RIGHT, {"ok": False, "wrong": None}),
    (says({"score": 0.55}, 302), RIGHT, {"ok": False, "error": "status 302", "wrong": None}),
    (says({"score": 0.55}, 404), {"status": 200}, {"ok": False, "error": "status 404"}),
    (says({"score": 0.55}, 201), {"status": 200}, {"ok": True, "wrong": True, "why": "the status is 201"}),
    (says({}, 200), {"status": 404}, {"ok": True, "wrong": True, "why": "the status is 200"}),
    (says({}, 404), {"status": [404, 410]}, {"ok": True, "wrong": False}),
    (says("", 200, Etag="7"), {"header": {"etag": "7"}}, {"ok": True, "wrong": False}),
    (says("", 200, Etag="8"), {"header": {"etag": "7"}}, {"ok": True, "wrong": True}),
    (says("anything"), None, {"ok": True, "wrong": None, "why": None}),
    (says("anything", 503), None, {"ok": False, "error": "status 503"}),
    (hang, {"status": 200}, {"ok": False, "error": "no answer within 0.3 s"}),
]


@pytest.mark.parametrize(("handler", "expect", "found"), CASES)
async def test_right_wrong_and_failed(handler: Handler, expect: dict[str, Any] | None, found: dict[str, Any]) -> None:
    async with serving(handler) as url:
        (answer,) = await sent(url, {"expect": expect} if expect is not None else {})
    assert {name: getattr(answer, name) for name in found} == found


async def test_nobody_there_is_a_failed_request() -> None:
    (answer,) = await sent("http://127.0.0.1:1", {})
    assert not answer.ok
    assert "Connect" in (answer.error or "")


@pytest.mark.parametrize(
    ("body", "flagged"),
    [({"meta": {"fallback": "stale"}}, "stale"), ({"meta": {"fallback": True}}, "flagged"),
     ({"meta": {"fallback": False}}, None), ({"meta": {}}, None), ("no json", None)],
)  # fmt: skip
async def test_answers_that_own_up(body: Any, flagged: str | None) -> None:
    async with serving(says(body)) as url:
        (answer,) = await sent(url, {"expect": {"status": 200}}, flagged="meta.fallback")
    assert (answer.ok, answer.flagged) == (True, flagged)


async def test_a_slow_server_does_not_slow_the_arrivals() -> None:
    async def slow(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.15)
        return web.Response()

    async with serving(slow) as url:
        answers = await sent(url, *[{}] * 20)
    dues = [answer.due_s for answer in answers]
    assert all(b - a == pytest.approx(1 / 200) for a, b in itertools.pairwise(dues))
    assert all(answer.ok and answer.slow and answer.done_s - answer.due_s >= 0.15 for answer in answers)


async def test_lines_at_their_own_times_and_again(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text('{"at": 0.1, "id": "b"}\n{"at": 0, "id": "a"}\n{"at": 0.1, "id": "c"}\n', encoding="utf-8")
    told: list[Any] = []
    async with serving(says("")) as url:
        sending = sender(read_requests(path, repeat=True), url, told, repeat=True)
        task = asyncio.create_task(sending.run())
        await until(lambda: len(told) >= 7)
        task.cancel()
        await asyncio.wait([task])
    due = {answer.id: answer.due_s for answer in told}
    assert sorted(due, key=lambda name: (due[name], name))[:7] == ["a", "b", "c", "a#2", "b#2", "c#2", "a#3"]
    assert due["b"] - due["a"] == pytest.approx(0.1)
    assert due["a#2"] - due["a"] == pytest.approx(0.15), "the pass is as long as its lines, and one pause more"
    assert due["a#3"] - due["a#2"] == pytest.approx(0.15)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["right", "wrong", "failed", "late"]), min_size=1, max_size=25))
async def test_every_answer_is_counted_once_as_what_it_was(kinds: list[str]) -> None:
    """The shares that the probes tell are those of what the server really did, in whatever order."""

    async def handler(request: web.Request) -> web.StreamResponse:
        kind = (await request.json())["be"]
        if kind == "late":
            await asyncio.Event().wait()
        return web.json_response({"ok": kind == "right"}, status=500 if kind == "failed" else 200)

    expect = {"json": {"ok": True}}
    async with serving(handler) as url:
        answers = await sent(url, *[{"body": {"be": kind}, "expect": expect} for kind in kinds], timeout="150ms")
    count = Counter(kinds)
    assert sorted(answer.id for answer in answers) == sorted(f"r{k}" for k in range(len(kinds)))
    failed = ANSWER_PROBES["failed_requests"].measure(answers)
    assert failed.hi == count["failed"] + count["late"]
    silent = ANSWER_PROBES["silent_wrong_answers"].measure(answers)
    answered = count["right"] + count["wrong"]
    assert silent.samples == answered
    assert silent.hi == silent.lo == (count["wrong"] / answered if answered else None)
