"""Changes that keep an input's form: a value is replaced by one of another type, doubled, moved or left out.

Bytes changed at random are seldom YAML or JSON any more, and then only the parser is tried.
"""

from __future__ import annotations

import datetime as dt
import json
import random
from typing import Any

import yaml

from tests.fuzz.targets import Form

ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1, 2**31, 2**63, 2**64, 10**400, -(10**400), 0.0, -0.0, 1e308, -1e-308, float("inf"),
    float("-inf"), float("nan"), "", " ", ".", "..", "/", "a/b", "../x", "\x00", "\x1b[31m", "\u202e", "\ud800", "é",
    "漢", "x" * 300, "0x", "1_000", "_", "1e999", "nan", "12s", "-1s", "1e400s", "90min event", "99.5%", "100%",
    "a -> b", " -> ", "->", "${x}", "${", "$", "$$", "${secret:A}", "${a:-${b}}", "{{", "a{b=\"c\"}",
    "2013-06-14T06:00",
    "9999-12-31T23:59:59+23:59", "0001-01-01", "24:00", dt.date(2013, 6, 14), [], [None], [[]], {}, {"": None},
    {"a": {}}, {1: 2}, {"path": None}, ["a", 1, {}], "/dev/null", "127.0.0.1:0", "[::1]:0", ":", "host:port", "a:99999",
    "80-90:1",
)  # fmt: skip


def mutated(data: bytes, form: Form, seed: int) -> bytes:
    """Return the input with a few values changed; as it is, where it is not of its form."""
    chance = random.Random(seed)
    try:
        if form == "yaml":
            return _yaml(data, chance)
        return _lines(data, chance) if form == "lines" else _http(data, chance)
    except (ValueError, TypeError, RecursionError, yaml.YAMLError, AttributeError, KeyError):
        return data


def _yaml(data: bytes, chance: random.Random) -> bytes:
    value = _changed(yaml.load(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)), chance)
    return yaml.safe_dump(value, allow_unicode=True, sort_keys=False).encode("utf-8", "surrogatepass")


def _lines(data: bytes, chance: random.Random) -> bytes:
    lines = data.decode("utf-8", "replace").split("\n")
    at = chance.randrange(len(lines))
    match chance.randrange(8):
        case 0:
            lines.insert(at, chance.choice(lines))
        case 1:
            del lines[at]
        case 2:
            lines[at:] = lines[at + 1 :] + lines[at : at + 1]
        case _:
            lines[at] = json.dumps(_changed(json.loads(lines[at]), chance), separators=(",", ":"))
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _http(data: bytes, chance: random.Random) -> bytes:
    """Change the bodies of requests, or put a request somewhere else."""
    requests = [b"POST " + one for one in data.split(b"POST ") if one]
    at = chance.randrange(len(requests))
    head, _, body = requests[at].partition(b"\r\n\r\n")
    text = json.dumps(_changed(json.loads(body.partition(b"}GET")[0]), chance)).encode()
    if chance.random() < 0.3:
        requests.insert(chance.randrange(len(requests)), requests[at])
    first = head.split(b"\r\n")[0]
    requests[at] = first + b"\r\nContent-Length: %d\r\n\r\n" % len(text) + text
    return b"".join(requests)


def _changed(value: Any, chance: random.Random) -> Any:
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        value = _once(value, chance)
    return value


def _once(value: Any, chance: random.Random) -> Any:
    """Change one value somewhere inside."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(list(value))
        match chance.randrange(12):
            case 0:
                return {k: v for k, v in value.items() if k != key}
            case 1:
                return {
                    **value,
                    chance.choice(ODD[3:]) if chance.random() < 0.3 else str(chance.choice(ODD)): value[key],
                }
            case 2:
                return {**value, key: value[chance.choice(list(value))]}
            case _:
                return {**value, key: _once(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.85:
        at = chance.randrange(len(value))
        match chance.randrange(6):
            case 0:
                return [*value, value[at]]
            case 1:
                return value[:at] + value[at + 1 :]
            case _:
                return [*value[:at], _once(value[at], chance), *value[at + 1 :]]
    if isinstance(value, str) and value and chance.random() < 0.3:
        at = chance.randrange(len(value))
        return value[:at] + str(chance.choice(ODD)) + value[at + chance.randrange(3) :]
    wrapped = chance.randrange(12)
    return [value] if wrapped == 0 else {"a": value} if wrapped == 1 else chance.choice(ODD)
