"""Faults with a time to live or a lease expire; faults with neither stay."""

import signal
import socket
import subprocess
import sys
from collections.abc import Callable

import pytest
from proxy_arms import Arm, Upstream, connect, receive, until

from harness.proxy.leases import Expiry, Leases, Lifetime
from harness.proxy.loop import Loop
from harness.proxy.proxy import Proxy

pytestmark = pytest.mark.slow

OWNER = """
import json, sys, time, urllib.request
url, ttl_ms = sys.argv[1], int(sys.argv[2])
def call(verb, path, body=None):
    request = urllib.request.Request(url + path, json.dumps(body).encode(), method=verb)
    urllib.request.urlopen(request, timeout=20).read()
call("POST", "/leases", {"name": "run", "ttl": ttl_ms})
call("POST", "/proxies/p/toxics", {"type": "latency", "attributes": {"latency": 60000}, "lease": "run"})
call("PATCH", "/proxies/q", {"enabled": False, "lease": "run"})
call("POST", "/proxies", {"name": "r", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:1", "lease": "run"})
print("ready", flush=True)
while True:
    time.sleep(0.1)
    call("PATCH", "/leases/run")
"""


def _toxics(arm: Arm, proxy: str = "p") -> list[str]:
    return [toxic["name"] for toxic in arm.call("GET", f"/proxies/{proxy}/toxics").json]


def _events(arm: Arm, event: str) -> list[dict[str, object]]:
    return [entry for entry in arm.journal()["events"] if entry["event"] == event]


def test_faults_of_an_owner_killed_by_sigkill_expire(ours: Arm, upstream: Callable[..., Upstream]) -> None:
    echo = upstream()
    ours.make(echo)
    ours.make(echo, "q")
    ours.add_toxic("latency", "upstream", latency=1)  # a plain client's
    ttl_ms = 3000  # a busy machine may keep the owner from renewing for a second or two
    owner = subprocess.Popen([sys.executable, "-c", OWNER, ours.url, str(ttl_ms)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    try:
        assert owner.stdout.readline() == "ready\n"
        began_s = ours.journal()["now_s"]
        until(lambda: ours.journal()["now_s"] > began_s + 1.2 * ttl_ms / 1000)
        assert _toxics(ours) == ["latency_upstream", "latency_downstream"], "renewed in time, it stays"
        assert ours.call("GET", "/proxies/q").json["enabled"] is False
    finally:
        owner.send_signal(signal.SIGKILL)
        killed_s = ours.journal()["now_s"]
        owner.wait()
        owner.stdout.close()
    until(lambda: ours.call("GET", "/leases/run").status == 404)
    assert _toxics(ours) == ["latency_upstream"], "a plain client's toxic stays"
    assert ours.call("GET", "/proxies/q").json["enabled"] is True
    assert ours.call("GET", "/proxies/r").status == 404
    ended_s = [entry["at_s"] for entry in _events(ours, "lease_ended") if entry["lease"] == "run"][-1]
    assert ended_s - killed_s <= ttl_ms / 1000 + 0.5, "within the ttl, by the proxy's own clock"


def test_a_toxic_with_a_ttl_expires(ours: Arm, quiet: Upstream) -> None:
    ours.make(quiet)
    body = {"type": "latency", "ttl": 150}
    made = ours.call("POST", "/proxies/p/toxics", body).json
    assert made["ttl"] == 150
    assert 0 < made["expires_in"] <= 150
    until(lambda: _toxics(ours) == [])
    past = [entry for entry in ours.journal()["toxics"] if entry["removed_because"] == "ttl expired"][-1]
    assert past["removed_s"] - past["added_s"] >= 0.149


def test_a_ttl_is_renewed_by_a_change(ours: Arm, quiet: Upstream) -> None:
    ours.make(quiet)
    ours.call("POST", "/proxies/p/toxics", {"type": "latency", "ttl": 1500})
    renewed = ours.call("PATCH", "/proxies/p/toxics/latency_downstream", {"ttl": 60_000}).json
    assert renewed["ttl"] == 60_000
    now_s = ours.journal()["now_s"]
    until(lambda: ours.journal()["now_s"] > now_s + 1.8)
    assert _toxics(ours) == ["latency_downstream"]


def test_a_proxy_with_a_ttl(ours: Arm, quiet: Upstream) -> None:
    ours.make(quiet, ttl=100)
    until(lambda: ours.call("GET", "/proxies/p").status == 404)


def test_a_proxy_disabled_with_a_ttl_is_enabled_again(ours: Arm, upstream: Callable[..., Upstream]) -> None:
    place = ours.make(upstream())
    down = ours.call("PATCH", "/proxies/p", {"enabled": False, "ttl": 100}).json
    assert (down["enabled"], down["ttl"]) == (False, 100)
    up = until(lambda: (now := ours.call("GET", "/proxies/p").json)["enabled"] and now)
    assert "ttl" not in up
    with connect(place) as sock:
        sock.sendall(b"x")
        assert receive(sock, 1) == b"x"


def test_enabling_a_proxy_cancels_the_ttl_of_its_downtime(ours: Arm, quiet: Upstream) -> None:
    ours.make(quiet)
    ours.call("PATCH", "/proxies/p", {"enabled": False, "ttl": 60_000})
    assert "ttl" not in ours.call("PATCH", "/proxies/p", {"enabled": True}).json
    assert ours.call("PATCH", "/proxies/p", {"enabled": False}).json["enabled"] is False
    ours.call("PATCH", "/proxies/p", {"enabled": False, "ttl": 50})
    assert until(lambda: ours.call("GET", "/proxies/p").json["enabled"])


def test_enabling_after_a_ttl_is_retried_while_the_port_is_in_use(ours: Arm, quiet: Upstream) -> None:
    host, port = ours.make(quiet)
    ours.call("PATCH", "/proxies/p", {"enabled": False})
    with socket.create_server((host, port)):
        ours.call("PATCH", "/proxies/p", {"enabled": False, "ttl": 20})
        until(lambda: _events(ours, "proxy_still_down"))
    assert until(lambda: ours.call("GET", "/proxies/p").json["enabled"])


def test_create_get_renew_and_end_a_lease(ours: Arm, quiet: Upstream) -> None:
    ours.make(quiet)
    made = ours.call("POST", "/leases", {"name": "mine", "ttl": 60_000})
    assert made.status == 201
    assert (made.json["name"], made.json["ttl"], made.json["holds"]) == ("mine", 60_000, [])
    assert ours.call("POST", "/leases", {"name": "mine", "ttl": 1}).status == 409
    made_toxic = ours.call("POST", "/proxies/p/toxics", {"type": "latency", "lease": "mine"}).json
    assert made_toxic["lease"] == "mine"
    assert ours.call("GET", "/leases").json["mine"]["holds"] == ["p/latency_downstream"]
    assert ours.call("PATCH", "/leases/mine", {"ttl": 90_000}).json["ttl"] == 90_000
    assert ours.call("POST", "/leases/mine").json["ttl"] == 90_000
    assert ours.call("DELETE", "/leases/mine").status == 204
    assert _toxics(ours) == []
    assert ours.call("PATCH", "/leases/mine").json == {"error": "lease not found", "status": 404}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/leases", {"ttl": 5}, 400),
        ("/leases", {"name": "x"}, 400),
        ("/leases", {"name": "x", "ttl": 0}, 400),
        ("/leases", {"name": "x", "ttl": "soon"}, 400),
        ("/proxies/p/toxics", {"type": "latency", "ttl": -1}, 400),
        ("/proxies/p/toxics", {"type": "latency", "ttl": 5, "lease": "x"}, 400),
        ("/proxies/p/toxics", {"type": "latency", "lease": "nobody's"}, 404),
        ("/proxies/p/toxics", {"type": "latency", "lease": ""}, 404),
        ("/proxies/p/toxics", {"type": "latency", "lease": None}, 400),
        ("/proxies/p/toxics", {"type": "latency", "TTL": None}, 400),
        ("/proxies/p/toxics", {"type": "latency", "lease": "", "ttl": 5}, 400),
        ("/proxies/p/toxics", {"type": "latency", "lease": 7}, 400),
        ("/proxies/p/toxics", {"type": "latency", "ttl": 1.5}, 400),
        ("/proxies/p/toxics", {"type": "latency", "ttl": True}, 400),
        ("/proxies/p/toxics", {"type": "latency", "ttl": 86_400_001}, 400),
        ("/proxies", {"name": "x", "upstream": "u", "lease": ""}, 404),
        ("/proxies", {"name": "x", "upstream": "u", "ttl": None}, 400),
        ("/proxies/p", {"enabled": False, "lease": ""}, 404),
        ("/proxies/p", {"enabled": False, "ttl": None}, 400),
        ("/populate", [{"name": "x", "upstream": "u", "toxics": [{"type": "latency", "lease": None}]}], 400),
        ("/proxies", {"name": "x", "upstream": "u", "lease": "nobody's"}, 404),
    ],
)
def test_invalid_lifetimes(ours: Arm, quiet: Upstream, path: str, body: dict[str, object], status: int) -> None:
    ours.make(quiet)
    assert ours.call("POST", path, body).status == status
    assert _toxics(ours) == []
    assert list(ours.call("GET", "/proxies").json) == ["p"]
    assert ours.call("GET", "/proxies/p").json["enabled"] is True


@pytest.mark.parametrize("body", [{"ttl": "soon"}, {"ttl": 0}, {"ttl": -1}, {"ttl": 1e9}, [], "x"])
def test_a_renewal_that_cannot_be_read_renews_nothing(ours: Arm, quiet: Upstream, body: object) -> None:
    ours.make(quiet)
    ours.call("POST", "/leases", {"name": "short", "ttl": 300})
    ours.call("POST", "/proxies/p/toxics", {"type": "latency", "lease": "short"})
    assert ours.call("PATCH", "/leases/short", body).status == 400
    until(lambda: _toxics(ours) == [])
    ended = [entry for entry in _events(ours, "lease_ended") if entry["lease"] == "short"][-1]
    assert ended["why"] == "lease expired"


def test_a_lifetime_without_a_duration_is_over() -> None:
    ended: list[str] = []
    loop = Loop()
    Expiry(Leases(loop, lambda *_, **__: None), Lifetime(None, None), "p/latency", ended.append)
    loop.after(0.05, loop.stop)
    loop.run()
    loop.close()
    assert ended == ["ttl expired"]


def test_an_undo_that_fails_keeps_none_of_the_others(
    ours: Arm, quiet: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours.make(quiet)
    ours.call("POST", "/leases", {"name": "l", "ttl": 60_000})
    for name in ("first", "stuck", "last"):
        ours.call("POST", "/proxies/p/toxics", {"type": "latency", "name": name, "lease": "l"})
    really = Proxy.remove
    with monkeypatch.context() as patch:
        patch.setattr(Proxy, "remove", lambda self, toxic: 1 / 0 if toxic.name == "stuck" else really(self, toxic))
        assert ours.call("DELETE", "/leases/l").status == 204
    assert _toxics(ours) == ["stuck"]
    failed = _events(ours, "undo_failed")[-1]
    assert (failed["lease"], failed["what"]) == ("l", "p/stuck")


def test_a_removed_toxic_leaves_its_lease(ours: Arm, quiet: Upstream) -> None:
    ours.make(quiet)
    ours.call("POST", "/leases", {"name": "l", "ttl": 60_000})
    ours.call("POST", "/proxies/p/toxics", {"type": "latency", "lease": "l"})
    ours.remove_toxic("latency_downstream")
    assert ours.call("GET", "/leases/l").json["holds"] == []
    ours.add_toxic("latency")
    ours.call("DELETE", "/leases/l")
    assert _toxics(ours) == ["latency_downstream"], "one of the same name that came later is not its"
