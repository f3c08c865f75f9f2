"""Who has a port that a stack publishes: named, with the way to get it back."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest

from harness.backends.compose.labels import PROJECT, run_labels
from harness.backends.compose.taken_ports import port_taken

DOCKER = "Error response from daemon: driver failed: Bind for 0.0.0.0:{} failed: port is already allocated"
NEWER = "failed to bind host port for 0.0.0.0:{}:172.18.0.2:80/tcp: address already in use"


class Containers:
    """An engine that only tells which containers publish port 8080."""

    def __init__(self, **labels: str) -> None:
        self.api = self
        self.labels = labels

    def containers(self) -> list[dict[str, Any]]:
        ports = [{"PrivatePort": 80}, {"PrivatePort": 80, "PublicPort": 8080}]
        return [{"Names": ["/other"], "Labels": {}}, {"Names": ["/web-1"], "Labels": self.labels, "Ports": ports}]


def said(client: object, output: str, ports: list[Any], near: bool = True) -> str:
    error = port_taken(client, output, {"db": {}, "web": {"ports": ports}}, near)
    return "" if error is None else str(error)


@pytest.mark.parametrize("output", [DOCKER, NEWER])
@pytest.mark.parametrize(
    "entry",
    ["8080:80", "127.0.0.1:8080:80/tcp", "[::1]:8080:80", "8079-8081:80-82", {"target": 80, "published": "8080"}],
)
def test_the_port_of_a_service(output: str, entry: Any) -> None:
    text = said(Containers(), output.format(8080), [entry])
    assert text.startswith("port 8080, which the service 'web' publishes, is taken by the container 'web-1'")
    assert "`docker stop web-1` stops it, or publish another port under `ports` of 'web'" in text


@pytest.mark.parametrize("entry", ["80", "80-8090", 8080, {"target": 8080}])
def test_a_port_that_the_engine_chooses_is_not_the_file_s(entry: Any) -> None:
    assert said(Containers(), DOCKER.format(8080), [entry]) == ""


def test_another_failure_is_left_as_it_is() -> None:
    assert said(Containers(), "Pool overlaps with other one on this address space: 0.0.0.0:8080", ["8080:80"]) == ""


def test_a_stack_that_harness_up_keeps_is_named_with_its_folder() -> None:
    text = said(Containers(**run_labels("shop-1", "shop", kept=True)), DOCKER.format(8080), ["8080:80"])
    assert f"the stack 'shop-1' that `harness up` started in {os.path.realpath('.')} (container 'web-1')" in text
    assert "`harness down shop-1` stops it" in text


def test_a_compose_project_is_named() -> None:
    text = said(Containers(**{PROJECT: "fares"}), DOCKER.format(8080), ["8080:80"])
    assert "the container 'web-1' of the compose project 'fares'" in text
    assert "`docker compose -p fares down` stops it" in text


def test_a_process_of_this_machine_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        here = said(Containers(), DOCKER.format(port), [f"{port}:80"])
        there = said(Containers(), DOCKER.format(port), [f"{port}:80"], near=False)
    assert f"(process {os.getpid()})" in here
    assert "stop that program, or publish another port" in here
    assert "a program on the engine's machine" in there
    assert f"ss -ltnp 'sport = :{port}'" in there
