"""Their side of an equivalent run, whole: Toxiproxy's server, the tiny stack's two processes, and `chaos run`.

Starts the three, lays the link through the proxy, runs the experiment, stops all, and prints one JSON line: what each
process cost by the kernel's own account, and how long it all took.

`python benchmarks/chaostoolkit_arm.py CHAOS TOXIPROXY_SERVER FAULT_S LATENCY_MS` (standard library only)
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
TINY = Path(__file__).resolve().parent / "tiny_stack"
READY_S = 10.0


def run(chaos: str, server: str, fault_s: float, latency_ms: int) -> dict[str, Any]:
    """Do the whole run."""
    began_s = time.monotonic()
    api, echo, consumer, link = _free_ports(4)
    cpu_s: dict[str, float] = {}
    with ExitStack() as ending, tempfile.TemporaryDirectory(prefix="harness-bench-") as folder:

        def start(name: str, command: list[str], **environment: str) -> None:
            process = subprocess.Popen(
                command, cwd=TINY, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=None
            )
            ending.callback(_end, process, name, cpu_s)

        start("proxy", [server, "-host", HOST, "-port", str(api)], LOG_LEVEL="error")
        start("target", [sys.executable, "-m", "tiny_echo"], BIND=HOST, PORT=str(echo))
        upstream = f"{HOST}:{link}"
        start("target", [sys.executable, "-m", "tiny_consumer"], BIND=HOST, PORT=str(consumer), UPSTREAM=upstream)
        _until_ready(f"http://{HOST}:{api}/version")
        made = {"name": "echo", "listen": upstream, "upstream": f"{HOST}:{echo}"}
        _ask(f"http://{HOST}:{api}/proxies", made)
        _until_ready(f"http://{HOST}:{consumer}/status")
        file = Path(folder) / "experiment.json"
        file.write_text(
            json.dumps(experiment(f"http://{HOST}:{api}", f"http://{HOST}:{consumer}", fault_s, latency_ms))
        )
        command = [chaos, "--no-version-check", "run", "--rollback-strategy", "always", file.name]
        chaos_began_s = time.monotonic()
        tool = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(tool.pid, 0)
        tool.returncode = os.waitstatus_to_exitcode(status)
        tool_s = time.monotonic() - chaos_began_s
        cpu_s["tool"] = used.ru_utime + used.ru_stime
        journal = json.loads((Path(folder) / "journal.json").read_text())
    return {
        "wall_s": time.monotonic() - began_s,
        "tool_s": tool_s,
        "cpu_s": cpu_s,
        "exit_code": tool.returncode,
        "status": journal["status"],
        "deviated": journal["deviated"],
    }


def experiment(api: str, consumer: str, fault_s: float, latency_ms: int) -> dict[str, Any]:
    """Return the experiment: the same latency on the same link for as long, and the same two probes."""
    up = {"type": "http", "url": f"{consumer}/healthz", "timeout": 2}
    exchange = {"type": "http", "url": f"{consumer}/exchange", "timeout": 2}
    module = "chaostoxi.toxic.actions"
    added = {"for_proxy": "echo", "toxic_name": "slow", "latency": latency_ms, "jitter": 0}
    removed = {"for_proxy": "echo", "toxic_name": "slow"}
    return {
        "title": "The one link of the tiny stack is slow",
        "description": "The consumer goes on answering.",
        "configuration": {"toxiproxy_url": api},
        "steady-state-hypothesis": {
            "title": "The consumer answers, and its exchanges are bearable",
            "probes": [
                {"type": "probe", "name": "up", "tolerance": 200, "provider": up},
                {
                    "type": "probe",
                    "name": "bearable",
                    "tolerance": {"type": "range", "target": "body", "range": [0.0, 1.0]},
                    "provider": exchange,
                },
            ],
        },
        "method": [
            {
                "type": "action",
                "name": "slow",
                "provider": _python(module, "create_latency_toxic", added),
                "pauses": {"after": fault_s},
            }
        ],
        "rollbacks": [{"type": "action", "name": "well", "provider": _python(module, "delete_toxic", removed)}],
    }


def _python(module: str, func: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"type": "python", "module": module, "func": func, "arguments": arguments}


def _end(process: subprocess.Popen[bytes], name: str, cpu_s: dict[str, float]) -> None:
    process.terminate()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu_s[name] = cpu_s.get(name, 0.0) + used.ru_utime + used.ru_stime


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def _ask(url: str, body: dict[str, Any] | None = None) -> None:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=2) as answer:
        answer.read()


def _until_ready(url: str) -> None:
    deadline_s = time.monotonic() + READY_S
    while True:
        try:
            return _ask(url)
        except (OSError, urllib.error.URLError):
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.01)


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))))
