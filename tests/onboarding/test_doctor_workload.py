"""Which requests of a workload `harness doctor` sends to a stack that somebody else runs, and what it tells of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web

from harness.model.backend import Backend
from harness.model.stack import ServiceSpec, StackDescription
from harness.model.workload import WorkloadSpec
from harness.onboarding.doctor import workload as doctor_workload
from harness.onboarding.doctor.checks import Finding
from harness.onboarding.doctor.workload import workload


class Shop:
    """A service that keeps what it was asked, and answers as late as it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.late_s: list[float] = []
        self.address = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(f"{request.method} {request.path}")
        await asyncio.sleep(self.late_s.pop(0) if self.late_s else 0)
        return web.json_response({"n": 3}, status=401 if request.path == "/private" else 200)


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    found, app = Shop(), web.Application()
    app.router.add_route("*", "/{path:.*}", found.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


class At:
    """A backend that knows where the one service is."""

    def __init__(self, address: str) -> None:
        self._address = address

    def resolve(self, url: str) -> str:
        return url.replace("http://shop:80", self._address)


async def told(shop: Shop, folder: Path, *lines: dict[str, Any], all_methods: bool = False) -> dict[str, Finding]:
    (folder / "requests.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    given = {"requests": "requests.jsonl", "url": "http://shop:80", "rate": "1/s", "timeout": "300ms"}
    stack = StackDescription(
        schema=1,
        name="shop",
        file=str(folder / "compose.yaml"),
        services={"shop": ServiceSpec(name="shop", index=0, node="a", port=80)},
        workload=WorkloadSpec.model_validate(given),
    )
    found = await workload(stack, cast("Backend", At(shop.address)), all_methods=all_methods)
    return {f"{one.name} {one.state}": one for one in found}


LINES = ({"method": "GET", "path": "/a"}, {"path": "/predict", "body": 1}, {"method": "delete", "path": "/a"})


async def test_what_may_change_something_is_kept_back(shop: Shop, tmp_path: Path) -> None:
    found = await told(shop, tmp_path, *LINES)
    assert shop.asked == ["GET /a"]
    assert found["requests.jsonl ok"].says.endswith("all were answered, and no line says what is expected")
    kept_back = found["requests.jsonl note"]
    assert kept_back.says == "2 different requests are not sent, as DELETE, POST may change something"
    assert str(kept_back.remedy).startswith("--send sends them too")


async def test_all_are_sent_where_the_user_allows_it(shop: Shop, tmp_path: Path) -> None:
    found = await told(shop, tmp_path, *LINES, *LINES, all_methods=True)
    assert sorted(shop.asked) == ["DELETE /a", "GET /a", "POST /predict"], "each once"
    assert list(found) == ["requests.jsonl ok"]


async def test_a_late_first_answer_is_no_finding_and_a_late_answer_is_one(shop: Shop, tmp_path: Path) -> None:
    line = {"method": "GET", "path": "/a", "expect": {"json": {"n": 3}}}
    shop.late_s = [0.4]
    assert list(await told(shop, tmp_path, line)) == ["requests.jsonl ok"]
    shop.late_s = [0.4, 0.4]
    found = await told(shop, tmp_path, line)
    says = found["requests.jsonl:1 wrong"].says
    assert says == "GET /a: its answer comes after the timeout of 0.3 s, and counts as none"


async def test_an_answer_that_asks_for_a_key_tells_where_it_is_given(shop: Shop, tmp_path: Path) -> None:
    found = await told(shop, tmp_path, {"method": "GET", "path": "/private"})
    assert found["requests.jsonl:1 wrong"].says == "GET /private: status 401"
    assert "x-harness.workload.headers" in str(found["requests.jsonl:1 wrong"].remedy)


async def test_sending_has_an_end(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_workload, "LONGEST_S", 0.0)
    found = await told(shop, tmp_path, {"method": "GET", "path": "/a"})
    assert found["requests.jsonl note"].says == "0 of 1 different request sent"
    assert shop.asked == []
