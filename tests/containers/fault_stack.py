"""A small compose project for faults on containers, and the part of its state that a revert must restore.

Its three services are nearly idle: the tests are about what faults do to their containers. Only the worker and the
store send one another something now and then.
"""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fault_cases import PREVIOUS
from images import base_image

from harness.backends.compose.labels import PROJECT, RUN, SERVICE
from harness.model.stack import ServiceSpec, StackDescription

SERVICES = ("worker", "store", "web")
_IDLE = "import signal; signal.signal(signal.SIGTERM, lambda *_: exit(0)); signal.pause()"
_TALKING = """\
import signal, socket
def say(*_):
    try: out.sendto(bytes(1), (PEER, 9))
    except OSError: pass  # it is not to be found for now
out = socket.socket(type=socket.SOCK_DGRAM)
signal.signal(signal.SIGTERM, lambda *_: exit(0))
signal.signal(signal.SIGALRM, say)
# By the kernel's own timer: Python's sleep ends with an error where the clock is skewed.
signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
while True: signal.pause()
"""
"""What sends a datagram to another service now and then."""
_COMPOSE = """\
version: "2.4"
x-base: &base
  image: {image}
  init: false
  stop_grace_period: 1s
  labels: {{{run}: {project}}}
services:
  worker:
    <<: *base
    command: [python3, -c, {to_store}]
    restart: always
    environment: {{MODE: fast, TOKEN: abc}}
    mem_limit: 96m
    networks: {{back: {{aliases: [labourer]}}}}
  store:
    <<: *base
    command: [python3, -c, {to_worker}]
    environment: {{MODE: fast}}
    volumes: ["data:/data", "{settings}:/etc/settings.conf:ro"]
    tmpfs: ["/scratch:size=4m"]
    networks: {{back: {{ipv4_address: {store_address}}}, front: }}
  web:
    <<: *base
    init: true
    command: [python3, -c, "{idle}"]
    networks: [front, back]
networks:
  back:
    labels: {{{run}: {project}}}
    ipam: {{config: [{{subnet: {subnet}}}]}}
  front:
    labels: {{{run}: {project}}}
volumes:
  data:
    labels: {{{run}: {project}}}
"""


def _talking_to(peer: str) -> str:
    """Return the program in quotes, as YAML has them too."""
    return json.dumps(_TALKING.replace("PEER", repr(peer)))


@contextmanager
def small_project(folder: Path, octet: int) -> Iterator[str]:
    """Start the project, yield its name, and remove it. `octet` makes its subnet unique."""
    project = f"harness-faults-{uuid.uuid4().hex[:8]}"
    settings = folder / "settings.conf"
    settings.write_text("rate = 5\n", encoding="utf-8")
    file = folder / "compose.yaml"
    subnet = f"172.30.{octet}.0/24"
    text = _COMPOSE.format(
        image=base_image(), run=RUN, project=project, idle=_IDLE, settings=settings, subnet=subnet,
        to_store=_talking_to("store"), to_worker=_talking_to("worker"),
        store_address=f"172.30.{octet}.9",
    )  # fmt: skip
    file.write_text(text, encoding="utf-8")
    dockerfile = f"FROM {base_image()}\nENV MODEL_VERSION=1\nVOLUME /extra\n"
    subprocess.run(["docker", "build", "-q", "-t", PREVIOUS, "-"], input=dockerfile, text=True, check=True,
                   capture_output=True, env={**os.environ, "DOCKER_BUILDKIT": "0"})  # fmt: skip
    compose = ["docker-compose", "-p", project, "-f", str(file)]
    try:
        subprocess.run([*compose, "up", "-d"], check=True, capture_output=True, text=True, timeout=120)
        yield project
    finally:
        subprocess.run(["docker", "rmi", "-f", PREVIOUS], check=False, capture_output=True)
        subprocess.run([*compose, "down", "-v", "-t", "1"], check=True, capture_output=True, timeout=120)


def description() -> StackDescription:
    """Return the project's stack description; two services share a node."""
    nodes = {"worker": "a", "store": "b", "web": "b"}
    services = {name: ServiceSpec(name=name, index=i, node=nodes[name]) for i, name in enumerate(SERVICES)}
    return StackDescription(schema=1, name="faults", file="compose.yaml", services=services)


_VOLATILE = {"SandboxID", "SandboxKey", "EndpointID", "Gateway", "IPAddress", "IPPrefixLen", "MacAddress", "Ports",
             "GlobalIPv6Address", "GlobalIPv6PrefixLen", "IPv6Gateway", "LinkLocalIPv6Address", "HairpinMode",
             "LinkLocalIPv6PrefixLen", "SecondaryIPAddresses", "SecondaryIPv6Addresses", "Bridge"}  # fmt: skip


def stable(inspected: dict[str, Any]) -> dict[str, Any]:
    """Return the part of an inspection that a revert must restore: all but times, process ids and leases."""
    state = inspected["State"]
    networks = inspected["NetworkSettings"]["Networks"]
    return {
        "id": inspected["Id"],
        "name": inspected["Name"],
        "image": inspected["Image"],
        "config": inspected["Config"],
        "host": {**inspected["HostConfig"], "OomScoreAdj": 0},
        "mounts": sorted(inspected["Mounts"], key=lambda mount: str(mount["Destination"])),
        "state": {key: state[key] for key in ("Status", "Running", "Paused", "Restarting")},
        "networks": {
            name: {key: value for key, value in endpoint.items() if key not in _VOLATILE}
            | {"Aliases": sorted(endpoint["Aliases"] or ())}
            for name, endpoint in networks.items()
        },
    }


def containers_of(client: Any, project: str) -> list[dict[str, Any]]:
    """Return the inspection of every container with the project's or the run's label."""
    found: dict[str, dict[str, Any]] = {}
    for label in (f"{PROJECT}={project}", f"{RUN}={project}"):
        for row in client.api.containers(all=True, filters={"label": label}):
            found[row["Id"]] = client.api.inspect_container(row["Id"])
    return sorted(found.values(), key=lambda inspected: str(inspected["Config"]["Labels"].get(SERVICE)))
