"""Who may use the API, and where proxies may lead: the token, browsers' requests, and the list of upstreams."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from proxy_arms import ROOT, Arm, Upstream, connect, receive
from test_proxy_command import served

from harness.proxy.access import TOKEN, Access, AccessError, Upstreams
from harness.proxy.server import running

SECRET = "b5e1c0ffee0123456789abcdef-_~"
BEARER = {"Authorization": f"Bearer {SECRET}"}


@pytest.mark.parametrize(
    "given",
    ["", "Bearer", f"Bearer {SECRET}x", f"Bearer {SECRET[:-1]}", f"Basic {SECRET}", SECRET, f"Bearer {SECRET.upper()}"],
)
@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", "/version"),
        ("GET", "/proxies"),
        ("POST", "/reset"),
        ("GET", "/journal"),
        ("GET", "/metrics"),
        ("GET", "/x"),
    ],
)
def test_with_a_token_nothing_is_answered_without_it(given: str, verb: str, path: str) -> None:
    with running(access=Access(SECRET), metrics=True) as server:
        answer = Arm("ours", server.host, server.port).call(verb, path, **({"Authorization": given} if given else {}))
    assert (answer.status, answer.json["status"]) == (401, 401)
    assert "Authorization: Bearer" in answer.json["error"]
    assert SECRET not in answer.text


def test_a_refused_request_changes_nothing(upstream: Callable[..., Upstream]) -> None:
    with running(access=Access(SECRET)) as server:
        arm = Arm("ours", server.host, server.port)
        body = {"name": "p", "listen": "127.0.0.1:0", "upstream": upstream().address}
        assert arm.call("POST", "/proxies", body, **BEARER).status == 201
        toxic = {"type": "timeout", "attributes": {"timeout": 0}}
        for verb, path in (("POST", "/proxies/p/toxics"), ("POST", "/proxies/p"), ("DELETE", "/proxies/p")):
            assert arm.call(verb, path, toxic | {"enabled": False}).status == 401
        shown = arm.call("GET", "/proxies/p", authorization=f"bearer  {SECRET}").json
        assert (shown["enabled"], shown["toxics"]) == (True, [])
        journal = arm.call("GET", "/journal", **BEARER).text
        assert SECRET not in journal + repr(server) + repr(server.http.handler)


def test_with_the_token_any_host_name_is_accepted() -> None:
    with running(access=Access(SECRET)) as server:
        arm = Arm("ours", server.host, server.port)
        assert arm.call("GET", "/version", Host="engine.example:20001", **BEARER).status == 200


@pytest.mark.parametrize(
    "token", ["", "short", "with a space in the middle", "non-ascii-ünder-16-signs", "tab\tin-the-token-is-wrong"]
)
def test_a_token_that_protects_nothing_is_refused(token: str) -> None:
    command = [sys.executable, "-m", "harness.proxy", "serve", "--port", "0"]
    environment = {"PATH": "/usr/bin", "PYTHONPATH": str(ROOT), TOKEN: token}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"harness proxy serve: {TOKEN} must have at least 16 visible ASCII characters, without spaces\n"
    )


def test_the_token_comes_from_the_environment_and_is_not_printed() -> None:
    with served(env={"PATH": "/usr/bin", TOKEN: SECRET}) as (arm, process, line):
        assert line.startswith("harness proxy listening on ")
        assert SECRET not in line
        assert SECRET.encode() not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert arm.call("GET", "/version").status == 401
        assert arm.call("GET", "/version", **BEARER).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:8474"}, 200),
        ({"Host": "LOCALHOST"}, 200),
        ({"Host": "localhost."}, 200),
        ({"Host": "127.0.0.1"}, 200),
        ({"Host": "10.1.2.3:80"}, 200),
        ({"Host": "[::1]:8474"}, 200),
        ({"Host": "[::1]"}, 200),
        ({"Host": "proxy.test:8474"}, 200),
        ({"Host": "evil.example:8474"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:8474"}, 403),
        ({"Host": "1:2:3"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:1", "Host": "localhost:8474"}, 403),
        ({"Origin": "http://localhost:8474", "Host": "localhost:8474"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 200),
    ],
)
@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_requests_of_pages_in_browsers_are_refused(headers: dict[str, str], status: int, verb: str) -> None:
    with running(access=Access(hosts=["Proxy.test"])) as server:
        arm = Arm("ours", server.host, server.port)
        path, done = ("/proxies", 200) if verb == "GET" else ("/reset", 204)
        answer = arm.call(verb, path, **headers)
    assert answer.status == (done if status == 200 else status), answer
    if status == 403:
        assert "refused" in answer.json["error"]


def test_a_page_is_refused_even_with_the_token() -> None:
    with running(access=Access(SECRET)) as server:
        answer = Arm("ours", server.host, server.port).call("GET", "/version", Origin="http://evil.example", **BEARER)
    assert answer.status == 403


def test_allow_host_option() -> None:
    with served("--allow-host", "proxy.test") as (arm, _, _line):
        assert arm.call("GET", "/version", Host="proxy.test:8474").status == 200
        refused = arm.call("GET", "/version", Host="other.test:8474")
    assert (refused.status, "--allow-host" in refused.json["error"]) == (403, True)


def test_only_allowed_upstreams(upstream: Callable[..., Upstream]) -> None:
    echo = upstream()
    with running(upstreams=Upstreams([echo.address, "Store.test:9000"])) as server:
        arm = Arm("ours", server.host, server.port)
        place = arm.make(echo)
        assert arm.make("store.TEST:09000", "store")
        for address in ("127.0.0.1:22", "store.test:22", "store.test", "", ":9000", "store.test:x"):
            new = arm.call("POST", "/proxies", {"name": "n", "listen": "127.0.0.1:0", "upstream": address})
            moved = arm.call("POST", "/proxies/p", {"upstream": address})
            several = arm.call("POST", "/populate", [{"name": "n", "listen": "127.0.0.1:0", "upstream": address}])
            refused = (moved,) if not address else (new, moved, several)
            assert [one.status for one in refused] == [403] * len(refused), address
            message = refused[0].json["error"]
            assert message == f"the upstream {address!r} is not allowed; allowed: {echo.address}, Store.test:9000"
        assert sorted(arm.call("GET", "/proxies").json) == ["p", "store"]
        assert arm.call("GET", "/proxies/p").json["upstream"] == echo.address
        with connect(place) as sock:
            sock.sendall(b"x")
            assert receive(sock, 1) == b"x"


def test_allowed_upstreams_hold_for_the_file_too(tmp_path: Path) -> None:
    config = tmp_path / "proxies.json"
    config.write_text(json.dumps([{"name": "p", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:22"}]))
    options = ["--port", "0", "--config", str(config), "--allow-upstream", "store:9000", "--allow-upstream", "db:5432"]
    command = [sys.executable, "-m", "harness.proxy", "serve", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.endswith("the upstream '127.0.0.1:22' is not allowed; allowed: store:9000, db:5432\n")


@pytest.mark.parametrize("entry", ["store", "store:", "store:nobody-s-service", ":9000", ""])
def test_an_allowed_upstream_that_is_no_address(entry: str) -> None:
    with pytest.raises(AccessError, match="is not host:port"):
        Upstreams(["db:5432", entry])
