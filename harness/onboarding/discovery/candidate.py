"""A probe that may be had of a service, as `harness init` suggests it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Candidate:
    """A probe: its name, what is written of it, the service that it is about, why, and the bound that is good."""

    name: str
    spec: Mapping[str, Any]
    service: str
    why: str
    good: Mapping[str, Any] = field(default_factory=dict)
    sure: bool = False
    needs: tuple[str, ...] = ()
    """The kinds of store that its answer needs, where it is more than a health page."""


def name_of(service: str, ending: str) -> str:
    """Return a probe's name: the service's, and what is measured."""
    return f"{re.sub(r'[^A-Za-z0-9]+', '_', service).strip('_')}_{ending}"
