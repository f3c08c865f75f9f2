"""A fault that does as its script says, a plan around it, and a whole small stack inside the test's own process."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

sys.path.insert(0, str(Path(__file__).parents[1] / "seams"))

from real_servers import FakeBackend

from harness.model.alertsources import AlertSource
from harness.model.backend import JobResult
from harness.model.fault import Confirmation, Fault, FaultKind, NoParameters
from harness.model.plan import Plan, StackFacts
from harness.model.scenario import Scenario
from harness.model.stack import EventClockEndpoint, ServiceSpec, StackDescription
from harness.model.workload import WorkloadSpec

START = 1_371_000_000
PER_SECOND = 50


class ScriptedFault:
    """Each step does what the script has for it: an exception is raised, None hangs, anything else is fine."""

    def __init__(
        self, rows: list[dict[str, Any]] | None = None, landings: list[Confirmation] | None = None, **script: Any
    ) -> None:
        self.script = script
        self.on = False
        self.went_in = asyncio.Event()
        self.reverting = asyncio.Event()
        self.calls: list[str] = []
        self._rows = rows or []
        self._landings = landings or []

    async def _do(self, step: str) -> Any:
        self.calls.append(step)
        planned = self.script.get(step, "fine")
        if planned is None:
            await asyncio.Event().wait()
        if isinstance(planned, Exception):
            raise planned
        return planned

    async def prepare(self) -> dict[str, Any]:
        await self._do("prepare")
        return {"put": "back"}

    async def inject(self) -> None:
        self.on = True
        self.went_in.set()
        await self._do("inject")

    async def confirm(self) -> Confirmation:
        await self._do("confirm")
        return self._landings.pop(0) if self._landings else Confirmation(self.on)

    async def revert(self, undo: dict[str, Any]) -> None:
        self.reverting.set()
        await self._do("revert")
        assert undo == {"put": "back"}
        self.on = False

    async def absent(self) -> Confirmation:
        said = await self._do("absent")
        return said if isinstance(said, Confirmation) else Confirmation(self.on)

    def manifest(self) -> list[dict[str, Any]]:
        taken, self._rows = self._rows, []
        return taken


def scripted(fault: ScriptedFault) -> dict[str, FaultKind]:
    """Return a table with that one fault in it."""

    def make(*_: Any) -> Fault:
        return fault

    kind = FaultKind("test.fault", "does as its script says", ("service",), NoParameters, make, changes="rows")
    return {kind.kind: kind}


def plan_of(at: str, duration: str, twin: Any = None, *, scores_checked: bool = False, **changes: Any) -> Plan:
    """Return a plan with one fault. The small stack declares no model, so that no score of it is checked."""
    scenario: dict[str, Any] = {
        "schema": 1,
        "scenario": "small",
        "summary": "A fault in a small stack.",
        "stack": "small",
        "gate_timeout": "3s",
        "steady_state": [{"id": "up", "probe": "availability", "at_least": 0.9, "over": "0.2s", "min_samples": 3}],
        "timeline": [
            {"id": "it", "at": at, "fault": "test.fault", "target": {"service": "server"}, "for": duration},
        ],
        "expect": {},
    }
    made = Scenario.model_validate(scenario | changes)
    facts = StackFacts(name="small", scores_checked=scores_checked)
    rules, limits = made.abort_if, made.limits
    return Plan(run="small", scenario=made, stack=facts, seed=1, twin=twin, abort_if=rules, limits=limits)


class SmallStack:
    """Serves predictions, a clock and alerts; what it does wrong is switched on by the test."""

    def __init__(self) -> None:
        self.alerts: list[dict[str, Any]] = []
        self.evaluations = 0
        self.broken = False
        self.url = ""
        self.started_unix = time.time()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_get("/clock", self._clock)
        app.router.add_post("/predict", self._predict)
        app.router.add_get("/api/v1/alerts", self._alerts)
        app.router.add_get("/metrics", self._metrics)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        address = f"127.0.0.1:{runner.addresses[0][1]}"
        yield address
        await runner.cleanup()

    async def _clock(self, _: web.Request) -> web.Response:
        return web.json_response({"start_event": START, "start_unix": self.started_unix, "speed": 3600.0})

    async def _predict(self, request: web.Request) -> web.Response:
        asked = await request.json()
        if self.broken:
            return web.Response(status=500)
        said = {
            "id": asked["id"], "score": 0.5, "model": {"version": 1, "digest": "sha256:0"}, "inputs": {},
            "features": {"delay": {"value": 1.0, "event_time": START}}, "fallback": None,
        }  # fmt: skip
        return web.json_response(said)

    async def _alerts(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "success", "data": {"alerts": self.alerts}})

    async def _metrics(self, _: web.Request) -> web.Response:
        self.evaluations += 1
        return web.Response(text=f"evaluations_total {self.evaluations}\n")


def small_description() -> StackDescription:
    """Describe the small stack."""
    return StackDescription(
        schema=1,
        name="small",
        file="compose.yaml",
        services={"server": ServiceSpec(name="server", index=0, node="a", port=18001)},
        event_clock=EventClockEndpoint(url="http://server:18001/clock"),
        workload=WorkloadSpec(make=("make",), url="http://server:18001/predict"),
        alert_sources=(AlertSource(kind="prometheus", url="http://server:18001", heartbeat="evaluations_total"),),
    )


def write_workload(path: Path, seconds: float = 30.0) -> None:
    """Write the small stack's workload."""
    head = {"kind": "workload", "schema": 1, "start": START, "end": START + int(seconds * 3600), "entity_field": "e"}
    lines: list[dict[str, Any]] = [head | {"features": {"delay": {"group": "delay"}}}]
    lines.append({"kind": "truth", "entity": "JFK", "group": "delay", "at": START - 7200, "values": {"delay": 1.0}})
    for k in range(int(seconds * PER_SECOND)):
        at = START + int(k * 3600 / PER_SECOND)
        lines.append({"kind": "request", "id": f"r{k}", "at": at, "body": {"id": f"r{k}", "e": "JFK"}})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


class SmallBackend(FakeBackend):
    """A backend of the small stack, which runs in the test's own process."""

    async def run_job(self, argv: Any, timeout_s: float, env: Any = None) -> JobResult:
        self.calls.append(" ".join(argv))
        return JobResult(1, "", "no jobs here")
