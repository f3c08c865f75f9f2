"""Settings of the probes that look into stores: Redis, Feast's online store in it, S3, a database, MongoDB."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, JsonValue, model_validator

from harness.model.fields import Frozen, Name, Url
from harness.model.httpprobes import Stamped, Text
from harness.model.units import Unit

_REDIS_URL = re.compile(r"rediss?://([^/\s]*@)?[^/:@\s]+(:\d+)?(/\d+)?/?|\$\{secret:\w+\}")
_SQL_URL = re.compile(r"[a-z][a-z0-9_]*(\+[a-z0-9_]+)?://\S*|\$\{secret:\w+\}")
_MONGO_URL = re.compile(r"mongodb://([^/\s]*@)?[^/:@,?\s]+(:\d+)?(/[^/?\s]*)?(\?\S*)?|\$\{secret:\w+\}")
MONGO_EXAMPLE = "mongodb://user:${secret:PASSWORD}@db:27017/shop?authSource=admin"
_READS = re.compile(r"\s*\(*\s*(select|with|values|show|table)\b", re.IGNORECASE)
_ASKS_NOTHING = re.compile(r"\s*select\s+\d+\s*;?\s*", re.IGNORECASE)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_UNITS = {"count": Unit.COUNT, "length": Unit.COUNT, "age": Unit.WALL, "event_age": Unit.EVENT}


def _redis_url(value: str) -> str:
    if not _REDIS_URL.fullmatch(value):
        raise ValueError(f"{value!r} is not a URL such as redis://:${{secret:PASSWORD}}@online:6379/0")
    return value


def _sql_url(value: str) -> str:
    if not _SQL_URL.fullmatch(value):
        raise ValueError(f"{value!r} is not a URL such as postgresql://user:${{secret:PASSWORD}}@db:5432/name")
    return value


def _mongo_url(value: str) -> str:
    if not _MONGO_URL.fullmatch(value):
        raise ValueError(f"{value!r} is not a URL of one server such as {MONGO_EXAMPLE}")
    return value


def _reads_only(value: str) -> str:
    if not _READS.match(value):
        raise ValueError("a probe only reads: begin the query with SELECT or WITH")
    if ";" in value.rstrip().rstrip(";"):
        raise ValueError("one statement is needed, not several")
    return value


class RedisAccess(Frozen):
    """A store of the Redis protocol: a service of the stack by name, or a URL with user, password and database."""

    service: Name | None = None
    url: Annotated[str, AfterValidator(_redis_url)] | None = None
    db: Annotated[int, Field(ge=0)] = 0
    username: str | None = None
    password: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> RedisAccess:
        if (self.service is None) == (self.url is None):
            raise ValueError("exactly one of `service` and `url` is needed")
        if self.url is not None and (self.username is not None or self.password is not None or self.db):
            raise ValueError("a `url` holds user, password and database itself: redis://user:password@host:6379/0")
        return self


class RedisProbe(RedisAccess):
    """A key's value or age, the number of entries in it, or the number of keys that match a pattern.

    `field` is a field of a hash. Of several keys, `agg` makes one number: the oldest is `max`.
    """

    EVERY_S: ClassVar[float] = 0.5

    key: Text | None = None
    keys: Text | None = None
    field: Text | None = None
    read: Literal["value", "age", "event_age", "length", "count"] = "value"
    agg: Literal["sum", "max", "min", "mean"] = "max"

    @model_validator(mode="after")
    def _fits(self) -> RedisProbe:
        if (self.key is None) == (self.keys is None):
            raise ValueError("exactly one of `key` and `keys` (a pattern such as features:*) is needed")
        if self.read == "count" and self.keys is None:
            raise ValueError("`read: count` counts the keys of a pattern: give `keys`")
        if self.read in ("count", "length") and self.field is not None:
            raise ValueError(f"`read: {self.read}` looks at whole keys: leave `field` out")
        return self

    @property
    def usual_unit(self) -> Unit:
        """What the reading is, unless the stack says otherwise."""
        return _UNITS.get(self.read, Unit.NUMBER)


class FeastProbe(RedisAccess):
    """The age of a feature view's rows in Feast's online store, by the event time that Feast keeps in each row."""

    EVERY_S: ClassVar[float] = 1.0
    DEADLINE_S: ClassVar[float] = 3.0

    project: Text
    view: Text
    read: Literal["age", "event_age", "count"] = "age"
    agg: Literal["max", "min", "mean"] = "max"

    @property
    def usual_unit(self) -> Unit:
        """What the reading is, unless the stack says otherwise."""
        return _UNITS[self.read]


class S3Probe(Frozen):
    """Objects of a bucket: their age, number, size, whether they changed since the run began, or one's digest."""

    EVERY_S: ClassVar[float] = 1.0
    DEADLINE_S: ClassVar[float] = 3.0

    service: Name | None = None
    url: Url | None = None
    bucket: Text
    key: Text | None = None
    prefix: str | None = None
    region: str = "us-east-1"
    access_key: str = ""
    secret_key: str = ""
    read: Literal["age", "count", "bytes", "changed", "equal"] = "age"
    of: Literal["newest", "oldest"] = "newest"
    digest: str | None = None

    @model_validator(mode="after")
    def _fits(self) -> S3Probe:
        if (self.service is None) == (self.url is None):
            raise ValueError("exactly one of `service` and `url` is needed")
        if (self.key is None) == (self.prefix is None):
            raise ValueError("exactly one of `key` and `prefix` is needed")
        if (self.read == "equal") != (self.digest is not None):
            raise ValueError("`digest` is what an object must have, and goes with `read: equal`")
        if self.digest is not None and not _DIGEST.fullmatch(self.digest):
            raise ValueError("a digest is written sha256: and 64 hexadecimal digits in small letters")
        if self.read == "equal" and self.key is None:
            raise ValueError("`read: equal` is about one object: give `key`")
        return self

    @property
    def usual_unit(self) -> Unit:
        """What the reading is, unless the stack says otherwise."""
        return _UNITS.get(self.read, Unit.NUMBER)


class SqlProbe(Frozen):
    """The first column of the first row of a query, by a URL as SQLAlchemy takes it; its host may be a service.

    A name and a password that are not in the URL stand in fields of their own, where nothing has to be quoted.
    """

    EVERY_S: ClassVar[float] = 1.0
    DEADLINE_S: ClassVar[float] = 5.0

    url: Annotated[str, AfterValidator(_sql_url)]
    username: str | None = None
    password: str | None = None
    query: Annotated[str, AfterValidator(_reads_only)]
    as_: Stamped = Field("number", alias="as")

    @model_validator(mode="after")
    def _one_login(self) -> SqlProbe:
        if self.password is not None and self.username is None:
            raise ValueError("a `password` goes with a `username`")
        if self.username is not None and ("@" in self.url or self.url.startswith("${secret:")):
            raise ValueError("a login stands in the `url`, or in `username` and `password`, not in both")
        return self

    @property
    def asks_health(self) -> bool:
        """Whether it asks for a number that it gives itself, and for nothing that the database holds."""
        return _ASKS_NOTHING.fullmatch(self.query) is not None

    @property
    def usual_unit(self) -> Unit:
        """What the reading is, unless the stack says otherwise."""
        return _UNITS.get(self.as_, Unit.NUMBER)


class MongoProbe(Frozen):
    """Whether a MongoDB answers, how many documents of a collection a filter selects, or the age of the newest of them.

    The age is that of the moment in a `field` of theirs. A name and a password that are not in the URL stand in fields
    of their own, where nothing has to be quoted.
    """

    EVERY_S: ClassVar[float] = 1.0
    DEADLINE_S: ClassVar[float] = 5.0

    url: Annotated[str, AfterValidator(_mongo_url)]
    username: str | None = None
    password: str | None = None
    collection: Text | None = None
    filter: dict[str, JsonValue] = Field(default_factory=dict)
    field: Text | None = None
    read: Literal["up", "count", "age", "event_age"] = "up"

    @model_validator(mode="after")
    def _one_login(self) -> MongoProbe:
        if self.password is not None and self.username is None:
            raise ValueError("a `password` goes with a `username`")
        if self.username is not None and ("@" in self.url or self.url.startswith("${secret:")):
            raise ValueError("a login stands in the `url`, or in `username` and `password`, not in both")
        return self

    @model_validator(mode="after")
    def _fits(self) -> MongoProbe:
        if self.read == "up" and (self.collection is not None or self.filter or self.field is not None):
            raise ValueError("`read: up` asks the server only: give `read: count`, or `read: age`")
        if self.read != "up" and self.collection is None:
            raise ValueError(f"`read: {self.read}` is about documents: give their `collection`")
        if self.read == "count" and self.field is not None:
            raise ValueError("`read: count` counts whole documents: leave `field` out")
        if self.read in ("age", "event_age") and self.field is None:
            raise ValueError(f"`read: {self.read}` needs the `field` that holds the moment, or _id for an ObjectId's")
        if self.read != "up" and not self.url.startswith("${secret:") and not urlsplit(self.url).path.strip("/"):
            raise ValueError(f"`read: {self.read}` needs a database in the `url`, as in {MONGO_EXAMPLE}")
        return self

    @property
    def asks_health(self) -> bool:
        """Whether it asks for nothing that the server holds."""
        return self.read == "up"

    @property
    def usual_unit(self) -> Unit:
        """What the reading is, unless the stack says otherwise."""
        return _UNITS.get(self.read, Unit.NUMBER)
