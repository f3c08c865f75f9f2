"""What every backend has to know of a fault proxy: the file of its links, and whether it is up with all of them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Collection
from typing import Any

from harness.backends.http_request import request

OK = 200


def link_entry(name: str, listen: str, upstream: str) -> dict[str, Any]:
    """Return one link in the file that a proxy starts with, which is in Toxiproxy's form."""
    return {"name": name, "listen": listen, "upstream": upstream, "enabled": True}


async def why_not_up(
    address: str, port: int, names: Collection[str], within_s: float, poll_s: float, token: str | None = None
) -> str | None:
    """Wait until a proxy answers and has these links. Returns None, or after a while what is wrong."""
    deadline_s = time.monotonic() + within_s
    while True:
        try:
            status, text = await request("GET", address, port, "/proxies", token=token)
            up = {name for name, entry in json.loads(text).items() if entry["enabled"]} if status == OK else set()
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            why = f"did not answer within {within_s:g} s"
        else:
            missing = [name for name in names if name not in up]
            if status == OK and not missing:
                return None
            why = f"has no link {', '.join(missing)}" if status == OK else f"answered {status} {text.strip()}"
        if time.monotonic() > deadline_s:
            return why
        await asyncio.sleep(poll_s)
