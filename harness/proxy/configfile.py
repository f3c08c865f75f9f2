"""The file of proxies to start with, in Toxiproxy's form, and what of it may come back at every start.

Whoever owned a lease or a time to live in the file began it in another process: at a start it counts as over. So a
file that was saved while a fault was on brings the proxies back, and not the fault.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.proxy import wire
from harness.proxy.entries import LIFETIME


def read(path: Path, left_out: Callable[..., None]) -> Any:
    """The file's content without what has expired, which `left_out` hears of. Raises OSError, ValueError, ApiError."""
    body = wire.read_file(path.read_text(encoding="utf-8"))
    if not isinstance(body, list):
        return body  # refused where proxies are made, as in a request
    return [one for entry in body if (one := _still_valid(entry, left_out)) is not None]


def _still_valid(entry: Any, left_out: Callable[..., None]) -> Any:
    """A proxy without what has expired; None for one that has expired itself."""
    if not isinstance(entry, dict):
        return entry
    # As where proxies are made: names match in any case, the last one counts, and null leaves the default.
    names = {name.lower(): name for name, value in entry.items() if value is not None}
    name = entry.get(names.get("name", "name"))
    kept = dict(entry)
    if _expires(entry):
        if entry.get(names.get("enabled", "enabled"), True) is not False:
            left_out("not_restored", proxy=name, why="its lifetime is over")
            return None
        # The lifetime of a downtime: at its end the proxy is up.
        left_out("not_restored", proxy=name, down=True, why="its lifetime is over")
        kept = {key: value for key, value in entry.items() if key.lower() not in (*LIFETIME, "enabled")}
    field = names.get("toxics", "toxics")
    if isinstance(kept.get(field), list):
        for toxic in filter(_expires, kept[field]):
            named = toxic.get("name", toxic.get("type"))
            left_out("not_restored", proxy=name, toxic=named, why="its lifetime is over")
        kept[field] = [toxic for toxic in kept[field] if not _expires(toxic)]
    return kept


def _expires(entry: Any) -> bool:
    """Whether an entry has a lifetime, whatever is written there: what cannot be read counts as over."""
    return isinstance(entry, dict) and any(str(name).lower() in LIFETIME for name in entry)
