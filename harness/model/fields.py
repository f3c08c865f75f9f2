"""Frozen records, and the types that their fields share: names, addresses, commands, ports.

Each type refuses a value that cannot be right, and says what would be.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


class Frozen(BaseModel):
    """A record that refuses unknown fields and is never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)


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
Port = Annotated[int, Field(ge=1, le=65535)]
