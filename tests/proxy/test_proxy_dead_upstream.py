"""What clients get whose upstream cannot be reached, by the option `dead_upstream` of a proxy."""

import socket
from collections.abc import Callable
from typing import Any

import pytest
from proxy_arms import Arm, Upstream, connect, free_port, leave, receive, receive_all, silent, until, was_reset

pytestmark = pytest.mark.slow


def events(arm: Arm, name: str) -> list[Any]:
    return [event for event in arm.journal()["events"] if event["event"] == name and event["proxy"] == "p"]


def dead(mine: Arm, how: str, **fields: Any) -> tuple[tuple[str, int], int]:
    """A proxy before a port where nobody listens; its address, and the port."""
    port = free_port()
    return mine.make(f"127.0.0.1:{port}", dead_upstream=how, **fields), port


def resets(place: tuple[str, int]) -> bool:
    """Whether a new client is reset, be it before its connection attempt has returned."""
    try:
        with connect(place) as sock:
            return was_reset(sock)
    except ConnectionResetError:
        return True


def refused(place: tuple[str, int]) -> bool:
    try:
        connect(place).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # it was just being closed
        return False
    return False


def answering(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))


def test_reset_by_option(mine: Arm) -> None:
    place, _ = dead(mine, "reset")
    assert resets(place)
    assert resets(place)
    assert mine.journal()["proxies"]["p"]["dials_failed"] == 2


def test_refuse_by_option_until_the_upstream_is_back(mine: Arm) -> None:
    place, port = dead(mine, "refuse")
    before = len(events(mine, "proxy_accepts"))
    assert resets(place), "the first one: the proxy learns by it"
    assert until(lambda: refused(place))
    assert mine.call("GET", "/proxies/p").json["enabled"] is True
    assert events(mine, "proxy_refuses")
    with answering(port) as back:
        until(lambda: len(events(mine, "proxy_accepts")) == before + 1)
        with connect(place) as sock:
            sock.sendall(b"hello")
            while True:  # the watch's own connection comes first, and is empty
                served, _ = back.accept()
                served.settimeout(20)
                with served:
                    if data := served.recv(5):
                        break
            assert data == b"hello"


def test_an_address_that_others_took_meanwhile_is_taken_back(mine: Arm) -> None:
    place, port = dead(mine, "refuse")
    assert resets(place)
    assert until(lambda: refused(place))
    before = len(events(mine, "proxy_accepts"))
    with socket.create_server(place), answering(port) as back:
        back.settimeout(20)
        back.accept()[0].close()  # the watch: the proxy wants to listen now, and cannot
        assert len(events(mine, "proxy_accepts")) == before
    until(lambda: len(events(mine, "proxy_accepts")) == before + 1)


def test_connections_that_are_open_stay_open(mine: Arm, upstream: Callable[..., Upstream]) -> None:
    there = upstream()
    place = mine.make(there, dead_upstream="refuse")
    with connect(place) as sock:
        sock.sendall(b"x")
        assert receive(sock, 1) == b"x"
        there.sock.shutdown(socket.SHUT_RDWR)  # accepts no more; what it has accepted goes on
        there.sock.close()
        assert resets(place)
        assert until(lambda: refused(place))
        sock.sendall(b"y")
        assert receive(sock, 1) == b"y"


def test_a_name_that_is_gone_is_refused_too(mine: Arm) -> None:
    place = mine.make("no-such-host.invalid:1", dead_upstream="refuse")
    assert resets(place)
    assert until(lambda: refused(place))


@pytest.mark.parametrize("change", [{"dead_upstream": "close"}, {"upstream": "127.0.0.1:1"}, {"enabled": False}])
def test_a_change_ends_the_refusing(mine: Arm, change: dict[str, Any]) -> None:
    place, _ = dead(mine, "refuse")
    assert resets(place)
    assert until(lambda: refused(place))
    mine.call("PATCH", "/proxies/p", change)
    if "enabled" in change:
        assert refused(place)
        mine.call("PATCH", "/proxies/p", {"enabled": True})
    if "dead_upstream" not in change:
        assert resets(place)
        return
    with connect(place) as sock:
        assert receive_all(sock) == b""


def test_a_proxy_that_refuses_can_be_deleted(mine: Arm) -> None:
    place, _ = dead(mine, "refuse")
    assert resets(place)
    assert until(lambda: refused(place))
    assert mine.call("DELETE", "/proxies/p").status == 204
    socket.create_server(place).close()


def test_a_silent_proxy_refuses_nobody(mine: Arm, upstream: Callable[..., Upstream]) -> None:
    """A lost node sends no refusals, so a proxy that refuses listens again as soon as it is to be silent."""
    place, _ = dead(mine, "refuse")
    assert resets(place)
    assert until(lambda: refused(place))
    mine.add_toxic("timeout")
    failed = mine.journal()["proxies"]["p"]["dials_failed"]
    with connect(place) as sock:
        assert until(lambda: mine.journal()["proxies"]["p"]["dials_failed"] > failed)
        assert silent(sock)
        assert not refused(place)


def test_the_option_is_shown_only_where_it_is_used(mine: Arm, upstream: Callable[..., Upstream]) -> None:
    quiet = upstream(leave)
    mine.make(quiet)
    mine.make(quiet, "q", dead_upstream="reset")
    proxies = mine.call("GET", "/proxies").json
    assert "dead_upstream" not in proxies["p"]
    assert proxies["q"]["dead_upstream"] == "reset"
    kept = [{**proxies["q"], "dead_upstream": "refuse"}]
    assert mine.call("POST", "/populate", kept).json["proxies"][0]["dead_upstream"] == "refuse"
    assert "dead_upstream" not in mine.call("PATCH", "/proxies/q", {"dead_upstream": "close"}).json


@pytest.mark.parametrize("value", ["", "die", 3])
def test_an_unknown_way_is_refused(mine: Arm, value: Any) -> None:
    body = {"name": "p", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:1", "dead_upstream": value}
    for path, content in (("/proxies", body), ("/populate", [body])):
        answer = mine.call("POST", path, content)
        assert (answer.status, answer.json["error"].startswith("bad request body: ")) == (400, True)
    assert mine.call("GET", "/proxies").json == {}
