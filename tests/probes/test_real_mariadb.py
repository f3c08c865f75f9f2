"""The `sql` probe against a real MariaDB: read only, with a limit of its own, and mended when it comes back."""

from __future__ import annotations

import getpass
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
from real_probes import Probing

sys.path.insert(0, str(Path(__file__).parents[1] / "seams"))

from real_servers import own_address, running

from harness.model.errors import HarnessError

pytestmark = pytest.mark.slow

PASSWORD = "p@ss/w:rd#1"
PORT = 18306
TABLES = "mysql_system_tables.sql", "mysql_system_tables_data.sql"
OURS = f"""\
flush privileges;
create user shop@'%' identified by '{PASSWORD}';
create database shop;
grant all on shop.* to shop@'%';
"""


@pytest.fixture(scope="module")
def place() -> Iterator[str]:
    # Its socket's path must be short, and the folders of the tests are not.
    with tempfile.TemporaryDirectory(prefix="harness-mariadb-") as folder:
        yield from _served(Path(folder))


def _served(folder: Path) -> Iterator[str]:
    (folder / "data").mkdir()
    argv = ["mariadbd", "--no-defaults", f"--user={getpass.getuser()}", f"--datadir={folder}/data"]
    tables = [Path("/usr/share/mysql", name).read_text("utf-8") for name in TABLES]
    said = "".join(["create database mysql;\nuse mysql;\n", *tables, OURS])
    subprocess.run([*argv, "--bootstrap"], input=said, text=True, check=True, capture_output=True)
    host = own_address(15)
    with running([*argv, f"--bind-address={host}", f"--port={PORT}", f"--socket={folder}/s"], host, PORT):
        yield f"{host}:{PORT}"


def sql(query: str, **more: Any) -> dict[str, Any]:
    access = {"url": "mysql://db/shop", "username": "shop", "password": "${secret:SHOP_PASSWORD}"}
    return {"sql": {**access, "query": query, **more}, "timeout": "2s"}


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", PASSWORD)


@pytest.fixture
def shop(place: str) -> Iterator[Any]:
    host, _, port = place.partition(":")
    with pymysql.connect(
        host=host, port=int(port), user="shop", password=PASSWORD, database="shop", autocommit=True
    ) as client:
        yield client.cursor()


async def test_queries(tmp_path: Path, place: str, shop: Any) -> None:
    shop.execute("create table orders (id int, at timestamp default current_timestamp)")
    shop.execute("insert into orders (id) values (1), (2)")
    probes = {
        "rows": sql("select count(*) from orders where id % 2 >= 0"),
        "decimal": sql("select 2.50"),
        "age": sql("select unix_timestamp(max(at)) - 60 from orders", **{"as": "age"}),
        "plain": sql("select 7", password=PASSWORD),
        "mariadb": sql("select 8", url="mariadb://db/shop"),
        "none": sql("select id from orders where id > 9"),
        "null": sql("select max(id) from orders where id > 9"),
        "wrong": sql("select 1", password="p"),
        "nowhere": sql("select count(*) from order_lines"),
    }
    async with Probing(tmp_path, probes, {"db": place}) as probing:
        found = await probing.once()
    values = {name: reading.value for name, reading in found.items()}
    assert [values[name] for name in ("rows", "decimal", "plain", "mariadb")] == [2.0, 2.5, 7.0, 8.0]
    assert values["age"] == pytest.approx(60, abs=5)
    for name, why in (
        ("none", "the query gives no row"), ("null", "the query gives NULL"), ("wrong", "Access denied"),
        ("nowhere", "doesn't exist"),
    ):  # fmt: skip
        assert values[name] is None
        assert why in (found[name].down or ""), (name, found[name].down)
    assert PASSWORD not in str(found)


async def test_nothing_can_be_written_and_nothing_takes_longer(tmp_path: Path, place: str, shop: Any) -> None:
    shop.execute("create table kept (n int)")
    shop.execute("create function writes() returns int begin insert into kept values (1); return 1; end")
    probes = {"w": sql("select writes()"), "s": sql("select sleep(600)"), "n": sql("select 1")}
    async with Probing(tmp_path, probes, {"db": place}) as probing:
        found = await probing.once()
        again = await probing.once()
    shop.execute("select count(*) from kept")
    assert shop.fetchall() == ((0,),)
    assert "READ ONLY transaction" in (found["w"].down or "")
    assert found["s"].down
    assert (found["n"].value, again["n"].value) == (1.0, 1.0)
    # The server gives up as well: no query goes on that nobody waits for.
    going_on = "select count(*) from information_schema.processlist where info = 'select sleep(600)'"
    deadline_s = time.monotonic() + 60
    while shop.execute(going_on) and shop.fetchall() != ((0,),):
        assert time.monotonic() < deadline_s


async def test_a_connection_that_was_ended_is_made_anew(tmp_path: Path, place: str, shop: Any) -> None:
    async with Probing(tmp_path, {"id": sql("select connection_id()")}, {"db": place}) as probing:
        first = (await probing.once())["id"].value
        shop.execute(f"kill {round(first or 0)}")
        ended = (await probing.once())["id"]
        assert ended.value is None, "one reading has no answer, and says so"
        assert ended.down
        later = (await probing.once())["id"].value
        assert later is not None
        assert later != first


async def test_a_database_without_its_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(HarnessError, match="needs the package pymysql") as caught:
        async with Probing(tmp_path, {"n": sql("select 1")}, {"db": "127.0.0.1:1"}):
            pass
    assert "[mysql]" in str(caught.value)
