"""Bytes in transit while one side reads nothing: they stay in order, are counted to the byte, and outlive their sender.

The kernel's buffers are filled first, so that the proxy itself holds bytes; its journal says how many.
"""

import random
import socket
from collections.abc import Callable, Iterator

import pytest
from proxy_arms import PATIENCE_S, Arm, Upstream, connect, leave, reset, until, was_reset

pytestmark = pytest.mark.slow


class Flood:
    """One end of a connection through the proxy `p` that sends, while the other end reads nothing yet."""

    def __init__(self, arm: Arm, upstream: Callable[..., Upstream], stream: str) -> None:
        self.arm = arm
        self.stream = stream
        quiet = upstream(leave)
        client = connect(arm.make(quiet))
        quiet.arrived.acquire()
        server = quiet.accepted[-1]
        self.sock, self.far = (client, server) if stream == "upstream" else (server, client)
        self.sent = bytearray()
        self._source = random.Random(3)

    def send(self, size: int) -> None:
        """Send so many bytes, and wait until the proxy has taken them all."""
        data = self._source.randbytes(size)
        self.sock.sendall(data)
        self.sent += data
        until(lambda: self.counts()[0] == len(self.sent))

    def fill(self) -> None:
        """Send until the proxy itself has to hold bytes, yet would take more."""
        while not self.held():
            self.send(1 << 15)

    def fill_up(self) -> None:
        """Send until neither the proxy nor the kernel takes more."""
        self.sock.setblocking(False)
        idle = 0
        while idle < 20:
            data = self._source.randbytes(1 << 16)
            try:
                self.sent += data[: self.sock.send(data)]
                idle = 0
            except BlockingIOError:
                before = self.counts()
                idle = idle + 1 if self.counts() == before else 0
        self.sock.settimeout(PATIENCE_S)

    def counts(self) -> tuple[int, int]:
        """The bytes that the proxy has received from the sender, and those that it has passed on."""
        bytes_of = self.arm.journal()["proxies"]["p"][self.stream]
        return bytes_of["received_bytes"], bytes_of["sent_bytes"]

    def held(self) -> int:
        received, sent = self.counts()
        return received - sent

    def arriving(self) -> bytes:
        """All that arrives until the stream ends, by an end or a reset."""
        got = bytearray()
        try:
            while data := self.far.recv(1 << 16):
                got += data
        except ConnectionError:
            pass
        return bytes(got)


@pytest.fixture(params=["upstream", "downstream"])
def flood(request: pytest.FixtureRequest, mine: Arm, upstream: Callable[..., Upstream]) -> Iterator[Flood]:
    flood = Flood(mine, upstream, request.param)
    yield flood
    flood.sock.close()
    flood.far.close()


def test_bytes_after_a_removed_toxic_do_not_overtake_what_it_held(flood: Flood) -> None:
    flood.arm.add_toxic("corrupt", flood.stream, rate=0)
    flood.fill()
    flood.arm.remove_toxic(f"corrupt_{flood.stream}")
    assert flood.held()
    flood.send(1 << 15)  # no toxic sees these, so they could be spliced
    flood.sock.shutdown(socket.SHUT_WR)
    assert flood.arriving() == bytes(flood.sent)


@pytest.mark.parametrize("toxic", [None, "corrupt"])
def test_a_black_hole_counts_dropped_bytes_exactly(flood: Flood, toxic: str | None) -> None:
    if toxic:  # then the bytes wait in the process, else in the kernel
        flood.arm.add_toxic(toxic, flood.stream, rate=0)
    flood.fill()
    held = flood.held()
    name = f"timeout_{flood.stream}"
    flood.arm.add_toxic("timeout", flood.stream, timeout=0)
    assert flood.arm.did(name)["bytes_dropped"] == held
    flood.sock.sendall(b"x" * 1000)
    assert until(lambda: flood.arm.did(name)["bytes_dropped"] == held + 1000)


def test_a_black_hole_drops_everything_however_much_was_held(flood: Flood) -> None:
    flood.arm.add_toxic("corrupt", flood.stream, rate=0)
    flood.fill_up()
    flood.arm.add_toxic("timeout", flood.stream, timeout=0)
    passed_on = flood.counts()[1]
    flood.sock.sendall(bytes(1 << 20))  # more than a stream may hold
    lost = len(flood.sent) + (1 << 20) - passed_on
    assert until(lambda: flood.arm.did(f"timeout_{flood.stream}")["bytes_dropped"] == lost)


def test_bytes_sent_before_a_reset_still_arrive(flood: Flood) -> None:
    flood.fill_up()
    assert flood.held(), "nothing is read from the sender now, so only the event reports its reset"
    taken, _ = flood.counts()
    reset(flood.sock)
    assert flood.arriving()[:taken] == bytes(flood.sent[:taken])


def test_the_end_that_does_not_read_may_reset_while_the_other_sends(flood: Flood) -> None:
    """The side that failed is closed, and the sender is reset."""
    flood.fill_up()
    assert flood.held()
    reset(flood.far)
    assert was_reset(flood.sock)
    assert until(lambda: flood.arm.journal()["proxies"]["p"]["connections_open"] == 0)
