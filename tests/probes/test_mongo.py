"""The probe `mongo` against a server that speaks MongoDB's protocol: FerretDB (see `mongo/prepare.py`)."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import gc
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymongo
import pytest
from bson import ObjectId, Timestamp
from pydantic import ValidationError
from real_probes import Probing, read
from servers import event_clock

sys.path.insert(0, str(Path(__file__).parents[1] / "seams"))

from real_servers import own_address, running

from harness.model.errors import HarnessError
from harness.model.probekinds import ProbeSpec

pytestmark = pytest.mark.slow

SERVER = Path(__file__).parents[2] / ".bin" / "ferretdb"
PORT = 17017
PASSWORD = "p@ss/w:rd#1 %25?"
LOGIN = ("--test-enable-new-auth", "--setup-database=shop", "--setup-username=shop", f"--setup-password={PASSWORD}")
URL = "mongodb://db:27017/shop"


@contextmanager
def serving(number: int, *options: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a server; gives its `host:port`, and its process."""
    host = own_address(number)
    with tempfile.TemporaryDirectory(prefix="harness-ferretdb-") as folder:
        argv = [str(SERVER), "--handler=sqlite", f"--sqlite-url=file:{folder}/", f"--state-dir={folder}"]
        argv += [f"--listen-addr={host}:{PORT}", "--debug-addr=-", "--telemetry=disable", *options]
        with running(argv, host, PORT) as process:
            yield f"{host}:{PORT}", process


@pytest.fixture(scope="module")
def place() -> Iterator[str]:
    with serving(16) as (place, _):
        yield place


@pytest.fixture
def shop(place: str) -> Iterator[Any]:
    """A database of its own for each test: it is empty."""
    with pymongo.MongoClient(f"mongodb://{place}/", directConnection=True) as client:
        client.drop_database("shop")
        yield client["shop"]


def mongo(read: str = "up", url: str = URL, **more: Any) -> dict[str, Any]:
    named = {} if read == "up" else {"collection": "orders"}
    return {"mongo": {"url": url, "read": read, **named, **more}, "timeout": "5s"}


def age(field: str, **more: Any) -> dict[str, Any]:
    return mongo("age", field=field, **more)


async def test_documents_are_counted(tmp_path: Path, place: str, shop: Any) -> None:
    day = dt.datetime(2026, 1, 1)
    shop["orders"].insert_many([{"n": n, "at": day + dt.timedelta(days=n), "by": {"id": n % 2}} for n in range(5)])
    shop["other"].insert_one({"n": 1})
    since = {"$date": "2026-01-03T00:00:00Z"}
    found = await read(
        tmp_path, {"db": place},
        up=mongo(), no_database=mongo(url="mongodb://db:27017"), all=mongo("count"),
        some=mongo("count", filter={"n": {"$gt": 1}, "by.id": 0}), since=mongo("count", filter={"at": {"$gte": since}}),
        none=mongo("count", filter={"n": 9}), outside=mongo("count", url=f"mongodb://{place}/shop?w=majority"),
    )  # fmt: skip
    values = {name: reading.value for name, reading in found.items()}
    assert values == {
        "up": 1.0, "no_database": 1.0, "all": 5.0, "some": 2.0, "since": 3.0, "none": 0.0, "outside": 5.0
    }  # fmt: skip


async def test_the_age_of_the_newest_document(tmp_path: Path, place: str, shop: Any) -> None:
    now = time.time()

    def moment(age_s: float) -> dt.datetime:
        return dt.datetime.fromtimestamp(now - age_s, dt.UTC)

    old = {"_id": ObjectId.from_datetime(moment(900)), "date": moment(500), "in": {"s": now - 500}, "m": None}
    new = {
        "_id": ObjectId.from_datetime(moment(800)), "date": moment(60), "in": {"s": now - 70}, "ms": (now - 80) * 1e3,
        "text": moment(90).isoformat(), "stamp": Timestamp(int(now - 100), 1), "kind": "a", "event": 1371000000,
    }  # fmt: skip
    shop["orders"].insert_many([new, old])
    fields = {"_id": 800, "date": 60, "in.s": 70, "ms": 80, "text": 90, "stamp": 100}
    probes = {f"by-{name}": age(name) for name in fields}
    probes["chosen"] = age("date", filter={"kind": {"$exists": False}})
    probes["event"] = mongo("event_age", field="event")
    found = await read(tmp_path, {"db": place}, event_clock(), **probes)
    for name, expected in {**{f"by-{name}": age_s for name, age_s in fields.items()}, "chosen": 500}.items():
        assert found[name].value == pytest.approx(expected, abs=5), (name, found[name].down)
    assert found["event"].value is not None


async def test_what_is_not_there_has_a_reason_and_no_value(tmp_path: Path, place: str, shop: Any) -> None:
    ahead = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    shop["orders"].insert_one({"n": 1, "list": [1, 2], "text": "soon", "ahead": ahead, "yes": True})
    shop.create_collection("empty")
    probes = {
        "gone": mongo("count", collection="order"),
        "gone_age": age("at", collection="order"),
        "other_database": mongo("count", url="mongodb://db:27017/shops"),
        "empty": age("at", collection="empty"),
        "none": age("at", filter={"n": 9}),
        "no_field": age("at"),
        "deep": age("n.at"),
        "list": age("list"),
        "text": age("text"),
        "yes": age("yes"),
        "ahead": age("ahead"),
        "operator": mongo("count", filter={"n": {"$gtx": 1}}),
    }
    async with Probing(
        tmp_path, {**probes, "empty_count": mongo("count", collection="empty")}, {"db": place}
    ) as probing:
        first = await probing.once()
        found = await probing.once()
    assert found.pop("empty_count").value == 0.0
    assert {name: reading.value for name, reading in found.items()} == dict.fromkeys(probes)
    why = {name: reading.down for name, reading in found.items()}
    assert "ahead of the clock" in (why.pop("ahead") or "")
    assert why == {name: first[name].down for name in why}
    assert why["gone"] == why["gone_age"] == "there is no collection 'order' in the database 'shop'"
    assert why["other_database"] == "there is no collection 'orders' in the database 'shops'"
    assert why["empty"] == "there is no document of 'empty'"
    assert why["none"] == "the filter selects no document of 'orders'"
    assert why["no_field"] == "there is no document of 'orders' with the field 'at'"
    assert why["deep"] == "there is no document of 'orders' with the field 'n.at'"
    assert why["list"] == "the field 'list' of the newest document: '[1, 2]' is not a time stamp"
    assert why["text"] == "the field 'text' of the newest document: 'soon' is not a time stamp"
    assert why["yes"] == "the field 'yes' of the newest document: 'True' is not a time stamp"
    assert why["operator"] == "OperationFailure: unknown operator: $gtx"


async def test_logins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quoted = "p%40ss%2Fw%3Ard%231%20%2525%3F"
    monkeypatch.setenv("SHOP_PASSWORD", PASSWORD)
    monkeypatch.setenv("SHOP_URL", f"mongodb://shop:{quoted}@db:27017/shop")
    fields = {"username": "shop", "password": "${secret:SHOP_PASSWORD}"}
    probes = {
        "fields": mongo("count", filter={"n": 9}, **fields),
        "url": mongo(url="mongodb://shop:${secret:SHOP_PASSWORD}@db:27017/shop"),
        "quoted": mongo(url=f"mongodb://shop:{quoted}@db:27017/?authSource=shop"),
        "whole": mongo("count", filter={"n": 9}, url="${secret:SHOP_URL}"),
        "wrong": mongo(username="shop", password="wrong-one"),
        "elsewhere": mongo(url="mongodb://db:27017/", **fields),
        "nobody": mongo("count"),
    }
    with serving(17, *LOGIN) as (place, _):
        host, _, port = place.partition(":")
        access = {"username": "shop", "password": PASSWORD, "authSource": "shop", "directConnection": True}
        with pymongo.MongoClient(host, int(port), **access) as client:
            client["shop"]["orders"].insert_one({"n": 1})
        found = await read(tmp_path, {"db": place}, **probes)
    values = {name: reading.value for name, reading in found.items()}
    assert values == {
        "fields": 0.0, "url": 1.0, "quoted": 1.0, "whole": 0.0, "wrong": None, "elsewhere": None, "nobody": None
    }  # fmt: skip
    assert found["wrong"].down == found["elsewhere"].down == "OperationFailure: Authentication failed."
    assert found["nobody"].down == "OperationFailure: Command aggregate requires authentication"
    assert not any(secret in str(found) for secret in (PASSWORD, quoted, "wrong-one"))


@pytest.fixture
def certificate(tmp_path: Path) -> list[str]:
    """Make a certificate for the name `db`, which is its own authority, as `ca.pem`; return the server's options."""
    made = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=db -addext subjectAltName=DNS:db"
    subprocess.run([*made.split(), "-keyout", "key", "-out", "ca.pem"], cwd=tmp_path, check=True, capture_output=True)
    return [f"--listen-tls-cert-file={tmp_path}/ca.pem", f"--listen-tls-key-file={tmp_path}/key"]


# PyMongo leaves sockets on which no TLS was agreed to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_tls(tmp_path: Path, certificate: list[str]) -> None:
    host = own_address(19)
    trusted = f"{URL}?tls=true&tlsCAFile=ca.pem"
    probes = {
        "any_name": mongo(url=f"{trusted}&tlsAllowInvalidHostnames=true"),
        "its_name": mongo(url=trusted),
        "unknown": mongo(url=f"{URL}?tls=true"),
        "plain": mongo(),
    }
    with serving(20, f"--listen-tls={host}:{PORT}", *certificate):
        found = await read(tmp_path, {"db": f"{host}:{PORT}"}, **probes)
    assert {name: reading.value for name, reading in found.items()} == {**dict.fromkeys(probes), "any_name": 1.0}
    assert "certificate is not valid for" in (found["its_name"].down or "")
    assert "certificate verify failed" in (found["unknown"].down or "")
    gc.collect()


class Forwarder:
    """Passes connections on, counts them, and keeps what was asked; `cut` ends them once the next bytes come."""

    def __init__(self) -> None:
        self.connections = 0
        self.asked = b""
        self.cut = False

    @contextlib.asynccontextmanager
    async def to(self, place: str) -> AsyncIterator[str]:
        host, _, port = place.partition(":")

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            inside, outside = await asyncio.open_connection(host, int(port))

            async def answers() -> None:
                while data := await inside.read(65536):
                    writer.write(data)

            task = asyncio.ensure_future(answers())
            with contextlib.suppress(OSError):
                while (data := await reader.read(65536)) and not self.cut:
                    self.asked += data
                    outside.write(data)
            task.cancel()
            outside.transport.abort()
            writer.transport.abort()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_one_connection_is_kept_and_made_anew_once_it_breaks(tmp_path: Path, place: str, shop: Any) -> None:
    shop["orders"].insert_one({"n": 1})
    forwarder = Forwarder()
    async with forwarder.to(place) as through, Probing(tmp_path, {"n": mongo("count")}, {"db": through}) as probing:
        assert (await probing.once())["n"].value == 1.0
        first = forwarder.connections
        for _ in range(5):
            assert (await probing.once())["n"].value == 1.0
        assert forwarder.connections == first
        assert b"maxTimeMS" in forwarder.asked, "the server itself ends a query that takes too long"
        forwarder.cut, forwarder.asked = True, b""
        broken = (await probing.once())["n"]
        assert broken.value is None, "nothing is asked twice"
        assert (broken.down or "").startswith("AutoReconnect: ")
        forwarder.cut = False
        assert (await probing.once())["n"].value == 1.0


async def test_a_server_that_is_gone_or_hangs_and_comes_back(tmp_path: Path) -> None:
    tasks = len(asyncio.all_tasks())
    probes = {"up": {**mongo(), "timeout": "1s"}, "patient": {**mongo(), "timeout": "60s"}}
    async with Probing(tmp_path, probes, {"db": f"{own_address(18)}:{PORT}"}) as probing:
        gone = await probing.once()
        with serving(18) as (_, process):
            first = await probing.once()
            process.send_signal(signal.SIGSTOP)
            await asyncio.to_thread(os.waitid, os.P_PID, process.pid, os.WSTOPPED)
            await probing.pollers[0].once(0.0)
            await probing.pollers[0].once(0.0)
            hung = probing.told[-2:]
            process.send_signal(signal.SIGCONT)
            back = await probing.once()
        again = await probing.once()
        with serving(18):
            last = await probing.once()
    for one in (gone, again):
        # A port that refuses is known at once, whatever time there is.
        assert [reading.value for reading in one.values()] == [None, None]
    assert [(reading.down or "").partition(":")[0] for reading in gone.values()] == ["AutoReconnect"] * 2
    for one in (first, back, last):
        assert [reading.value for reading in one.values()] == [1.0, 1.0], one
    assert [(reading.value, reading.down) for reading in hung] == [(None, "no answer within 1 s")] * 2
    assert len(asyncio.all_tasks()) == tasks, "no client that was given up goes on"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"url": "mongodb://a:1,b:2/shop"}, "not a URL of one server"),
        ({"url": "mongodb+srv://a.example/shop"}, "not a URL of one server"),
        ({"collection": "orders"}, "asks the server only"),
        ({"read": "count"}, "give their `collection`"),
        ({"read": "count", "collection": "orders", "field": "at"}, "leave `field` out"),
        ({"read": "age", "collection": "orders"}, "needs the `field`"),
        ({"read": "count", "collection": "orders", "url": "mongodb://db:27017/?tls=true"}, "a database in the `url`"),
        ({"password": "x"}, "goes with a `username`"),
        ({"url": "mongodb://u:p@db/shop", "username": "u"}, "not in both"),
    ],
)
def test_settings_that_cannot_be_right(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        ProbeSpec.model_validate({"mongo": {"url": URL, **settings}})


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"url": f"{URL}?tls=perhaps"}, "options in the URL of the MongoDB cannot be used: .*'true' or 'false'"),
        ({"url": f"{URL}?tlsCAFile=none.pem"}, r"cannot be used: \[Errno 2\] "),
        ({"url": f"{URL}?authSouce=x"}, "options in the URL of the MongoDB cannot be used: Unknown option"),
        ({"url": "${secret:SHOP_URL}"}, "is not one such as mongodb://"),
        ({"read": "count", "collection": "c", "url": "${secret:NO_DATABASE}"}, "names no database"),
        ({"url": "${secret:WRONG_OPTION}"}, "cannot be used$"),
        ({"read": "count", "collection": "c", "filter": {"at": {"$date": "x"}}}, "Extended JSON: "),
        ({"read": "count", "collection": "c", "filter": {"_id": {"$oid": "x"}}}, "Extended JSON: "),
    ],
)
async def test_what_only_a_run_finds_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], why: str
) -> None:
    monkeypatch.setenv("SHOP_URL", f"mongodb+srv://u:{PASSWORD}@db/shop")
    monkeypatch.setenv("NO_DATABASE", "mongodb://db:27017")
    monkeypatch.setenv("WRONG_OPTION", "mongodb://db:27017/?tlsCertificateKeyFilePassword=pass-one&tls=pass-two")
    with pytest.raises(HarnessError, match=why) as caught:
        async with Probing(tmp_path, {"p": {"mongo": {"url": URL, **settings}}}, {"db": "127.0.0.1:1"}):
            pass
    assert not any(secret in str(caught.value) for secret in (PASSWORD, "pass-one", "pass-two"))


async def test_a_mongo_probe_without_its_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymongo", None)
    with pytest.raises(HarnessError, match="needs the package pymongo") as caught:
        async with Probing(tmp_path, {"up": mongo()}, {"db": "127.0.0.1:1"}):
            pass
    assert "[mongo]" in str(caught.value)
