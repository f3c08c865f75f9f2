"""Probes over HTTP: what is asked, what is read of the answer, and that whatever comes is a reading."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import ValidationError
from real_probes import Probing, read
from servers import hang, serving

from harness.model.probekinds import ProbeSpec
from harness.model.readings import Reading

pytestmark = pytest.mark.slow


def says(body: Any, status: int = 200, **headers: str) -> Any:
    async def handler(_: web.Request) -> web.StreamResponse:
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(text=text, status=status, headers=headers)

    return handler


async def http(folder: Path, handler: Any, **settings: Any) -> Reading:
    async with serving(handler) as url:
        # Whoever answers may take its time; who never does is not waited for so long.
        probe = {"http": {"url": f"{url}/x", **settings}, "timeout": "300ms" if handler is hang else "20s"}
        return (await read(folder, p=probe))["p"]


UP = {"expect": {"status": [200, 503], "json": {"state": {"one_of": ["ok", "fine"]}}}}


@pytest.mark.parametrize(
    ("handler", "settings", "value"),
    [
        (says(""), {}, 1.0), (says("", 204), {}, 1.0), (says("", 302), {}, 0.0), (says("", 500), {}, 0.0),
        (hang, {}, 0.0),
        (says({"state": "ok"}, 503), UP, 1.0), (says({"state": "bad"}), UP, 0.0), (says("<html>"), UP, 0.0),
        (says("", 200, ETag="a"), {"expect": {"header": {"etag": "a"}}}, 1.0),
        (says("", 200, ETag="b"), {"expect": {"header": {"etag": "a"}}}, 0.0),
        (says("", 404), {"read": "status"}, 404.0), (says("", 302), {"read": "status"}, 302.0),
        (says({"a": [{"b": "2.5"}]}), {"read": "json", "path": "a.0.b"}, 2.5),
    ],
)  # fmt: skip
async def test_what_is_read(tmp_path: Path, handler: Any, settings: dict[str, Any], value: float) -> None:
    found = await http(tmp_path, handler, **settings)
    assert (found.value, found.down) == (value, None)


@pytest.mark.parametrize(
    ("handler", "settings", "why"),
    [
        (hang, {"read": "status"}, "no answer within 0.3 s"), (hang, {"read": "latency"}, "no answer within 0.3 s"),
        (says("", 500), {"read": "latency"}, "status 500"), (says("{"), {"read": "json", "path": "a"}, "not JSON"),
        (says({}), {"read": "json", "path": "a"}, "nothing at 'a'"),
        (says({"a": "x"}), {"read": "json", "path": "a"}, "no number at 'a'"),
        (says({"a": "x"}), {"read": "json", "path": "a", "as": "age"}, "no time stamp at 'a'"),
        (says({"a": 1}, 201), {"read": "json", "path": "a", "expect": {"status": 200}}, "status 201"),
        (says({"a": 1}), {"read": "json", "path": "a", "expect": {"json": {"a": 2}}}, "a is 1, not 2"),
    ],
)  # fmt: skip
async def test_what_is_no_number_says_why(tmp_path: Path, handler: Any, settings: dict[str, Any], why: str) -> None:
    found = await http(tmp_path, handler, **settings)
    assert found.value is None
    assert why in (found.down or "")


async def test_latency_and_age(tmp_path: Path) -> None:
    found = await http(tmp_path, says(""), read="latency")
    assert 0 < (found.value or 0) <= found.answered_s - found.asked_s
    now = time.time()
    for stamp in (now - 60, (now - 60) * 1000, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 60))):
        found = await http(tmp_path, says({"at": stamp}), read="json", path="at", **{"as": "age"})
        assert found.value == pytest.approx(60, abs=5)


async def test_nobody_there_is_a_reading(tmp_path: Path) -> None:
    url = "http://127.0.0.1:1/"
    found = await read(
        tmp_path, up={"http": {"url": url}}, status={"http": {"url": url, "read": "status"}},
        query={"promql": {"url": url, "query": "up"}}, run={"airflow": {"url": url, "dag": "d"}},
        version={"mlflow": {"url": url, "model": "m"}}, page={"json": {"url": url, "path": "a"}},
    )  # fmt: skip
    assert found.pop("up").value == 0.0
    assert all(reading.value is None and "Connect" in (reading.down or "") for reading in found.values())


async def test_what_is_asked_is_what_the_settings_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROBE_TOKEN", "t0ken")
    monkeypatch.setenv("PROBE_PASSWORD", "pa:ss/w@rd")
    asked: list[tuple[str, str, dict[str, str], bytes]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.append((request.method, request.path_qs, dict(request.headers), await request.read()))
        return web.json_response({"a": 1})

    probes = {
        "a": {"http": {"url": "http://api/x?y=1", "method": "post", "body": {"q": 1}, "token": "${secret:PROBE_TOKEN}",
                       "headers": {"X-Key": "k-${secret:PROBE_TOKEN}"}}},
        "b": {"json": {"url": "http://api:1/", "path": "a", "username": "u", "password": "${secret:PROBE_PASSWORD}"}},
    }  # fmt: skip
    async with serving(handler) as url, Probing(tmp_path, probes, {"api": url.removeprefix("http://")}) as probing:
        found = await probing.once()
    assert (found["a"].value, found["b"].value) == (1.0, 1.0)
    by_path = {path: (method, headers, body) for method, path, headers, body in asked}
    method, headers, body = by_path["/x?y=1"]
    assert (method, body) == ("POST", b'{"q": 1}')
    assert (headers["Authorization"], headers["X-Key"]) == ("Bearer t0ken", "k-t0ken")
    assert (headers["Host"], by_path["/"][1]["Host"]) == ("api", "api:1"), "a service is asked under its own name"
    basic = by_path["/"][1]["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(basic) == b"u:pa:ss/w@rd"


async def test_probes_that_share_a_page_share_one_request(tmp_path: Path) -> None:
    asked = []

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.json_response({"a": 1, "b": 2})

    async with serving(handler) as url:
        spec = {"url": url, "path": "a"}
        found = await read(
            tmp_path, a={"json": spec}, b={"json": {**spec, "path": "b"}}, c={"json": spec, "every": "2s"}
        )
    assert [found[name].value for name in "abc"] == [1.0, 2.0, 1.0]
    assert len(asked) == 2, "one that is read at another pace has a request of its own"


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ({"http": {"url": "http://a", "read": "json"}}, "goes with `read: json`"),
        ({"http": {"url": "http://a", "path": "x"}}, "goes with `read: json`"),
        ({"http": {"url": "http://a", "read": "status", "expect": {"status": 200}}}, "whatever status"),
        ({"http": {"url": "http://a", "as": "age"}}, "`as` goes with"),
        ({"http": {"url": "a:80"}}, "not a URL"), ({"http": {"url": "http://a", "method": "G!"}}, "not an HTTP method"),
        ({"http": {"url": "http://a", "username": "u"}}, "go together"),
        ({"http": {"url": "http://a", "username": "u", "password": "p", "token": "t"}}, "is enough"),
        ({"http": {"url": "http://a"}, "every": "10ms"}, "every 0.1 to 600 s"),
        ({"http": {"url": "http://a"}, "every": 1}, "unit"),
        ({"http": {"url": "http://a"}, "timeout": "0s"}, "longer than zero"),
        ({"promql": {"url": "http://a", "query": ""}}, "at least 1 character"),
        ({"promql": {"url": "http://a", "query": "x", "max_age": "0s"}}, "longer than zero"),
        ({"promql": {"url": "http://a", "query": "x", "max_age": 20}}, "unit"),
        ({"airflow": {"url": "http://a", "dag": "d", "is": []}}, "at least 1 item"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_meant(spec: dict[str, Any], hint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ProbeSpec.model_validate(spec)
    assert hint in str(caught.value)
