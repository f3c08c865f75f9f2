"""Where a stack's alerts are read, and what proves that somebody was looking at the rules all the while."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from harness.model.fields import Name, Url
from harness.model.httpprobes import HttpAccess
from harness.model.units import PositiveWallSeconds

_LISTEN = re.compile(r"([\w.-]+|\[[0-9a-fA-F:]+\]):(\d{1,5})")
KINDS = ("prometheus", "alertmanager", "grafana", "webhook")
_ONLY_OF = {
    "heartbeat": ("prometheus",),
    "history": ("prometheus",),
    "suppressed": ("alertmanager",),
    "listen": ("webhook",),
    "url": ("prometheus", "alertmanager", "grafana"),
    "headers": ("prometheus", "alertmanager", "grafana"),
    "username": ("prometheus", "alertmanager", "grafana"),
    "password": ("prometheus", "alertmanager", "grafana"),
    "watchdog_every": ("alertmanager", "webhook"),
}


MAX_RULE_SILENCE_S = 2.0
"""How long rules may go unevaluated, where a source does not tell its interval."""


def _an_address(value: str) -> str:
    match = _LISTEN.fullmatch(value)
    if match is None or not 0 < int(match[2]) < 65536:
        raise ValueError(f"{value!r} is not an address to listen on, such as 0.0.0.0:19093")
    return value


def longest_silence_s(interval_s: float, least_s: float = MAX_RULE_SILENCE_S) -> float:
    """Return how long a source may go without an evaluation: longer than `least_s` where its interval is longer."""
    return max(least_s, 1.2 * interval_s + 1.0)


class AlertSource(HttpAccess):
    """One place where alerts are read: a Prometheus server, an Alertmanager, Grafana, or a webhook that others call.

    `watchdog` names alerts that always fire, so that somebody notices when they stop: they prove that the source works,
    and never count as fired.
    """

    kind: Literal["prometheus", "alertmanager", "grafana", "webhook"]
    url: Url = ""
    heartbeat: str | None = None
    history: str | None = None
    watchdog: tuple[Name, ...] = ()
    watchdog_every_s: PositiveWallSeconds = Field(75.0, alias="watchdog_every")
    suppressed: bool = Field(False, description="whether silenced and inhibited alerts count as firing too")
    listen: Annotated[str, AfterValidator(_an_address)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_its_kind(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        kind = raw.get("kind")
        for name, kinds in _ONLY_OF.items():
            if raw.get(name) is not None and kind in KINDS and kind not in kinds:
                raise ValueError(f"`{name}` is not for a source of kind {kind}, but for {' and '.join(kinds)}")
        needed = "listen" if kind == "webhook" else "url"
        if raw.get(needed) is None and kind in KINDS:
            raise ValueError(f"a source of kind {kind} needs `{needed}`")
        return raw

    @property
    def name(self) -> str:
        """What the source is called in journals: where it is."""
        return self.url or f"webhook {self.listen}"
