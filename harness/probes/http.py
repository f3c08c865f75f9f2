"""Requests with a deadline, and pages that several probes share: fetched once, read by each."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from harness.model import response_match
from harness.model.httpprobes import HttpAccess
from harness.model.secrets import reveal
from harness.probes.polling import DEADLINE_S
from harness.probes.reader import NoAnswerError, failing, is_own

LONGEST_BYTES = 16 * 2**20
Series = tuple[str, dict[str, str], float]


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """One whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def get(
    session: aiohttp.ClientSession,
    url: str,
    deadline_s: float = DEADLINE_S,
    *,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
) -> bytes:
    """Return the body of a 200 answer. Raises NoAnswerError."""
    reply = await ask(session, "GET", url, deadline_s, headers, allow_redirects=True, params=params)
    if reply.status != 200:
        raise NoAnswerError(f"status {reply.status}")
    return reply.body


async def ask(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    deadline_s: float,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> HttpResponse:
    """Return what is answered to one request, whatever its status. Raises NoAnswerError, NotAskedError."""
    try:
        async with asyncio.timeout(deadline_s), session.request(method, url, headers=headers, **more) as response:
            return HttpResponse(response.status, response.headers, await read_body(response))
    except TimeoutError:
        raise NoAnswerError(f"no answer within {deadline_s:g} s") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise failing(error) from None
    except (RuntimeError, MemoryError) as error:  # no thread to look up a name in, or no memory
        if not is_own(error):
            raise
        raise failing(error) from None


def named_host(url: str) -> dict[str, str]:
    """Return the header that asks a service under its own name, as its other clients do; none for other URLs.

    It is reached by an address, and a server that knows only its names refuses requests for others.
    """
    host = urlsplit(url).hostname or ""
    plain = host and "." not in host and ":" not in host and host != "localhost"
    return {"Host": urlsplit(url).netloc} if plain else {}


def access_headers(access: HttpAccess) -> dict[str, str]:
    """Return the headers that let a request in, with their secrets. Raises ScenarioError for one that is not there."""
    found = {name: reveal(value) for name, value in access.headers.items()}
    if not any(name.lower() == "host" for name in found):
        found |= named_host(str(getattr(access, "url", "") or ""))
    if access.token is not None:
        found["Authorization"] = f"Bearer {reveal(access.token)}"
    elif access.username is not None:
        pair = f"{reveal(access.username)}:{reveal(access.password or '')}"
        found["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return found


def request_body(body: Any, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return a body as aiohttp takes it: text as it is, anything else as JSON."""
    if body is None:
        return {}
    if isinstance(body, str):
        return {"data": body.encode()}
    if any(name.lower() == "content-type" for name in headers or ()):
        return {"data": json.dumps(body).encode()}
    return {"json": body}


async def read_body(response: aiohttp.ClientResponse) -> bytes:
    """Return the whole body, of a bounded length. Raises ValueError where it is longer."""
    parts, length = [], 0
    async for part in response.content.iter_any():
        parts.append(part)
        length += len(part)
        if length > LONGEST_BYTES:
            raise ValueError(f"an answer of more than {LONGEST_BYTES} bytes")
    return parts[0] if len(parts) == 1 else b"".join(parts)


def metrics(page: bytes, names: frozenset[str]) -> list[Series]:
    """Return the samples of the named series. Raises NoAnswerError where the page is not in Prometheus' text format."""
    # Parsing costs far more than finding the few lines that are wanted.
    heads = tuple(names)
    lines = page.decode("utf-8", "replace").splitlines()
    wanted = [line for line in lines if line.startswith(heads) and _name(line) in names]
    try:
        from prometheus_client.parser import text_string_to_metric_families

        families = list(text_string_to_metric_families("\n".join(wanted) + "\n"))
    except (ValueError, LookupError, TypeError) as error:
        raise NoAnswerError(f"not in Prometheus' text format: {error}") from None
    return [(s.name, dict(s.labels), float(s.value)) for family in families for s in family.samples]


def _name(line: str) -> str:
    match = re.match(r"[a-zA-Z_:][\w:]*", line)
    return match[0] if match else ""


def at_path(data: Any, path: str) -> Any:
    """Return what lies at a dotted path in JSON. Raises NoAnswerError where nothing does."""
    try:
        return response_match.at_path(data, path)
    except response_match.NothingThereError as error:
        raise NoAnswerError(str(error)) from None
