"""One GET with a deadline, and pages that several probes share: fetched once, read by each."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from harness.probes.polling import DEADLINE_S

LONGEST_BYTES = 16 * 2**20


class NoAnswerError(Exception):
    """The stack gave no usable answer; the text says why."""


async def get(session: aiohttp.ClientSession, url: str, deadline_s: float = DEADLINE_S) -> bytes:
    """Return the body of a 200 answer. Raises NoAnswerError."""
    try:
        async with asyncio.timeout(deadline_s), session.get(url) as response:
            if response.status != 200:
                raise NoAnswerError(f"status {response.status}")
            return await read_body(response)
    except TimeoutError:
        raise NoAnswerError(f"no answer within {deadline_s:g} s") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise NoAnswerError(f"{type(error).__name__}: {error}") from None


async def read_body(response: aiohttp.ClientResponse) -> bytes:
    """Return the whole body, of a bounded length. Raises ValueError where it is longer."""
    parts, length = [], 0
    async for part in response.content.iter_any():
        parts.append(part)
        length += len(part)
        if length > LONGEST_BYTES:
            raise ValueError(f"an answer of more than {LONGEST_BYTES} bytes")
    return parts[0] if len(parts) == 1 else b"".join(parts)


def read_json(page: bytes) -> Any:
    """Return what a page says in JSON. Raises ValueError, for numbers that JSON does not know too."""
    try:
        return json.loads(page, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


Series = tuple[str, dict[str, str], float]


def metrics(page: bytes, names: frozenset[str]) -> list[Series]:
    """Return the samples of the named series. Raises NoAnswerError where the page is not in Prometheus' text format."""
    # Parsing costs far more than finding the few lines that are wanted.
    heads = tuple(names)
    lines = page.decode("utf-8", "replace").splitlines()
    wanted = [line for line in lines if line.startswith(heads) and _name(line) in names]
    try:
        families = list(text_string_to_metric_families("\n".join(wanted) + "\n"))
    except (ValueError, LookupError, TypeError) as error:
        raise NoAnswerError(f"not in Prometheus' text format: {error}") from None
    return [(s.name, dict(s.labels), float(s.value)) for family in families for s in family.samples]


def _name(line: str) -> str:
    match = re.match(r"[a-zA-Z_:][\w:]*", line)
    return match[0] if match else ""


def at_path(data: Any, path: str) -> Any:
    """Return what lies at a dotted path in JSON. Raises NoAnswerError where nothing does."""
    for step in path.split("."):
        try:
            data = data[int(step)] if isinstance(data, list) else data[step]
        except (KeyError, IndexError, ValueError, TypeError):
            raise NoAnswerError(f"nothing at {path!r}") from None
    return data
