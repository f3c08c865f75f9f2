"""What is on its way while one side takes nothing: it keeps its order, is counted to the byte, and is not lost with the
other side.

The kernel's buffers are filled first, so that the proxy itself holds bytes; its journal says how many.
"""

import random
import socket
from collections.abc import Callable, Iterator

import pytest
from proxy_arms import Arm, Upstream, connect, leave, reset, until


class Flood:
    """A client that sends to an upstream that reads nothing yet, through the proxy `p`."""

    def __init__(self, arm: Arm, upstream: Callable[..., Upstream]) -> None:
        self.arm = arm
        self.quiet = upstream(leave)
        self.sock = connect(arm.make(self.quiet))
        self.quiet.arrived.acquire()
        self.far = self.quiet.accepted[-1]
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
        """Send until nobody takes any more."""
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

    def counts(self) -> tuple[int, int]:
        """The bytes that the proxy has received from the client, and those that it has sent to the upstream."""
        way = self.arm.journal()["proxies"]["p"]["upstream"]
        return way["received_bytes"], way["sent_bytes"]

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


@pytest.fixture
def flood(mine: Arm, upstream: Callable[..., Upstream]) -> Iterator[Flood]:
    flood = Flood(mine, upstream)
    yield flood
    flood.sock.close()


def test_what_comes_after_a_removed_toxic_does_not_overtake_what_it_held(flood: Flood) -> None:
    flood.arm.poison("corrupt", "upstream", rate=0)
    flood.fill()
    flood.arm.cure("corrupt_upstream")
    assert flood.held()
    flood.send(1 << 15)  # no toxic sees these, so they could go the shorter way
    flood.sock.shutdown(socket.SHUT_WR)
    assert flood.arriving() == bytes(flood.sent)


@pytest.mark.parametrize("toxic", [None, "corrupt"])
def test_a_black_hole_counts_what_it_swallows_to_the_byte(flood: Flood, toxic: str | None) -> None:
    if toxic:  # then the bytes wait in the process, and else in the kernel
        flood.arm.poison(toxic, "upstream", rate=0)
    flood.fill()
    held = flood.held()
    flood.arm.poison("timeout", "upstream", timeout=0)
    assert flood.arm.did("timeout_upstream")["bytes_dropped"] == held
    flood.sock.sendall(b"x" * 1000)
    assert until(lambda: flood.arm.did("timeout_upstream")["bytes_dropped"] == held + 1000)


def test_what_a_client_sent_before_its_reset_still_arrives(flood: Flood) -> None:
    flood.fill_up()
    assert flood.held(), "nothing is read from the client now, so that only the event tells of its reset"
    taken, _ = flood.counts()
    reset(flood.sock)
    assert flood.arriving()[:taken] == bytes(flood.sent[:taken])
