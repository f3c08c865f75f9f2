"""JSON as its standard has it, and as it can be computed with and written again.

Python reads more: NaN and infinities, whole numbers that no floating-point number is near, and halves of surrogate
pairs, which are no text.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

_MOST_DIGITS = 308
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def read_json(page: bytes | str) -> Any:
    """Return what a page says in JSON. Raises ValueError, for numbers that JSON does not know too.

    A number that is too large is read as infinity, and half of a surrogate pair as U+FFFD.
    """
    text = page if isinstance(page, str) else page.decode(json.detect_encoding(page))
    try:
        found = json.loads(text, parse_constant=_refuse, parse_int=_whole)
        return _readable(found) if _SURROGATE.search(text) else found
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None


def _refuse(text: str) -> float:
    raise ValueError(f"{text} is not a valid JSON number")


def _whole(text: str) -> int | float:
    return int(text) if len(text) <= _MOST_DIGITS else math.copysign(math.inf, -1 if text[0] == "-" else 1)


def _readable(found: Any) -> Any:
    if isinstance(found, str):
        return found.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(found, list):
        return [_readable(one) for one in found]
    if isinstance(found, dict):
        return {_readable(name): _readable(value) for name, value in found.items()}
    return found
