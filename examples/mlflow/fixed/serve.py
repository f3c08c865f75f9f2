"""The model server: runs MLflow's scoring server for the champion, and switches to the next champion without a gap.

A scoring server loads its model once. So each new version gets its own process on another port; when that answers
its ping, requests go there and the previous process ends. The front also counts and times the requests.

Fixed: models are kept on a volume, and the server starts with the latest of them even if the store is down.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest

MODEL = os.environ.get("MODEL_NAME", "late-delivery")
ALIAS = os.environ.get("MODEL_ALIAS", "champion")
POLL_S = float(os.environ.get("RELOAD_POLL_S", "30"))
TIMEOUT_S = float(os.environ.get("SCORING_TIMEOUT_S", "10"))
START_TIMEOUT_S = float(os.environ.get("MODEL_START_TIMEOUT_S", "120"))
PORTS = (8081, 8082)
# What `mlflow models serve` runs in the end, without its command line: that takes longer to import than all of this.
SERVE = """
import sys

import uvicorn
from mlflow.pyfunc import load_model, scoring_server

uvicorn.run(scoring_server.init(load_model(sys.argv[1])), host="127.0.0.1", port=int(sys.argv[2]))
"""
MODELS = Path(os.environ.get("MODEL_CACHE", "/models"))
KEEP = 2

log = logging.getLogger("serving")
REQUESTS = Counter("scoring_requests_total", "Scoring requests by status", ["code"])
LATENCY = Histogram(
    "scoring_latency_seconds",
    "From a request's arrival to its answer",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
VERSION = Gauge("scoring_model_version", "The version that answers requests")


@dataclass
class Server:
    """One scoring server and the version it has."""

    version: str
    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """End it with its worker, which is a process of its own."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait()


def kept() -> list[str]:
    """Return the versions that are on the volume, the newest first."""
    return sorted((path.name for path in MODELS.iterdir() if path.name.isdigit()), key=int, reverse=True)


def keep(version: str) -> None:
    """Bring a version to the volume, unless it is there; older ones go."""
    if version not in kept():
        part = MODELS / "part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        download_artifacts(artifact_uri=f"models:/{MODEL}/{version}", dst_path=str(part))
        part.rename(MODELS / version)
    for old in kept()[KEEP:]:
        shutil.rmtree(MODELS / old)


def start(version: str, port: int) -> Server:
    """Start serving a version, in a process group of its own."""
    model = str(MODELS / version)
    argv = [sys.executable, "-c", SERVE, model, str(port)]
    return Server(version, port, subprocess.Popen(argv, start_new_session=True))


class Front:
    """What clients talk to."""

    def __init__(self) -> None:
        self.server: Server | None = None
        self.session: aiohttp.ClientSession

    async def follow(self) -> None:
        """Look for a new champion every so often."""
        registry = MlflowClient()
        for version in kept()[:1]:
            with contextlib.suppress(RuntimeError):
                await self.move_to(version)
        while True:
            try:
                champion = await asyncio.to_thread(registry.get_model_version_by_alias, MODEL, ALIAS)
                if self.server is None or champion.version != self.server.version:
                    await asyncio.to_thread(keep, str(champion.version))
                    await self.move_to(str(champion.version))
            except (MlflowException, RuntimeError, OSError) as error:
                log.warning("no new champion: %s", error)
            if self.server is not None and self.server.process.poll() is not None:
                log.error("the model's process has ended")
                os._exit(1)
            await asyncio.sleep(POLL_S)

    async def move_to(self, version: str) -> None:
        """Bring a version up beside the one that answers, then let it take over."""
        before = self.server
        port = next(port for port in PORTS if before is None or port != before.port)
        server = start(version, port)
        try:
            await self.answering(server)
        except Exception:
            server.stop()
            raise
        self.server = server
        VERSION.set(float(version))
        log.info("version %s answers", version)
        if before is not None:
            await asyncio.sleep(1)  # for requests sent before the switch
            await asyncio.to_thread(before.stop)

    async def answering(self, server: Server) -> None:
        """Wait for a server's first pong."""
        until = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < until and server.process.poll() is None:
            try:
                async with self.session.get(f"{server.url}/ping") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.2)
        raise RuntimeError(f"version {server.version} does not come up")

    async def score(self, request: web.Request) -> web.Response:
        """Pass a request on to the model."""
        with LATENCY.time():
            answer = await self.pass_on(await request.read(), request.content_type)
        REQUESTS.labels(str(answer.status)).inc()
        return answer

    async def pass_on(self, body: bytes, content_type: str) -> web.Response:
        """Ask the model; what it answers, or why it did not."""
        server = self.server
        if server is None:
            return web.json_response({"error": "no model yet"}, status=503)
        try:
            headers = {"Content-Type": content_type}
            async with self.session.post(f"{server.url}/invocations", data=body, headers=headers) as answer:
                return web.Response(
                    body=await answer.read(),
                    status=answer.status,
                    content_type="application/json",
                    headers={"X-Model-Version": server.version},
                )
        except TimeoutError:
            return web.json_response({"error": "the model takes too long"}, status=504)
        except aiohttp.ClientError as error:
            return web.json_response({"error": str(error)}, status=502)

    async def ping(self, _: web.Request) -> web.Response:
        """Healthy once there is a model."""
        return web.Response(status=200 if self.server else 503)

    async def metrics(self, _: web.Request) -> web.Response:
        """For Prometheus."""
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def main() -> None:
    """Serve until told to end."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    front, ended = Front(), asyncio.Event()
    app = web.Application(client_max_size=16 * 1024**2)
    app.add_routes(
        [web.post("/invocations", front.score), web.get("/ping", front.ping), web.get("/metrics", front.metrics)]
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as front.session:
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, port=8080).start()
        following = asyncio.create_task(front.follow())
        await ended.wait()
        following.cancel()
        await runner.cleanup()
        if front.server is not None:
            front.server.stop()


if __name__ == "__main__":
    asyncio.run(main())
