"""JSON as Toxiproxy reads it in requests and writes it in responses.

Field names match in any case, unknown fields are ignored (and reported as warnings), null leaves the default, bytes
behind the first JSON value are ignored, and an error is `{"error": …, "status": …}`.
"""

import json
import re
from typing import Any

_SPACE = " \t\r\n"
_DEPTH = 64
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
WARNINGS = 20
_LARGEST = 3.4028234663852886e38
"""The largest number of single precision, as which Go reads it."""
_GO = {str: "string", bool: "bool", int: "int64", float: "float32", list: "[]toxics.Toxic"}  # Go's names, in errors
_GO_VALUES = {"Proxy": "toxiproxy.Proxy", "ToxicWrapper": "toxics.ToxicWrapper"}
_KINDS = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}


class ApiError(Exception):
    """A response that is an error."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


def bad_body(reason: str) -> ApiError:
    return ApiError(f"bad request body: {reason}", 400)


def _refuse(name: str) -> Any:
    """NaN and Infinity, which Python's reader would take."""
    raise bad_body(f"invalid character {name[0]!r} looking for beginning of value")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def read(body: bytes) -> Any:
    """The first JSON value of a body."""
    text = body.decode("utf-8", "replace").lstrip(_SPACE)
    if not text:
        raise bad_body("EOF")
    if re.search(r"[\[{]\s*" * _DEPTH, text):
        raise bad_body("exceeded max depth")
    try:
        found = _DECODER.raw_decode(text)[0]
        return _readable(found) if _SURROGATE.search(text) else found
    except json.JSONDecodeError as error:
        if error.pos >= len(text.rstrip(_SPACE)):
            raise bad_body("unexpected EOF") from None
        raise bad_body(f"invalid character {text[error.pos]!r} looking for beginning of value") from None
    except (RecursionError, ValueError):
        raise bad_body("number out of range or nested too deeply") from None


def read_file(text: str) -> Any:
    """The JSON of a whole file, by the same rules. Raises ValueError or ApiError."""
    try:
        return _readable(json.loads(text, parse_constant=_refuse))
    except RecursionError:
        raise bad_body("nested too deeply") from None


def _readable(value: Any) -> Any:
    """A value with U+FFFD for halves of surrogate pairs, as Go reads them."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_readable(one) for one in value]
    if isinstance(value, dict):
        return {_readable(name): _readable(inside) for name, inside in value.items()}
    return value


def fields(
    value: Any, known: dict[str, type], what: str, warnings: list[str], silent: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The known fields of a JSON object, their kinds checked; nulls are left out, unknown fields become warnings."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad_body(f"json: cannot unmarshal {_kind(value)} into Go value of type {_GO_VALUES.get(what, what)}")
    lowered = {name.lower(): name for name in known}
    found: dict[str, Any] = {}
    for given, content in value.items():
        name = given if given in known else lowered.get(given.lower())
        if name is None:
            if given not in silent and len(warnings) < WARNINGS:
                warnings.append(f"unknown field {given[:80]!r} ignored")
        elif content is not None:
            found[name] = _checked(name, content, known[name], what)
    return found


def _checked(name: str, content: Any, kind: type, what: str) -> Any:
    right = isinstance(content, kind) or (kind is float and isinstance(content, int))
    if kind is float and right and not -_LARGEST <= content <= _LARGEST:  # nor is it NaN, which a file may have
        right = False
    if kind is object or (right and (kind is bool or not isinstance(content, bool))):
        return content
    where = f"Go struct field {what}.{name} of type {_GO.get(kind, kind.__name__)}"
    raise bad_body(f"json: cannot unmarshal {_kind(content)} into {where}")


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), "null")


def dump(value: Any) -> bytes:
    """Compact JSON, with the characters escaped that Go escapes."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text.encode("utf-8", "replace")
