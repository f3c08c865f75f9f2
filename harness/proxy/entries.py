"""Proxies, toxics and leases in request bodies: parsed, validated, and given defaults.

Errors carry Toxiproxy's statuses and texts; unknown fields are ignored, as there, but reported as warnings.
"""

from typing import Any

from harness.proxy import wire
from harness.proxy.dead_upstream import CLOSE, DEAD_UPSTREAM
from harness.proxy.leases import Lifetime
from harness.proxy.toxic import DOWNSTREAM, UPSTREAM, SeededChoice, Toxic
from harness.proxy.toxics import TOXICS
from harness.proxy.toxics.stage import Stage, ValueRefusedError
from harness.proxy.wire import ApiError, bad_body

_ENDS: dict[str, type] = {"ttl": int, "lease": str}
_PROXY: dict[str, type] = {
    "name": str,
    "listen": str,
    "upstream": str,
    "enabled": bool,
    "toxics": list,
    "dead_upstream": str,
    **_ENDS,
}
_TOXIC: dict[str, type] = {
    "name": str,
    "type": str,
    "stream": str,
    "toxicity": float,
    "attributes": object,
    "seed": int,
    **_ENDS,
}
# Fields of responses, ours and Toxiproxy's, that a client may send back: no warning.
_ECHOED = ("expires_in", "warnings", "Logger")
LIFETIME = ("ttl", "lease")
_DAY_MS = 86_400_000


def proxy(body: Any, warnings: list[str]) -> dict[str, Any]:
    _refuse_empty_lifetime(body)
    given = wire.fields(body, _PROXY, "Proxy", warnings, _ECHOED)
    if given.get("dead_upstream", CLOSE) not in DEAD_UPSTREAM:
        raise bad_body(f"dead_upstream must be close, reset or refuse, not {given['dead_upstream'][:40]!r}")
    return given


def whole_proxy(body: Any, warnings: list[str], where: str = "") -> dict[str, Any]:
    """The fields of a proxy to create."""
    given = proxy(body, warnings)
    for name in ("name", "upstream"):
        if not given.get(name):
            raise ApiError(f"missing required field: {name}{where}", 400)
    return given


def populated(body: Any, warnings: list[str]) -> list[dict[str, Any]]:
    if body is not None and not isinstance(body, list):
        raise bad_body("json: cannot unmarshal object into Go value of type []Proxy")
    for entry in body or []:  # kinds are checked before missing fields
        proxy(entry, [])
    return [whole_proxy(entry, warnings, f" at proxy {number}") for number, entry in enumerate(body or [], 1)]


def toxic(body: Any, proxy_name: str, taken: set[str], seed: int, warnings: list[str]) -> tuple[Toxic, Lifetime | None]:
    """A toxic to create."""
    _refuse_empty_lifetime(body)
    given = wire.fields(body, _TOXIC, "ToxicWrapper", warnings, _ECHOED)
    stream = given.get("stream", DOWNSTREAM).lower()
    if stream not in (UPSTREAM, DOWNSTREAM):
        raise ApiError("stream was invalid, can be either upstream or downstream", 400)
    type_ = given.get("type", "")
    name = given.get("name") or f"{type_}_{given.get('stream', DOWNSTREAM)}"
    if type_ not in TOXICS:
        raise ApiError("invalid toxic type", 400)
    if name in taken:
        raise ApiError("toxic already exists", 409)
    kind = TOXICS[type_]
    defaults = {attribute.name: attribute.default for attribute in kind.attributes if not attribute.optional}
    values = _values(kind, given.get("attributes"), defaults, warnings)
    toxicity = _toxicity(given.get("toxicity", 1.0), warnings)
    own_seed = given.get("seed")
    choice = SeededChoice(seed if own_seed is None else own_seed, proxy_name, name)
    return Toxic(name, type_, stream, toxicity, values, choice, own_seed), lifetime(given)


def change(toxic: Toxic, body: Any, warnings: list[str]) -> tuple[dict[str, Any], float, Lifetime | None]:
    """The new attributes, toxicity and lifetime of a toxic."""
    _refuse_empty_lifetime(body)
    given = wire.fields(body, _TOXIC, "ToxicWrapper", warnings, _ECHOED)
    values = _values(TOXICS[toxic.type], given.get("attributes"), toxic.values, warnings)
    return values, _toxicity(given.get("toxicity", toxic.toxicity), warnings), lifetime(given)


def lease(body: Any, warnings: list[str]) -> tuple[str, int | None]:
    """Name and ttl of a lease."""
    given = wire.fields(body, {"name": str, "ttl": int}, "Lease", warnings, _ECHOED)
    return given.get("name", ""), _ttl(given)


def lifetime(given: dict[str, Any]) -> Lifetime | None:
    if "lease" in given and "ttl" in given:
        raise ApiError("ttl and lease exclude each other", 400)
    if "lease" in given or "ttl" in given:
        return Lifetime(_ttl(given), given.get("lease"))
    return None


def _refuse_empty_lifetime(body: Any) -> None:
    """Elsewhere null leaves the default. Here that would be for ever, for what its owner meant to end."""
    empty = {str(name).lower() for name, value in body.items() if value is None} if isinstance(body, dict) else set()
    for name in LIFETIME:
        if name in empty:
            raise bad_body(f"{name} must not be null; leave it out for what is to stay")


def _ttl(given: dict[str, Any]) -> int | None:
    ttl_ms: int | None = given.get("ttl")
    if ttl_ms is not None and not 1 <= ttl_ms <= _DAY_MS:
        raise bad_body(f"ttl must be from 1 to {_DAY_MS} milliseconds, not {str(ttl_ms)[:20]}")
    return ttl_ms


def _values(kind: type[Stage], given: Any, current: dict[str, Any], warnings: list[str]) -> dict[str, Any]:
    known: dict[str, type] = {attribute.name: object for attribute in kind.attributes}
    unknown: list[str] = []
    found = wire.fields(given, known, "attributes", unknown)
    warnings.extend(text.replace("unknown field", "unknown attribute", 1) for text in unknown)
    values = dict(current)
    try:
        for attribute in kind.attributes:
            if attribute.name in found:
                values[attribute.name] = attribute.read(attribute.name, found[attribute.name])
        kind.check(values)
    except ValueRefusedError as error:
        raise bad_body(str(error)) from None
    return values


def _toxicity(value: float, warnings: list[str]) -> float:
    if not 0 <= value <= 1:
        warnings.append(f"toxicity {value:g} is outside 0 to 1")
    return value
