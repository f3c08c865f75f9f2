"""A probe that a stack declares: one kind with its settings, how often it is read, and the unit of its reading.

Settings only; what reads by them is in `harness.probes`. Kinds of other packages come in by the validation context.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, ClassVar

from pydantic import BaseModel, Field, SerializeAsAny, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import InitErrorDetails

from harness.model.errors import HarnessError, did_you_mean
from harness.model.fields import Frozen
from harness.model.units import PositiveWallSeconds, Unit

BESIDE = ("unit", "summary", "every", "timeout")
"""What a probe may have beside its kind."""
USUAL_EVERY_S = 1.0
USUAL_DEADLINE_S = 1.0
SHORTEST_EVERY_S = 0.1
LONGEST_EVERY_S = 600.0


class _OwnKinds(Mapping[str, type[BaseModel]]):
    """The settings of our own kinds, each imported when a stack has a probe of it."""

    _PLACES: ClassVar[Mapping[str, str]] = {
        "json": "httpprobes:JsonProbe",
        "metric": "httpprobes:MetricProbe",
        "http": "httpprobes:HttpProbe",
        "promql": "httpprobes:PromqlProbe",
        "log": "hostprobes:LogProbe",
        "redis": "storeprobes:RedisProbe",
        "s3": "storeprobes:S3Probe",
        "sql": "storeprobes:SqlProbe",
        "mongo": "storeprobes:MongoProbe",
        "file": "hostprobes:FileProbe",
        "command": "hostprobes:CommandProbe",
        "container": "hostprobes:ContainerProbe",
        "mlflow": "httpprobes:MlflowProbe",
        "feast": "storeprobes:FeastProbe",
        "airflow": "httpprobes:AirflowProbe",
        "tcp": "networkprobes:TcpProbe",
        "grpc": "networkprobes:GrpcProbe",
        "kafka_lag": "networkprobes:KafkaLagProbe",
    }

    def __iter__(self) -> Iterator[str]:
        return iter(self._PLACES)

    def __len__(self) -> int:
        return len(self._PLACES)

    def __contains__(self, kind: object) -> bool:
        return kind in self._PLACES

    def __getitem__(self, kind: str) -> type[BaseModel]:
        module, _, name = self._PLACES[kind].partition(":")
        settings: type[BaseModel] = getattr(import_module(f"harness.model.{module}"), name)
        return settings


PROBE_KINDS: Mapping[str, type[BaseModel]] = _OwnKinds()


def _settings(model: type[BaseModel], kind: str, raw: Any, context: Any) -> BaseModel:
    """Validate the settings of one kind; errors are located under that kind's name."""
    try:
        return model.model_validate(raw, context=context)
    except ValidationError as error:
        inside = [
            InitErrorDetails(type=e["type"], loc=(kind, *e["loc"]), input=e["input"], ctx=e.get("ctx", {}))
            for e in error.errors()
        ]
        raise ValidationError.from_exception_data(kind, inside) from error


class ProbeSpec(Frozen):
    """A probe that the stack declares.

    Further kinds come in as `{"probe_kinds": {name: settings class}}` in the validation context.
    """

    kind: str
    settings: SerializeAsAny[BaseModel]
    unit: Unit = Unit.NUMBER
    summary: str = ""
    every: PositiveWallSeconds | None = Field(None, description="how often it is read, unless as its kind usually is")
    timeout: PositiveWallSeconds | None = Field(None, description="how long an answer may take")

    @model_validator(mode="before")
    @classmethod
    def _kind_is_the_key(cls, raw: Any, info: ValidationInfo) -> Any:
        if not isinstance(raw, dict) or "kind" in raw:
            return raw
        kinds: ChainMap[str, type[BaseModel]] = ChainMap({}, PROBE_KINDS, (info.context or {}).get("probe_kinds", {}))  # type: ignore[arg-type]
        given = [key for key in raw if key not in BESIDE]
        if len(given) != 1:
            raise ValueError(f"exactly one kind of probe is needed: {', '.join(sorted(kinds))}")
        kind = str(given[0])
        if kind not in kinds:
            raise ValueError(f"unknown kind of probe {kind!r}: {did_you_mean(kind, kinds)}")
        try:
            model = kinds[kind]
        except HarnessError as error:  # of a package that offers it, and cannot be imported
            raise ValueError(str(error)) from error
        settings = _settings(model, kind, raw[kind], info.context)
        beside = {key: raw[key] for key in BESIDE if key in raw}
        return {"kind": kind, "settings": settings, "unit": getattr(settings, "usual_unit", Unit.NUMBER)} | beside

    @field_validator("every")
    @classmethod
    def _readable(cls, every: float | None) -> float | None:
        if every is not None and not SHORTEST_EVERY_S <= every <= LONGEST_EVERY_S:
            raise ValueError(f"a probe is read every {SHORTEST_EVERY_S:g} to {LONGEST_EVERY_S:g} s")
        return every

    @property
    def asks_health(self) -> bool:
        """Whether it asks no more than whether, and how fast, its service answers: that needs none of its work."""
        return bool(getattr(self.settings, "asks_health", False))

    @property
    def every_s(self) -> float:
        """Seconds from one reading to the next."""
        return self.every if self.every is not None else float(getattr(self.settings, "EVERY_S", USUAL_EVERY_S))

    @property
    def deadline_s(self) -> float:
        """Seconds after which no answer is one."""
        return (
            self.timeout if self.timeout is not None else float(getattr(self.settings, "DEADLINE_S", USUAL_DEADLINE_S))
        )
