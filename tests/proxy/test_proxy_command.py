"""The proxy as a program: options, config file, start, end, and limits."""

import contextlib
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from proxy_arms import ROOT, Arm, Upstream, connect, free_port, receive, until

import harness.proxy.api
from harness.proxy.address import AddressError, LookupNeeded, Resolver, as_text, numeric, split
from harness.proxy.server import running


@contextlib.contextmanager
def served(*options: str, **kwargs: Any) -> Iterator[tuple[Arm, "subprocess.Popen[str]", str]]:
    """`serve` on a free port, once it listens; the last value is its first line of output."""
    port = free_port()
    command = [sys.executable, "-m", "harness.proxy", "serve", "--port", str(port), *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, **kwargs)
    assert process.stdout is not None
    try:
        yield Arm("ours", "127.0.0.1", port), process, process.stdout.readline()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_first_line_names_address_and_seed_and_sigterm_ends_it() -> None:
    with served("--seed", "42") as (arm, process, line):
        assert line == f"harness proxy listening on {arm.url}, seed 42\n"
        assert arm.call("GET", "/version").json == {"version": harness.proxy.api.VERSION}
        assert arm.call("GET", "/metrics").status == 404, "only if switched on"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_metrics_option() -> None:
    with served("--metrics") as (arm, _, _line):
        answer = arm.call("GET", "/metrics")
        assert (answer.status, answer.content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")


def test_config_file_with_proxies_and_toxics(tmp_path: Path, upstream: Callable[..., Upstream]) -> None:
    toxic = {
        "type": "latency",
        "name": "slow",
        "stream": "upstream",
        "toxicity": 1,
        "attributes": {"latency": 20, "jitter": 0},
    }
    plain = {"name": "plain", "listen": "127.0.0.1:0", "upstream": upstream().address, "enabled": True}
    config = tmp_path / "proxies.json"
    config.write_text(json.dumps([plain, {**plain, "name": "slow", "toxics": [toxic]}]))
    with served("--config", str(config)) as (arm, _, _line):
        proxies = arm.call("GET", "/proxies").json
        assert {name: proxy["toxics"] for name, proxy in proxies.items()} == {"plain": [], "slow": [toxic]}
        host, _, port = proxies["slow"]["listen"].rpartition(":")
        with connect((host, int(port))) as sock:
            sock.sendall(b"x")
            assert receive(sock, 1) == b"x"
        assert arm.did("slow")["delay_min_ms"] >= 20


def test_what_a_config_file_says_in_vain_is_reported(tmp_path: Path) -> None:
    toxic = {"type": "latency", "attributes": {"latncy": 20}}
    proxy = {"name": "p", "listen": "127.0.0.1:0", "upstream": "localhost:1", "on_dead": "reset", "toxics": [toxic]}
    config = tmp_path / "proxies.json"
    config.write_text(json.dumps([proxy]))
    expected = ["unknown field 'on_dead' ignored", "unknown attribute 'latncy' ignored"]
    with served("--config", str(config), stderr=subprocess.PIPE) as (arm, process, _line):
        assert [event["what"] for event in arm.journal()["events"] if event["event"] == "ignored"] == expected
        process.terminate()
        assert process.communicate(timeout=60)[1].splitlines() == [
            f"harness proxy serve: {config}: {text}" for text in expected
        ]


@pytest.mark.parametrize(
    "text",
    [
        "{", "{}", '[{"name": "p"}]', '[{"name":"p","upstream":"u","toxics":[{"type":"x"}]}]', "[" * 3000,
        '[{"name":"p","upstream":"u","toxics":[{"type":"latency","toxicity":1e999}]}]', '[{"name":NaN,"ttl":1}]',
    ],
)  # fmt: skip
def test_invalid_config_file(tmp_path: Path, text: str) -> None:
    config = tmp_path / "proxies.json"
    config.write_text(text)
    command = [sys.executable, "-m", "harness.proxy", "serve", "--port", "0", "--config", str(config)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"harness proxy serve: cannot load {config}: ")
    assert "Traceback" not in done.stderr


def test_api_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [sys.executable, "-m", "harness.proxy", "serve", "--port", str(taken.getsockname()[1])]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "in use; choose" in done.stderr


def test_api_host_that_does_not_exist() -> None:
    command = [sys.executable, "-m", "harness.proxy", "serve", "--port", "0", "--host", "no-such-host.invalid"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "harness proxy serve: cannot listen at no-such-host.invalid:0: lookup no-such-host.invalid: no such host; "
        "choose --host and --port (0 takes a free port)\n"
    )


def test_it_dies_with_its_parent() -> None:
    parent = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-m", "harness.proxy", "serve", "--port", "0", "--die-with-parent"],
                         stdout=subprocess.PIPE, text=True)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""
    process = subprocess.Popen([sys.executable, "-c", parent], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    watched = os.pidfd_open(child)
    process.kill()
    process.wait()
    process.stdout.close()
    assert select.select([watched], [], [], 20)[0], "it lives on"
    os.close(watched)


def test_it_exits_when_the_named_parent_has_ended() -> None:
    command = [sys.executable, "-m", "harness.proxy", "serve", "--port", "0", "--die-with-parent", "999999999"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_start_imports_little() -> None:
    heavy = ("asyncio", "dataclasses", "inspect", "_hashlib", "http", "email", "harness.model")
    code = f"import sys, harness.proxy.server; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_start_imports_only_the_standard_library() -> None:
    """It runs in containers that have a plain Python and nothing else."""
    code = """
import sys
before = set(sys.modules)
import harness.proxy.server
print({name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "{'harness'}\n"


def test_it_survives_running_out_of_descriptors(upstream: Callable[..., Upstream]) -> None:
    """More clients than descriptors: some are refused, the API and the rest go on."""

    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (160, 160))

    echo = upstream()
    with served(preexec_fn=few) as (arm, _, _line):
        place = arm.make(echo)
        socks = [connect(place) for _ in range(200)]
        assert arm.call("GET", "/proxies/p").status == 200
        for sock in socks:
            sock.close()
        until(lambda: arm.journal()["proxies"]["p"]["connections_open"] == 0)
        with connect(place) as sock:
            sock.sendall(b"x")
            assert receive(sock, 1) == b"x"


def test_a_defect_in_one_connection_does_not_end_others(
    upstream: Callable[..., Upstream], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    echo = upstream()
    with running(seed=1) as server:
        arm = Arm("ours", server.host, server.port)
        place = arm.make(echo)
        arm.add_toxic("latency")
        with connect(place) as other:
            other.sendall(b"x")
            assert receive(other, 1) == b"x"
            with monkeypatch.context() as patch, connect(place) as sock:
                patch.setattr("harness.proxy.toxics.latency.Latency.push", lambda *_: 1 / 0)
                sock.sendall(b"x")
                assert receive(sock, 1) == b""
            other.sendall(b"y")
            assert receive(other, 1) == b"y"
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_a_slow_name_lookup_delays_nothing_else(
    upstream: Callable[..., Upstream], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answer = threading.Event(), threading.Event()
    echo = upstream()

    really = socket.getaddrinfo

    def look_up(host: str, *arguments: Any, **named: Any) -> list[Any]:
        if not host.endswith(".example"):
            return really(host, *arguments, **named)
        asked.set()
        assert answer.wait(20)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with running(seed=1) as server:
        arm = Arm("ours", server.host, server.port)
        place = arm.make(f"slow.example:{echo.address.rpartition(':')[2]}", "slow")
        with connect(place) as waiting, connect(arm.make(echo, "fast")) as sock:
            waiting.sendall(b"early")
            assert asked.wait(20)
            sock.sendall(b"x")
            assert receive(sock, 1) == b"x"
            answer.set()
            assert receive(waiting, 5) == b"early"
        body = {"name": "l", "listen": "other.example:0", "upstream": "u"}
        listening = arm.call("POST", "/proxies", body, Connection="close")
        assert (listening.status, listening.json["listen"].partition(":")[0]) == (201, "127.0.0.1")


def test_a_name_that_does_not_exist() -> None:
    with running(seed=1) as server:
        arm = Arm("ours", server.host, server.port)
        with connect(arm.make("no-such-host.invalid:1")) as sock:
            assert receive(sock, 1) == b""
        body = {"name": "l", "listen": "no-such-host.invalid:0", "upstream": "u"}
        answer = arm.call("POST", "/proxies", body)
        assert (answer.status, answer.json["error"]) == (500, "listen tcp: lookup no-such-host.invalid: no such host")


@pytest.mark.parametrize(
    ("address", "parts"),
    [("h:1", ("h", "1")), ("[::1]:2", ("::1", "2")), (":3", ("", "3")), ("", ("", "0")), ("1.2.3.4:", ("1.2.3.4", ""))],
)
def test_addresses(address: str, parts: tuple[str, str]) -> None:
    assert split(address) == parts


@pytest.mark.parametrize("address", ["h", "::1:5:6", "1.2.3.4:70000", "1.2.3.4:nobody-s-service"])
def test_invalid_addresses(address: str) -> None:
    resolver = Resolver(lambda: 0.0, lambda call: None)
    with pytest.raises(AddressError):
        resolver.resolve(address)


def test_connections_to_a_name_with_several_addresses_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    v4 = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"10.0.0.{k}", 0)) for k in (1, 2, 3)]
    v6 = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::9", 0, 0, 0))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [*v4, v6])
    now_s = 0.0
    resolver = Resolver(lambda: now_s, lambda call: None)
    resolver.look_up_now("several")
    turns = [[as_text(place) for _, place in resolver.resolve("several:80")] for _ in range(6)]
    assert [turn[0] for turn in turns] == ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"] * 2
    assert all(turn[-1] == "[::9]:80" and len(set(turn)) == 4 for turn in turns)
    now_s = 1.0
    with pytest.raises(LookupNeeded):  # one that is gone must not be asked for long
        resolver.resolve("several:80")


def test_numeric_hosts_need_no_lookup() -> None:
    assert numeric("127.0.0.1", 5) == [(socket.AF_INET, ("127.0.0.1", 5))]
    assert numeric("example.org", 5) is None
    (family, place), *_ = numeric("::1", 5) or []
    assert (family, as_text(place)) == (socket.AF_INET6, "[::1]:5")
