"""What is put into the container of a fault proxy: the program, its links, its limits, and never its token."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from harness.backends.compose import proxies
from harness.backends.compose.layout import API_PORT, Layout, ProxyBox
from harness.model.fields import Link

LINKS = {Link("relay", "echo"): (17101, 17109), Link("web", "store"): (9000,)}
BOX = ProxyBox("harness-proxy-1", LINKS, ("default",))
TOKEN = "a-token-of-the-tests-0123456789"


@pytest.fixture(autouse=True)
def kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(proxies.KIND, raising=False)
    monkeypatch.delenv(proxies.IMAGE, raising=False)


def files_of(box: ProxyBox) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(proxies.archive(box))) as files:
        return {f"/{one.name}": files.extractfile(one).read() for one in files}  # type: ignore[union-attr]


def after(command: list[str], option: str) -> list[str]:
    return [command[place + 1] for place, word in enumerate(command) if word == option]


def test_the_service_names_the_token_without_having_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(proxies.TOKEN, TOKEN)
    service = proxies.proxy_service(BOX, 7, "10.200.0.200")
    assert service["environment"][proxies.TOKEN] is None
    assert TOKEN not in json.dumps(service)
    assert TOKEN not in str(files_of(BOX))


def test_a_fresh_token_for_each_run(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = {proxies.new_token() for _ in range(20)}
    assert len(tokens) == 20
    assert all(token is not None and len(token) >= 40 for token in tokens)
    monkeypatch.setenv(proxies.KIND, "toxiproxy")
    assert proxies.new_token() is None


def test_it_comes_back_with_its_links_and_leads_nowhere_else() -> None:
    service = proxies.proxy_service(BOX, 7, "10.200.0.200")
    command = service["entrypoint"]
    assert service["restart"] == "unless-stopped"
    assert after(command, "--config") == [proxies.LINKS_FILE]
    assert after(command, "--host") == ["10.200.0.200"]
    links = json.loads(files_of(BOX)[proxies.LINKS_FILE])
    assert [(one["name"], one["listen"], one["upstream"], one["enabled"]) for one in links] == [
        ("relay-to-echo-17101", "0.0.0.0:17101", "echo:17101", True),
        ("relay-to-echo-17109", "0.0.0.0:17109", "echo:17109", True),
        ("web-to-store-9000", "0.0.0.0:9000", "store:9000", True),
    ]
    assert after(command, "--allow-upstream") == ["echo:17101", "echo:17109", "store:9000"]
    assert json.loads(service["labels"]["ml-chaos-harness.links"]) == {
        "relay -> echo": [17101, 17109],
        "web -> store": [9000],
    }


def test_where_ports_are_published_the_api_listens_at_every_address() -> None:
    service = proxies.proxy_service(BOX, 7, None)
    assert after(service["entrypoint"], "--host") == ["0.0.0.0"]
    assert "ml-chaos-harness.api" not in service["labels"]


def test_toxiproxy_s_own_image_gets_the_links_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(proxies.KIND, "toxiproxy")
    service = proxies.proxy_service(BOX, 7, "10.200.0.200")
    assert service["command"] == [
        "-host", "10.200.0.200", "-port", str(API_PORT), "-seed", "7", "-config", proxies.LINKS_FILE, "-proxy-metrics",
    ]  # fmt: skip
    assert service["restart"] == "unless-stopped"
    assert "environment" not in service
    assert list(files_of(BOX)) == [proxies.LINKS_FILE]


def test_endpoints_have_the_token_of_their_own_box() -> None:
    other = ProxyBox("harness-proxy-2", {Link("web", "cache"): (6379,)}, ("default",))
    layout = Layout("project", {}, {}, (BOX, other))
    api = {"harness-proxy-1": "10.0.0.1:18474", "harness-proxy-2": "10.0.0.2:18474"}
    found = proxies.endpoints(layout, api, {"harness-proxy-1": TOKEN, "harness-proxy-2": None})
    assert {name: (end.proxy_api_url, end.proxy_token) for name, end in found.items()} == {
        "relay -> echo": ("http://10.0.0.1:18474", TOKEN),
        "web -> store": ("http://10.0.0.1:18474", TOKEN),
        "web -> cache": ("http://10.0.0.2:18474", None),
    }


def test_what_is_put_in_runs_with_nothing_but_python(tmp_path: Path) -> None:
    """The archive's own program, by its own command, at another folder and with a free port for the API."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    box = ProxyBox("harness-proxy-1", {Link("relay", "localhost"): (port,)}, ("default",))
    for name, content in files_of(box).items():
        file = tmp_path / name.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    service = proxies.proxy_service(box, 7, "127.0.0.1")
    command = [word.replace(proxies.HOME, f"{tmp_path}{proxies.HOME}") for word in service["entrypoint"]]
    command[command.index(str(API_PORT))] = "0"
    environment = {"PYTHONPATH": f"{tmp_path}{proxies.HOME}", proxies.TOKEN: TOKEN}
    process = subprocess.Popen(
        [sys.executable, *command[1:]], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[4].rstrip(",")
        assert call(url, None) == 401
        found = call(url, TOKEN)
        assert {name: (one["enabled"], one["toxics"]) for name, one in found.items()} == {
            f"relay-to-localhost-{port}": (True, [])
        }
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def call(url: str, token: str | None) -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{url}/proxies", headers=headers), timeout=20) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code
