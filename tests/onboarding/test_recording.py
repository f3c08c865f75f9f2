"""`harness record`: what passes through is passed on whole, and becomes a workload that tells content from the rest."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from harness.cli import main
from harness.model.errors import BackendError, ScenarioError
from harness.model.response_match import Expected
from harness.onboarding.recording import passthrough
from harness.onboarding.recording.content import expected_values
from harness.onboarding.recording.exchange import RecordedExchange
from harness.onboarding.recording.logs import read_log
from harness.onboarding.recording.passthrough import PassThrough
from harness.onboarding.recording.workload_file import as_workload, check_place, write
from harness.probes.request_file import read_requests

NOW_S = 1_790_000_000.0
MAY_HOLD = "it holds a token, or may hold a secret"
NOT_WRITTEN = "its path, or a number in it, cannot be written in a workload"
TINY = Path(__file__).parents[1] / "runner" / "tiny"


def exchange(answer: Any = None, **other: Any) -> RecordedExchange:
    given: dict[str, Any] = {"unix_s": NOW_S, "method": "POST", "path": "/predict", "status": 200, "body": {"x": 1}}
    return RecordedExchange(**(given | {"answer": answer, "answer_is_json": answer is not None} | other))


def nested(depth: int) -> Any:
    found: Any = 1
    for _ in range(depth):
        found = [found]
    return found


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("score", 0.25, {"approx": 0.25}),
        ("label", "cat", "cat"),
        ("count", 3, 3),
        ("ok", True, True),
        ("nothing", None, None),
        ("tags", [], []),
        ("options", {}, {"equal": {}}),
        ("request_id", 17, {"any": True}),
        ("requestId", "abc", {"any": True}),
        ("served_at", 12, {"any": True}),
        ("latency_ms", 0.5, {"any": True}),
        ("key", str(uuid.UUID(int=7)), {"any": True}),
        ("when", "2026-05-01T12:00:00Z", {"any": True}),
        ("epoch", NOW_S + 0.5, {"any": True}),
        ("epoch_millis", int(NOW_S * 1e3), {"any": True}),
        ("api_key", "k", {"any": True}),
        ("elapsed_seconds", 0.5, {"any": True}),
        ("tookMillis", 3, {"any": True}),
        ("processing_time_s", 0.5, {"any": True}),
        ("expires_in", 3599, {"any": True}),
        ("sent", "Fri, 20 Nov 2026 01:02:03 GMT", {"any": True}),
        ("t", str(int(NOW_S)), {"any": True}),
        ("stamp", "20261120T010203Z", {"any": True}),
        ("total_tokens", 17, 17),
        ("timing", {"total": 3}, {"any": True}),
        ("date_of_birth", "2001-02-03", "2001-02-03"),
        ("customer", "c-1", "c-1"),
    ],
)
def test_content_is_told_from_ids_and_time_stamps(field: str, value: Any, expected: Any) -> None:
    found = expected_values(exchange({"content": "is here", field: value}), [])
    place = "timing.total" if field == "timing" else field
    assert found == {"content": "is here", place: expected}


def test_an_id_that_was_asked_for_is_content() -> None:
    """An answer for somebody else would have another."""
    asked = exchange({"id": 42, "items": [{"user_id": "u-7", "at": "2026-05-01T12:00:00Z"}]}, path="/users/u-7?at=42")
    assert expected_values(asked, []) == {
        "id": 42,
        "items.0.user_id": "u-7",
        "items.0.at": {"any": True},
    }


def test_what_differs_between_answers_to_the_same_request_is_no_content() -> None:
    one = exchange({"score": 0.5, "model": "a", "only": 1, "n": 1})
    others = [exchange({"score": 0.5 + 1e-9, "model": "b", "n": True})]
    assert expected_values(one, others) == {
        "score": {"approx": 0.5},
        "model": {"any": True},
        "n": {"any": True},
    }


def test_a_number_that_differs_a_little_is_expected_near_the_others() -> None:
    """As of a model that is trained again: a wrong answer is seen, and another version of the model is none."""
    one = exchange({"fare": 8.67, "far": 8.67, "version": 17, "epoch": NOW_S + 0.5})
    others = [exchange({"fare": fare, "far": 12.5, "version": 18, "epoch": NOW_S + 3.5}) for fare in (8.66, 8.68)]
    found = expected_values(one, others)
    assert [found[place] for place in ("far", "version", "epoch")] == [{"any": True}] * 3
    expected = Expected.model_validate({"json": {"fare": found["fare"]}}, by_alias=True, by_name=False)
    for fare, right in ((8.66, True), (8.7, True), (9.0, False), (6.2, False), (None, False)):
        assert (expected.differs({"fare": fare}) is None) == right, fare


@given(st.lists(st.floats(-1e6, 1e6, allow_nan=False) | st.integers(-5, 5), min_size=2, max_size=5))
def test_every_answer_that_was_seen_is_as_expected(seen: list[float]) -> None:
    one, *others = [exchange({"content": "is here", "score": value}) for value in seen]
    found = expected_values(one, others)
    expected = Expected.model_validate({"json": {"score": found["score"]}}, by_alias=True, by_name=False)
    assert all(expected.differs({"score": value}) is None for value in seen)


def test_a_tolerance_is_that_of_the_same_value_in_other_answers() -> None:
    """Two answers of a model that is trained again may agree by chance."""
    fares = [(1, 10.0), (1, 10.1), (2, 20.0), (2, 20.0), (3, 30.0)]
    lines = as_workload([exchange({"fare": fare, "km": 1.5}, body={"zone": zone}) for zone, fare in fares]).lines
    wanted = {line["body"]["zone"]: line["expect"]["json"] for line in lines}
    share = wanted[1]["fare"]["atol"] / wanted[1]["fare"]["approx"]
    assert share > 0.04
    for zone in (2, 3):
        assert wanted[zone]["fare"]["atol"] == pytest.approx(share * wanted[zone]["fare"]["approx"])
        assert "atol" not in wanted[zone]["km"], "what never differs has none"


def test_ids_that_come_again_are_content() -> None:
    """As of a recommender, whose answer is a list of them."""
    one = exchange({"items": [{"item_id": "i-7"}], "trace_id": "x"})
    (line, _) = as_workload([one, exchange({"items": [{"item_id": "i-7"}], "trace_id": "y"})]).lines
    assert line["expect"]["json"] == {"items.0.item_id": "i-7", "trace_id": {"any": True}}
    assert as_workload([one]).lines[0]["expect"] == {"status": 200}, "asked once, nobody knows"


def test_an_answer_without_content_is_expected_by_its_status() -> None:
    (line,) = as_workload([exchange({"id": 1, "at": 2})]).lines
    assert line["expect"] == {"status": 200}


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats(-1e6, 1e6, allow_nan=False)
    | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=6), inside, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=6), values, max_size=4) | st.lists(values, max_size=4))
def test_whatever_was_answered_is_what_is_expected(answer: Any) -> None:
    """The workload that is written takes the very answer that it was made of."""
    (line,) = as_workload([exchange(answer)]).lines
    expected = Expected.model_validate(line["expect"], by_alias=True, by_name=False)
    assert expected.differs(json.loads(json.dumps(answer))) is None


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (exchange(body={"user": "a", "password": "b"}), "it holds a secret (password)"),
        (exchange(body={"in": [{"deep": {"clientSecret": 1}}]}), "it holds a secret (clientSecret)"),
        (exchange(body="user=a&access_token=b"), "it holds a secret (access_token)"),
        (exchange(path="/p?api_key=7"), "it holds a secret (api_key)"),
        (exchange(path="/p?key=7"), "it holds a secret (key)"),
        (exchange(body={"password1": "x", "pwd": "y"}), "it holds a secret (password1)"),
        (exchange(body='--b\r\nContent-Disposition: form-data; name="password"\r\n\r\nx'), MAY_HOLD),
        (exchange(body='{"index": 1}\n{"password": "hunter2"}'), MAY_HOLD),
        (exchange(body={"query": 'mutation { login(password: "hunter2") { id } }'}), MAY_HOLD),
        (exchange(body={"x": float("inf")}), NOT_WRITTEN),
        (exchange({"x": float("inf")}), NOT_WRITTEN),
        (exchange(path="//[x/y"), NOT_WRITTEN),
        (exchange(body=nested(5000)), NOT_WRITTEN),
        (exchange(path="http://elsewhere/p"), "its path does not begin with '/'"),
        (exchange(body={"text": "eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl"}), "it holds a token, or may hold a secret"),
        (exchange(status=503), "answered with 503, which nobody should expect"),
        (exchange(unreadable="its body is not text"), "its body is not text"),
    ],
)
def test_what_must_not_be_written_down_is_left_out(one: RecordedExchange, reason: str) -> None:
    recorded = as_workload([one])
    assert (recorded.lines, dict(recorded.left_out)) == ([], {reason: 1})


def test_secrets_of_answers_may_be_anything() -> None:
    answer = {"secrets": {"db": "hunter2"}, "auth": "Bearer abcdefgh12345", "usage": {"max_tokens": 7}, "score": 0.5}
    (line,) = as_workload([exchange(answer)]).lines
    assert "hunter2" not in json.dumps(line)
    assert "Bearer" not in json.dumps(line)
    assert line["expect"]["json"]["usage.max_tokens"] == 7


def test_characters_that_end_a_line_elsewhere_end_none_here(tmp_path: Path) -> None:
    recorded = as_workload([exchange({"s": "a\u2028b"}, body="c\u0085d", headers={"Content-Type": "text/\udce9"})])
    write(recorded, tmp_path / "r.jsonl", force=False)
    assert len(read_requests(tmp_path / "r.jsonl", rate=1.0).requests) == 1


@pytest.mark.parametrize("what", ["folder", "link", "pipe", "no-folder", "long"])
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_recorded(tmp_path: Path, what: str) -> None:
    out = tmp_path / "out"
    if what == "folder":
        out.mkdir()
    elif what == "link":
        out.symlink_to("nowhere")
    elif what == "pipe":
        os.mkfifo(out)
    elif what == "no-folder":
        out = tmp_path / "not-there" / "out"
    else:
        out = tmp_path / ("n" * 256)
    with pytest.raises(ScenarioError):
        check_place(out, force=True)
    assert what != "pipe" or out.is_fifo()


def test_headers_with_secrets_are_named_and_no_value_is_written(tmp_path: Path) -> None:
    headers = {
        "Authorization": "Bearer top-secret-1",
        "X-Team": "ml",
        "Content-Type": "application/json",
        "Accept": "*/*",
        "X-Caller": "Bearer top-secret-2",
    }
    recorded = as_workload([exchange({"score": 0.5}, headers=headers)], keep=["x-team", "x-caller"])
    write(recorded, tmp_path / "r.jsonl", force=False)
    text = (tmp_path / "r.jsonl").read_text()
    assert "top-secret" not in text
    assert json.loads(text)["headers"] == {"X-Team": "ml"}
    assert recorded.secrets == ("Authorization", "X-Caller")


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    file.write_text("mine")
    recorded = as_workload([exchange({"score": 0.5})])
    with pytest.raises(ScenarioError, match="there is a file already"):
        write(recorded, file, force=False)
    assert [one.name for one in tmp_path.iterdir()] == ["r.jsonl"]
    assert file.read_text() == "mine"
    write(recorded, file, force=True)
    assert len(read_requests(file, rate=1.0).requests) == 1


# A service that really answers


@pytest.fixture
async def service() -> AsyncIterator[str]:
    """A model server: scores, ids of its own, a stream, a large answer, and one that fails."""

    async def predict(request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        return web.json_response(
            {"id": asked["id"], "score": 0.1 * asked["id"], "trace_id": uuid.uuid4().hex, "drawn": time.monotonic_ns()}
        )

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for part in (b"one ", b"two ", b"three"):
            await response.write(part)
        return response

    async def other(request: web.Request) -> web.StreamResponse:
        if request.path == "/large":
            return web.Response(body=b"x" * (2**20 + 1))
        if request.path == "/moved":
            return web.Response(status=302, headers={"Location": "/elsewhere"})
        if request.path == "/broken":
            return web.Response(status=500)
        if request.path == "/login":
            return web.Response(headers={"Set-Cookie": "sid=alice"})
        if request.path == "/me":
            return web.json_response({"user": request.cookies.get("sid", "nobody"), "f": request.headers.getall("X-F")})
        if request.path == "/cut":
            response = web.StreamResponse(headers={"Content-Length": "100"})
            await response.prepare(request)
            await response.write(b"not all of it")
            assert request.transport is not None
            request.transport.abort()
            return response
        return web.json_response({"path": request.raw_path, "host": request.headers["Host"]}, status=404)

    app = web.Application()
    app.router.add_post("/predict", predict)
    app.router.add_get("/stream", stream)
    app.router.add_route("*", "/{rest:.*}", other)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def recorded_by(service: str, asking: Any, most: int) -> PassThrough:
    passing = PassThrough(service, lambda _: None)
    where: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    going = asyncio.create_task(passing.go("127.0.0.1", 0, for_s=30.0, most=most, started=where.set_result))
    async with aiohttp.ClientSession() as session:
        await asking(session, await where)
    await going
    return passing


async def test_all_is_passed_on_and_becomes_a_workload(service: str, tmp_path: Path) -> None:
    async def ask(session: aiohttp.ClientSession, url: str) -> None:
        for number in (1, 2, 1):
            async with session.post(f"{url}/predict", json={"id": number}) as answer:
                assert (await answer.json())["score"] == pytest.approx(0.1 * number)
        async with session.get(f"{url}/stream") as answer:
            assert await answer.read() == b"one two three"
        async with session.get(f"{url}/large") as answer:
            assert len(await answer.read()) == 2**20 + 1
        async with session.get(f"{url}/moved", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (302, "/elsewhere")
        async with session.get(f"{url}/broken") as answer:
            assert answer.status == 500
        async with session.get(f"{url}/a%2Fb?q=1%202") as answer:
            assert await answer.json() == {"path": "/a%2Fb?q=1%202", "host": service.removeprefix("http://")}
        async with session.post(f"{url}/predict", data=b"\xff\xfe", headers={"Content-Type": "image/png"}) as answer:
            assert answer.status == 500

    passing = await recorded_by(service, ask, 9)
    recorded = as_workload(passing.exchanges)
    assert dict(recorded.left_out) == {
        "answered with 500, which nobody should expect": 1,
        "its answer is longer than 1048576 bytes": 1,
        "its body is not text": 1,
    }
    lines = recorded.lines
    assert [line["path"] for line in lines] == [
        "/predict",
        "/predict",
        "/predict",
        "/stream",
        "/moved",
        "/a%2Fb?q=1%202",
    ]
    assert lines[0]["expect"]["json"] == {
        "id": 1, "score": {"approx": 0.1}, "trace_id": {"any": True}, "drawn": {"any": True},
    }  # fmt: skip
    assert lines[1]["expect"]["json"]["drawn"] != {"any": True}, "asked once, nothing shows that it is drawn anew"
    assert lines[3]["expect"] == {"status": 200}
    assert lines[4]["expect"] == {"status": 302}
    assert min(recorded.took_s) > 0
    write(recorded, tmp_path / "r.jsonl", force=False)
    assert read_requests(tmp_path / "r.jsonl", repeat=True).expects

    again = await passing.again([one for one in passing.exchanges if one.body == {"id": 2}])
    lines = as_workload(passing.exchanges, again=again).lines
    assert lines[1]["expect"]["json"]["drawn"] == {"any": True}, "asked again, it was another"


async def test_no_client_gets_the_cookie_of_another_and_a_header_that_comes_twice_goes_on_twice(service: str) -> None:
    async def ask(session: aiohttp.ClientSession, url: str) -> None:
        async with session.get(f"{url}/login") as answer:
            assert answer.status == 200
        headers = CIMultiDict([("X-F", "1"), ("X-F", "2")])
        async with session.get(f"{url}/me", headers=headers) as answer:
            assert await answer.json() == {"user": "nobody", "f": ["1", "2"]}

    await recorded_by(service.replace("127.0.0.1", "localhost"), ask, 2)


async def test_an_answer_that_is_cut_off_is_passed_on_as_one_and_not_recorded(service: str) -> None:
    async def ask(session: aiohttp.ClientSession, url: str) -> None:
        with pytest.raises(aiohttp.ClientError):
            async with session.get(f"{url}/cut") as answer:
                await answer.read()
        async with session.get(f"{url}/whole") as answer:
            assert answer.status == 404

    passing = await recorded_by(service, ask, 1)
    assert ([one.path for one in passing.exchanges], passing.unanswered) == (["/whole"], 1)


async def test_a_request_without_an_answer_is_cut_off_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passthrough, "GRACE_S", 0.2)
    asked = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1):
            asked.set()
            await reader.read()  # until it is cut off
        writer.close()

    async def ask(session: aiohttp.ClientSession, url: str) -> None:
        asking = asyncio.create_task(session.get(f"{url}/never"))
        await asked.wait()
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(aiohttp.ClientError):
            await asking

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        passing = await recorded_by(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", ask, 0)
    assert (passing.exchanges, passing.cut_off, passing.unanswered) == ([], 1, 0)


async def test_a_path_is_recorded_as_it_reached_the_service(service: str) -> None:
    async def ask(_: aiohttp.ClientSession, url: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"GET /a/../b?q=1%202 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await reader.read()
        writer.close()

    (one,) = (await recorded_by(service, ask, 1)).exchanges
    assert (one.path, one.answer["path"]) == ("/b?q=1%202", "/b?q=1%202")


async def test_nobody_there_and_a_port_that_is_taken_are_said_at_once(service: str) -> None:
    passing = PassThrough("http://127.0.0.1:9", lambda _: None)
    with pytest.raises(BackendError, match=r"nobody answers at http://127\.0\.0\.1:9"):
        await passing.go("127.0.0.1", 0, for_s=1.0, most=0, started=lambda _: None)
    taken = int(service.rpartition(":")[2])
    with pytest.raises(ScenarioError, match=rf"127\.0\.0\.1:{taken} cannot be listened on"):
        await PassThrough(service, lambda _: None).go("127.0.0.1", taken, for_s=1.0, most=0, started=lambda _: None)


@pytest.mark.parametrize(
    "url",
    ["ftp://x", "nothing", "http://host/path", "http://host?q", "http://[::1", "http://a:99999", "http://b:c@host"],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ScenarioError, match=r"is not an address|has a path|a login in the address"):
        PassThrough(url, lambda _: None)


# Logs of others

HAR_ENTRY = {
    "startedDateTime": "2026-05-01T12:00:00.250Z", "time": 12.5,
    "request": {"method": "POST", "url": "https://shop.test/predict?v=2",
                "headers": [{"name": "Accept", "value": "*/*"}],
                "postData": {"mimeType": "application/json", "text": '{"id": 4}'}},
    "response": {"status": 200, "content": {"mimeType": "application/json", "text": '{"id": 4, "score": 0.5}'}},
}  # fmt: skip
LOGS = {
    "har": ("log.har", json.dumps({"log": {"version": "1.2", "entries": [HAR_ENTRY]}})),
    "jsonl": (
        "log.jsonl",
        json.dumps({"time": "2026-05-01T12:00:00.250Z", "verb": "post", "uri": "/predict?v=2", "request": {"id": 4},
                    "status_code": 200, "response": '{"id": 4, "score": 0.5}'}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", LOGS)
def test_logs_of_others_become_the_same_workload(tmp_path: Path, form: str) -> None:
    name, text = LOGS[form]
    (tmp_path / name).write_text(text)
    for named in (None, form):
        (found,) = read_log(tmp_path / name, named)
        assert found.unix_s == pytest.approx(1777636800.25)
        (line,) = as_workload([found]).lines
        assert line == {
            "id": "r1", "method": "POST", "path": "/predict?v=2", "body": {"id": 4},
            "expect": {"status": 200, "json": {"id": 4, "score": {"approx": 0.5}}},
        }  # fmt: skip


def test_an_access_log_gives_what_has_no_body(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text(
        '10.0.0.1 - - [01/May/2026:12:00:00 +0000] "GET /items?id=3 HTTP/1.1" 200 512 "-" "curl/8"\n'
        '10.0.0.1 - bob [01/May/2026:12:00:02 +0000] "POST /predict HTTP/1.1" 200 64\n'
        '10.0.0.1 - - [01/May/2026:12:00:05 +0000] "GET /gone HTTP/1.1" 404 -\n'
        '10.0.0.1 - - [01/May/2026:12:00:06 +0000] "GET //[x HTTP/1.1" 404 -\n'
        '10.0.0.1 - - [01/May/2026:12:00:07 +0000] "\\x16\\x03\\x01" 400 157 "-" "-"\n'
    )
    recorded = as_workload(read_log(log))
    assert [(line["at"], line["path"], line["expect"]) for line in recorded.lines] == [
        (0.0, "/items?id=3", {"status": 200}),
        (5.0, "/gone", {"status": 404}),
    ]
    assert dict(recorded.left_out) == {
        "an access log has no bodies": 1,
        "its path does not begin with '/'": 1,
        "its line in the log has no request": 1,
    }


UVICORN = """\
INFO:     Started server process [7]
INFO:     Application startup complete.
\x1b[32mINFO\x1b[0m:     127.0.0.1:52344 - "\x1b[1mGET /items?id=3 HTTP/1.1\x1b[0m" \x1b[32m200 OK\x1b[0m
INFO:     127.0.0.1:52346 - "POST /predict HTTP/1.1" 200 OK
ERROR:    Exception in ASGI application
INFO:     [::1]:52350 - "GET /gone HTTP/1.1" 404 Not Found
"""


def test_the_log_of_uvicorn_is_read_between_its_other_lines(tmp_path: Path) -> None:
    (tmp_path / "serving.log").write_text(UVICORN)
    for form in (None, "uvicorn"):
        recorded = as_workload(read_log(tmp_path / "serving.log", form))
        assert [(line["method"], line["path"], line["expect"]) for line in recorded.lines] == [
            ("GET", "/items?id=3", {"status": 200}),
            ("GET", "/gone", {"status": 404}),
        ]
        assert not any("at" in line for line in recorded.lines), "it has no times"
        assert dict(recorded.left_out) == {"an access log has no bodies": 1}


def test_times_that_an_engine_writes_before_the_lines_of_uvicorn_count(tmp_path: Path) -> None:
    lines = [line for line in UVICORN.splitlines() if " - " in line]
    at = (f"web-1  | 2026-05-01T12:00:0{k}.123456789Z {line}" for k, line in enumerate(lines))
    (tmp_path / "serving.log").write_text("\n".join(at))
    assert [line["at"] for line in as_workload(read_log(tmp_path / "serving.log")).lines] == [0.0, 2.0]


def archive(folder: Path, *urls: str) -> Path:
    def entry(url: str, second: int) -> dict[str, Any]:
        at = f"2026-05-01T12:00:0{second}Z"
        return HAR_ENTRY | {"startedDateTime": at, "request": HAR_ENTRY["request"] | {"url": url}}

    entries = [entry(url, second) for second, url in enumerate(urls)]
    (folder / "a.har").write_text(json.dumps({"log": {"entries": entries}}))
    return folder / "a.har"


def test_of_several_hosts_one_is_chosen(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = archive(tmp_path, "https://API.test/predict", "https://api.test/predict", "https://u:p@cdn.test:8443/logo")
    out = tmp_path / "out.jsonl"

    def record(*more: str) -> int:
        return main(["record", "--from", str(log), "--out", str(out), "--force", *more])

    assert record() == 2
    said = "its requests go to several hosts: api.test (2), cdn.test:8443 (1) — choose one, such as --host api.test"
    assert said in capfd.readouterr().err
    assert not out.exists()
    assert record("--host", "cdn.test:8443") == 0
    assert "out.jsonl: 1 request, 2 values expected of their answers" in capfd.readouterr().out
    assert [request.path for request in read_requests(out, 1.0).requests] == ["/logo"]
    assert record("--only", "/predict") == 0, "what is left goes to one host"
    assert len(out.read_text().splitlines()) == 2
    capfd.readouterr()
    assert record("--host", "nowhere.test") == 2
    assert "no request goes to 'nowhere.test'; they go to: api.test (2)" in capfd.readouterr().err


def test_lines_for_a_rate_have_no_times(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = archive(tmp_path, "https://api.test/predict", "https://api.test/predict")
    out = tmp_path / "out.jsonl"
    assert main(["record", "--from", str(log), "--out", str(out), "--rate", "30/min"]) == 0
    told = capfd.readouterr().out
    assert "\n  repeat: true\n  rate: 30/min\n" in told
    assert "at the time at which it came" not in told
    assert not read_requests(out, 0.5).timed
    assert main(["record", "--from", str(log), "--out", str(out), "--force"]) == 0
    told = capfd.readouterr().out
    assert "each is sent at the time at which it came, 2 a second; with --rate they are sent at a rate" in told
    assert "  rate:" not in told
    assert read_requests(out).timed


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.log", "what is this\n", "a.log:1: this is no line of an access log"),
        ("a.log", '1 - - [yesterday] "GET / HTTP/1.1" 200 1\n', "a.log:1: 'yesterday' is not a time such as"),
        ("a.jsonl", '{"at": 1, "path": "/"}\n{"at": 2}\n', "a.jsonl:2: nothing here is a request's path"),
        ("a.jsonl", '{"at": true, "path": "/"}\n', "a.jsonl:1: a field has a value that it cannot have"),
        ("a.jsonl", '{"at": 1, "path": "/"}\n[]\n', "a.jsonl:2: a mapping of fields is needed here"),
        ("a.har", "{}", "a.har: it is no HTTP archive"),
        ("a.har", '{"log": {"entries": [{"request": {}}]}}', "a.har: entry 1 of the archive lacks something"),
        ("a.har", '{"log": {"entries": []}}', "a.har: no request is in it"),
        ("a.log", "", "no request is in it"),
        ("a.jsonl", '{"at": 1, "path": "/", "status": 1e999}\n', "a.jsonl:1: a field has a value that it cannot have"),
    ],
)
def test_a_log_that_cannot_be_read_is_one_message(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, text: str, said: str
) -> None:
    (tmp_path / name).write_text(text)
    assert main(["record", "--from", str(tmp_path / name), "--out", str(tmp_path / "out.jsonl")]) == 2
    err = capfd.readouterr().err
    assert said in err
    assert "Traceback" not in err
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give the URL of a service, or a log with --from"),
        (["http://x", "--from", "a.log"], "give the URL of a service, or a log with --from"),
        (["http://x", "--format", "har"], "--format and --host are of a file that is read with --from"),
        (["--from", "a.log", "--ask-again"], "are for recording from a service"),
        (["http://x", "--host", "x"], "--format and --host are of a file that is read with --from"),
        (["http://x", "--rate", "fast"], "'fast' is not a rate; write one such as 50/s or 30/min"),
        (["http://x", "--listen", "nowhere"], "'nowhere' is not HOST:PORT"),
        (["http://x", "--for", "soon"], "is not a duration"),
    ],
)
def test_what_cannot_be_asked(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["record", *words]) == 2
    assert said in capfd.readouterr().err


# From a real server to a run


@pytest.mark.slow
def test_what_was_recorded_is_the_workload_of_a_run(tmp_path: Path) -> None:
    """Recorded until Ctrl-C in front of the tiny stack's server, and sent to it in a run that judges its answers."""
    shutil.copytree(TINY, tmp_path / "stack", ignore=shutil.ignore_patterns("__pycache__"))
    server = subprocess.Popen([sys.executable, "-c", SERVER], cwd=tmp_path / "stack", stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
    command = [sys.executable, "-m", "harness", "record", url, "--out", "requests.jsonl"]
    recording = subprocess.Popen(command, cwd=tmp_path / "stack", stdout=-1, stderr=-1, text=True)
    try:
        assert recording.stderr is not None
        said = recording.stderr.readline()
        address = re.search(r"send requests to (\S+),", said)
        assert address is not None, said
        for number in range(20):
            body = json.dumps({"id": number, "at": number}).encode()
            request = urllib.request.Request(f"{address[1]}/predict", body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert json.load(answer)["id"] == number
        recording.send_signal(signal.SIGINT)
        out, err = recording.communicate(timeout=30)
    finally:
        for process in (recording, server):
            process.kill()
            process.communicate()
    assert recording.returncode == 0, err
    assert "requests.jsonl: 20 requests, 100 values expected of their answers" in out
    block = out[out.index("workload:") :].replace(url, "http://server:18001").replace("\n", "\n  ").rstrip()
    compose = tmp_path / "stack" / "compose.yaml"
    old = 'workload:\n    make: [python, -m, tiny_workload, "{out}"]\n    url: http://server:18001/predict\n'
    text = compose.read_text()
    assert old in text
    compose.write_text(text.replace(old, f"{block}\n"))
    (tmp_path / "one.scenario.yaml").write_text(
        "schema: 1\nscenario: one\nsummary: A bystander is lost.\nstack: stack/compose.yaml\ntimeline:\n"
        "  - {id: gone, at: 1s, fault: node.loss, target: {node: b}, for: 1s}\n"
        "expect:\n  stays:\n    - {id: right, probe: wrong_answers, at_most: 0, over: 1s, min_samples: 3}\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "harness", "run", "one.scenario.yaml", "-j", "1"], cwd=tmp_path, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode in (0, 3), ran.stdout + ran.stderr
    journal = (tmp_path / "reports" / "latest" / "one" / "journal.jsonl").read_text()
    answers = [json.loads(line) for line in journal.splitlines() if '"kind":"answer"' in line]
    assert len(answers) > 20
    assert all(one["ok"] and not one.get("wrong") for one in answers)


SERVER = """
import tiny_server
server = tiny_server.ThreadingHTTPServer(("127.0.0.1", 0), tiny_server.Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""
