"""A whole run on a stack whose author never heard of the harness: no event clock, a file of requests, secrets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from fake_runs import ScriptedFault, SmallBackend, plan_of, scripted

from harness.description.stackfile import load_stack
from harness.faults.installed import Faults
from harness.journal.files import read
from harness.model.readings import Answer, Reading
from harness.runner.execution import script
from harness.runner.execution.run import Run
from harness.runner.planning.catalogue import Catalogue
from harness.runner.planning.plan import stack_facts
from harness.runner.watching import settling

SECRET = "hunter2-of-the-shop"
STACK = """\
x-harness:
  schema: 1
  stack: shop
  workload:
    {requests: requests.jsonl, url: "http://web:8000", rate: 60/s, repeat: true, headers: {X-Key: "${secret:SHOP_KEY}"}}
  probes:
    up: {http: {url: "http://web:8000/health", token: "${secret:SHOP_KEY}"}}
    broken: {http: {url: "http://web:8000/broken", read: json, path: a, token: "$${secret:SHOP_KEY}"}}
    said: {command: [sh, -c, "echo key ${secret:SHOP_KEY} is refused >&2; exit 1"]}
    runs: {container: {service: web}}
  alerts: {Hot: {}}
services:
  web: {command: [python, -m, shop], x-harness: {port: 8000}}
"""
LINES = ['{"path": "/price", "body": {"id": 1}, "expect": {"json": {"price": {"approx": 2.5}}}}']


class Shop:
    """A service that answers with prices, and with whatever it was sent where it is broken."""

    def __init__(self) -> None:
        self.price = 2.5
        self.keys: set[str] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"127.0.0.1:{runner.addresses[0][1]}"
        await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.keys.add(request.headers.get("X-Key") or request.headers.get("Authorization", ""))
        if request.path == "/broken":
            return web.json_response({"a": f"who sends {request.headers['Authorization']}?"})
        return web.json_response({"price": self.price})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> ScriptedFault:
    fault = ScriptedFault()
    monkeypatch.setattr(script, "Faults", lambda: scripted(fault))
    monkeypatch.setattr(settling, "LEAST_S", 0.1)
    return fault


def described(folder: Path) -> Any:
    (folder / "compose.yaml").write_text(STACK, encoding="utf-8")
    (folder / "requests.jsonl").write_text("\n".join(LINES), encoding="utf-8")
    return load_stack(folder / "compose.yaml", variables={})


async def test_a_run_with_nothing_of_the_reference_stacks_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: ScriptedFault
) -> None:
    monkeypatch.setenv("SHOP_KEY", SECRET)
    shop, stack = Shop(), described(tmp_path)
    plan = plan_of("50ms", "300ms").model_copy(update={"stack": stack_facts(Catalogue(stack, Faults()))})
    async with shop.serving() as address:
        backend = SmallBackend(addresses={"web": address})
        outcome = await Run(plan, stack, backend, tmp_path / "run", lambda _: None).go()
    assert outcome.error is None
    journal = read(tmp_path / "run")
    assert journal.closed is not None
    assert journal.closed.reason == "completed"
    answers = [answer for _, answer in journal.of(Answer)]
    assert len(answers) > 20
    assert all(answer.ok and answer.wrong is False for answer in answers)
    told = {reading.probe: reading for _, reading in journal.of(Reading)}
    assert (told["up"].value, told["runs"].value) == (1.0, 0.0)
    assert told["broken"].down == "no number at 'a'"
    assert told["said"].down == "the command ended with 1: key *** is refused"
    assert shop.keys == {SECRET, f"Bearer {SECRET}"}, "the secret was sent to where it belongs"
    written = "".join(path.read_text("utf-8") for path in (tmp_path / "run").rglob("*") if path.is_file())
    assert SECRET not in written
    assert "probe_every_s" in written


async def test_a_secret_that_is_not_there_is_met_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHOP_KEY", raising=False)
    stack = described(tmp_path)
    backend = SmallBackend(addresses={"web": "127.0.0.1:1"})
    outcome = await Run(plan_of("50ms", "300ms"), stack, backend, tmp_path / "run", lambda _: None).go()
    said = "x-harness.probes.up.http.token: the secret 'SHOP_KEY' is not in the environment — export SHOP_KEY=…"
    assert said in str(outcome.error)
    assert "start" not in backend.calls


def test_secrets_and_names_in_the_description(tmp_path: Path) -> None:
    stack = described(tmp_path)
    assert json.loads(stack.probes["up"].settings.model_dump_json())["token"] == "${secret:SHOP_KEY}"
    assert json.loads(stack.probes["broken"].settings.model_dump_json())["token"] == "${secret:SHOP_KEY}"
