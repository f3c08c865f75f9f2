"""Exchanges as a file of requests: what is left out, what is expected of each answer, and the lines themselves."""

from __future__ import annotations

import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlsplit

from harness.model.errors import ScenarioError
from harness.onboarding.recording.content import counts, expected_values, same_request, secret_headers_of
from harness.onboarding.recording.exchange import RecordedExchange
from harness.onboarding.secret_forms import may_hold_secret, named_secret, only_numbers, secret_in_path, secrets_in
from harness.probes.request_file import read_requests

_FORM = re.compile(r"[\w.%+~\[\]-]+=[^\s&=]*(&[\w.%+~\[\]-]+=[^\s&=]*)*")
"""A form that nothing says is one: any other text has no names that could be told."""
_USUAL = {"accept": ("*/*",), "content-type": ("application/json",)}
"""Headers that are kept, unless they say what goes without saying."""


@dataclass
class RecordedWorkload:
    """What became of some exchanges."""

    lines: list[dict[str, Any]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    """How many were left out, by the reason."""
    secrets: tuple[str, ...] = ()
    """Headers of the requests that hold secrets: the workload has to send them."""
    values: int = 0
    """How many values of answers are expected as they are."""
    loose: int = 0
    """How many may be any: ids, time stamps, and what differed between answers to the same request."""
    timed: bool = True
    """Whether the lines have times of their own."""
    span_s: float = 0.0
    """The time from the first to the last of them, as they were recorded."""
    took_s: list[float] = field(default_factory=list)


def as_workload(
    exchanges: Sequence[RecordedExchange],
    *,
    keep: Sequence[str] = (),
    sessions: Sequence[str] = (),
    again: Sequence[RecordedExchange] = (),
    timed: bool = True,
) -> RecordedWorkload:
    """Return the lines of a file of requests. `keep` names headers to keep; `again` are requests that were repeated.

    `sessions` are fields that only number a session. Not `timed`, the lines have no times, and are sent at a rate.
    """
    recorded, numbers = RecordedWorkload(), frozenset(name.lower() for name in sessions)
    keyed = [(same_request(one), one) for one in sorted(exchanges, key=lambda one: one.unix_s)]
    same: dict[str, list[RecordedExchange]] = defaultdict(list)
    for key, exchange in (*keyed, *((same_request(one), one) for one in again)):
        same[key].append(exchange)
    secret_headers: dict[str, str] = {}
    kept: list[tuple[str, RecordedExchange]] = []
    for key, exchange in keyed:
        reason = _why_not(exchange, same[key], numbers)
        if reason is not None:
            recorded.left_out[reason] += 1
            continue
        kept.append((key, exchange))
        secret_headers |= {name.lower(): name for name in secret_headers_of(exchange)}
    first_s = kept[0][1].unix_s if kept else 0.0
    recorded.span_s = kept[-1][1].unix_s - first_s if kept else 0.0
    recorded.timed = timed and recorded.span_s > 0
    for number, (key, exchange) in enumerate(kept, 1):
        others = [one for one in same[key] if one is not exchange and one.status == exchange.status]
        values = expected_values(exchange, others)
        exact, loose = counts(values)
        recorded.values, recorded.loose = recorded.values + exact, recorded.loose + loose
        recorded.lines.append(_line(number, exchange, values, first_s if recorded.timed else None, keep))
        recorded.took_s += [exchange.took_s] if exchange.took_s is not None else []
    recorded.secrets = tuple(secret_headers.values())
    _share_tolerances(recorded.lines)
    return recorded


def _share_tolerances(lines: Sequence[dict[str, Any]]) -> None:
    """Give numbers that did not differ, or only once asked, the tolerance that the same value of other answers needs.

    Two answers of a model that is trained again may agree by chance, as the third will not.
    """
    shares: dict[tuple[str, str, str], float] = {}
    near: list[tuple[tuple[str, str, str], dict[str, float]]] = []
    for line in lines:
        for place, wanted in line["expect"].get("json", {}).items():
            if isinstance(wanted, dict) and "approx" in wanted:
                key = (line["method"], urlsplit(line["path"]).path, place)
                near.append((key, wanted))
                share = wanted.get("atol", 0.0) / abs(wanted["approx"]) if wanted["approx"] else 0.0
                shares[key] = max(shares.get(key, 0.0), share)
    for key, wanted in near:
        least = shares[key] * abs(wanted["approx"])
        if least > wanted.get("atol", 0.0):
            wanted["atol"] = least


def check_place(file: Path, *, force: bool) -> None:
    """Raise ScenarioError where a file of requests could not be written: before anything is recorded."""
    remedy = "choose another --out"
    part = _part_of(file)
    try:
        if file.is_symlink() or (file.exists() and not file.is_file()):
            raise ScenarioError("this is no file that could be written anew", file=str(file), remedy=remedy)
        if file.exists() and not force:
            overwrite = f"{remedy}, or overwrite it with --force"
            raise ScenarioError("there is a file already", file=str(file), remedy=overwrite)
        if not file.parent.is_dir():
            raise ScenarioError("there is no such folder", file=str(file.parent), remedy=f"make it, or {remedy}")
        part.touch()
        part.unlink()
    except OSError as error:
        what = f"a file of requests cannot be written here: {error.strerror}"
        raise ScenarioError(what, file=str(file), remedy=remedy) from error


def write(recorded: RecordedWorkload, file: Path, *, force: bool) -> None:
    """Write the file, whole or not at all. Raises ScenarioError where there is one already, or nothing to write."""
    if not recorded.lines:
        why = ", ".join(f"{reason}: {number}" for reason, number in recorded.left_out.items()) or "no request was there"
        raise ScenarioError(f"nothing was recorded: {why}", file=str(file), remedy="see --only, and what is left out")
    check_place(file, force=force)
    part = _part_of(file)
    try:
        with part.open("w", encoding="ascii") as out:  # in which no character ends a line but the line's end
            out.writelines(json.dumps(line) + "\n" for line in recorded.lines)
        read_requests(part, None if recorded.timed else 1.0, repeat=True)  # what it refuses is refused here
        if force:
            part.replace(file)
        else:
            os.link(part, file)  # unlike a rename, it overwrites nothing
    except OSError as error:
        message = f"the file of requests cannot be written: {error.strerror}"
        raise ScenarioError(message, file=str(file), remedy="choose another --out") from error
    finally:
        part.unlink(missing_ok=True)


def _part_of(file: Path) -> Path:
    return file.with_name(f".{file.name[:60]}.part")


def _why_not(exchange: RecordedExchange, same: Sequence[RecordedExchange], numbers: Set[str]) -> str | None:
    """Return why an exchange is not part of a workload; None where it is. `numbers` are names that only number."""
    if exchange.unreadable is not None:
        return exchange.unreadable
    if exchange.status >= 500 or exchange.status < 200:
        return f"answered with {exchange.status}, which nobody should expect"
    if any(one.status != exchange.status for one in same):
        return "the same request had another status at another time"
    try:
        query = parse_qsl(urlsplit(exchange.path).query)
        json.dumps(exchange.body, allow_nan=False)
        json.dumps(exchange.answer, allow_nan=False)
    except (ValueError, RecursionError):
        return "its path, or a number in it, cannot be written in a workload"
    if not exchange.path.startswith("/"):
        return "its path does not begin with '/'"
    named = [*query, *_form(exchange)]
    found = [named_secret(name, value) for name, value in named if name.lower() not in numbers]
    body = _without(f"?{exchange.body}", numbers) if _form(exchange) else _without_fields(exchange.body, numbers)
    found += [word for _, word in secrets_in(body)]
    word = next(filter(None, found), None)
    if word is not None:
        told = f"; if that only numbers a session: --session-field {word}" if only_numbers(word) else ""
        return f"it holds a secret ({word}){told}"
    path = _without(exchange.path, numbers)
    texts = [path, *_keys(exchange.body), *(value for name, value in named if name.lower() in numbers)]
    if (
        len(found) > sum(name.lower() not in numbers for name, _ in named)
        or any(map(may_hold_secret, texts))
        or secret_in_path(path)
    ):
        return "it holds a token, or may hold a secret"
    return None


def _without(path: str, names: Set[str]) -> str:
    """Return a path without the fields of these names in its query."""
    before, mark, query = path.partition("?")
    kept = [part for part in query.split("&") if unquote_plus(part.partition("=")[0]).lower() not in names]
    return f"{before}{mark}{'&'.join(kept)}"


def _without_fields(value: Any, names: Set[str]) -> Any:
    """Return what JSON holds without the fields of these names, where they hold no secret by their form."""
    if isinstance(value, list):
        return [_without_fields(one, names) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _without_fields(one, names)
        for name, one in value.items()
        if not (name.lower() in names and isinstance(one, str) and not may_hold_secret(one))
    }


def _form(exchange: RecordedExchange) -> list[tuple[str, str]]:
    """Return the fields of a form; of a text that is none, nothing would be a name."""
    body = exchange.body
    kind = next((value for name, value in exchange.headers.items() if name.lower() == "content-type"), "")
    if not isinstance(body, str) or not ("form-urlencoded" in kind.lower() or _FORM.fullmatch(body)):
        return []
    return parse_qsl(body)


def _keys(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [name for key, inside in value.items() for name in (str(key), *_keys(inside))]
    return [name for inside in value for name in _keys(inside)] if isinstance(value, list) else []


def _line(
    number: int, exchange: RecordedExchange, values: dict[str, Any], first_s: float | None, keep: Sequence[str]
) -> dict[str, Any]:
    line: dict[str, Any] = {"id": f"r{number}"}
    if first_s is not None:
        line["at"] = round(exchange.unix_s - first_s, 3)
    line |= {"method": exchange.method, "path": exchange.path}
    secrets = secret_headers_of(exchange)
    wanted = {name.lower() for name in keep}
    headers = {
        name: value
        for name, value in exchange.headers.items()
        if name not in secrets
        and (name.lower() in wanted or (name.lower() in _USUAL and value not in _USUAL[name.lower()]))
    }
    if headers:
        line["headers"] = headers
    if exchange.body is not None:
        line["body"] = exchange.body
    line["expect"] = {"status": exchange.status} | ({"json": values} if values else {})
    return line
