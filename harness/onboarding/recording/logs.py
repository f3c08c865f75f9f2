"""Exchanges read from what others have recorded: HAR files of browsers and proxies, JSON lines, access logs."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from harness.model.errors import ScenarioError
from harness.model.givenfile import read_text
from harness.onboarding.recording.bodies import body_from_text
from harness.onboarding.recording.exchange import RecordedExchange
from harness.probes.strict_json import read_json

Format = Literal["har", "jsonl", "access", "uvicorn"]
LARGEST_BYTES = 256 * 2**20
MOST_HOSTS = 8
_ACCESS = re.compile(
    r'\S+ \S+ \S+ \[(?P<at>[^\]]+)\] "(?P<method>[A-Z]+) (?P<path>\S+)(?: HTTP/[\d.]+)?" (?P<status>\d{3}) \S+'
)
"""A line of the common log format, and of the combined one (Apache's mod_log_config)."""
_NO_REQUEST = re.compile(r'\S+ \S+ \S+ \[[^\]]+\] "')
_UVICORN = re.compile(r'\S+:\d+ - "(?P<method>[A-Z]+) (?P<path>\S+) HTTP/[\d.]+" (?P<status>\d{3})\b')
"""What a line of uvicorn's own access log holds, whatever stands before it; it has no time of its own."""
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_STAMP = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d([.,]\d+)?(Z|[+-]\d\d:?\d\d)?")
_FIELDS = {
    "method": ("method", "request_method", "http_method", "verb"),
    "path": ("path", "url", "uri", "request_uri", "request_path", "http_path"),
    "status": ("status", "status_code", "http_status", "response_status", "code"),
    "at": ("at", "time", "timestamp", "ts", "@timestamp", "time_local", "datetime"),
    "body": ("body", "request_body", "request", "payload", "inputs"),
    "answer": ("answer", "response_body", "response", "result", "outputs"),
    "headers": ("headers", "request_headers"),
}
"""What a field of a line in JSON is usually called, the likeliest first."""


def read_log(file: Path, given: str | None = None) -> list[RecordedExchange]:
    """Read a log in a format, that of its name or content where none is given. Raises ScenarioError."""
    text = read_text(file, LARGEST_BYTES, ScenarioError)
    form = given or _format_of(file, text)
    try:
        found = {"har": _har, "jsonl": _json_lines, "access": _access, "uvicorn": _uvicorn}[form](text)
        exchanges = list(found)
    except _LineError as error:
        raise ScenarioError(error.message, file=str(file), line=error.line, remedy=error.remedy) from None
    if not exchanges:
        raise ScenarioError("no request is in it", file=str(file), remedy=f"it was read as {form}; see --format")
    return exchanges


class _LineError(Exception):
    """What is wrong in a line."""

    def __init__(self, line: int | None, message: str, remedy: str | None = None) -> None:
        super().__init__(message)
        self.line, self.message, self.remedy = line, message, remedy


def _format_of(file: Path, text: str) -> str:
    if file.suffix == ".har":
        return "har"
    start = text.lstrip()[:1]
    if start != "{":
        first = next((line for line in text.splitlines() if line.strip()), "")
        return "access" if _NO_REQUEST.match(first) or not _UVICORN.search(_COLOUR.sub("", text)) else "uvicorn"
    first = next((line for line in text.splitlines() if line.strip()), "")
    try:
        read_json(first)
    except ValueError:
        return "har"  # one document over many lines
    return "har" if '"log"' in first[:200] and '"entries"' in text else "jsonl"


def _har(text: str) -> Iterator[RecordedExchange]:
    """Yield the entries of an HTTP archive (HAR 1.2)."""
    try:
        entries = read_json(text)["log"]["entries"]
        entries = entries if isinstance(entries, list) else []
    except (ValueError, KeyError, TypeError) as error:
        raise _LineError(None, f"it is no HTTP archive: {error}", "give a .har file, or name its --format") from None
    for number, entry in enumerate(entries, 1):
        try:
            asked, answered = entry["request"], entry["response"]
            url = urlsplit(str(asked["url"]))
            if url.scheme not in ("http", "https", ""):
                continue
            posted = asked.get("postData") or {}
            body = posted.get("text")
            answer, is_json = _har_answer(answered.get("content") or {})
            yield RecordedExchange(
                unix_s=_unix_s(entry["startedDateTime"]),
                method=str(asked["method"]).upper(),
                path=_path_of(str(asked["url"])),
                status=int(answered["status"]),
                headers={str(one["name"]): str(one["value"]) for one in asked.get("headers") or ()},
                body=body_from_text(body) if isinstance(body, str) and body else None,
                unreadable="its body is told in parts" if posted.get("params") and not body else None,
                answer=answer,
                answer_is_json=is_json,
                took_s=_took_s(entry.get("time")),
                host=url.netloc.rpartition("@")[2].lower(),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise _LineError(None, f"entry {number} of the archive lacks something: {error}") from None


def _har_answer(content: Mapping[str, Any]) -> tuple[Any, bool]:
    text = content.get("text")
    if not isinstance(text, str) or "json" not in str(content.get("mimeType", "json")):
        return None, False
    try:
        return read_json(base64.b64decode(text) if content.get("encoding") == "base64" else text), True
    except (ValueError, binascii.Error):
        return None, False


def _json_lines(text: str) -> Iterator[RecordedExchange]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            raw = read_json(line)
        except ValueError as error:
            raise _LineError(number, f"not a line of JSON: {error}", "each line is one request in JSON") from None
        if not isinstance(raw, dict):
            raise _LineError(number, "a mapping of fields is needed here", "each line is one request in JSON")
        found = {field: _first(raw, names) for field, names in _FIELDS.items()}
        if found["path"] is None or found["at"] is None:
            lacks = "path" if found["path"] is None else "at"
            names = ", ".join(_FIELDS[lacks])
            raise _LineError(number, f"nothing here is a request's {lacks}", f"it may be called: {names}")
        body, answer = found["body"], found["answer"]
        if isinstance(answer, str):
            answer = body_from_text(answer)
        headers = found["headers"] if isinstance(found["headers"], dict) else {}
        try:
            yield RecordedExchange(
                unix_s=_unix_s(found["at"]),
                method=str(found["method"] or ("POST" if body is not None else "GET")).upper(),
                path=_path_of(str(found["path"])),
                status=int(found["status"] or 200),
                headers={str(name): str(value) for name, value in headers.items()},
                body=body_from_text(body) if isinstance(body, str) else body,
                answer=answer,
                answer_is_json=isinstance(answer, dict | list),
                host=urlsplit(str(found["path"])).netloc.rpartition("@")[2].lower(),
            )
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise _LineError(number, f"a field has a value that it cannot have: {error}") from None


def _access(text: str) -> Iterator[RecordedExchange]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        match = _ACCESS.match(line)
        if match is None and _NO_REQUEST.match(line):  # of a client that spoke no HTTP
            yield RecordedExchange(0.0, "GET", "/", 400, unreadable="its line in the log has no request")
            continue
        if match is None:
            remedy = "it is read as the common or the combined log format; name another with --format"
            raise _LineError(number, "this is no line of an access log", remedy)
        try:
            at_s = dt.datetime.strptime(match["at"], "%d/%b/%Y:%H:%M:%S %z").timestamp()
        except ValueError:
            raise _LineError(number, f"{match['at']!r} is not a time such as 10/Oct/2025:13:55:36 +0000") from None
        try:
            path = _path_of(match["path"])
        except ValueError:
            path = ""
        yield _without_body(at_s, match, path)


def _uvicorn(text: str) -> Iterator[RecordedExchange]:
    """Yield the requests of a log that uvicorn writes between other lines; in one with times, each line has one."""
    lines = [_COLOUR.sub("", line) for line in text.splitlines()]
    found = [(line, match) for line in lines if (match := _UVICORN.search(line)) is not None]
    stamps = [_STAMP.search(line[: match.start()]) for line, match in found]
    timed = all(stamps)
    for (_, match), stamp in zip(found, stamps, strict=True):
        at_s = _unix_s(_to_microseconds(stamp[0])) if timed and stamp is not None else 0.0
        yield _without_body(at_s, match, match["path"])


def _to_microseconds(stamp: str) -> str:
    """Return a time stamp with no more digits than Python reads: an engine writes nanoseconds."""
    return re.sub(r"[.,](\d{1,6})\d*", r".\1", stamp)


def _without_body(at_s: float, match: re.Match[str], path: str) -> RecordedExchange:
    asks = match["method"] in ("GET", "HEAD", "DELETE", "OPTIONS")
    why = None if asks else "an access log has no bodies"
    return RecordedExchange(at_s, match["method"], path, int(match["status"]), unreadable=why)


def of_one_host(exchanges: Sequence[RecordedExchange], wanted: str | None, file: Path) -> list[RecordedExchange]:
    """Return the requests to one host: a workload has one address. Raises ScenarioError where it is not clear which."""
    hosts = Counter(one.host for one in exchanges if one.host)
    listed = ", ".join(f"{host} ({number})" for host, number in hosts.most_common(MOST_HOSTS))
    listed += f" and {len(hosts) - MOST_HOSTS} more" if len(hosts) > MOST_HOSTS else ""
    if wanted is None and len(hosts) > 1:
        remedy = f"choose one, such as --host {hosts.most_common(1)[0][0]}"
        raise ScenarioError(f"its requests go to several hosts: {listed}", file=str(file), remedy=remedy)
    if wanted is not None and wanted.lower() not in hosts:
        message = f"no request goes to {wanted!r}; they go to: {listed}" if hosts else "its requests name no host"
        raise ScenarioError(message, file=str(file), field="--host")
    return [one for one in exchanges if wanted is None or one.host == wanted.lower()]


def _took_s(value: Any) -> float | None:
    """Return how long an entry took, in seconds; a negative time stands for one that is not known."""
    return float(value) / 1e3 if isinstance(value, int | float) and value >= 0 else None


def _first(raw: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((raw[name] for name in names if raw.get(name) is not None), None)


def _path_of(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _unix_s(value: Any) -> float:
    """Return a moment in seconds since 1970. Raises ValueError."""
    if isinstance(value, bool):
        raise ValueError(f"{json.dumps(value)} is not a moment")
    if isinstance(value, int | float) and abs(value) < 1e18:
        return float(value) / 1e3 if value > 1e11 else float(value)  # browsers and logs count milliseconds
    moment = dt.datetime.fromisoformat(str(value))
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()
