"""What is kept of the bodies of a request and of its answer: JSON and text, up to a bound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.probes.strict_json import read_json

MOST_BYTES = 2**20
"""How much of a body is recorded; a longer one is passed on and not recorded."""


def body_of(headers: Mapping[str, str], body: bytes) -> tuple[Any, str | None]:
    """Return what the body of a request is in a file of requests, and why it cannot be there."""
    if not body:
        return None, None
    if headers.get("Content-Encoding", "identity") != "identity":
        return None, "its body is compressed"
    if len(body) > MOST_BYTES:
        return None, f"its body is longer than {MOST_BYTES} bytes"
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return None, "its body is not text"
    return body_from_text(text), None


def body_from_text(text: str) -> Any:
    """Return a text as the body of a request: what it holds, where it is JSON. A line has a text sent as it is."""
    try:
        found = read_json(text)
    except ValueError:
        return text
    return text if isinstance(found, str) or found is None else found


def answer_of(headers: Mapping[str, str], body: bytes | None) -> tuple[Any, bool]:
    """Return what an answer in JSON holds, and whether it is one."""
    if not body or headers.get("Content-Encoding", "identity") != "identity":
        return None, False
    if "json" not in headers.get("Content-Type", "") and body.lstrip()[:1] not in (b"{", b"["):
        return None, False
    try:
        return read_json(body), True
    except (ValueError, UnicodeDecodeError):
        return None, False
