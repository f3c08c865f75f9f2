"""Byte-exactness: random payloads, chunkings, toxics, changes, removals.

None of the toxics here means to lose a byte, so each side must receive exactly what the other sent, in order, and its
end. It is in the order of toxics, the moments of their coming and going, and half-closes that a proxy gets this wrong.
"""

import itertools
import random
import selectors
import socket
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from proxy_arms import PATIENCE_S, Arm, arm_running, connect, receive_all, until

pytestmark = pytest.mark.slow

SIZES = st.one_of(st.integers(50_000, 400_000), st.integers(50_000, 400_000), st.integers(0, 3))
CHUNKS = st.lists(st.integers(1, 70_000), max_size=6).map(lambda sizes: [*sizes, 30_000])
STREAMS = st.sampled_from(["upstream", "downstream"])
HARMLESS = st.one_of(
    st.builds(
        lambda latency, jitter: ("latency", {"latency": latency, "jitter": jitter}),
        st.integers(0, 40),
        st.integers(0, 10),
    ),
    st.builds(lambda rate: ("bandwidth", {"rate": rate}), st.integers(3_000, 100_000)),
    st.builds(lambda rate: ("bandwidth", {"rate": rate, "shared": True}), st.integers(3_000, 100_000)),
    st.builds(
        lambda average, share: (
            "slicer",
            {"average_size": average, "size_variation": int(average * share), "delay": 0},
        ),
        st.integers(800, 50_000),
        st.floats(0, 1),
    ),
    st.builds(lambda delay: ("slow_close", {"delay": delay}), st.integers(0, 8)),
    st.just(("noop", {})),
    st.just(("packet_loss", {"loss_rate": 0.0})),
    st.just(("corrupt", {"rate": 0.0})),
    st.just(("limit_data", {"bytes": 1 << 40})),
)
ADD = st.tuples(st.just("add"), STREAMS, HARMLESS, st.sampled_from([1.0, 1.0, 0.5]))
CHANGE = st.tuples(st.just("change"), st.integers(0, 5), HARMLESS)
REMOVE = st.tuples(st.just("remove"), st.integers(0, 5))
WHEN = st.integers(1, 95).map(lambda percent: percent / 100)  # the share of all bytes that have arrived
PLAN = st.tuples(
    st.lists(st.tuples(st.just(0.0), ADD), min_size=1, max_size=4),
    st.lists(st.tuples(WHEN, st.one_of(ADD, CHANGE, REMOVE, REMOVE)), min_size=3, max_size=8),
).map(lambda parts: sorted(parts[0] + parts[1], key=lambda step: step[0]))


NUMBERS = itertools.count()


class Conversation:
    """Both ends of a connection, each sending its payload in its own chunks while it reads the other's."""

    def __init__(self, ends: list[socket.socket], payloads: list[bytes], chunks: list[list[int]]) -> None:
        self.ends = ends
        self.left = [memoryview(payload) for payload in payloads]
        self.chunks = chunks
        self.turn = [0, 0]
        self.got: list[bytearray] = [bytearray(), bytearray()]
        self.open = {0, 1}
        self.selector = selectors.DefaultSelector()
        for number, end in enumerate(ends):
            end.setblocking(False)
            self.selector.register(end, selectors.EVENT_READ | selectors.EVENT_WRITE, number)

    @property
    def moved(self) -> int:
        return len(self.got[0]) + len(self.got[1])

    def step(self) -> None:
        ready = self.selector.select(PATIENCE_S)
        assert ready, f"stuck after {self.moved} bytes"
        for key, events in ready:
            number = key.data
            if events & selectors.EVENT_WRITE:
                self._write(number)
            if events & selectors.EVENT_READ and number in self.open:
                data = self.ends[number].recv(1 << 16)
                self.got[number] += data
                if not data:
                    self.open.discard(number)
                    self.selector.unregister(self.ends[number])
                    if self.left[number] is not None:
                        self.selector.register(self.ends[number], selectors.EVENT_WRITE, number)

    def _write(self, number: int) -> None:
        if self.left[number]:
            size = self.chunks[number][self.turn[number] % len(self.chunks[number])]
            self.turn[number] += 1
            try:
                sent = self.ends[number].send(self.left[number][:size])
            except BlockingIOError:
                return
            self.left[number] = self.left[number][sent:]
            return
        self.left[number] = None  # type: ignore[call-overload]
        self.ends[number].shutdown(socket.SHUT_WR)
        self.selector.unregister(self.ends[number])
        if number in self.open:
            self.selector.register(self.ends[number], selectors.EVENT_READ, number)


def apply(arm: Arm, step: Any, made: list[str]) -> None:
    if step[0] == "add":
        _, stream, (type_, attributes), toxicity = step
        name = f"t{next(NUMBERS)}"
        body = {"type": type_, "name": name, "stream": stream, "toxicity": toxicity, "attributes": attributes}
        assert arm.call("POST", "/proxies/p/toxics", body).status == 200
        made.append(name)
    elif made:
        name = made[step[1] % len(made)]
        path = f"/proxies/p/toxics/{name}"
        if step[0] == "change":
            body = {"attributes": step[2][1], "toxicity": 1}
            assert arm.call("PATCH", path, body).status in (
                200,
                400,
            )  # 400: an attribute that means something else there
        else:
            assert arm.call("DELETE", path).status == 204
            made.remove(name)


@pytest.fixture(scope="module", params=["ours", "portable"])
def still(request: pytest.FixtureRequest) -> Any:
    with arm_running(request.param) as arm, socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_S)
        yield arm, listener


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.tuples(SIZES, SIZES), chunks=st.tuples(CHUNKS, CHUNKS), plan=PLAN, seed=st.integers(0, 1 << 32))
def test_every_byte_arrives_in_order_both_ways(
    still: Any, sizes: tuple[int, int], chunks: tuple[list[int], list[int]], plan: list[Any], seed: int
) -> None:
    arm, listener = still
    arm.call("DELETE", "/proxies/p")
    payloads = [random.Random(seed + number).randbytes(size) for number, size in enumerate(sizes)]
    made: list[str] = []
    client = connect(arm.make("{}:{}".format(*listener.getsockname())))
    server, _ = listener.accept()
    with client, server:
        talk = Conversation([client, server], payloads, list(chunks))
        for at, step in plan:
            while talk.moved < at * sum(sizes) and talk.open:
                talk.step()
            apply(arm, step, made)
        while talk.open:
            talk.step()
        talk.selector.close()
        assert [bytes(got) for got in talk.got] == [payloads[1], payloads[0]]
    assert until(lambda: arm.journal()["proxies"]["p"]["connections_open"] == 0) is True


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.integers(1, 300_000), limit=st.integers(0, 300_000), chunks=CHUNKS, behind=st.lists(HARMLESS, max_size=2)
)
def test_limit_data_passes_exactly_its_bytes(
    still: Any, size: int, limit: int, chunks: list[int], behind: list[Any]
) -> None:
    arm, listener = still
    arm.call("DELETE", "/proxies/p")
    place = arm.make("{}:{}".format(*listener.getsockname()))
    arm.add_toxic("limit_data", bytes=limit)
    for number, (type_, attributes) in enumerate(behind):
        arm.call("POST", "/proxies/p/toxics", {"type": type_, "name": f"b{number}", "attributes": attributes})
    payload = bytes(number % 251 for number in range(size))
    with connect(place) as client:
        server, _ = listener.accept()
        with server:
            sent, turn = 0, 0
            server.settimeout(PATIENCE_S)
            try:
                while sent < size:
                    sent += server.send(payload[sent : sent + chunks[turn % len(chunks)]])
                    turn += 1
                server.shutdown(socket.SHUT_WR)
            except ConnectionError:
                assert sent >= limit  # it was closed before all was sent, as it should be
            assert receive_all(client) == payload[:limit]
