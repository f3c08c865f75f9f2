"""The API under random input: no crash, no hang, no unbounded memory, and it still works afterwards."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from proxy_arms import PATIENCE_S, Arm, Upstream, arm_running, connect, receive

pytestmark = pytest.mark.slow

NAMES = st.sampled_from(["p", "q", "", "a/b", "é", "x" * 300, "\x00", "t", "latency_downstream"])
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False), st.text(max_size=20), NAMES
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=8
)
TYPES = [
    "latency",
    "bandwidth",
    "slow_close",
    "timeout",
    "reset_peer",
    "slicer",
    "limit_data",
    "noop",
    "packet_loss",
    "corrupt",
    "x",
]
ATTRIBUTES = [
    "latency",
    "jitter",
    "rate",
    "shared",
    "delay",
    "timeout",
    "average_size",
    "size_variation",
    "bytes",
    "offsets",
    "loss_rate",
]
TOXIC = st.fixed_dictionaries(
    {},
    optional={
        "name": NAMES | JSON,
        "type": st.sampled_from(TYPES) | JSON,
        "stream": st.sampled_from(["upstream", "downstream", "UPSTREAM"]) | JSON,
        "toxicity": st.floats(0, 1) | JSON,
        "attributes": st.dictionaries(st.sampled_from(ATTRIBUTES), st.integers(0, 100) | JSON, max_size=3) | JSON,
        "ttl": st.integers(1, 50) | JSON,
        "lease": st.just("l") | JSON,
    },
)
PROXY = st.fixed_dictionaries(
    {},
    optional={
        "name": NAMES | JSON,
        "listen": st.sampled_from(["127.0.0.1:0", "", "[::1]:0", "nonsense", "127.0.0.1:99999"])
        | SCALARS.filter(lambda x: not isinstance(x, str)),
        "upstream": st.sampled_from(["127.0.0.1:1", "[::1]:1", "nonsense"])
        | SCALARS.filter(lambda x: not isinstance(x, str)),
        "enabled": st.booleans() | JSON,
        "toxics": st.lists(TOXIC, max_size=2) | JSON,
        "dead_upstream": st.sampled_from(["close", "reset", "refuse"]) | JSON,
        "ttl": st.integers(1, 50) | JSON,
    },
)
LEASE = st.fixed_dictionaries({}, optional={"name": st.just("l") | JSON, "ttl": st.integers(1, 100) | JSON})
BODIES = st.one_of(
    (PROXY | TOXIC | LEASE | JSON | st.lists(PROXY, max_size=3)).map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=60),
)
VERBS = st.sampled_from(["GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS"])
PATHS = st.sampled_from(
    ["/", "/proxies", "/proxies/p", "/proxies/p/toxics", "/proxies/p/toxics/latency_downstream", "/populate", "/reset",
     "/version", "/metrics", "/journal", "/journal?since=x", "/leases", "/leases/l", "/proxies/%00", "/proxies//toxics"]
)  # fmt: skip


@pytest.fixture(scope="module")
def fuzzed() -> Any:
    with arm_running("ours") as arm:
        yield arm


def _still_works(arm: Arm, upstream: Upstream) -> None:
    for name in arm.call("GET", "/proxies").json:
        if name and "/" not in name:
            arm.call("DELETE", "/proxies/" + "".join(f"%{byte:02x}" for byte in name.encode()))
    with connect(arm.make(upstream, "still")) as sock:
        sock.sendall(b"alive")
        assert receive(sock, 5) == b"alive"
    arm.call("DELETE", "/proxies/still")


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(requests=st.lists(st.tuples(VERBS, PATHS, BODIES), min_size=1, max_size=6))
def test_random_requests(fuzzed: Arm, requests: list[tuple[str, str, bytes]]) -> None:
    for verb, path, body in requests:
        answer = fuzzed.call(verb, path, body)
        assert answer.status < 500 or b"listen" in body or path in ("/reset", "/proxies/p", "/populate", "/proxies")
        if answer.text and answer.text[0] in "{[":
            assert isinstance(answer.json, dict | list)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=400) | st.binary(max_size=60).map(lambda tail: b"POST /proxies HTTP/1.1\r\n" + tail))
def test_bytes_that_are_not_http(fuzzed: Arm, raw: bytes) -> None:
    with socket.create_connection((fuzzed.host, fuzzed.port), timeout=PATIENCE_S) as sock:
        sock.sendall(raw)
        sock.shutdown(socket.SHUT_WR)
        try:
            while sock.recv(1 << 16):
                pass
        except ConnectionError:
            pass
    assert fuzzed.call("GET", "/version").status == 200


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"POST /proxies HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
        (b"POST /proxies HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST /proxies HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (b"POST /proxies HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n", b"413"),
        (b"GET /version HTTP/1.1\r\n" + b"A: b\r\n" * 20_000, b"431"),
        (b"GET /version HTTP/9\r\n\r\n", b"400"),
    ],
)
def test_oversized_and_malformed_requests_get_a_status_and_are_closed(mine: Arm, raw: bytes, status: bytes) -> None:
    with socket.create_connection((mine.host, mine.port), timeout=PATIENCE_S) as sock:
        sock.sendall(raw)
        got = b""
        while data := sock.recv(1 << 16):
            got += data
        assert got.split()[1] == status


def test_chunked_split_and_pipelined_requests(mine: Arm) -> None:
    body = b'{"name":"p","upstream":"u","enabled":false}'
    chunked = b"%x\r\n%s\r\n%x;note=1\r\n%s\r\n0\r\nTrailer: x\r\n\r\n" % (10, body[:10], len(body) - 10, body[10:])
    head = b"POST /proxies HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    last = b"GET /version HTTP/1.1\r\nConnection: close\r\n\r\n"
    with socket.create_connection((mine.host, mine.port), timeout=PATIENCE_S) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in head + chunked:
            sock.sendall(bytes([byte]))
        sock.sendall(last)
        got = b""
        while data := sock.recv(1 << 16):
            got += data
    assert got.count(b"HTTP/1.1 ") == 2
    assert got.startswith(b"HTTP/1.1 201 Created")
    assert b'{"version"' in got


def test_expect_100_continue(mine: Arm) -> None:
    head = b"POST /proxies HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    with socket.create_connection((mine.host, mine.port), timeout=PATIENCE_S) as sock:
        sock.sendall(head)
        assert receive(sock, 25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"{}")
        assert receive(sock, 12) == b"HTTP/1.1 400"


def test_deep_json_is_refused(mine: Arm) -> None:
    for body in ("[" * 100_000, '{"a":' * 100_000, '[{"name":' * 50_000 + "1"):
        assert mine.call("POST", "/proxies", body).status == 400


def test_api_connections_are_limited(mine: Arm) -> None:
    clients = []
    try:
        clients.extend(socket.create_connection((mine.host, mine.port), timeout=PATIENCE_S) for _ in range(600))
        assert len(clients) == 600
    finally:
        for sock in clients:
            sock.close()


def test_memory_does_not_grow_with_use(mine: Arm, upstream: Callable[..., Upstream]) -> None:
    """The journal is bounded: after thousands of toxics it has its maximum length."""
    mine.make(upstream())
    for number in range(700):
        mine.add_toxic("latency", latency=number)
        mine.remove_toxic("latency_downstream")
    journal = mine.journal()
    assert len(journal["events"]) <= 2000
    assert len(journal["toxics"]) <= 200
    assert journal["events"][-1]["seq"] >= 1400
    since = journal["events"][-1]["seq"]
    assert mine.call("GET", f"/journal?since={since}").json["events"] == []


def test_it_still_works_afterwards(fuzzed: Arm, upstream: Callable[..., Upstream]) -> None:
    before = len(list(Path(f"/proc/{os.getpid()}/fd").iterdir()))
    for _ in range(20):
        _still_works(fuzzed, upstream())
    assert len(list(Path(f"/proc/{os.getpid()}/fd").iterdir())) < before + 60
