"""Settings of the probes that ask over HTTP: a page, an answer, a Prometheus server, MLflow's registry, Airflow."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from harness.model.fields import Frozen, Url
from harness.model.response_match import Expected
from harness.model.units import PositiveWallSeconds, Unit
from harness.model.workload import Method

Replica = Annotated[int, Field(ge=1, description="which of the service's replicas, by its number")]
Text = Annotated[str, Field(min_length=1)]
Agg = Literal["sum", "max", "min", "mean"]
Stamped = Literal["number", "age", "event_age"]
_UNITS = {"age": Unit.WALL, "event_age": Unit.EVENT}


class HttpAccess(Frozen):
    """How to be let in: headers, a user's name and password, or a token. `${secret:NAME}` is filled in when used."""

    headers: dict[str, str] = Field(default_factory=dict)
    username: str | None = None
    password: str | None = None
    token: str | None = None

    @model_validator(mode="after")
    def _one_way_in(self) -> HttpAccess:
        if (self.username is None) != (self.password is None):
            raise ValueError("`username` and `password` go together")
        if self.username is not None and self.token is not None:
            raise ValueError("one of `token` and `username` with `password` is enough")
        return self


class JsonProbe(HttpAccess):
    """A number found in a JSON answer: dots in `path` descend, numbers index lists."""

    EVERY_S: ClassVar[float] = 0.1

    url: Url
    path: Text
    as_: Stamped = Field("number", alias="as")

    @property
    def usual_unit(self) -> Unit:
        """What the reading is, unless the stack says otherwise."""
        return _UNITS.get(self.as_, Unit.NUMBER)


class MetricProbe(HttpAccess):
    """A number from a page in Prometheus' text format; several matching series are put together by `agg`."""

    EVERY_S: ClassVar[float] = 0.1

    url: Url
    name: Text
    labels: dict[str, str] = Field(default_factory=dict)
    agg: Agg = "sum"


class HttpProbe(HttpAccess):
    """One request: whether its answer is as expected, its status, how long it took, or a number in its JSON."""

    EVERY_S: ClassVar[float] = 0.1

    url: Url
    method: Method = "GET"
    body: Any = None
    read: Literal["up", "status", "latency", "json"] = "up"
    path: Text | None = None
    as_: Stamped = Field("number", alias="as")
    expect: Expected | None = None
    replica: Replica | None = None

    @model_validator(mode="after")
    def _fits(self) -> HttpProbe:
        if (self.read == "json") != (self.path is not None):
            raise ValueError("`path` says where a number lies, and goes with `read: json`")
        if self.read == "status" and self.expect is not None:
            raise ValueError("`read: status` takes whatever status there is, and expects nothing")
        if self.read != "json" and self.as_ != "number":
            raise ValueError("`as` goes with `read: json`")
        return self

    @property
    def asks_health(self) -> bool:
        """Whether nothing is looked at that the page says."""
        return self.read != "json" and (self.expect is None or not self.expect.values)

    @property
    def usual_unit(self) -> Unit:
        """What the reading is, unless the stack says otherwise."""
        return Unit.WALL if self.read == "latency" else _UNITS.get(self.as_, Unit.NUMBER)


class PromqlProbe(HttpAccess):
    """An instant query to a Prometheus server. Several series need `agg`; without any, the reading is `empty`.

    One that rests on a sample older than `max_age` is no reading of the present; `any` says that no age is too great.
    """

    EVERY_S: ClassVar[float] = 0.5
    # Longer than the 15 s at which most servers scrape, and much shorter than the 5 min for which they keep a sample.
    MAX_AGE_S: ClassVar[float] = 20.0

    url: Url
    query: Text
    agg: Agg | None = None
    empty: float | None = None
    max_age: Literal["any"] | PositiveWallSeconds = MAX_AGE_S


class MlflowProbe(HttpAccess):
    """The newest version of a registered model, or the one that an alias names: its number, or its age."""

    EVERY_S: ClassVar[float] = 1.0
    DEADLINE_S: ClassVar[float] = 5.0

    url: Url
    model: Text
    alias: Text | None = None
    read: Literal["version", "age"] = "version"

    @property
    def usual_unit(self) -> Unit:
        """What the reading is, unless the stack says otherwise."""
        return _UNITS.get(self.read, Unit.NUMBER)


class AirflowProbe(HttpAccess):
    """A DAG's latest run: 1 where its state is one of `is`, else 0; or the time since the last one that succeeded."""

    EVERY_S: ClassVar[float] = 1.0
    DEADLINE_S: ClassVar[float] = 5.0

    url: Url
    dag: Text
    api: Literal["v1", "v2"] = "v2"
    read: Literal["state", "success_age"] = "state"
    is_: tuple[Literal["success", "running", "queued", "failed"], ...] = Field(("success",), alias="is", min_length=1)

    @property
    def usual_unit(self) -> Unit:
        """What the reading is, unless the stack says otherwise."""
        return Unit.WALL if self.read == "success_age" else Unit.NUMBER
