"""What is there after a restart: the proxies of the file, as they were, and no fault whose owner may be gone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from proxy_arms import Arm, Upstream, connect, free_port, receive
from test_proxy_command import served

LATE: dict[str, Any] = {"type": "latency", "attributes": {"latency": 60_000}}


def _passes(place: tuple[str, int]) -> bool:
    with connect(place) as sock:
        sock.sendall(b"x")
        return receive(sock, 1) == b"x"


def _config(folder: Path, *proxies: dict[str, Any]) -> str:
    file = folder / "proxies.json"
    file.write_text(json.dumps(proxies))
    return str(file)


def _not_restored(arm: Arm) -> list[tuple[str, str | None]]:
    events = arm.journal()["events"]
    return [(entry["proxy"], entry.get("toxic")) for entry in events if entry["event"] == "not_restored"]


def test_proxies_come_back_after_sigkill_and_faults_do_not(tmp_path: Path, upstream: Callable[..., Upstream]) -> None:
    port = free_port()
    link = {"name": "link", "listen": f"127.0.0.1:{port}", "upstream": upstream().address, "enabled": True}
    config = _config(tmp_path, link)
    with served("--config", config) as (arm, _, _line):
        arm.call("POST", "/leases", {"name": "run", "ttl": 60_000})
        arm.call("POST", "/proxies/link/toxics", {**LATE, "lease": "run"})
        arm.call("POST", "/proxies/link/toxics", {**LATE, "name": "mine", "ttl": 60_000})
        assert len(arm.call("GET", "/proxies/link").json["toxics"]) == 2
    with served("--config", config) as (arm, _, _line):
        assert arm.call("GET", "/proxies").json == {"link": {**link, "toxics": []}}
        assert _passes(("127.0.0.1", port))
        assert arm.call("GET", "/leases").json == {}
        assert arm.call("PATCH", "/leases/run").status == 404, "a renewal makes no lease anew"
        assert arm.call("POST", "/proxies/link/toxics", {**LATE, "lease": "run"}).status == 404
        assert arm.call("GET", "/proxies/link").json["toxics"] == []


def test_a_file_that_was_saved_while_a_fault_was_on_brings_back_no_fault(
    tmp_path: Path, upstream: Callable[..., Upstream]
) -> None:
    ends = upstream().address
    with served() as (arm, _, _line):
        arm.call("POST", "/leases", {"name": "run", "ttl": 60_000})
        for name in ("a", "down", "leased"):
            arm.make(ends, name, **({"lease": "run"} if name == "leased" else {}))
        arm.call("POST", "/proxies/a/toxics", {**LATE, "lease": "run"})
        arm.call("POST", "/proxies/a/toxics", {**LATE, "name": "timed", "ttl": 60_000})
        arm.add_toxic("latency", "upstream", "a", latency=1)  # a plain client's
        arm.call("PATCH", "/proxies/down", {"enabled": False, "lease": "run"})
        saved = list(arm.call("GET", "/proxies").json.values())
    with served("--config", _config(tmp_path, *saved)) as (arm, _, _line):
        found = arm.call("GET", "/proxies").json
        assert sorted(found) == ["a", "down"]
        assert [toxic["name"] for toxic in found["a"]["toxics"]] == ["latency_upstream"]
        assert found["down"]["enabled"] is True
        assert "lease" not in found["down"]
        assert sorted(_not_restored(arm), key=str) == [
            ("a", "latency_downstream"), ("a", "timed"), ("down", None), ("leased", None),
        ]  # fmt: skip


@pytest.mark.parametrize(
    "lifetime", [{"lease": "gone"}, {"lease": ""}, {"lease": None}, {"TTL": "soon"}, {"ttl": None}]
)
def test_a_lifetime_in_a_file_that_cannot_be_read_counts_as_over(
    tmp_path: Path, quiet: Upstream, lifetime: dict[str, Any]
) -> None:
    link = {"name": "link", "listen": "127.0.0.1:0", "upstream": quiet.address, "toxics": [{**LATE, **lifetime}]}
    with served("--config", _config(tmp_path, link, {**link, "name": "leased", **lifetime})) as (arm, _, _line):
        found = arm.call("GET", "/proxies").json
        assert {name: proxy["toxics"] for name, proxy in found.items()} == {"link": []}
        assert sorted(_not_restored(arm)) == [("leased", None), ("link", "latency")]


def test_what_is_written_in_another_case_is_over_too(tmp_path: Path, quiet: Upstream) -> None:
    ends = {"listen": "127.0.0.1:0", "upstream": quiet.address}
    toxics = {"name": "toxics", **ends, "Toxics": [{**LATE, "ttl": 60_000}], "toxics": None}
    down = {"name": "down", **ends, "ENABLED": False, "enabled": None, "Lease": "run"}
    with served("--config", _config(tmp_path, toxics, down)) as (arm, _, _line):
        found = arm.call("GET", "/proxies").json
        assert {name: (proxy["enabled"], proxy["toxics"]) for name, proxy in found.items()} == {
            "toxics": (True, []), "down": (True, []),
        }  # fmt: skip
