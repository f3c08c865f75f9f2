"""Probes of a database: a query that gives one number, or a moment whose age is taken.

By SQLAlchemy, so that any database with a driver will do. One connection is kept, nothing is ever committed, and where
the database knows read-only transactions and limits of a statement's time, both are set.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from harness.model.errors import ProbeError
from harness.model.secrets import reveal
from harness.model.storeprobes import SqlProbe
from harness.probes.reader import NoAnswerError, OwnThread, ProbeContext, failing
from harness.probes.redis_store import missing

_DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}
"""Which driver is taken where the URL names none: the one that the extra `sql` or `mysql` installs."""
_EXTRAS = {"psycopg": "sql", "pymysql": "mysql"}


class SqlReader:
    """Reads an `sql` probe."""

    def __init__(self, settings: SqlProbe, around: ProbeContext) -> None:
        self._settings = settings
        self._around = around
        self._engine = _engine(settings, around)
        self._connection: Any = None
        self._thread = OwnThread("sql probe")

    async def read(self) -> float:
        """Return what the query gives now."""
        return self._number(await self._thread.call(self._first))

    def _first(self) -> Any:
        from sqlalchemy.exc import SQLAlchemyError

        try:
            if self._connection is None:
                self._connect()
            try:
                row = self._connection.exec_driver_sql(self._settings.query).first()
            finally:
                self._connection.rollback()
        except SQLAlchemyError as error:
            self._drop()
            # The driver's message, without the statement and the link that SQLAlchemy adds.
            response = str(getattr(error, "orig", None) or error).strip().splitlines()
            why = f"{type(error).__name__}: {response[0] if response else 'no reason given'}"
            raise failing(error, why) from None
        except Exception:  # a driver's own error, perhaps with a broken connection behind it
            self._drop()
            raise
        if row is None:
            raise NoAnswerError("the query gives no row")
        return row[0]

    def _connect(self) -> None:
        self._connection = self._engine.connect()
        for statement in _first_said(self._engine.url.get_backend_name(), self._around.deadline_s):
            self._connection.exec_driver_sql(statement)
        self._connection.rollback()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()

    def _number(self, value: Any) -> float:
        if value is None:
            raise NoAnswerError("the query gives NULL")
        if self._settings.as_ != "number":
            return self._around.age(value, self._settings.as_)
        if not isinstance(value, bool | int | float | Decimal | str):
            raise NoAnswerError(f"the query gives a {type(value).__name__}, which is no number")
        try:
            number = float(value)
        except (ValueError, OverflowError):
            raise NoAnswerError(f"the query gives {str(value)[:60]!r}, which is no number") from None
        if not math.isfinite(number):
            raise NoAnswerError(f"the query gives {number}")
        return number

    async def close(self) -> None:
        """Close the connection, unless a call still hangs in it."""
        try:
            await self._thread.call(self._close)
        except NoAnswerError:
            return

    def _close(self) -> None:
        self._drop()
        self._engine.dispose()


def _engine(settings: SqlProbe, around: ProbeContext) -> Any:
    try:
        from sqlalchemy import create_engine
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError
        from sqlalchemy.pool import NullPool
    except ImportError as error:
        raise missing("sql", error) from error
    try:
        url = _url(settings, around)
        return create_engine(
            url,
            poolclass=NullPool,
            connect_args=_limits(url.get_backend_name(), around.deadline_s),
            # Without parameters, so that no sign of the query is taken for one.
            execution_options={"no_parameters": True} | _read_only(url.get_backend_name()),
        )
    except (ArgumentError, NoSuchModuleError) as error:
        remedy = "write a URL such as postgresql://user:password@db:5432/name, and install its driver"
        raise ProbeError(f"the database's URL cannot be used: {str(error).splitlines()[0]}", remedy=remedy) from None
    except ImportError as error:
        raise missing(_EXTRAS.get(str(error.name), "sql"), error) from error


def _url(settings: SqlProbe, around: ProbeContext) -> Any:
    """Return the URL with its service's address and its secrets. The URL is split before secrets are filled in."""
    from sqlalchemy import make_url

    text = settings.url
    url = make_url(reveal(text) if text.startswith("${secret:") else text)
    username, password = settings.username or url.username, settings.password or url.password
    changed: dict[str, Any] = {"drivername": _DRIVERS.get(url.drivername, url.drivername)}
    service = around.service_of(url.host)
    if service is not None:
        changed["host"], changed["port"] = around.place(service, url.port)
    changed["username"] = reveal(username) if username else username
    changed["password"] = reveal(str(password)) if password else password
    if url.drivername.startswith("sqlite") and url.database and url.database != ":memory:":
        changed["database"] = str(around.folder / url.database)
    return url.set(**changed)


def _read_only(database: str) -> dict[str, Any]:
    return {"postgresql_readonly": True} if database == "postgresql" else {}


def _limits(database: str, deadline_s: float) -> dict[str, Any]:
    if database == "postgresql":
        wait_s = max(2, math.ceil(deadline_s))  # less than two seconds are taken as two by the library itself
        return {"connect_timeout": wait_s, "options": f"-c statement_timeout={int(deadline_s * 1000)}"}
    if database == "mysql":
        wait_s = math.ceil(deadline_s)
        return {"connect_timeout": wait_s, "read_timeout": wait_s, "write_timeout": wait_s}
    return {"timeout": deadline_s} if database == "sqlite" else {}


def _first_said(database: str, deadline_s: float) -> tuple[str, ...]:
    """Return what sets read-only transactions and the limit of a statement where a connection itself cannot.

    MariaDB and MySQL call the limit differently; each runs only the comment that is meant for it.
    """
    if database != "mysql":
        return ()
    of_mariadb = f"/*M!100101 , SESSION max_statement_time = {deadline_s:g} */"
    of_mysql = f"/*!50708 , SESSION max_execution_time = {round(deadline_s * 1e3)} */"
    return ("SET SESSION TRANSACTION READ ONLY", f"SET @harness = 1 {of_mariadb} {of_mysql}")
