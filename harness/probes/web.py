"""Probes that ask over HTTP: a request and what came of it, MLflow's registry, and Airflow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from harness.model.errors import ProbeError
from harness.model.httpprobes import AirflowProbe, HttpProbe, MlflowProbe
from harness.model.secrets import reveal
from harness.probes.gauges import number_at
from harness.probes.http import HttpResponse, access_headers, ask, at_path, request_body
from harness.probes.reader import NoAnswerError, NotAskedError, ProbeContext
from harness.probes.replica_places import replicas_asked
from harness.probes.strict_json import read_json

_WORST: dict[str, Callable[[list[float]], float]] = {"up": min, "latency": max}
"""What all replicas of a service together are, by what is read."""


class HttpReader:
    """Reads an `http` probe.

    Of a service with several replicas all are asked at once: it is up where each is, and as slow as the slowest.
    """

    def __init__(self, settings: HttpProbe, around: ProbeContext) -> None:
        self._settings = settings
        self._around = around
        self._replicas = replicas_asked(settings.url, around, settings.replica)
        self._url = around.reachable(settings.url) if self._replicas is None else ""
        self._headers = access_headers(settings)
        self._body = request_body(settings.body)
        self.keeps_deadlines = self._replicas is not None
        if self._replicas is not None and settings.replica is None and settings.read not in _WORST:
            message = f"`read: {settings.read}` of {settings.url!r}, a service with several replicas, has many values"
            raise ProbeError(message, remedy="name one of them with `replica`")

    async def read(self) -> float:
        """Return whether the answer is as expected, its status, how long it took, or a number in it."""
        if self._replicas is None:
            return await self._read(self._url)
        found = await asyncio.gather(*map(self._read, await self._replicas.urls()), return_exceptions=True)
        wrong = [one for one in found if isinstance(one, BaseException)]
        if wrong:  # what was not asked tells nothing of the others; else one that gives no number is the worst
            raise next((one for one in wrong if not isinstance(one, NoAnswerError)), wrong[0])
        values = [one for one in found if not isinstance(one, BaseException)]
        return _WORST[self._settings.read](values) if len(values) > 1 else values[0]

    async def _read(self, url: str | None) -> float:
        settings = self._settings
        began_s = time.monotonic()
        try:
            if url is None:
                raise NoAnswerError("the replica is not there")
            response = await ask(
                self._around.session,
                settings.method,
                url,
                self._around.deadline_s,
                self._headers,
                allow_redirects=False,
                **self._body,
            )
            took_s = time.monotonic() - began_s
            if settings.read == "status":
                return float(response.status)
            why = self._unexpected(response)
            if why is not None:
                raise NoAnswerError(why)
        except NotAskedError:
            raise  # what was not asked is neither up nor down
        except NoAnswerError:
            if settings.read == "up":
                return 0.0
            raise
        if settings.read == "up":
            return 1.0
        return took_s if settings.read == "latency" else self._number(response)

    def _unexpected(self, response: HttpResponse) -> str | None:
        expect = self._settings.expect
        if expect is None:
            return None if 200 <= response.status <= 299 else f"status {response.status}"
        if not expect.takes(response.status):
            return f"status {response.status}"
        why = expect.header_differs(response.headers)
        if why is None and expect.values:
            why = expect.differs(_json(response.body))
        return why

    def _number(self, response: HttpResponse) -> float:
        settings = self._settings
        assert settings.path is not None
        return number_at(
            at_path(_json(response.body), settings.path), settings.path, settings.as_, self._around.event_age
        )

    async def close(self) -> None:
        """Nothing of its own is open."""


def _json(body: bytes) -> Any:
    try:
        return read_json(body)
    except ValueError as error:
        raise NoAnswerError(f"the answer is not JSON: {error}") from None


class MlflowReader:
    """Reads an `mlflow` probe by the registry's REST API, which is the same from MLflow 2.3 to 3."""

    def __init__(self, settings: MlflowProbe, around: ProbeContext) -> None:
        self._settings = settings
        self._around = around
        self._base = around.reachable(settings.url).rstrip("/") + "/api/2.0/mlflow"
        self._headers = access_headers(settings)

    async def read(self) -> float:
        """Return the version's number, or the seconds since it was made."""
        version = await self._version()
        try:
            if self._settings.read == "age":
                return self._around.age(int(version["creation_timestamp"]) / 1000, "age")
            return float(int(version["version"]))
        except (KeyError, TypeError, ValueError) as error:
            raise NoAnswerError(f"not MLflow's form of a model version: {type(error).__name__} {error}") from None

    async def _version(self) -> dict[str, Any]:
        name, alias = self._settings.model, self._settings.alias
        if alias is not None:
            response = await self._get("registered-models/alias", {"name": name, "alias": alias})
            return _mapping(response, "model_version")
        # Newest first; versions are numbers. A quotation mark in a name cannot be escaped, but there are two kinds.
        mark = '"' if "'" in name else "'"
        asked = {"filter": f"name={mark}{name}{mark}", "max_results": "1", "order_by": "version_number DESC"}
        versions = (await self._get("model-versions/search", asked)).get("model_versions") or []
        if not versions:
            raise NoAnswerError(f"the registry has no version of {name!r}")
        return _mapping({"model_version": versions[0]}, "model_version")

    async def _get(self, path: str, params: dict[str, str]) -> dict[str, Any]:
        response = await ask(
            self._around.session,
            "GET",
            f"{self._base}/{path}",
            self._around.deadline_s,
            self._headers,
            params=params,
        )
        return _answered(response, "message")

    async def close(self) -> None:
        """Nothing of its own is open."""


class AirflowReader:
    """Reads an `airflow` probe. API v2 (Airflow 3) gives a token for a user's name and password; v1 takes them.

    A login is an answer of its own, so the deadline is kept for each.
    """

    keeps_deadlines = True

    def __init__(self, settings: AirflowProbe, around: ProbeContext) -> None:
        self._settings = settings
        self._around = around
        self._root = around.reachable(settings.url).rstrip("/")
        self._headers = access_headers(settings)
        self._logs_in = settings.api == "v2" and settings.username is not None
        self._token: str | None = None
        self._one_login = asyncio.Lock()

    async def read(self) -> float:
        """Return whether the latest run is in one of the states, or the seconds since the last success ended."""
        settings = self._settings
        by = "execution_date" if settings.api == "v1" else "logical_date"
        if settings.read == "state":
            run = await self._latest({"order_by": "-start_date", "limit": "1"}, f"the DAG {settings.dag!r} has no run")
            return 1.0 if run.get("state") in settings.is_ else 0.0
        asked = {"order_by": "-end_date", "limit": "1", "state": "success"}
        run = await self._latest(asked, f"no run of the DAG {settings.dag!r} has succeeded")
        return self._around.age(run.get("end_date") or run.get(by), "age")

    async def _latest(self, params: dict[str, str], otherwise: str) -> dict[str, Any]:
        path = f"/api/{self._settings.api}/dags/{self._settings.dag}/dagRuns"
        response = await self._get(path, params)
        if response.status == 401 and self._logs_in:
            self._token = None  # it may have run out
            response = await self._get(path, params)
        runs = _answered(response, "detail").get("dag_runs") or []
        if not runs:
            raise NoAnswerError(otherwise)
        return _mapping({"run": runs[0]}, "run")

    async def _get(self, path: str, params: dict[str, str]) -> HttpResponse:
        headers = self._headers
        if self._logs_in:
            headers = {**headers, "Authorization": f"Bearer {await self._login()}"}
        url, limit_s = f"{self._root}{path}", self._around.deadline_s
        return await ask(self._around.session, "GET", url, limit_s, headers, params=params)

    async def _login(self) -> str:
        settings = self._settings
        async with self._one_login:
            if self._token is None:
                body = {"username": reveal(settings.username or ""), "password": reveal(settings.password or "")}
                url, limit_s = f"{self._root}/auth/token", self._around.deadline_s
                response = await ask(self._around.session, "POST", url, limit_s, json=body)
                token = _answered(response, "detail").get("access_token")
                if not isinstance(token, str):
                    raise NoAnswerError("Airflow's answer to the login holds no token")
                self._token = token
            return self._token

    async def close(self) -> None:
        """Nothing of its own is open."""


def _answered(response: HttpResponse, why: str) -> dict[str, Any]:
    """Return a mapping that was answered with a good status; `why` is where an error's text stands."""
    try:
        data = read_json(response.body)
    except ValueError:
        data = None
    if not 200 <= response.status <= 299:
        text = data.get(why) if isinstance(data, dict) else None
        raise NoAnswerError(f"status {response.status}" + (f": {str(text)[:200]}" if text else ""))
    if not isinstance(data, dict):
        raise NoAnswerError("the answer is no mapping in JSON")
    return data


def _mapping(data: dict[str, Any], name: str) -> dict[str, Any]:
    found = data.get(name)
    if not isinstance(found, dict):
        raise NoAnswerError(f"the answer holds no {name!r}")
    return found
