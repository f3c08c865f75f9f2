"""JSON as its standard has it: without NaN and infinities, which Python reads as numbers."""

from __future__ import annotations

import json
from typing import Any


def read_json(page: bytes | str) -> Any:
    """Return what a page says in JSON. Raises ValueError, for numbers that JSON does not know too."""
    try:
        return json.loads(page, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None


def _refuse(text: str) -> float:
    raise ValueError(f"{text} is not a valid JSON number")
