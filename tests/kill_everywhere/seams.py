"""The whole state of a stack of containers that a fault can touch, and how two differ.

It is read without the harness's own ways to confirm a fault; labels of containers and the proxy's token are its.

Read from the engine, the kernel (control groups, mounts, processes, packet filters), the fault proxy, the key store
and the files. What changes by itself is left out: times, process ids, leases, and rows that are as their producer
writes them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

sys.path.append(str(Path(__file__).parents[1] / "containers"))

from fault_stack import stable

from harness.backends.compose.labels import API_ADDRESS, PROJECT, RUN, SERVICE
from harness.proxy.access import TOKEN
from tests.kill_everywhere.stack.kill_stack import value_of

OWNED = "ml-chaos-harness.owned-project"
"""The label of the record that says which run owns the stack."""
PROXY_PORT = 18474
FOLDERS = ("scratch", "data", "etc/settings.conf", "etc/issue")
LIMITS = ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us", "memory/memory.limit_in_bytes", "cpu.max", "memory.max")
CGROUPS = Path("/sys/fs/cgroup")


TOOLS = ("nsenter", "iptables-save", "ip6tables-save", "tc")


def check_sight(client: Any) -> None:
    """Raise RuntimeError where a part of the state could not be read here: it would never differ."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        raise RuntimeError(f"missing: {', '.join(missing)}")
    if (driver := client.info()["Driver"]) != "overlay2":
        raise RuntimeError(f"files of containers are read for the storage driver overlay2 only, and this is {driver}")


def seams(client: Any, project: str) -> dict[str, Any]:
    """Return the state of a project. Blocks; about a third of a second."""
    inspected = _containers(client, project)
    found: dict[str, Any] = {
        "networks": sorted(n["Name"] for n in client.api.networks(filters={"label": f"{PROJECT}={project}"})),
        "volumes": sorted(
            v["Name"] for v in client.api.volumes(filters={"label": f"{PROJECT}={project}"})["Volumes"] or ()
        ),
        "containers": {one["Name"].lstrip("/"): _container(one) for one in inspected},
    }
    for one in inspected:
        address = next((n["IPAddress"] for n in one["NetworkSettings"]["Networks"].values() if n["IPAddress"]), "")
        service = one["Config"]["Labels"].get(SERVICE, "")
        if service.startswith("harness-proxy") and address:
            found["proxies"] = _proxies(one["Config"]["Labels"].get(API_ADDRESS, address), one["Config"]["Env"])
        elif service == "keys" and address:
            found["keys"] = _rows(address)
    return found


def _containers(client: Any, project: str) -> list[dict[str, Any]]:
    """Inspect every container of the project, and those that runs attached to it have made."""
    ids = []
    for row in client.api.containers(all=True):
        labels = row["Labels"] or {}
        mine = labels.get(PROJECT) == project or labels.get(OWNED) == project
        if mine or labels.get(RUN, "").startswith(project):
            ids.append(row["Id"])
    found = []
    for one in ids:
        with contextlib.suppress(Exception):  # gone meanwhile
            found.append(client.api.inspect_container(one))
    return found


def _container(inspected: dict[str, Any]) -> dict[str, Any]:
    pid = inspected["State"]["Pid"]
    found = stable(inspected)
    found["changed_files"] = _changed(inspected)
    found["in_the_kernel"] = None
    if pid:
        with contextlib.suppress(OSError, psutil.Error):
            found["in_the_kernel"] = _of_the_kernel(pid)
    return found


def _changed(inspected: Mapping[str, Any]) -> list[str]:
    """Return the files in the container's own layer, from its folder: the engine takes a second to tell."""
    driver = (inspected.get("GraphDriver") or {}).get("Data")
    if not driver:  # it is being removed
        return []
    layer = Path(driver["UpperDir"])
    noise = ("__pycache__", "/run/", "/data/", "/tmp/", "/root/")
    found = [f"/{path.relative_to(layer)}" for path in layer.rglob("*") if not path.is_dir()]
    return sorted(path for path in found if not any(part in path for part in noise))


def _of_the_kernel(pid: int) -> dict[str, Any]:
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    return {
        "processes": sorted(_process(one) for one in family),
        "limits": dict(_limits(pid)),
        "mounted": _mounts(pid),
        "packets": _packets(pid),
        "files": dict(_files(Path(f"/proc/{pid}/root"))),
        "clock": [p for p in Path(f"/proc/{pid}/environ").read_bytes().decode("utf-8", "replace").split("\0")
                  if p.startswith(("FAKETIME", "LD_PRELOAD"))],
    }  # fmt: skip


def _process(process: psutil.Process) -> str:
    stopped = " stopped" if process.status() == psutil.STATUS_STOPPED else ""
    out_of_memory = Path(f"/proc/{process.pid}/oom_score_adj").read_text("ascii").strip()
    return f"{process.name()} nice {process.nice()} oom_score_adj {out_of_memory}{stopped}"


def _limits(pid: int) -> Iterator[tuple[str, str]]:
    for line in Path(f"/proc/{pid}/cgroup").read_text("utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        for limit in LIMITS:
            controller, _, name = limit.rpartition("/")
            if controller == controllers or (not controller and not controllers):
                with contextlib.suppress(OSError):
                    yield limit, (CGROUPS / controller / path.lstrip("/") / name).read_text("utf-8").strip()


def _mounts(pid: int) -> dict[str, str]:
    rows = [line.split() for line in Path(f"/proc/{pid}/mountinfo").read_text("utf-8").splitlines()]
    skipped = ("/proc", "/sys", "/dev")
    return {row[4]: row[5].split(",")[0] for row in rows if not row[4].startswith(skipped)}


def _packets(pid: int) -> list[str]:
    """Return the rules that drop packets, and queues of the interfaces; those of the engine's own DNS are elsewhere."""
    found = []
    for words in (["iptables-save", "-t", "filter"], ["ip6tables-save", "-t", "filter"], ["tc", "qdisc", "show"]):
        done = subprocess.run(["nsenter", "-t", str(pid), "-n", *words], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            psutil.Process(pid)  # it has ended meanwhile, perhaps
            raise RuntimeError(f"{words[0]} cannot be read: {done.stderr.strip()}")
        found += [line for line in done.stdout.splitlines() if line.startswith(("-A", "-N", "qdisc"))]
    # An interface that was taken away and comes back has another number and the same queue.
    return sorted({line.split(" dev ")[0] if line.startswith("qdisc") else line for line in found})


def _files(root: Path) -> Iterator[tuple[str, str]]:
    for folder in FOLDERS:
        top = root / folder
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file():
                yield f"/{path.relative_to(root)}", hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _proxies(address: str, environment: list[str]) -> Any:
    token = next((one.partition("=")[2] for one in environment if one.startswith(f"{TOKEN}=")), None)
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    request = urllib.request.Request(f"http://{address}:{PROXY_PORT}/proxies", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            told = json.load(answer)
    except OSError as error:
        return f"unreachable: {error}"
    return {
        name: {"enabled": proxy["enabled"], "upstream": proxy["upstream"], "toxics": proxy["toxics"]}
        for name, proxy in told.items()
    }


def _rows(address: str) -> dict[str, Any]:
    import redis

    try:
        with redis.Redis(host=address, port=17302, decode_responses=True, socket_timeout=5) as client:
            found: dict[str, Any] = dict(client.config_get("notify-keyspace-events"))  # type: ignore[arg-type]
            for key in sorted(client.keys("*")):  # type: ignore[arg-type]
                row: Mapping[str, str] = client.hgetall(key)  # type: ignore[assignment]
                right = row.get("value") == value_of(int(row.get("value_t", "0")))
                found[key] = "as written" if right else dict(row)
            return found
    except (redis.RedisError, OSError) as error:
        return {"unreachable": str(error)}


def differences(before: Any, after: Any, place: str = "") -> Iterator[str]:
    """Yield each place at which two states differ, with both values."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}, key=str):
            yield from differences(before.get(key), after.get(key), f"{place}/{key}")
    elif before != after:
        yield f"{place}: {_short(before)} -> {_short(after)}"


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 160 else f"{text[:159]}…"
