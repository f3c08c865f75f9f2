"""Frozen records, and the types that their fields share: names, addresses, commands, ports, links.

Each type refuses a value that cannot be right, and says what would be. A link is the way from one service to another:
`consumer -> service` is parsed and printed here and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer


class Frozen(BaseModel):
    """A record that refuses unknown fields and is never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)


def refuse_unused(given: BaseModel, choice: str, uses: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse a field that was given and means nothing for what another one chooses. Raises ValueError.

    `uses` has, for each value of the field `choice` that needs more, the fields that only it has a use for.
    """
    chosen = getattr(given, choice)
    for value, names in uses.items():
        for name in names if value != chosen else ():
            if name in given.model_fields_set:
                raise ValueError(f"`{name}` goes with `{choice}: {value}`, not with {chosen}; leave it out")


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_HTTP_URL = re.compile(r"https?://([^/@\s]*@)?[^/:@\s]+(:\d+)?(/|\?|$)")


def _valid_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(
            f"{value!r} is not a name; use letters, digits, '_', '.', '-', and begin with a letter or digit"
        )
    return value


def _valid_url(value: str) -> str:
    if not _HTTP_URL.match(value):
        raise ValueError(f"{value!r} is not a URL such as http://service:8080/path")
    return value


def _words(value: object) -> object:
    if isinstance(value, str):
        raise ValueError("a list of words is needed here, such as [python, -m, service]")
    # What a validator in front of it returns is taken as Python's, of which a strict tuple is only made of a tuple.
    return tuple(value) if isinstance(value, list) else value


Name = Annotated[str, AfterValidator(_valid_name)]
Url = Annotated[str, AfterValidator(_valid_url)]
Command = Annotated[tuple[str, ...], BeforeValidator(_words), Field(min_length=1)]
Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""A whole number that databases and other languages can hold, and that a float can be added to."""
Port = Annotated[int, Field(ge=1, le=65535)]
GrpcName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_./-]*$", max_length=120)]
"""The name of a gRPC service, such as `inference.GRPCInferenceService`; the empty one means the server as a whole."""


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
