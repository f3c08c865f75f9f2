"""The `sql` probe against a real PostgreSQL: read only, with a limit of its own, and mended when it comes back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from real_probes import Probing

sys.path.insert(0, str(Path(__file__).parents[1] / "seams"))

from real_servers import own_address, running

from harness.model.backend import LinkEndpoint
from harness.seams.greetings import greeting
from harness.seams.link import LinkHandle

pytestmark = pytest.mark.slow

PASSWORD = "p@ss/w:rd#1"
AS_POSTGRES: dict[str, Any] = {"user": "postgres"} if os.getuid() == 0 else {}
"""The server refuses to be run by root."""


def program(name: str) -> str:
    found = next(iter(sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)), None)
    return str(found or shutil.which(name))


@pytest.fixture(scope="module")
def place() -> Iterator[str]:
    # Not among the folders of the tests, for every session of pytest closes those of its user to others.
    with tempfile.TemporaryDirectory(prefix="ml-chaos-test-postgres-") as folder:
        yield from _served(Path(folder))


def _served(folder: Path) -> Iterator[str]:
    (folder / "password").write_text(PASSWORD)
    if AS_POSTGRES:
        for path in (folder, folder / "password"):
            shutil.chown(path, "postgres")
    made = [
        program("initdb"),
        "-D",
        str(folder / "data"),
        "-A",
        "scram-sha-256",
        "-U",
        "shop",
        "--pwfile",
        str(folder / "password"),
    ]
    subprocess.run(made, check=True, capture_output=True, cwd="/", **AS_POSTGRES)
    host, port = own_address(8), 18432
    settings = [f"-cport={port}", f"-clisten_addresses={host}", f"-cunix_socket_directories={folder}"]
    argv = [program("postgres"), "-D", str(folder / "data"), *settings]
    if AS_POSTGRES:
        argv = [str(shutil.which("setpriv")), "--reuid=postgres", "--regid=postgres", "--clear-groups", *argv]
    with running(argv, host, port):
        # It takes connections before it takes queries.
        ready = [program("pg_isready"), "-q", "-h", host, "-p", str(port)]
        deadline_s = time.monotonic() + 60
        while subprocess.run(ready, check=False).returncode != 0 and time.monotonic() < deadline_s:
            pass
        yield f"{host}:{port}"


def sql(query: str, user: str = "shop") -> dict[str, Any]:
    url = f"postgresql://{user}:${{secret:PG_PASSWORD}}@db/postgres"
    return {"sql": {"url": url, "query": query}, "timeout": "10s"}


async def test_a_login_in_fields_of_its_own(tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_PASSWORD", PASSWORD)
    access = {"url": "postgresql://db/postgres", "username": "shop", "query": "select 7"}
    probes = {
        "plain": {"sql": {**access, "password": PASSWORD}, "timeout": "10s"},
        "secret": {"sql": {**access, "password": "${secret:PG_PASSWORD}"}, "timeout": "10s"},
        "wrong": {"sql": {**access, "password": "p"}, "timeout": "10s"},
    }
    async with Probing(tmp_path, probes, {"db": place}) as probing:
        found = await probing.once()
        assert (found["plain"].value, found["secret"].value) == (7.0, 7.0), found
        assert "authentication failed" in (found["wrong"].down or "")


async def test_queries(tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_PASSWORD", PASSWORD)
    probes = {
        "number": sql("select count(*) from pg_database where datname like 't%' and '12:30' <> ':x'"),
        "decimal": sql("select 2.5::numeric"),
        "age": {"sql": {**sql("select now() - interval '1 minute'")["sql"], "as": "age"}},
        "writes": sql("with x as (select 1) select nextval('s')"),
        "slow": sql("select pg_sleep(30)"),
        "nobody": sql("select 1", user="nobody"),
        "killed": sql("select case when pg_terminate_backend(pg_backend_pid()) then 1 end"),
    }  # fmt: skip
    async with Probing(tmp_path, probes, {"db": place}) as probing:
        found = await probing.once()
        assert (found["number"].value, found["decimal"].value) == (2.0, 2.5)
        assert found["age"].value == pytest.approx(60, abs=5)
        for name, why in (
            ("writes", "does not exist"), ("slow", "statement timeout"), ("nobody", "authentication failed"),
            ("killed", "terminating connection"),
        ):  # fmt: skip
            assert found[name].value is None, name
            assert why in (found[name].down or ""), (name, found[name].down)
        assert PASSWORD not in str(found)
        again = await probing.once()
        assert again["number"].value == 2.0
        assert "terminating connection" in (again["killed"].down or ""), "a broken connection is made anew"


async def test_nothing_can_be_written(tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_PASSWORD", PASSWORD)
    host, _, port = place.partition(":")
    with psycopg.connect(host=host, port=port, user="shop", password=PASSWORD, dbname="postgres") as made:
        made.execute("create table kept (n integer)")
    writing = sql("with made as (insert into kept values (1) returning n) select n from made")
    async with Probing(tmp_path, {"w": writing, "n": sql("select count(*) from kept")}, {"db": place}) as probing:
        found = await probing.once()
    assert "read-only transaction" in (found["w"].down or "")
    assert found["n"].value == 0.0


async def test_c2_a_link_to_postgres_is_measured_by_an_exchange_that_it_answers(place: str) -> None:
    link = LinkHandle(LinkEndpoint("a -> db", "http://127.0.0.1:1", {5432: "db"}), 5432, place, place)
    assert (await link.exchange(greeting(5432, None), 10.0)).outcome == "answered"
    assert (await link.exchange(greeting(5433, None, ["postgres"]), 10.0)).outcome == "answered"
    assert (await link.exchange(greeting(None, None), 0.5)).outcome != "answered"
