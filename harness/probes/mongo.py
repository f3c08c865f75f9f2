"""Probes of a MongoDB: whether it answers, how many documents a filter selects, how old the newest of them is.

By PyMongo's asynchronous client. The member that the URL names is asked itself, never another one that it tells of; one
connection is kept, nothing is tried twice, and the server itself ends what takes longer than a reading may. After any
failure the next reading connects anew. The client would go on looking for a server that refuses, or that speaks no TLS,
until its time is over: a reading ends at the first failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from harness.model.errors import ProbeError
from harness.model.response_match import NothingThereError, at_path
from harness.model.secrets import reveal
from harness.model.storeprobes import MONGO_EXAMPLE, MongoProbe
from harness.probes.reader import NoAnswerError, ProbeContext, failing
from harness.probes.redis_store import missing

PORT = 27017
NO_MONITOR_MS = 24 * 3600 * 1000
"""How often the client looks after its server by itself: never in a run. Each reading finds out."""
LONGEST_GOODBYE_S = 1.0
_OF_ACCESS = ("auth", "tls")
"""What the options of a URL begin with that are about the login and TLS; how to read and write is ours."""
_FILES = ("tlscafile", "tlscertificatekeyfile")

_NO_ANSWER = (": timed out", "No servers found yet")
"""How the client words it, at the end of its sentence, that a server took a connection and then gave no answer."""


class MongoReader:
    """Reads a `mongo` probe."""

    def __init__(self, settings: MongoProbe, around: ProbeContext) -> None:
        try:
            import pymongo  # noqa: F401
        except ImportError as error:
            raise missing("mongo", error) from error
        self._settings = settings
        self._around = around
        self._access = _access(settings, around)
        self._filter = _filter(settings.filter)
        if settings.read != "up" and not self._access.database:
            raise ProbeError("the MongoDB URL names no database", remedy=f"write it as in {MONGO_EXAMPLE}")
        self._client: Any = None
        self._failure: asyncio.Future[Any]
        self._ending: set[asyncio.Task[Any]] = set()

    async def read(self) -> float:
        """Return 1, a number of documents, or an age in seconds. Raises NoAnswerError."""
        import pymongo
        from pymongo.errors import PyMongoError

        try:
            with pymongo.timeout(self._around.deadline_s):
                if self._client is None:
                    self._client = self._connecting()
                return await self._answer()
        except NoAnswerError:
            raise
        except (PyMongoError, OSError) as error:
            self._drop()
            raise failing(error, self._why(error)) from None
        except BaseException:  # a deadline, or an answer that the client cannot read
            self._drop()
            raise

    def _connecting(self) -> Any:
        """Return a client, which connects with the first question; why its server is not reached will be `_failure`."""
        from pymongo import AsyncMongoClient, monitoring

        failure = self._failure = asyncio.get_running_loop().create_future()

        class Looks(monitoring.ServerHeartbeatListener):
            def started(self, event: monitoring.ServerHeartbeatStartedEvent) -> None:
                pass

            def succeeded(self, event: monitoring.ServerHeartbeatSucceededEvent) -> None:
                pass

            def failed(self, event: monitoring.ServerHeartbeatFailedEvent) -> None:
                if not failure.done():
                    failure.set_result(event.reply)

        host, port = self._access.place
        wait_ms = round(self._around.deadline_s * 1e3)
        return AsyncMongoClient(
            host,
            port,
            **self._access.options,
            appname="harness",
            directConnection=True,
            maxPoolSize=1,
            retryReads=False,
            connectTimeoutMS=wait_ms,
            serverSelectionTimeoutMS=wait_ms,
            heartbeatFrequencyMS=NO_MONITOR_MS,
            serverMonitoringMode="poll",
            event_listeners=[Looks()],
            tz_aware=True,
            datetime_conversion="DATETIME_AUTO",
        )

    async def _answer(self) -> float:
        """Return the answer, or raise why there is none as soon as that is known."""
        answer = asyncio.ensure_future(self._asked())
        try:
            await asyncio.wait((answer, self._failure), return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            raise self._failure.result()
        finally:
            answer.cancel()
            self._let_end(answer)

    def _let_end(self, task: asyncio.Task[Any]) -> None:
        """Keep a task until it ends by itself; the client may take its time over a question that was given up."""

        def ended(task: asyncio.Task[Any]) -> None:
            self._ending.discard(task)
            if not task.cancelled():
                task.exception()  # looked at, or it would be reported as one that nobody did

        self._ending.add(task)
        task.add_done_callback(ended)

    async def _asked(self) -> float:
        settings = self._settings
        if settings.read == "up":
            await self._client.admin.command("ping")
            return 1.0
        collection = self._client[self._access.database][settings.collection]
        if settings.read == "count":
            count = await collection.count_documents(self._filter)
            if not count:
                await self._look_for_collection()
            return float(count)
        field = str(settings.field)
        newest = await collection.find_one(self._filter, {field: 1}, sort=[(field, -1)])
        if newest is None:
            await self._look_for_collection()
            raise NoAnswerError(self._none())
        return self._age(newest)

    async def _look_for_collection(self) -> None:
        """Raise NoAnswerError where the collection is not there: the server takes it for one without documents."""
        database, name = self._client[self._access.database], self._settings.collection
        if name not in await database.list_collection_names(filter={"name": name}, authorizedCollections=True):
            raise NoAnswerError(f"there is no collection {name!r} in the database {database.name!r}")

    def _age(self, newest: Mapping[str, Any]) -> float:
        settings = self._settings
        field = str(settings.field)
        with contextlib.suppress(NothingThereError):
            value = _moment(at_path(newest, field))
            if value is not None:
                try:
                    return self._around.age(value, settings.read)
                except NoAnswerError as error:
                    raise NoAnswerError(f"the field {field!r} of the newest document: {error}") from None
        raise NoAnswerError(f"{self._none()} with the field {field!r}")

    def _none(self) -> str:
        which = "the filter selects no document" if self._filter else "there is no document"
        return f"{which} of {self._settings.collection!r}"

    def _why(self, error: BaseException) -> str:
        """Word a client's error without what it adds: the whole answer, its settings, what it knows of servers."""
        answer = getattr(error, "details", None)
        told = str((answer.get("errmsg") if isinstance(answer, Mapping) else None) or error)
        told = told.partition(" (configured timeouts")[0].partition(", Timeout: ")[0]
        if told.endswith(_NO_ANSWER):
            return f"no answer within {self._around.deadline_s:g} s"
        return f"{type(error).__name__}: {told}"

    def _drop(self) -> None:
        """Give the client up. It says goodbye to its server meanwhile, which may take it some time."""
        client, self._client = self._client, None
        if client is not None:
            self._let_end(asyncio.create_task(_closed(client)))

    async def close(self) -> None:
        """Close the connections."""
        self._drop()
        await asyncio.gather(*self._ending, return_exceptions=True)


async def _closed(client: Any) -> None:
    import pymongo
    from pymongo.errors import PyMongoError

    with contextlib.suppress(PyMongoError, OSError), pymongo.timeout(LONGEST_GOODBYE_S):
        await client.close()


def _moment(value: Any) -> Any:
    """Return what tells a moment in a value of BSON, as others write it; any other value as it is."""
    from bson import ObjectId, Timestamp

    if isinstance(value, ObjectId):
        return value.generation_time
    return value.as_datetime() if isinstance(value, Timestamp) else value


def _filter(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a filter whose values may be written in MongoDB's Extended JSON, such as {$date: …}."""
    from bson import json_util
    from bson.errors import BSONError

    try:
        return dict(json_util.loads(json.dumps(given)))
    except (BSONError, TypeError, ValueError) as error:
        raise ProbeError(f"the filter is not MongoDB's Extended JSON: {error}") from None


@dataclass(frozen=True, slots=True)
class _Access:
    """Where the server is, which database is meant, and how to be let in."""

    place: tuple[str, int]
    database: str
    options: Mapping[str, Any]


def _access(settings: MongoProbe, around: ProbeContext) -> _Access:
    # The URL is split before secrets are filled in: a password may contain any character.
    text = reveal(settings.url) if settings.url.startswith("${secret:") else settings.url
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if parts.scheme != "mongodb" or not host or "," in parts.netloc.rpartition("@")[2]:
        raise ProbeError(f"the URL of the MongoDB is not one such as {MONGO_EXAMPLE}")
    service = around.service_of(host)
    place = around.place(service, port) if service is not None else (host, port or PORT)
    database = unquote(parts.path.strip("/"))
    options = _options(parts.query, around, told=text == settings.url)
    username = settings.username or (unquote(parts.username) if parts.username else None)
    password = settings.password or (unquote(parts.password) if parts.password else None)
    if username is not None:
        options |= {"username": reveal(username)} | ({"password": reveal(password)} if password is not None else {})
        options.setdefault("authsource", database or "admin")
    return _Access(place, database, options)


def _options(query: str, around: ProbeContext, *, told: bool) -> dict[str, Any]:
    """Return the options about login and TLS, by names in small letters. An error shows them only where `told`."""
    from pymongo.errors import PyMongoError
    from pymongo.uri_parser import parse_uri

    given = "&".join(_found_from(around.folder, option) for option in query.split("&"))
    try:
        found = parse_uri(f"mongodb://localhost/?{given}", warn=False)["options"] if given else {}
    except (PyMongoError, OSError, ValueError, TypeError) as error:
        why = f": {error}" if told else ""
        raise ProbeError(f"the options in the URL of the MongoDB cannot be used{why}") from None
    named = {str(name).lower(): value for name, value in found.items()}
    return {name: value for name, value in named.items() if name.startswith(_OF_ACCESS)}


def _found_from(folder: Path, option: str) -> str:
    """Return an option with its file, if it names one, as it is found from a folder on."""
    name, _, path = option.partition("=")
    return f"{name}={quote(str(folder / unquote(path)))}" if name.lower() in _FILES else option
