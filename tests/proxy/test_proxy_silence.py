"""A lost node is silent: under a `timeout` of 0 nothing reaches the client, neither bytes nor an end nor a refusal.

Toxiproxy closes the client when the upstream ends or refuses; that is the difference on purpose.
"""

import socket
from collections.abc import Callable

import pytest
from proxy_arms import Arm, Upstream, connect, leave, receive, receive_all, reset, silent, until

pytestmark = pytest.mark.slow

EVERYWHERE = ("upstream", "downstream")


def _node_lost(arm: Arm) -> None:
    for stream in EVERYWHERE:
        arm.add_toxic("timeout", stream)


def _node_back(arm: Arm) -> None:
    for stream in EVERYWHERE:
        arm.remove_toxic(f"timeout_{stream}")


def _open(arm: Arm) -> int:
    count: int = arm.journal()["proxies"]["p"]["connections_open"]
    return count


def _met(arm: Arm, upstream: Callable[..., Upstream]) -> tuple[Upstream, socket.socket]:
    """A connection that has been used in both directions."""
    quiet = upstream(leave)
    sock = connect(arm.make(quiet))
    quiet.arrived.acquire()
    sock.sendall(b"a")
    assert receive(quiet.accepted[-1], 1) == b"a"
    quiet.accepted[-1].sendall(b"b")
    assert receive(sock, 1) == b"b"
    return quiet, sock


@pytest.mark.parametrize("death", ["end", "reset", "bytes", "bytes and end"])
def test_nothing_that_the_upstream_does_reaches_the_client(
    mine: Arm, upstream: Callable[..., Upstream], death: str
) -> None:
    quiet, sock = _met(mine, upstream)
    _node_lost(mine)
    if "bytes" in death:
        quiet.accepted[-1].sendall(b"into the hole")
    if "end" in death:
        quiet.accepted[-1].close()
    if death == "reset":
        reset(quiet.accepted[-1])
    assert silent(sock)
    sock.sendall(b"and this is lost as well")
    assert silent(sock)
    assert _open(mine) == 1
    _node_back(mine)
    assert receive_all(sock) == b""
    sock.close()


@pytest.mark.parametrize("stream", EVERYWHERE)
def test_a_new_connection_to_a_dead_upstream_is_held(mine: Arm, upstream: Callable[..., Upstream], stream: str) -> None:
    quiet = upstream(leave)
    place = mine.make(quiet)
    quiet.close()
    mine.add_toxic("timeout", stream)
    with connect(place) as sock:
        sock.sendall(b"is anybody there?")
        until(lambda: mine.journal()["proxies"]["p"]["dials_failed"] == 1)
        assert silent(sock)
        assert _open(mine) == 1
        mine.remove_toxic(f"timeout_{stream}")
        assert receive_all(sock) == b"", "and closed when the toxic goes"
    assert until(lambda: _open(mine) == 0)


def test_without_the_toxic_the_same_client_is_closed(mine: Arm, upstream: Callable[..., Upstream]) -> None:
    quiet = upstream(leave)
    place = mine.make(quiet)
    quiet.close()
    with connect(place) as sock:
        assert receive_all(sock) == b""


def test_a_spared_client_gets_the_refusal(mine: Arm, upstream: Callable[..., Upstream]) -> None:
    quiet = upstream(leave)
    place = mine.make(quiet)
    quiet.close()
    mine.call("POST", "/proxies/p/toxics", {"type": "timeout", "toxicity": 0})
    with connect(place) as sock:
        assert receive_all(sock) == b""


def test_only_the_stream_with_the_toxic_is_silent(mine: Arm, upstream: Callable[..., Upstream]) -> None:
    quiet, sock = _met(mine, upstream)
    mine.add_toxic("timeout", "upstream")
    quiet.accepted[-1].sendall(b"c")
    assert receive(sock, 1) == b"c"
    sock.sendall(b"lost")
    assert silent(quiet.accepted[-1])
    sock.close()


def test_the_upstream_is_not_notified_of_a_client_reset(mine: Arm, upstream: Callable[..., Upstream]) -> None:
    quiet, sock = _met(mine, upstream)
    _node_lost(mine)
    reset(sock)
    assert silent(quiet.accepted[-1])
    _node_back(mine)
    assert receive_all(quiet.accepted[-1]) == b""


def test_a_connection_with_both_sides_reset_is_closed(mine: Arm, upstream: Callable[..., Upstream]) -> None:
    quiet, sock = _met(mine, upstream)
    _node_lost(mine)
    reset(sock)
    reset(quiet.accepted[-1])
    assert until(lambda: _open(mine) == 0)


def test_a_reset_after_an_end_is_noticed_too(mine: Arm, upstream: Callable[..., Upstream]) -> None:
    quiet, sock = _met(mine, upstream)
    _node_lost(mine)
    sock.shutdown(socket.SHUT_WR)
    for _ in range(2):  # the proxy's one thread has handled the end before the second answer
        assert _open(mine) == 1
    reset(sock)  # nothing is read from it any more, so only the event reports this
    reset(quiet.accepted[-1])
    assert until(lambda: _open(mine) == 0)


def test_bytes_in_transit_are_lost(mine: Arm, upstream: Callable[..., Upstream]) -> None:
    """Bytes that the proxy had read and not yet written when the node was lost."""
    place = mine.make(upstream(lambda sock: sock.sendall(bytes(64 << 20))))
    with connect(place) as sock:
        assert receive(sock, 1) == b"\0"
        _node_lost(mine)
        moved = mine.journal()["proxies"]["p"]["downstream"]
        dropped = mine.did("timeout_downstream")["bytes_dropped"]
        assert moved["received_bytes"] - moved["sent_bytes"] <= dropped, "all of it is accounted for"
        assert len(receive(sock, moved["sent_bytes"] - 1)) == moved["sent_bytes"] - 1
        assert silent(sock)


def test_a_timeout_with_an_end_is_silent_until_then(mine: Arm, upstream: Callable[..., Upstream]) -> None:
    quiet, sock = _met(mine, upstream)
    mine.add_toxic("timeout", timeout=300)
    quiet.accepted[-1].close()
    assert silent(sock, 0.05)
    assert receive_all(sock) == b""
    assert mine.did("timeout_downstream")["closes"] == 1
    sock.close()
