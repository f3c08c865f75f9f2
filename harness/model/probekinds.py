"""Kinds of polled probes: the settings that each takes in a stack description.

Settings only; what reads by them is in `harness.probes`. Kinds of other packages come in by the validation context.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field, SerializeAsAny, ValidationError, ValidationInfo, model_validator
from pydantic_core import InitErrorDetails

from harness.model.fields import Frozen, Url
from harness.model.nearest import did_you_mean
from harness.model.units import Unit


class JsonProbe(Frozen):
    """A number found in a JSON answer: dots in `path` descend, numbers index lists."""

    url: Url
    path: str
    as_: Literal["number", "event_age"] = Field("number", alias="as")


class MetricProbe(Frozen):
    """A number from a page in Prometheus' text format; several matching series are put together by `agg`."""

    url: Url
    name: str
    labels: dict[str, str] = Field(default_factory=dict)
    agg: Literal["sum", "max", "min", "mean"] = "sum"


PROBE_KINDS: Mapping[str, type[BaseModel]] = {"json": JsonProbe, "metric": MetricProbe}


def _settings(model: type[BaseModel], kind: str, raw: Any, context: Any) -> BaseModel:
    """Validate the settings of one kind; what is wrong is said to be wrong under that kind's name."""
    try:
        return model.model_validate(raw, context=context)
    except ValidationError as error:
        inside = [
            InitErrorDetails(type=e["type"], loc=(kind, *e["loc"]), input=e["input"], ctx=e.get("ctx", {}))
            for e in error.errors()
        ]
        raise ValidationError.from_exception_data(kind, inside) from error


class ProbeSpec(Frozen):
    """A probe that the stack declares: its kind, that kind's settings, and the unit of the reading.

    Further kinds come in as `{"probe_kinds": {name: settings class}}` in the validation context.
    """

    kind: str
    settings: SerializeAsAny[BaseModel]
    unit: Unit = Unit.NUMBER
    summary: str = ""

    @model_validator(mode="before")
    @classmethod
    def _kind_is_the_key(cls, raw: Any, info: ValidationInfo) -> Any:
        if not isinstance(raw, dict) or "kind" in raw:
            return raw
        kinds = {**PROBE_KINDS, **((info.context or {}).get("probe_kinds") or {})}
        given = [key for key in raw if key not in ("unit", "summary")]
        if len(given) != 1:
            raise ValueError(f"exactly one kind of probe is needed: {', '.join(sorted(kinds))}")
        kind = str(given[0])
        if kind not in kinds:
            raise ValueError(f"unknown kind of probe {kind!r}: {did_you_mean(kind, kinds)}")
        settings = _settings(kinds[kind], kind, raw[kind], info.context)
        event_age = isinstance(settings, JsonProbe) and settings.as_ == "event_age"
        unit = raw.get("unit", Unit.EVENT if event_age else Unit.NUMBER)
        return {"kind": kind, "settings": settings, "unit": unit, "summary": raw.get("summary", "")}
