"""Other tools killed at the same random instants: Chaos Toolkit with its Toxiproxy driver, and Pumba.

The tools are found by CHAOS, TOXIPROXY_SERVER and PUMBA, which name their programs; one that is not named is left out.
Each gets a fault of the same length as ours and a SIGKILL at a random instant while the fault is in. What is looked at
is the seam of the fault alone: the toxics of the proxy, the state of the container.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kill_everywhere.cases import FAULT_S

TRIALS = 10
LEFT_S = 15.0
POLL_S = 0.1
READY_S = 15.0
LISTED_S = 30.0


@dataclass(frozen=True)
class Tool:
    """A tool with one fault: how it is started, and whether its fault is in."""

    name: str
    fault: str
    words: list[str]
    is_in: Callable[[], bool]
    put_right: Callable[[], None]


def compare(given: argparse.Namespace) -> str:
    """Kill each tool; return the Markdown table."""
    chance = random.Random(given.seed)
    lines = [
        "| tool | fault | trials | left after 15 s | gone after, p50 |",
        "|--|--|--|--|--|",
    ]
    with (
        tempfile.TemporaryDirectory(prefix="kill-tools-") as folder,
        _toxiproxy(Path(folder)) as links,
        _pumba() as pumba,
    ):
        for tool in [*links, *pumba]:
            found = [_killed(tool, chance.uniform(0.0, FAULT_S)) for _ in range(given.trials or TRIALS)]
            gone = sorted(one for one in found if one is not None)
            p50 = f"{gone[len(gone) // 2]:.1f} s" if gone else "never"
            lines.append(f"| {tool.name} | {tool.fault} | {len(found)} | {found.count(None)} | {p50} |")
    return "\n".join(lines)


def _killed(tool: Tool, instant_s: float) -> float | None:
    """Return after which time the fault of a killed tool was gone; None where it was still in after 15 s."""
    with subprocess.Popen(
        tool.words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        deadline_s = time.monotonic() + LISTED_S
        while not tool.is_in():
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise SystemExit(f"{tool.name} did not put its fault in: {' '.join(tool.words)}")
            time.sleep(POLL_S)
        # The instant is within the fault, which lasts for FAULT_S from here on, or a little less.
        time.sleep(instant_s * (1 - POLL_S))
        process.kill()
    killed_s = time.monotonic()
    try:
        while time.monotonic() < killed_s + LEFT_S:
            if not tool.is_in():
                return time.monotonic() - killed_s
            time.sleep(POLL_S)
        return None
    finally:
        tool.put_right()


@contextlib.contextmanager
def _toxiproxy(folder: Path) -> Iterator[list[Tool]]:
    chaos, server = os.environ.get("CHAOS"), os.environ.get("TOXIPROXY_SERVER")
    if not chaos or not server:
        yield []
        return
    api, listen, upstream = _free_ports(3)
    url = f"http://127.0.0.1:{api}"
    words = [server, "-host", "127.0.0.1", "-port", str(api)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            _until_ready(f"{url}/version")
            _ask("POST", f"{url}/proxies",
                 {"name": "echo", "listen": f"127.0.0.1:{listen}", "upstream": f"127.0.0.1:{upstream}"})  # fmt: skip
            file = folder / "experiment.json"
            file.write_text(json.dumps(_experiment(url)), encoding="utf-8")
            run = [chaos, "--no-version-check", "--log-file", str(folder / "chaos.log"), "run"]
            run += ["--journal-path", str(folder / "journal.json"), "--rollback-strategy", "always", str(file)]
            yield [
                Tool(
                    "Chaos Toolkit, Toxiproxy driver",
                    "latency on a link",
                    run,
                    lambda: bool(_ask("GET", f"{url}/proxies/echo/toxics")),
                    lambda: _ask("POST", f"{url}/reset"),
                )
            ]
        finally:
            running.kill()


def _experiment(url: str) -> dict[str, Any]:
    module = "chaostoxi.toxic.actions"
    added = {"for_proxy": "echo", "toxic_name": "slow", "latency": 200, "jitter": 0}
    removed = {"for_proxy": "echo", "toxic_name": "slow"}

    def action(name: str, func: str, arguments: dict[str, Any]) -> dict[str, Any]:
        provider = {"type": "python", "module": module, "func": func, "arguments": arguments}
        return {"type": "action", "name": name, "provider": provider}

    return {
        "title": "A slow link",
        "description": "A toxic, for a while.",
        "configuration": {"toxiproxy_url": url},
        "method": [action("slow", "create_latency_toxic", added) | {"pauses": {"after": FAULT_S}}],
        "rollbacks": [action("well", "delete_toxic", removed)],
    }


@contextlib.contextmanager
def _pumba() -> Iterator[list[Tool]]:
    program = os.environ.get("PUMBA")
    if not program:
        yield []
        return
    from images import base_image

    name = f"kill-pumba-{os.getpid()}"
    words = ["docker", "run", "-d", "--name", name, base_image(), "python3", "-c", "import signal; signal.pause()"]
    subprocess.run(words, check=True, capture_output=True)
    length = f"{FAULT_S:g}s"

    def state() -> str:
        inspect = ["docker", "inspect", "-f", "{{.State.Status}}", name]
        return subprocess.run(inspect, check=True, capture_output=True, text=True).stdout.strip()

    def put_right() -> None:
        for verb in ("unpause", "start"):
            subprocess.run(["docker", verb, name], check=False, capture_output=True)

    try:
        pause = [program, "pause", "--duration", length, name]
        stop = [program, "stop", "--restart", "-t", "1", "--duration", length, name]
        yield [
            Tool("Pumba", "pause", pause, lambda: state() == "paused", put_right),
            Tool("Pumba", "stop, with restart", stop, lambda: state() == "exited", put_right),
        ]
    finally:
        subprocess.run(["docker", "rm", "-f", name], check=False, capture_output=True)


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def _ask(method: str, url: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, method=method), timeout=5) as answer:
        text = answer.read()
        return json.loads(text) if text else None


def _until_ready(url: str) -> None:
    deadline_s = time.monotonic() + READY_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(POLL_S)
