"""The same seed gives the same choices, however the bytes were chunked; another seed gives others."""

import itertools
import random
import socket
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proxy_arms import Arm, Upstream, connect, leave, receive, receive_all

from harness.proxy.server import running
from harness.proxy.toxic import SeededChoice
from harness.proxy.toxics.bandwidth import Bandwidth
from harness.proxy.toxics.corrupt import Corrupt
from harness.proxy.toxics.latency import Latency
from harness.proxy.toxics.packet_loss import PacketLoss
from harness.proxy.toxics.slicer import Slicer
from harness.proxy.toxics.stage import Stage

pytestmark = pytest.mark.slow

PAYLOAD = bytes(range(256)) * 300


class Stand:
    """A fake stream: it has an ordinal and a clock that stands still, and records what leaves."""

    def __init__(self, kind: type[Stage], values: dict[str, Any], seed: int, ordinal: int) -> None:
        self.ordinal = ordinal
        self.out: list[tuple[int, bytes]] = []
        self.lost_bytes = 0
        self.offset = 0
        self.closed = False
        self.calls: list[Any] = []
        self.counts = self
        self.bits: list[tuple[int, int, int]] = []
        self.touched = self.bytes_passed = self.bytes_dropped = 0
        self.toxic = self
        self.values = values
        self.choice = SeededChoice(seed, "p", "t")
        self.stage = kind(self, self)  # type: ignore[arg-type]
        self.stage.start()

    def now(self) -> float:
        return 0.0

    def at(self, when: float, call: Any) -> Any:
        self.calls.append(call)
        return self

    def cancel(self) -> None:
        pass

    def push(self, offset: int, data: bytes) -> None:
        self.out.append((offset, data))

    def lost(self, size: int) -> None:
        self.lost_bytes += size

    def delayed(self, delay_s: float, size: int) -> None:
        pass

    def flipped(self, ordinal: int, offset: int, bit: int) -> None:
        self.bits.append((ordinal, offset, bit))

    def feed(self, payload: bytes, cuts: list[int]) -> None:
        edges = [0, *sorted(cut for cut in set(cuts) if 0 < cut < len(payload)), len(payload)]
        for start, stop in itertools.pairwise(edges):
            self.stage.push(start, payload[start:stop])
        while self.calls:
            self.calls.pop(0)()
        self.stage.flush()

    def bytes_out(self) -> dict[int, int]:
        return {offset + number: byte for offset, data in self.out for number, byte in enumerate(data)}


CUTS = st.lists(st.integers(1, 20_000), max_size=40)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Corrupt, {"rate": 0.01, "offsets": [3, 4096, 5000]}),
        (Corrupt, {"rate": 0.3, "offsets": []}),
        (PacketLoss, {"loss_rate": 0.3, "correlation": 0.0}),
        (PacketLoss, {"loss_rate": 0.1, "correlation": 0.8}),
    ],
)
@settings(max_examples=40, deadline=None)
@given(cuts=CUTS)
def test_flips_and_losses_do_not_depend_on_chunking(kind: type[Stage], values: dict[str, Any], cuts: list[int]) -> None:
    payload = PAYLOAD[:12_000]
    whole, chunked = Stand(kind, values, 5, 1), Stand(kind, values, 5, 1)
    whole.feed(payload, [])
    chunked.feed(payload, cuts)
    assert chunked.bytes_out() == whole.bytes_out()
    assert chunked.bits == whole.bits


@settings(max_examples=40, deadline=None)
@given(cuts=CUTS, average=st.integers(1, 3000), share=st.floats(0, 1))
def test_cuts_of_the_slicer_are_places_in_the_stream(cuts: list[int], average: int, share: float) -> None:
    values = {"average_size": average, "size_variation": int(average * share), "delay": 0}
    payload = PAYLOAD[:5_000]
    whole, chunked = Stand(Slicer, values, 5, 1), Stand(Slicer, values, 5, 1)
    whole.feed(payload, [])
    chunked.feed(payload, cuts)
    starts = {offset for offset, _ in whole.out}
    assert {offset for offset, _ in chunked.out} == starts | {cut for cut in cuts if cut < len(payload)}
    sizes = [len(data) for _, data in whole.out][1:-1]
    assert all(abs(size - average) <= values["size_variation"] + 1 for size in sizes)


@settings(max_examples=40, deadline=None)
@given(cuts=CUTS, jitter=st.integers(1, 500))
def test_jitter_does_not_depend_on_chunking(cuts: list[int], jitter: int) -> None:
    """Bytes that arrive together leave at the same moments however they were chunked."""

    def leaving(cuts: list[int]) -> dict[int, float]:
        stand = Stand(Latency, {"latency": 100, "jitter": jitter}, 5, 1)
        moments: dict[int, float] = {}
        edges = [0, *sorted(cut for cut in set(cuts) if cut < 20_000), 20_000]
        for start, stop in itertools.pairwise(edges):
            stand.stage.push(start, PAYLOAD[start:stop])
        latest = 0.0
        for came, offset, data in stand.stage.held:  # type: ignore[attr-defined]
            latest = max(latest, stand.stage.leaves_at(came, offset, data))  # type: ignore[attr-defined]
            moments.update(dict.fromkeys(range(offset, offset + len(data)), latest))
        return moments

    assert leaving(cuts) == leaving([])


def test_loss_and_corruption_rates() -> None:
    payload = bytes(1_000_000)
    corrupt = Stand(Corrupt, {"rate": 0.01, "offsets": []}, 1, 1)
    corrupt.feed(payload, [])
    assert 0.009 < len(corrupt.bits) / len(payload) < 0.011
    assert {bit for _, _, bit in corrupt.bits} == set(range(8))
    loss = Stand(PacketLoss, {"loss_rate": 0.2, "correlation": 0.0}, 1, 1)
    loss.feed(payload, [])
    assert 0.14 < loss.lost_bytes / len(payload) < 0.26
    bursts = Stand(PacketLoss, {"loss_rate": 0.2, "correlation": 0.6}, 1, 1)
    bursts.feed(payload, [])
    assert 0.4 < bursts.lost_bytes / len(payload) < 0.6  # 0.2 / (1 - 0.6)
    assert len(bursts.out) < len(loss.out), "the same share, in longer runs"


def test_bandwidth_takes_the_time_of_its_rate() -> None:
    stand = Stand(Bandwidth, {"rate": 100}, 1, 1)
    stand.stage.push(0, bytes(25_000))
    due = []
    while stand.stage.held:  # type: ignore[attr-defined]
        head = stand.stage.held[0]  # type: ignore[attr-defined]
        due.append(stand.stage.leaves_at(*head))  # type: ignore[attr-defined]
        stand.stage.held.popleft()  # type: ignore[attr-defined]
        stand.stage.left(due[-1], 0.0)  # type: ignore[attr-defined]
    assert due == pytest.approx([0.1, 0.2, 0.25])


def test_choices_are_independent() -> None:
    one = SeededChoice(1, "proxy", "toxic")
    assert one.unit(1) == SeededChoice(1, "proxy", "toxic").unit(1)
    others = [SeededChoice(2, "proxy", "toxic"), SeededChoice(1, "prox", "ytoxic"), SeededChoice(1, "proxy", "other")]
    assert len({chance.unit(1) for chance in [one, *others]} | {one.unit(2), one.unit(1, 1)}) == 6
    units = [one.unit(ordinal) for ordinal in range(2000)]
    assert all(0 <= unit < 1 for unit in units)
    assert 0.45 < sum(units) / len(units) < 0.55


def _struck(seed: int, upstream: Upstream, portable: bool, own: dict[str, int] | None = None) -> list[bool]:
    """Which of 24 connections a toxic of toxicity 0.5 affects."""
    with running(seed=seed, portable=portable) as server:
        arm = Arm("ours", server.host, server.port)
        place = arm.make(upstream)
        toxic = {"type": "limit_data", "toxicity": 0.5, "attributes": {"bytes": 1}, **(own or {})}
        arm.call("POST", "/proxies/p/toxics", toxic)
        got = []
        for _ in range(24):
            with connect(place) as sock:
                sock.sendall(b"ab")
                sock.shutdown(socket.SHUT_WR)
                got.append(receive_all(sock) == b"a")
        return got


def test_the_same_seed_affects_the_same_connections(upstream: Callable[..., Upstream]) -> None:
    echo = upstream()
    first = _struck(11, echo, portable=False)
    assert first == _struck(11, echo, portable=False) == _struck(11, echo, portable=True)
    assert first != _struck(12, echo, portable=False)
    assert set(first) == {True, False}


def test_a_toxics_seed_overrides_the_servers(upstream: Callable[..., Upstream]) -> None:
    echo = upstream()
    with_own, with_servers = _struck(0, echo, False, {"seed": 11}), _struck(11, echo, False)
    assert with_own == with_servers != _struck(0, echo, False)


def _corrupted(seed: int, upstream: Upstream, chunk: int) -> tuple[bytes, list[list[int]]]:
    with running(seed=seed) as server:
        arm = Arm("ours", server.host, server.port)
        place = arm.make(upstream)
        arm.add_toxic("corrupt", rate=0.001, offsets=[0, 77])
        with connect(place) as sock:
            upstream.arrived.acquire()
            for start in range(0, len(PAYLOAD), chunk):
                upstream.accepted[-1].sendall(PAYLOAD[start : start + chunk])
            got = receive(sock, len(PAYLOAD))
        flips: list[list[int]] = arm.did("corrupt_downstream")["flips"]
        return got, flips


def test_the_same_seed_flips_the_same_bits(upstream: Callable[..., Upstream]) -> None:
    quiet = upstream(leave)
    got, flips = _corrupted(3, quiet, 9000)
    assert (got, flips) == _corrupted(3, quiet, 777)
    assert got != _corrupted(4, quiet, 9000)[0]
    assert {0, 77} <= {offset for _, offset, _ in flips}
    mended = bytearray(got)
    for ordinal, offset, bit in flips:
        assert ordinal == 1
        mended[offset] ^= 1 << bit
    assert bytes(mended) == PAYLOAD, "the journal names every flip, and there is no other"


def test_a_higher_toxicity_keeps_the_affected_connections() -> None:
    chance = SeededChoice(random.Random(0).randrange(1 << 50), "p", "t")
    few = {ordinal for ordinal in range(500) if chance.unit(ordinal) < 0.3}
    many = {ordinal for ordinal in range(500) if chance.unit(ordinal) < 0.6}
    assert few < many
