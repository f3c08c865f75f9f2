"""The API contract, on both arms: every verb, its status, its body, its defaults and its errors.

Where ours differs from Toxiproxy on purpose, the test says so by `arm.ours` and gives the reason beside it.
"""

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest
from proxy_arms import Arm, Upstream, connect, receive, until

from harness.seams.toxiproxy import ProxyApi

SLOW = {
    "attributes": {"latency": 5, "jitter": 2},
    "name": "slow",
    "type": "latency",
    "stream": "upstream",
    "toxicity": 0.3,
}


def bare(answer: dict[str, Any]) -> dict[str, Any]:
    """A proxy in a response, without the empty `Logger` that Toxiproxy includes by accident."""
    return {name: value for name, value in answer.items() if name != "Logger"}


def error(arm: Arm, verb: str, path: str, body: Any = None) -> tuple[int, str]:
    answer = arm.call(verb, path, body)
    assert answer.content_type == "text/plain; charset=utf-8"
    assert answer.json["status"] == answer.status
    assert answer.text.endswith("\n")
    return answer.status, answer.json["error"]


def test_version(arm: Arm) -> None:
    answer = arm.call("GET", "/version")
    assert (answer.status, list(answer.json)) == (200, ["version"])
    assert answer.content_type == "application/json;charset=utf-8"
    if arm.ours:  # Toxiproxy that was built by `go install` calls itself "git"
        assert answer.json["version"] == "2.12.0"


def test_every_request_has_an_id_of_its_own(arm: Arm) -> None:
    given = {"X-Toxiproxy-Request-Id": "mine"}
    answers = [
        arm.call("GET", "/version", None, **given),
        arm.call("GET", "/version"),
        arm.call("GET", "/proxies/no"),
        arm.call("DELETE", "/proxies/no"),
        arm.call("GET", "/proxies", None, **{"User-Agent": "Mozilla/5.0 (X11)"}),
    ]
    ids = {answer.request_id for answer in answers}
    assert len(ids) == len(answers)
    assert all(one and len(one) == 20 for one in ids)


def test_create_and_get_a_proxy(arm: Arm, quiet: Upstream) -> None:
    answer = arm.call("POST", "/proxies", {"name": "p", "listen": "127.0.0.1:0", "upstream": quiet.address})
    assert (answer.status, answer.content_type) == (201, "application/json")
    proxy = bare(answer.json)
    assert list(proxy) == ["name", "listen", "upstream", "enabled", "toxics"]
    assert proxy["listen"].startswith("127.0.0.1:")
    assert not proxy["listen"].endswith(":0"), "the response has the port that was chosen"
    assert {**proxy, "listen": ""} == {
        "name": "p", "listen": "", "upstream": quiet.address, "enabled": True, "toxics": [],
    }  # fmt: skip
    assert bare(arm.call("GET", "/proxies/p").json) == proxy
    everything = arm.call("GET", "/proxies").json
    assert {name: bare(one) for name, one in everything.items()} == {"p": proxy}


def test_a_proxy_created_disabled_does_not_listen_and_is_not_validated(arm: Arm) -> None:
    answer = arm.call("POST", "/proxies", {"name": "p", "listen": "no port", "upstream": "x", "enabled": False})
    assert answer.status == 201
    assert bare(answer.json) == {
        "name": "p",
        "listen": "no port",
        "upstream": "x",
        "enabled": False,
        "toxics": [],
    }


@pytest.mark.parametrize(
    ("listen", "start"), [("127.0.0.1:0", "127.0.0.1:"), ("localhost:0", "127.0.0.1:"), (":0", "[::]:"), ("", "[::]:")]
)
def test_where_a_proxy_listens(arm: Arm, quiet: Upstream, listen: str, start: str) -> None:
    answer = arm.call("POST", "/proxies", {"name": "p", "listen": listen, "upstream": quiet.address})
    assert answer.json["listen"].startswith(start)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", (400, "bad request body: EOF")),
        ("{", (400, "bad request body: unexpected EOF")),
        ("hello", (400, "bad request body: invalid character 'h' looking for beginning of value")),
        ("[]", (400, "bad request body: json: cannot unmarshal array into Go value of type toxiproxy.Proxy")),
        ("null", (400, "missing required field: name")),
        ({}, (400, "missing required field: name")),
        ({"name": "p"}, (400, "missing required field: upstream")),
        ({"name": "", "upstream": "u"}, (400, "missing required field: name")),
        (
            {"name": "p", "upstream": "u", "enabled": "yes"},
            (400, "bad request body: json: cannot unmarshal string into Go struct field Proxy.enabled of type bool"),
        ),
        (
            {"name": 5, "upstream": "u"},
            (400, "bad request body: json: cannot unmarshal number into Go struct field Proxy.name of type string"),
        ),
        (
            {"name": "p", "upstream": "u", "listen": "nonsense"},
            (500, "listen tcp: address nonsense: missing port in address"),
        ),
        ({"name": "p", "upstream": "u", "listen": "127.0.0.1:99999"}, (500, "listen tcp: address 99999: invalid port")),
    ],
)
def test_invalid_proxies(arm: Arm, body: Any, expected: tuple[int, str]) -> None:
    assert error(arm, "POST", "/proxies", body) == expected
    assert arm.call("GET", "/proxies").json == {}


def test_duplicate_name_and_port(arm: Arm, quiet: Upstream) -> None:
    _, port = arm.make(quiet)
    assert error(arm, "POST", "/proxies", {"name": "p", "upstream": "u"}) == (409, "proxy already exists")
    taken = f"127.0.0.1:{port}"
    problem = f"listen tcp {taken}: bind: address already in use"
    assert error(arm, "POST", "/proxies", {"name": "q", "upstream": "u", "listen": taken}) == (500, problem)
    assert list(arm.call("GET", "/proxies").json) == ["p"]


def test_field_names_in_any_case_nulls_and_trailing_bytes(arm: Arm) -> None:
    body = '{"NAME": "p", "Upstream": "u", "listen": null, "ENABLED": false} and more'
    answer = arm.call("POST", "/proxies", body)
    assert answer.status == 201
    assert bare(answer.json)["enabled"] is False


@pytest.mark.parametrize(
    ("verb", "path", "expected"),
    [
        ("GET", "/proxies/no", (404, "proxy not found")),
        ("PATCH", "/proxies/no", (404, "proxy not found")),
        ("POST", "/proxies/no", (404, "proxy not found")),
        ("DELETE", "/proxies/no", (404, "proxy not found")),
        ("GET", "/proxies/no/toxics", (404, "proxy not found")),
        ("POST", "/proxies/no/toxics", (404, "proxy not found")),
        ("GET", "/proxies/p/toxics/no", (404, "toxic not found")),
        ("PATCH", "/proxies/p/toxics/no", (404, "toxic not found")),
        ("POST", "/proxies/p/toxics/no", (404, "toxic not found")),
        ("DELETE", "/proxies/p/toxics/no", (404, "toxic not found")),
        ("DELETE", "/proxies/no/toxics/no", (404, "proxy not found")),
    ],
)
def test_not_found(arm: Arm, quiet: Upstream, verb: str, path: str, expected: tuple[int, str]) -> None:
    arm.make(quiet)
    assert error(arm, verb, path, {} if verb != "GET" else None) == expected


@pytest.mark.parametrize(
    ("verb", "path", "status", "text"),
    [
        ("GET", "/", 404, "404 page not found\n"),
        ("GET", "/nope", 404, "404 page not found\n"),
        ("GET", "/proxies/", 404, "404 page not found\n"),
        ("PUT", "/proxies", 405, ""),
        ("HEAD", "/proxies", 405, ""),
        ("GET", "/reset", 405, ""),
        ("GET", "/populate", 405, ""),
        ("DELETE", "/version", 405, ""),
    ],
)
def test_invalid_paths_and_methods(arm: Arm, verb: str, path: str, status: int, text: str) -> None:
    answer = arm.call(verb, path)
    assert (answer.status, answer.text) == (status, text)


def test_browsers_are_refused(arm: Arm) -> None:
    answer = arm.call("GET", "/proxies", None, **{"User-Agent": "Mozilla/5.0 (X11)"})
    assert (answer.status, answer.text) == (403, "User agent not allowed\n")


@pytest.mark.parametrize("verb", ["PATCH", "POST"])
def test_disable_and_enable(arm: Arm, upstream: Callable[..., Upstream], verb: str) -> None:
    place = arm.make(upstream())
    with connect(place) as open_before:
        open_before.sendall(b"x")
        assert receive(open_before, 1) == b"x"
        answer = arm.call(verb, "/proxies/p", {"enabled": False})
        assert (answer.status, answer.json["enabled"]) == (200, False)
        assert receive(open_before, 1) == b"", "connections are closed"
    with pytest.raises(ConnectionRefusedError):
        connect(place)
    assert arm.call(verb, "/proxies/p", {"enabled": True}).json["enabled"] is True
    with connect(place) as sock:
        sock.sendall(b"y")
        assert receive(sock, 1) == b"y"


def test_changing_the_upstream_closes_connections_and_keeps_toxics(arm: Arm, upstream: Callable[..., Upstream]) -> None:
    place = arm.make(upstream())
    arm.add_toxic("latency")
    other = upstream(lambda sock: sock.sendall(b"other"))
    with connect(place) as sock:
        sock.sendall(b"x")
        assert receive(sock, 1) == b"x"
        answer = arm.call("PATCH", "/proxies/p", {"upstream": other.address})
        assert bare(answer.json)["upstream"] == other.address
        assert [toxic["name"] for toxic in answer.json["toxics"]] == ["latency_downstream"]
        assert receive(sock, 1) == b""
    with connect(place) as sock:
        assert receive(sock, 5) == b"other"


def test_changing_nothing_keeps_connections(arm: Arm, upstream: Callable[..., Upstream]) -> None:
    place = arm.make(upstream())
    with connect(place) as sock:
        sock.sendall(b"x")
        assert receive(sock, 1) == b"x"
        assert arm.call("PATCH", "/proxies/p", {"name": "renamed", "enabled": True}).json["name"] == "p"
        sock.sendall(b"y")
        assert receive(sock, 1) == b"y"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", (400, "bad request body: EOF")),
        ({"listen": "nonsense"}, (500, "address nonsense: missing port in address")),
    ],
)
def test_invalid_changes(arm: Arm, quiet: Upstream, body: Any, expected: tuple[int, str]) -> None:
    arm.make(quiet)
    assert error(arm, "PATCH", "/proxies/p", body) == expected
    assert arm.call("GET", "/proxies/p").json["enabled"] is True


def test_moving_to_a_taken_port_leaves_the_proxy_down(arm: Arm, quiet: Upstream) -> None:
    arm.make(quiet)
    status, problem = error(arm, "PATCH", "/proxies/p", {"listen": quiet.address})
    assert (status, problem) == (500, f"listen tcp {quiet.address}: bind: address already in use")
    now = arm.call("GET", "/proxies/p").json
    assert (now["enabled"], now["listen"]) == (False, quiet.address)


def test_deleting_a_proxy_closes_listener_and_connections(arm: Arm, upstream: Callable[..., Upstream]) -> None:
    place = arm.make(upstream())
    with connect(place) as sock:
        sock.sendall(b"x")
        assert receive(sock, 1) == b"x"
        answer = arm.call("DELETE", "/proxies/p")
        assert (answer.status, answer.text) == (204, "")
        assert receive(sock, 1) == b""
    with pytest.raises(ConnectionRefusedError):
        connect(place)


def test_create_get_change_and_delete_a_toxic(arm: Arm, quiet: Upstream) -> None:
    arm.make(quiet)
    made = arm.call("POST", "/proxies/p/toxics", SLOW)
    assert (made.status, made.content_type, made.json) == (200, "application/json", SLOW)
    assert list(made.json) == ["attributes", "name", "type", "stream", "toxicity"]
    assert arm.call("GET", "/proxies/p/toxics/slow").json == SLOW
    assert arm.call("GET", "/proxies/p").json["toxics"] == [SLOW]
    changed = arm.call("PATCH", "/proxies/p/toxics/slow", {"attributes": {"jitter": 9}})
    assert changed.json == {**SLOW, "attributes": {"latency": 5, "jitter": 9}}, "the rest stays as it is"
    changed = arm.call("POST", "/proxies/p/toxics/slow", {"toxicity": 1, "name": "n", "stream": "downstream"})
    assert changed.json == {**SLOW, "attributes": {"latency": 5, "jitter": 9}, "toxicity": 1}, (
        "name and stream are fixed"
    )
    answer = arm.call("DELETE", "/proxies/p/toxics/slow")
    assert (answer.status, answer.text) == (204, "")
    assert arm.call("GET", "/proxies/p/toxics").json == []


@pytest.mark.parametrize(
    ("type_", "defaults"),
    [
        ("latency", {"latency": 0, "jitter": 0}),
        ("bandwidth", {"rate": 0}),
        ("slow_close", {"delay": 0}),
        ("timeout", {"timeout": 0}),
        ("reset_peer", {"timeout": 0}),
        ("limit_data", {"bytes": 0}),
        ("noop", {}),
    ],
)
def test_defaults_of_toxics(arm: Arm, quiet: Upstream, type_: str, defaults: dict[str, int]) -> None:
    arm.make(quiet)
    made = arm.call("POST", "/proxies/p/toxics", {"type": type_}).json
    assert made == {
        "attributes": defaults, "name": f"{type_}_downstream", "type": type_, "stream": "downstream", "toxicity": 1,
    }  # fmt: skip


def test_the_slicer_has_no_default_size(arm: Arm, quiet: Upstream) -> None:
    arm.make(quiet)
    answer = arm.call("POST", "/proxies/p/toxics", {"type": "slicer"})
    # Toxiproxy takes an average size of 0, and dies of a stack overflow at the first bytes.
    assert answer.status == (400 if arm.ours else 200)


def test_toxics_are_listed_upstream_first_and_in_order(arm: Arm, quiet: Upstream) -> None:
    arm.make(quiet)
    for name, stream in (("a", "downstream"), ("b", "upstream"), ("c", "downstream"), ("d", "upstream")):
        arm.call("POST", "/proxies/p/toxics", {"type": "latency", "name": name, "stream": stream})
    assert [toxic["name"] for toxic in arm.call("GET", "/proxies/p/toxics").json] == ["b", "d", "a", "c"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", (400, "bad request body: EOF")),
        ({}, (400, "invalid toxic type")),
        ({"type": "nope"}, (400, "invalid toxic type")),
        ({"type": "latency", "stream": "up"}, (400, "stream was invalid, can be either upstream or downstream")),
        (
            {"type": "latency", "toxicity": "x"},
            (
                400,
                "bad request body: json: cannot unmarshal string into Go struct field "
                "ToxicWrapper.toxicity of type float32",
            ),
        ),
    ],
)
def test_invalid_toxics(arm: Arm, quiet: Upstream, body: Any, expected: tuple[int, str]) -> None:
    arm.make(quiet)
    assert error(arm, "POST", "/proxies/p/toxics", body) == expected


@pytest.mark.parametrize("value", ["x", 1.5, [], True, {}])
@pytest.mark.parametrize("verb", ["POST", "PATCH"])
def test_attributes_of_the_wrong_type(arm: Arm, quiet: Upstream, verb: str, value: Any) -> None:
    arm.make(quiet)
    arm.add_toxic("timeout", timeout=7)
    path = "/proxies/p/toxics" + ("/timeout_downstream" if verb == "PATCH" else "")
    status, problem = error(arm, verb, path, {"type": "timeout", "name": "t", "attributes": {"timeout": value}})
    assert status == 400
    assert problem.startswith("bad request body: ")  # ours goes on to say what would be right
    assert [toxic["attributes"] for toxic in arm.call("GET", "/proxies/p/toxics").json] == [{"timeout": 7}]


@pytest.mark.parametrize("value", ["x", 1, [], {}])
def test_shared_is_true_or_false(mine: Arm, quiet: Upstream, value: Any) -> None:
    mine.make(quiet)
    body = {"type": "bandwidth", "attributes": {"shared": value}}
    status, problem = error(mine, "POST", "/proxies/p/toxics", body)
    assert (status, problem.partition(", not ")[0]) == (400, "bad request body: shared must be true or false")


def test_duplicate_toxic(arm: Arm, quiet: Upstream) -> None:
    arm.make(quiet)
    arm.add_toxic("latency")
    assert error(arm, "POST", "/proxies/p/toxics", {"type": "latency"}) == (409, "toxic already exists")


@pytest.mark.parametrize(
    ("type_", "attributes"),
    [
        ("latency", {"latency": -1}),
        ("slicer", {"average_size": 0}),
        ("slicer", {"average_size": -5}),
        ("slicer", {"average_size": 10, "size_variation": 11}),
        ("bandwidth", {"rate": -1}),
        ("limit_data", {"bytes": -1}),
        ("timeout", {"timeout": -1}),
    ],
)
def test_attributes_out_of_range(arm: Arm, quiet: Upstream, type_: str, attributes: dict[str, int]) -> None:
    arm.make(quiet)
    answer = arm.call("POST", "/proxies/p/toxics", {"type": type_, "attributes": attributes})
    # Toxiproxy takes them all: a slicer of 0 or a negative rate then crash the server when bytes come.
    assert answer.status == (400 if arm.ours else 200)


def test_an_unknown_attribute_is_reported(arm: Arm, quiet: Upstream) -> None:
    arm.make(quiet)
    body = {"type": "latency", "attributes": {"latncy": 100}, "ttxicity": 0.5}
    answer = arm.call("POST", "/proxies/p/toxics", body)
    assert answer.status == 200, "old clients go on as before"
    # Toxiproxy takes a mistyped attribute as zero without a word.
    warnings = ["unknown field 'ttxicity' ignored", "unknown attribute 'latncy' ignored"] if arm.ours else None
    assert answer.json.get("warnings") == warnings


def test_an_unknown_field_of_a_proxy_is_reported(arm: Arm, quiet: Upstream) -> None:
    body = {"name": "p", "listen": "127.0.0.1:0", "upstream": quiet.address, "on_dead": "reset"}
    warnings = ["unknown field 'on_dead' ignored"] if arm.ours else None
    assert arm.call("POST", "/proxies", body).json.get("warnings") == warnings
    assert arm.call("PATCH", "/proxies/p", {"on_dead": "reset"}).json.get("warnings") == warnings
    assert arm.call("POST", "/populate", [{**body, "name": "q"}]).json.get("warnings") == warnings


@pytest.mark.parametrize("number", ["1e999", "-1e39", "1" + "0" * 400])
def test_a_toxicity_beyond_single_precision_is_refused(arm: Arm, quiet: Upstream, number: str) -> None:
    arm.make(quiet)
    body = f'{{"type": "latency", "toxicity": {number}}}'
    status, text = error(arm, "POST", "/proxies/p/toxics", body)
    assert (status, text.endswith("into Go struct field ToxicWrapper.toxicity of type float32")) == (400, True)
    assert arm.call("GET", "/proxies/p").json["toxics"] == []


def test_toxicity_is_returned_in_single_precision(arm: Arm, quiet: Upstream) -> None:
    arm.make(quiet)
    for number, value in enumerate((0.1, 0.123456789, 1, 0, 0.5, 1e-7)):
        name = f"t{number}"
        made = arm.call("POST", "/proxies/p/toxics", {"type": "latency", "name": name, "toxicity": value}).json
        assert made["toxicity"] == (0.12345679 if number == 1 else value)


def test_characters_are_escaped_as_in_go(arm: Arm, quiet: Upstream) -> None:
    arm.make(quiet)
    answer = arm.call("POST", "/proxies/p/toxics", {"type": "latency", "name": "<é&\u2028>"})
    assert '"name":"\\u003cé\\u0026\\u2028\\u003e"' in answer.text


def test_populate_creates_keeps_and_replaces(arm: Arm, quiet: Upstream) -> None:
    place = arm.make(quiet, "kept")
    arm.add_toxic("latency", proxy="kept")
    arm.make(quiet, "replaced")
    arm.add_toxic("latency", proxy="replaced")
    body = [
        {"name": "kept", "listen": f"127.0.0.1:{place[1]}", "upstream": quiet.address, "enabled": False},
        {"name": "replaced", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:1"},
        {"name": "made", "listen": "127.0.0.1:0", "upstream": quiet.address},
        {"name": "off", "listen": "127.0.0.1:0", "upstream": quiet.address, "enabled": False},
    ]
    answer = arm.call("POST", "/populate", body)
    assert (answer.status, answer.content_type, list(answer.json)) == (201, "application/json", ["proxies"])
    found = {proxy["name"]: proxy for proxy in answer.json["proxies"]}
    assert list(found) == ["kept", "replaced", "made", "off"]
    assert [len(proxy["toxics"]) for proxy in found.values()] == [1, 0, 0, 0]
    assert [proxy["enabled"] for proxy in found.values()] == [True, True, True, False]


@pytest.mark.parametrize(
    ("body", "status", "problem"),
    [
        ("", 400, "bad request body: EOF"),
        ("{}", 400, "bad request body: json: cannot unmarshal object into Go value of type []"),
        ([{"name": "p", "upstream": "u"}, {}], 400, "missing required field: name at proxy 2"),
        ([{"name": "p", "upstream": "u"}, {"name": "q"}], 400, "missing required field: upstream at proxy 2"),
    ],
)
def test_populate_validates_before_it_changes_anything(arm: Arm, body: Any, status: int, problem: str) -> None:
    answer = arm.call("POST", "/populate", body)
    assert (answer.status, answer.json["status"], answer.json["proxies"]) == (status, status, None)
    assert answer.json["error"].startswith(problem)
    assert list(answer.json) == ["error", "status", "proxies"]
    assert arm.call("GET", "/proxies").json == {}


def test_populate_stops_at_a_failure_and_returns_what_was_created(arm: Arm, quiet: Upstream) -> None:
    body = [
        {"name": "a", "listen": "127.0.0.1:0", "upstream": "u"},
        {"name": "b", "listen": quiet.address, "upstream": "u"},
        {"name": "c", "listen": "127.0.0.1:0", "upstream": "u"},
    ]
    answer = arm.call("POST", "/populate", body)
    assert (answer.status, answer.json["status"]) == (500, 500)
    assert [proxy["name"] for proxy in answer.json["proxies"]] == ["a"]
    assert list(arm.call("GET", "/proxies").json) == ["a"]


def test_populate_with_an_empty_list(arm: Arm) -> None:
    for body in ("[]", "null"):
        answer = arm.call("POST", "/populate", body)
        assert (answer.status, answer.text) == (201, '{"proxies":null}')


def test_reset_enables_all_proxies_and_removes_all_toxics(arm: Arm, upstream: Callable[..., Upstream]) -> None:
    place = arm.make(upstream())
    arm.make(upstream(), "q", enabled=False)
    arm.add_toxic("latency", latency=100000)
    arm.add_toxic("timeout", "upstream")
    answer = arm.call("POST", "/reset")
    assert (answer.status, answer.text) == (204, "")
    proxies = arm.call("GET", "/proxies").json.values()
    assert [(proxy["enabled"], proxy["toxics"]) for proxy in proxies] == [(True, []), (True, [])]
    with connect(place) as sock:
        sock.sendall(b"x")
        assert receive(sock, 1) == b"x"


def test_reset_goes_on_after_a_failure_and_lists_failures(arm: Arm, quiet: Upstream) -> None:
    for name in "abc":
        arm.make(quiet, name, enabled=False)
        arm.add_toxic("latency", proxy=name)
    arm.call("POST", "/proxies/b", {"listen": quiet.address})
    answer = arm.call("POST", "/reset")
    problem = f"listen tcp {quiet.address}: bind: address already in use"
    assert (answer.status, answer.json["status"]) == (500, 500)
    assert problem in answer.json["error"]
    proxies = arm.call("GET", "/proxies").json.values()
    if arm.ours:  # Toxiproxy stops at the first that will not start, in no particular order
        assert answer.json["failed"] == {"b": problem}
        assert [(proxy["enabled"], proxy["toxics"]) for proxy in proxies] == [(True, []), (False, []), (True, [])]


def test_metrics_count_bytes(arm: Arm, upstream: Callable[..., Upstream]) -> None:
    place = arm.make(upstream())
    with connect(place) as sock:
        sock.sendall(b"12345")
        assert receive(sock, 5) == b"12345"
        sock.shutdown(socket.SHUT_WR)
        assert receive(sock, 1) == b""

    def counted() -> bool:
        lines = arm.call("GET", "/metrics").text.splitlines()
        where = f'listener="127.0.0.1:{place[1]}",proxy="p"'
        wanted = [
            f'toxiproxy_proxy_{what}_bytes_total{{direction="{way}",{where}'
            for what in ("received", "sent")
            for way in ("upstream", "downstream")
        ]
        return all(any(line.startswith(start) and line.endswith(" 5") for line in lines) for start in wanted)

    until(counted)


def test_what_clients_sent_is_counted_for_the_confirmation_of_faults(
    arm: Arm, upstream: Callable[..., Upstream]
) -> None:
    api = ProxyApi(arm.url)
    place = arm.make(upstream())
    before = api.received_bytes().get("p", 0)
    with connect(place) as sock:
        sock.sendall(b"12345")
        assert receive(sock, 5) == b"12345"
        if arm.ours:  # Toxiproxy counts the bytes of a connection when it ends
            until(lambda: api.received_bytes()["p"] == before + 5)
    until(lambda: api.received_bytes().get("p", 0) == before + 5)


def test_responses_have_no_added_fields_unless_used(mine: Arm, quiet: Upstream) -> None:
    mine.make(quiet)
    made = mine.add_toxic("latency", latency=1)
    assert list(made) == ["attributes", "name", "type", "stream", "toxicity"]
    text = mine.call("GET", "/proxies/p").text
    for word in ("ttl", "lease", "expires_in", "warnings"):
        assert word not in text
    assert json.loads(text)["toxics"] == [made]
