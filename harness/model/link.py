"""A link: the way from one service to another. `consumer -> service` is parsed and printed here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

ARROW = " -> "


@dataclass(frozen=True, slots=True)
class Link:
    """The way from a consumer to a service."""

    consumer: str
    service: str

    @classmethod
    def parse(cls, name: str) -> Link:
        """Read `consumer -> service`. Raises ValueError."""
        consumer, arrow, service = name.partition(ARROW)
        if not (arrow and consumer and service) or consumer == service:
            raise ValueError(f"{name!r} is not a link; write it as 'consumer -> service'")
        return cls(consumer, service)

    @property
    def name(self) -> str:
        """The name used in scenarios and reports."""
        return f"{self.consumer}{ARROW}{self.service}"

    def __str__(self) -> str:
        return self.name


def _parsed(value: object) -> object:
    return Link.parse(value) if isinstance(value, str) else value


LinkField = Annotated[Link, BeforeValidator(_parsed), PlainSerializer(lambda link: link.name, return_type=str)]
"""A link in a model; in JSON and YAML it is its name."""
