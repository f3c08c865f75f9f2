"""What the toxics do to bytes and connections, on both arms. Times have lower bounds only; our journal has the rest."""

import itertools
import socket
import threading
import time
from collections.abc import Callable

import pytest
from proxy_arms import (
    Arm,
    Upstream,
    connect,
    leave,
    receive,
    receive_all,
    reset,
    silent,
    until,
    was_reset,
)

pytestmark = pytest.mark.slow

BOTH = pytest.mark.parametrize("stream", ["upstream", "downstream"])


def ping_s(sock: socket.socket, data: bytes = b"ping") -> float:
    """How long a round trip took; the echo is what was sent."""
    began = time.monotonic()
    sock.sendall(data)
    assert receive(sock, len(data)) == data
    return time.monotonic() - began


def test_bytes_pass_unchanged(arm: Arm, upstream: Callable[..., Upstream]) -> None:
    data = bytes(range(256)) * 40_000
    with connect(arm.make(upstream())) as sock:
        sender = threading.Thread(target=sock.sendall, args=(data,))
        sender.start()
        assert receive(sock, len(data)) == data
        sender.join()


@BOTH
def test_latency(arm: Arm, upstream: Callable[..., Upstream], stream: str) -> None:
    with connect(arm.make(upstream())) as sock:
        ping_s(sock)
        arm.add_toxic("latency", stream, latency=60)
        assert ping_s(sock) >= 0.060, "a toxic strikes a live connection"
        arm.call("PATCH", f"/proxies/p/toxics/latency_{stream}", {"attributes": {"latency": 30}})
        assert ping_s(sock) >= 0.030
        arm.remove_toxic(f"latency_{stream}")
        if arm.ours:
            did = arm.did(f"latency_{stream}")
            assert did["delay_max_ms"] >= 60
            assert did["delay_min_ms"] >= 30
            assert (did["delays"], did["bytes_delayed"], did["connections_touched"]) == (2, 8, 1)
        ping_s(sock)
        if arm.ours:
            assert arm.did(f"latency_{stream}")["delays"] == 2, "a toxic that was removed does nothing more"


def test_latencies_add_up(arm: Arm, upstream: Callable[..., Upstream]) -> None:
    place = arm.make(upstream())
    for name in ("one", "two"):
        body = {"type": "latency", "name": name, "attributes": {"latency": 30}}
        assert arm.call("POST", "/proxies/p/toxics", body).status == 200
    with connect(place) as sock:
        assert ping_s(sock) >= 0.060


def test_latency_delays_the_end_too(arm: Arm, quiet: Upstream) -> None:
    arm.make(quiet)
    place = arm.make(quiet, "q")
    arm.add_toxic("latency", proxy="q", latency=60)
    with connect(place) as sock:
        quiet.arrived.acquire()
        began = time.monotonic()
        quiet.accepted[-1].sendall(b"last")
        quiet.accepted[-1].shutdown(socket.SHUT_WR)
        assert receive_all(sock) == b"last"
        assert time.monotonic() - began >= 0.060


@BOTH
def test_removing_latency_releases_held_bytes(arm: Arm, upstream: Callable[..., Upstream], stream: str) -> None:
    with connect(arm.make(upstream())) as sock:
        ping_s(sock)
        arm.add_toxic("latency", stream, latency=60_000)
        sock.sendall(b"held")
        if arm.ours:
            until(lambda: arm.did(f"latency_{stream}")["connections_touched"])
            sock.sendall(b" and more")
            until(lambda: arm.call("GET", "/journal").json["proxies"]["p"]["upstream"]["received_bytes"] == 17)
        else:
            assert silent(sock)
            sock.sendall(b" and more")
        arm.remove_toxic(f"latency_{stream}")
        assert receive(sock, 13) == b"held and more"


@BOTH
def test_bandwidth(arm: Arm, upstream: Callable[..., Upstream], stream: str) -> None:
    with connect(arm.make(upstream())) as sock:
        arm.add_toxic("bandwidth", stream, rate=200)
        # 200 KB/s; the first tenth of a second's worth may come at once in Toxiproxy
        assert ping_s(sock, bytes(40_000)) >= 0.1
        if arm.ours:
            assert ping_s(sock, bytes(40_000)) >= 0.19


def test_bandwidth_zero_stops_all_and_a_change_releases(arm: Arm, upstream: Callable[..., Upstream]) -> None:
    with connect(arm.make(upstream())) as sock:
        ping_s(sock)
        arm.add_toxic("bandwidth", rate=0)
        sock.sendall(b"wait")
        assert silent(sock)
        arm.call("PATCH", "/proxies/p/toxics/bandwidth_downstream", {"attributes": {"rate": 1000}})
        assert receive(sock, 4) == b"wait"


def test_a_shared_bandwidth_is_that_of_all_connections_together(mine: Arm, upstream: Callable[..., Upstream]) -> None:
    place = mine.make(upstream())
    made = mine.add_toxic("bandwidth", rate=200, shared=True)
    assert made["attributes"] == {"rate": 200, "shared": True}
    socks = [connect(place) for _ in range(4)]
    began = time.monotonic()
    for sock in socks:
        sock.sendall(bytes(10_000))
    for sock in socks:
        assert receive(sock, 10_000) == bytes(10_000)
    assert time.monotonic() - began >= 0.199, "each alone would take a quarter of that"
    for sock in socks:
        sock.close()


def test_a_shared_bandwidth_is_shared_in_turns(mine: Arm, upstream: Callable[..., Upstream]) -> None:
    """A small answer does not wait for the end of a large one."""
    place = mine.make(upstream())
    mine.add_toxic("bandwidth", rate=200, shared=True)
    with connect(place) as bulk, connect(place) as small:
        bulk.sendall(bytes(300_000))
        until(lambda: mine.did("bandwidth_downstream")["delays"] >= 2)
        ping_s(small)
        assert mine.did("bandwidth_downstream")["bytes_delayed"] < 300_000, "the large one is still under way"


def test_a_shared_bandwidth_goes_on_without_a_connection_that_ends(
    mine: Arm, upstream: Callable[..., Upstream]
) -> None:
    place = mine.make(upstream())
    mine.add_toxic("bandwidth", rate=50, shared=True)
    with connect(place) as sock:
        gone = [connect(place) for _ in range(3)]
        for one in [*gone, sock]:
            one.sendall(bytes(2_000))
        until(lambda: mine.did("bandwidth_downstream")["delays"] >= 1)
        for one in gone:
            reset(one)
        assert receive(sock, 2_000) == bytes(2_000)


def test_a_shared_bandwidth_can_be_shared_no_more(mine: Arm, upstream: Callable[..., Upstream]) -> None:
    place = mine.make(upstream())
    mine.add_toxic("bandwidth", rate=0, shared=True)
    with connect(place) as one, connect(place) as other:
        one.sendall(b"one")
        other.sendall(b"other")
        assert silent(one)
        change = {"attributes": {"rate": 1000, "shared": False}}
        changed = mine.call("PATCH", "/proxies/p/toxics/bandwidth_downstream", change).json
        assert changed["attributes"] == {"rate": 1000, "shared": False}
        assert (receive(one, 3), receive(other, 5)) == (b"one", b"other")
        mine.call("PATCH", "/proxies/p/toxics/bandwidth_downstream", {"attributes": {"shared": True}})
        ping_s(one)
        ping_s(other)


def test_slow_close(arm: Arm, quiet: Upstream) -> None:
    place = arm.make(quiet)
    arm.add_toxic("slow_close", delay=80)
    with connect(place) as sock:
        quiet.arrived.acquire()
        quiet.accepted[-1].sendall(b"now")
        assert receive(sock, 3) == b"now"
        began = time.monotonic()
        quiet.accepted[-1].close()
        assert receive(sock, 1) == b""
        assert time.monotonic() - began >= 0.080


def test_timeout_drops_bytes_and_closes(arm: Arm, upstream: Callable[..., Upstream]) -> None:
    place = arm.make(upstream())
    arm.add_toxic("timeout", timeout=80)
    began = time.monotonic()  # the time-out counts from the connection
    with connect(place) as sock:
        sock.sendall(b"lost")
        assert receive_all(sock) == b""
        assert time.monotonic() - began >= 0.079


def test_timeout_counts_from_when_it_was_added(mine: Arm, upstream: Callable[..., Upstream]) -> None:
    """Toxiproxy restarts at every chunk, so it never closes a busy connection."""
    place = mine.make(upstream())
    mine.add_toxic("timeout", timeout=100)
    with connect(place) as sock:
        for _ in itertools.count():
            try:
                sock.sendall(b"x")
            except OSError:
                break
            if not silent(sock, 0.01):
                break
    assert mine.did("timeout_downstream")["closes"] == 1


@BOTH
def test_a_black_hole_is_silent_until_it_is_removed(arm: Arm, upstream: Callable[..., Upstream], stream: str) -> None:
    with connect(arm.make(upstream())) as sock:
        ping_s(sock)
        arm.add_toxic("timeout", stream)
        sock.sendall(b"lost")
        assert silent(sock)
        arm.remove_toxic(f"timeout_{stream}")
        assert receive_all(sock) == b"", "removing it closes the connection"


@BOTH
def test_reset_peer(arm: Arm, upstream: Callable[..., Upstream], stream: str) -> None:
    place = arm.make(upstream())
    arm.add_toxic("reset_peer", stream, timeout=50)
    with connect(place) as sock:
        began = time.monotonic()
        sock.sendall(b"x")
        assert was_reset(sock)
        assert time.monotonic() - began >= 0.050


def test_reset_peer_resets_an_open_connection(arm: Arm, upstream: Callable[..., Upstream]) -> None:
    with connect(arm.make(upstream())) as sock:
        ping_s(sock)
        arm.add_toxic("reset_peer")
        sock.sendall(b"x")
        # Toxiproxy sets the option that makes a close a reset only on connections that come after the toxic.
        assert was_reset(sock) is arm.ours


def test_limit_data(arm: Arm, upstream: Callable[..., Upstream]) -> None:
    place = arm.make(upstream(lambda sock: sock.sendall(bytes(range(200)))))
    arm.add_toxic("limit_data", bytes=100)
    with connect(place) as sock:
        assert receive_all(sock) == bytes(range(100))


def test_limit_data_zero_closes_at_the_first_byte(arm: Arm, upstream: Callable[..., Upstream]) -> None:
    place = arm.make(upstream())
    arm.add_toxic("limit_data", "upstream")
    with connect(place) as sock:
        sock.sendall(b"x")
        assert receive_all(sock) == b""


def test_limit_data_waits_for_the_toxics_behind_it(mine: Arm, upstream: Callable[..., Upstream]) -> None:
    place = mine.make(upstream(lambda sock: sock.sendall(bytes(range(200)))))
    mine.add_toxic("limit_data", bytes=100)
    mine.add_toxic("latency", latency=50)
    with connect(place) as sock:
        assert receive_all(sock) == bytes(range(100))


def test_limit_data_delivers_its_bytes_to_a_slow_reader(mine: Arm, upstream: Callable[..., Upstream]) -> None:
    size = 3_000_000
    place = mine.make(upstream(lambda sock: sock.sendall(bytes(2 * size))))
    mine.add_toxic("limit_data", bytes=size)
    with connect(place) as sock:
        sock.sendall(b"never read by the upstream")
        until(lambda: mine.did("limit_data_downstream")["closes"])
        sock.sendall(b"a socket closed too early would answer this with a reset, and lose what is under way")
        assert len(receive_all(sock)) == size


@BOTH
def test_slicer(arm: Arm, upstream: Callable[..., Upstream], stream: str) -> None:
    with connect(arm.make(upstream())) as sock:
        arm.add_toxic("slicer", stream, average_size=64, size_variation=32, delay=10)
        data = bytes(range(256)) * 8
        ping_s(sock, data)
        if arm.ours:
            did = arm.did(f"slicer_{stream}")
            assert did["bytes_delayed"] == len(data)
            assert did["delays"] >= len(data) // 96


def test_a_slicer_may_vary_by_its_whole_size(arm: Arm, upstream: Callable[..., Upstream]) -> None:
    with connect(arm.make(upstream())) as sock:
        arm.add_toxic("slicer", average_size=10, size_variation=10)
        ping_s(sock, bytes(range(200)))


@BOTH
def test_noop_changes_nothing(arm: Arm, upstream: Callable[..., Upstream], stream: str) -> None:
    with connect(arm.make(upstream())) as sock:
        arm.add_toxic("noop", stream)
        ping_s(sock, bytes(range(256)) * 400)
        assert arm.call("PATCH", f"/proxies/p/toxics/noop_{stream}", {"toxicity": 0}).status == 200
        ping_s(sock)
        arm.remove_toxic(f"noop_{stream}")
        ping_s(sock)
        if arm.ours:
            did = arm.did(f"noop_{stream}")
            assert (did["connections"], did["connections_touched"], did["delays"]) == (1, 0, 0)


def test_toxics_act_in_their_order(mine: Arm, upstream: Callable[..., Upstream]) -> None:
    """Bytes that an earlier toxic dropped are not delayed by a later one."""
    place = mine.make(upstream(lambda sock: sock.sendall(bytes(1000))))
    mine.add_toxic("limit_data", bytes=10)
    mine.add_toxic("slicer", average_size=4, delay=100)
    with connect(place) as sock:
        assert receive_all(sock) == bytes(10)
    assert mine.did("slicer_downstream")["bytes_delayed"] == 10


def test_toxicity_zero_affects_no_connection(arm: Arm, upstream: Callable[..., Upstream]) -> None:
    place = arm.make(upstream())
    body = {"type": "timeout", "toxicity": 0}
    assert arm.call("POST", "/proxies/p/toxics", body).json["toxicity"] == 0
    with connect(place) as sock:
        ping_s(sock)
        if arm.ours:
            did = arm.did("timeout_downstream")
            assert (did["connections"], did["connections_spared"]) == (0, 1)


def test_a_refused_upstream_closes_the_client(arm: Arm, quiet: Upstream) -> None:
    place = arm.make(quiet)
    quiet.close()
    with connect(place) as sock:
        assert receive_all(sock) == b""


def test_an_unresponsive_upstream_delays_no_other_client(arm: Arm, upstream: Callable[..., Upstream]) -> None:
    """A dial that hangs: Toxiproxy dials where it accepts, so every later client of that proxy waits for it."""
    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    fillers = []
    for _ in range(4):  # after these the kernel leaves connection attempts unanswered
        fillers.append(socket.socket())
        fillers[-1].setblocking(False)
        fillers[-1].connect_ex(full.getsockname())
    place = arm.make("{}:{}".format(*full.getsockname()))
    try:
        stuck = [connect(place) for _ in range(3)]
        if arm.ours:
            until(lambda: arm.journal()["proxies"]["p"]["connections_open"] == 3)
        with connect(arm.make(upstream(), "q")) as sock:
            ping_s(sock)
        for sock in stuck:
            sock.close()
    finally:
        for sock in [*fillers, full]:
            sock.close()


def test_client_half_close(arm: Arm, upstream: Callable[..., Upstream]) -> None:
    """The client ends its stream; the answer still arrives. Toxiproxy closes both ways."""
    may_answer = threading.Event()

    def answer_at_the_end(sock: socket.socket) -> None:
        while sock.recv(1 << 16):
            pass
        may_answer.wait(20)
        sock.sendall(b"answer")
        sock.close()

    with connect(arm.make(upstream(answer_at_the_end))) as sock:
        sock.sendall(b"question")
        sock.shutdown(socket.SHUT_WR)
        if not arm.ours:
            assert receive_all(sock) == b"", "closed before there is an answer"
        may_answer.set()
        if arm.ours:
            assert receive_all(sock) == b"answer"


def test_server_half_close(arm: Arm, upstream: Callable[..., Upstream]) -> None:
    """The server ends its stream, and still reads."""
    heard = []
    done = threading.Event()

    def say_and_listen(sock: socket.socket) -> None:
        sock.sendall(b"hello")
        sock.shutdown(socket.SHUT_WR)
        heard.append(receive_all(sock))
        done.set()

    with connect(arm.make(upstream(say_and_listen))) as sock:
        assert receive_all(sock) == b"hello"
        if arm.ours:
            sock.sendall(b"still here")
        sock.shutdown(socket.SHUT_WR)
        assert done.wait(20)
        assert heard == [b"still here" if arm.ours else b""]


@pytest.mark.parametrize("who", ["client", "server"])
def test_a_reset_is_passed_on_as_a_reset(arm: Arm, upstream: Callable[..., Upstream], who: str) -> None:
    """Toxiproxy turns it into an ordinary end."""
    quiet = upstream(leave)
    sock = connect(arm.make(quiet))
    quiet.arrived.acquire()
    sock.sendall(b"x")
    assert receive(quiet.accepted[-1], 1) == b"x"
    gone, other = (sock, quiet.accepted[-1]) if who == "client" else (quiet.accepted[-1], sock)
    reset(gone)
    assert was_reset(other) is arm.ours
    sock.close()


def test_bytes_before_a_reset_arrive(mine: Arm, upstream: Callable[..., Upstream]) -> None:
    quiet = upstream(leave)
    data = bytes(range(256)) * 400
    with connect(mine.make(quiet)) as sock:
        quiet.arrived.acquire()
        quiet.accepted[-1].sendall(data)
        until(lambda: mine.journal()["proxies"]["p"]["downstream"]["received_bytes"] == len(data))
        reset(quiet.accepted[-1])
        assert receive_all(sock) == data


def test_removing_a_toxic_does_not_wait_for_a_reader(arm: Arm, upstream: Callable[..., Upstream]) -> None:
    data = bytes(range(251)) * 300_000  # more than a toxic may hold
    place = arm.make(upstream(lambda sock: sock.sendall(data)))
    arm.add_toxic("latency", latency=1)
    with connect(place) as sock:
        assert receive(sock, 1) == data[:1]
        answer: list[int] = []

        def remove() -> None:
            answer.append(arm.call("DELETE", "/proxies/p/toxics/latency_downstream").status)

        asked = threading.Thread(target=remove)
        asked.start()
        if not arm.ours:  # Toxiproxy's removal waits for the reader: its issue 558
            assert receive(sock, 8 << 20)
        asked.join(20)
        assert answer == [204]
        if arm.ours:
            assert receive(sock, len(data) - 1) == data[1:], (
                "what was held is in its place before what is spliced after it"
            )


def test_a_toxic_removed_from_a_chain_has_no_effect(mine: Arm, upstream: Callable[..., Upstream]) -> None:
    place = mine.make(upstream())
    for name, type_, attributes in (
        ("first", "latency", {"latency": 1}),
        ("second", "corrupt", {"rate": 1.0}),
        ("third", "latency", {"latency": 1}),
    ):
        body = {"type": type_, "name": name, "attributes": attributes}
        assert mine.call("POST", "/proxies/p/toxics", body).status == 200
    with connect(place) as sock:
        sock.sendall(b"ping")
        assert receive(sock, 4) != b"ping"
        mine.remove_toxic("second")
        ping_s(sock)
        before = mine.did("first")["delays"], mine.did("third")["delays"]
        mine.remove_toxic("first")
        ping_s(sock)
        assert mine.did("third")["delays"] == before[1] + 1


def test_packet_loss_and_corrupt_exist_only_here(arm: Arm, quiet: Upstream) -> None:
    """Toxiproxy has packet_loss only after 2.12, and no corrupt."""
    arm.make(quiet)
    for type_ in ("packet_loss", "corrupt"):
        answer = arm.call("POST", "/proxies/p/toxics", {"type": type_})
        assert answer.status == (200 if arm.ours else 400)
        if arm.ours:
            wanted = {"packet_loss": {"loss_rate": 0.1, "correlation": 0.0}, "corrupt": {"rate": 0.0, "offsets": []}}
            assert answer.json["attributes"] == wanted[type_]
