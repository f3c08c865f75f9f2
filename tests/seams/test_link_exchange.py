"""How an exchange over a link ends, each way with a real socket."""

from __future__ import annotations

import ast
import struct
from pathlib import Path

import pytest
from real_servers import ending

import harness
from harness.model.backend import LinkEndpoint
from harness.seams.greetings import asked_as, greeting
from harness.seams.link import LinkHandle

HTTP = greeting(None, None)


def link(through: str, direct: str = "127.0.0.1:1") -> LinkHandle:
    return LinkHandle(LinkEndpoint("a -> b", "http://127.0.0.1:1", {80: "b"}), 80, through, direct)


@pytest.mark.parametrize("how", ["answered", "refused", "reset", "closed", "silent"])
async def test_an_exchange_tells_how_it_ended(how: str) -> None:
    async with ending(how) as address:
        exchange = await link(address).exchange(greeting(80, "/healthz"), timeout_s=0.2 if how == "silent" else 30.0)
    assert exchange.outcome == how
    assert exchange.time_s >= 0.2 or how != "silent"


async def test_an_exchange_beside_the_link_is_with_the_service_itself() -> None:
    async with ending("answered") as service, ending("reset") as through:
        both = link(through, service)
        assert (await both.exchange(HTTP, 30.0)).outcome == "reset"
        assert (await both.exchange(HTTP, 30.0, direct=True)).outcome == "answered"


@pytest.mark.parametrize(
    ("port", "path", "begins"),
    [
        (8000, "/healthz", b"GET /healthz HTTP/1.0\r\n"),
        (5432, "/healthz", b"GET /healthz"),  # what the stack says of it comes first
        (6379, None, b"GET / HTTP/1.0"),
        (None, None, b"GET / HTTP/1.0"),
        (5432, None, bytes.fromhex("00000008 04d2162f")),
        (9092, None, bytes.fromhex("00000011 0012 0000 00000001 0007") + b"harness"),
        (2181, None, b"ruok"),
    ],
)
def test_c2_every_protocol_is_asked_in_its_own_words(port: int | None, path: str | None, begins: bytes) -> None:
    assert greeting(port, path).startswith(begins)


@pytest.mark.parametrize(
    ("role", "port", "as_on"),
    [("postgres", 5433, 5432), ("PostgreSQL", 9092, 5432), ("pgbouncer", None, 5432), ("mongodb", 27018, 27017),
     ("kafka", 29092, 9092), ("zookeeper", 2182, 2181), ("server", 5432, 5432), ("server", 8000, 8000)],
)  # fmt: skip
def test_a_role_tells_the_protocol_before_the_port_does(role: str, port: int | None, as_on: int) -> None:
    assert greeting(port, None, ["x", role]) == greeting(as_on, None)
    assert greeting(port, "/healthz", [role]).startswith(b"GET /healthz"), "what the stack says of it comes first"


@pytest.mark.parametrize(
    ("port", "path", "roles", "told"),
    [
        (5432, "/healthz", ["postgres"], "asked for /healthz"),
        (5433, None, ["x", "PostgreSQL"], "asked as PostgreSQL"),
        (9092, None, [], "asked as kafka, by its port"),
        (6379, None, ["redis"], "asked for / over HTTP"),
    ],
)
def test_what_is_asked_is_told_in_words(port: int, path: str | None, roles: list[str], told: str) -> None:
    assert asked_as(port, path, roles) == told


def test_c2_a_message_to_mongo_says_how_long_it_is() -> None:
    request = greeting(27017, None)
    length, _, _, opcode = struct.unpack("<iiii", request[:16])
    assert (length, opcode) == (len(request), 2013)
    (document,) = struct.unpack("<i", request[21:25])
    assert document == len(request) - 21


async def test_a_name_that_is_not_found_is_a_refusal() -> None:
    assert (await link("no-such-host.invalid:80").exchange(HTTP, 30.0)).outcome == "refused"


def test_one_module_imports_the_client_of_toxiproxy_and_imports_it_late() -> None:
    root = Path(harness.__file__).parent
    found = {}
    for file in sorted(root.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        early = {id(node) for node in tree.body}
        for node in ast.walk(tree):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if any(name.partition(".")[0] == "toxiproxy" for name in names):
                found[str(file.relative_to(root))] = found.get(str(file.relative_to(root)), False) or id(node) in early
    assert found == {"seams/toxiproxy.py": False}
