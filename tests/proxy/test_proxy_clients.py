"""Third-party clients drive both arms: what works with Toxiproxy works with ours."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from proxy_arms import BIN, Arm, Upstream, connect, found, receive
from toxiproxy import Toxiproxy
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

pytestmark = pytest.mark.slow

CLIENTS = Path(__file__).parent / "clients"


def _says_ok(*command: str | Path, cwd: Path | None = None) -> None:
    environment = {**os.environ, "NO_PROXY": "*"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.strip().splitlines()[-1:]) == (0, ["ok"]), done.stdout + done.stderr


def test_toxiproxy_python(arm: Arm, upstream: Callable[..., Upstream]) -> None:
    echo = upstream()
    server = Toxiproxy()
    server.update_api_consumer(arm.host, arm.port)
    assert server.running()
    assert b"version" in server.version()
    proxy = server.create(upstream=echo.address, name="python")
    assert proxy.enabled
    assert set(server.proxies()) == {"python"}
    with pytest.raises(ProxyExists):
        server.create(upstream=echo.address, name="python")
    proxy.add_toxic(type="latency", attributes={"latency": 20, "jitter": 5})
    with pytest.raises(ProxyExists):
        proxy.add_toxic(type="latency")
    with pytest.raises(InvalidToxic):
        proxy.add_toxic(type="no such type")
    assert proxy.get_toxic("latency_downstream").attributes == {"latency": 20, "jitter": 5}
    assert proxy.destroy_toxic("latency_downstream")
    with pytest.raises(NotFound):
        proxy.destroy_toxic("latency_downstream")
    host, _, port = proxy.listen.rpartition(":")
    with proxy.down(), pytest.raises(ConnectionRefusedError):
        connect((host, int(port)))
    with connect((host, int(port))) as sock:
        sock.sendall(b"hello")
        assert receive(sock, 5) == b"hello"
    assert server.reset()
    made = server.populate([{"name": "python", "upstream": echo.address, "listen": "127.0.0.1:0"}])
    assert [one.name for one in made] == ["python"]
    server.destroy_all()
    assert server.proxies() == {}


@pytest.mark.needs("chaostoolkit")
def test_chaostoolkit_toxiproxy(arm: Arm, upstream: Callable[..., Upstream]) -> None:
    drive = CLIENTS / "chaostoolkit" / "drive.py"
    _says_ok(BIN / "chaostoolkit" / "bin" / "python", drive, arm.url, upstream().address)


@pytest.mark.needs("node")
def test_toxiproxy_node_client(arm: Arm, upstream: Callable[..., Upstream]) -> None:
    _says_ok("node", "drive.mjs", arm.url, upstream().address, cwd=CLIENTS / "node")


@pytest.mark.needs("go")
def test_the_go_client(arm: Arm, upstream: Callable[..., Upstream]) -> None:
    _says_ok(BIN / "go-client", arm.url, upstream().address)


@pytest.mark.needs("cli")
def test_toxiproxy_cli(arm: Arm, upstream: Callable[..., Upstream]) -> None:
    program = found("TOXIPROXY_CLI", "toxiproxy-cli")
    assert program is not None

    def cli(*arguments: str) -> str:
        command = [program, "--host", arm.url, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    cli("create", "--listen", "127.0.0.1:0", "--upstream", upstream().address, "cli")
    assert "cli" in cli("list")
    cli("toxic", "add", "-t", "latency", "-n", "slow", "-a", "latency=100", "-a", "jitter=50", "cli")
    cli("toxic", "add", "-t", "slicer", "-u", "--tox", "0.5", "-a", "average_size=100", "cli")
    output = cli("inspect", "cli")
    assert "slow" in output
    assert "slicer_upstream" in output
    cli("toxic", "update", "-n", "slow", "-a", "latency=10", "cli")
    assert "latency=10" in cli("inspect", "cli")
    cli("toxic", "delete", "-n", "slow", "cli")
    assert "disabled" in cli("toggle", "cli")
    assert "enabled" in cli("toggle", "cli")
    cli("delete", "cli")
    assert arm.call("GET", "/proxies").json == {}
