"""Probes of MLflow and Airflow, against servers that speak their REST forms."""

from __future__ import annotations

import base64
import datetime as dt
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from real_probes import Probing, read
from servers import serving


def version(number: int, ago_s: float, name: str = "o'brien") -> dict[str, Any]:
    """Return a version of a model, made so long ago."""
    made_ms = int((time.time() - ago_s) * 1000)
    return {"name": name, "version": str(number), "creation_timestamp": made_ms, "current_stage": "None"}


async def mlflow(request: web.Request) -> web.StreamResponse:
    """Speak the registry's two forms, as MLflow 2 and 3 do."""
    if request.path == "/base/api/2.0/mlflow/registered-models/alias":
        if request.query["alias"] == "champion":
            return web.json_response({"model_version": version(3, 600)})
        error = {"error_code": "INVALID_PARAMETER_VALUE", "message": "Registered model alias not found."}
        return web.json_response(error, status=400)
    assert request.path == "/base/api/2.0/mlflow/model-versions/search"
    wanted, order = request.query["filter"], request.query["order_by"]
    assert (order, request.query["max_results"]) == ("version_number DESC", "1")
    return web.json_response({"model_versions": [version(11, 60)]} if wanted == 'name="o\'brien"' else {})


async def test_versions_of_a_model(tmp_path: Path) -> None:
    async with serving(mlflow) as url:
        model = {"url": f"{url}/base/", "model": "o'brien"}
        found = await read(
            tmp_path, latest={"mlflow": model}, age={"mlflow": {**model, "read": "age"}},
            alias={"mlflow": {**model, "alias": "champion"}},
            alias_age={"mlflow": {**model, "alias": "champion", "read": "age"}},
            no_alias={"mlflow": {**model, "alias": "x"}}, no_model={"mlflow": {**model, "model": "y"}},
        )  # fmt: skip
    assert (found["latest"].value, found["alias"].value) == (11.0, 3.0)
    assert found["age"].value == pytest.approx(60, abs=10)
    assert found["alias_age"].value == pytest.approx(600, abs=10)
    assert found["no_alias"].down == "status 400: Registered model alias not found."
    assert found["no_model"].down == "the registry has no version of 'y'"


@pytest.mark.parametrize(
    "said",
    [[], 3, {"model_versions": 3}, {"model_versions": [3]}, {"model_versions": [{}]},
     {"model_versions": [{"version": "x"}]},
     {"model_versions": {"a": 1}}],
)  # fmt: skip
async def test_registries_that_make_no_sense_are_readings(tmp_path: Path, said: Any) -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.json_response(said)

    async with serving(handler) as url:
        found = await read(tmp_path, p={"mlflow": {"url": url, "model": "m"}}, q={"airflow": {"url": url, "dag": "d"}})
    assert found["p"].value is None
    assert found["p"].down
    assert found["q"].value is None


class Airflow:
    """Speaks Airflow's list of runs, for v1 with a user's password and for v2 with a token that can be revoked."""

    def __init__(self) -> None:
        self.token = "t1"
        self.logins = 0
        self.runs: list[dict[str, Any]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/auth/token":
            self.logins += 1
            said = await request.json()
            if said != {"username": "ops", "password": "s3cret"}:
                return web.json_response({"detail": "Invalid credentials"}, status=401)
            return web.json_response({"access_token": self.token}, status=201)
        _, _, api, _, dag, _ = request.path.split("/")
        given = request.headers.get("Authorization", "")
        wanted = "Basic " + base64.b64encode(b"ops:s3cret").decode() if api == "v1" else f"Bearer {self.token}"
        if given != wanted:
            return web.json_response({"detail": "Unauthorized"}, status=401)
        if dag != "train":
            return web.json_response({"detail": f"The DAG {dag} was not found"}, status=404)
        order, state = request.query["order_by"], request.query.get("state")
        found = [run for run in self.runs if state in (None, run["state"])]
        found.sort(key=lambda run: run[order.removeprefix("-")] or "", reverse=order.startswith("-"))
        return web.json_response({"dag_runs": found[: int(request.query["limit"])], "total_entries": len(found)})


def run(state: str, ago_s: float) -> dict[str, Any]:
    start = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=ago_s + 5)
    end = start + dt.timedelta(seconds=5)
    ended = state in ("success", "failed")
    return {"state": state, "start_date": start.isoformat(), "end_date": end.isoformat() if ended else None}


@pytest.mark.parametrize("api", ["v1", "v2"])
async def test_runs_of_a_dag(tmp_path: Path, api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_PASSWORD", "s3cret")
    server = Airflow()
    async with serving(server.handle) as url:
        dag = {"url": url, "dag": "train", "api": api, "username": "ops", "password": "${secret:AIRFLOW_PASSWORD}"}
        probes = {
            "ok": {"airflow": dag}, "going": {"airflow": {**dag, "is": ["running", "queued"]}},
            "since": {"airflow": {**dag, "read": "success_age"}}, "gone": {"airflow": {**dag, "dag": "x"}},
            "denied": {"airflow": {**dag, "password": "wrong"}},
        }  # fmt: skip
        async with Probing(tmp_path, probes) as probing:
            found = await probing.once()
            assert found["ok"].down == "the DAG 'train' has no run"
            assert found["since"].down == "no run of the DAG 'train' has succeeded"
            assert found["gone"].down == "status 404: The DAG x was not found"
            assert "status 401" in (found["denied"].down or "")
            server.runs = [run("success", 600), run("failed", 300)]
            found = await probing.once()
            assert (found["ok"].value, found["going"].value) == (0.0, 0.0)
            assert found["since"].value == pytest.approx(600, abs=10)
            server.runs.append(run("running", 1))
            found = await probing.once()
            assert (found["ok"].value, found["going"].value) == (0.0, 1.0)
            server.token = "t2"  # the old one has run out
            server.runs[-1] = run("success", 0)
            found = await probing.once()
            assert (found["ok"].value, found["going"].value) == (1.0, 0.0)
            assert found["since"].value == pytest.approx(0, abs=10)


async def test_a_token_of_ones_own_needs_no_login(tmp_path: Path) -> None:
    server = Airflow()
    server.runs = [run("success", 0)]
    async with serving(server.handle) as url:
        found = await read(tmp_path, p={"airflow": {"url": url, "dag": "train", "token": "t1"}})
    assert (found["p"].value, server.logins) == (1.0, 0)
