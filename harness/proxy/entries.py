"""What a request body says of a proxy, a toxic or a lease: read, checked, and given defaults.

Errors carry Toxiproxy's statuses and words; what is unknown is ignored, as there, but told of in the warnings.
"""

from dataclasses import dataclass
from typing import Any

from harness.proxy import wire
from harness.proxy.chance import Chance
from harness.proxy.toxic import DOWNSTREAM, UPSTREAM, Toxic
from harness.proxy.toxics import TOXICS
from harness.proxy.toxics.stage import Stage, ValueRefusedError
from harness.proxy.wire import ApiError, bad_body

_CLAIM: dict[str, type] = {"ttl": int, "lease": str}
_PROXY: dict[str, type] = {"name": str, "listen": str, "upstream": str, "enabled": bool, "toxics": list, **_CLAIM}
_TOXIC: dict[str, type] = {"name": str, "type": str, "stream": str, "toxicity": float, "attributes": object, **_CLAIM}
# Fields of answers, ours and Toxiproxy's, that a client may send back: nothing to warn of.
_SHOWN = ("expires_in", "warnings", "Logger")
_DAY_MS = 86_400_000


@dataclass(frozen=True)
class Term:
    """For how long something is to last: a time of its own, or as long as a lease."""

    ttl_ms: int | None
    lease: str | None


def proxy(body: Any, warnings: list[str]) -> dict[str, Any]:
    return wire.fields(body, _PROXY, "Proxy", warnings, _SHOWN)


def whole_proxy(body: Any, warnings: list[str], where: str = "") -> dict[str, Any]:
    """The fields of a proxy that is to be made."""
    given = proxy(body, warnings)
    for name in ("name", "upstream"):
        if not given.get(name):
            raise ApiError(f"missing required field: {name}{where}", 400)
    return given


def populated(body: Any, warnings: list[str]) -> list[dict[str, Any]]:
    if body is not None and not isinstance(body, list):
        raise bad_body("json: cannot unmarshal object into Go value of type []Proxy")
    for entry in body or []:  # whether they are proxies at all is looked at before what is missing
        proxy(entry, [])
    return [whole_proxy(entry, warnings, f" at proxy {number}") for number, entry in enumerate(body or [], 1)]


def toxic(body: Any, proxy_name: str, taken: set[str], seed: int, warnings: list[str]) -> tuple[Toxic, Term | None]:
    """A toxic that is to be made."""
    given = wire.fields(body, _TOXIC, "ToxicWrapper", warnings, _SHOWN)
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
    defaults = {attribute.name: attribute.default for attribute in kind.attributes}
    values = _values(kind, given.get("attributes"), defaults, warnings)
    toxicity = _toxicity(given.get("toxicity", 1.0), warnings)
    made = Toxic(name, kind, type_, stream, toxicity, values, Chance(seed, proxy_name, name))
    return made, term(given)


def change(toxic: Toxic, body: Any, warnings: list[str]) -> tuple[dict[str, Any], float, Term | None]:
    """What a toxic's attributes and toxicity are to be."""
    given = wire.fields(body, _TOXIC, "ToxicWrapper", warnings, _SHOWN)
    values = _values(toxic.kind, given.get("attributes"), toxic.values, warnings)
    return values, _toxicity(given.get("toxicity", toxic.toxicity), warnings), term(given)


def lease(body: Any, warnings: list[str]) -> tuple[str, int | None]:
    """Name and ttl of a lease."""
    given = wire.fields(body, {"name": str, "ttl": int}, "Lease", warnings, _SHOWN)
    return given.get("name", ""), _ttl(given)


def term(given: dict[str, Any]) -> Term | None:
    if given.get("lease") and "ttl" in given:
        raise ApiError("ttl and lease exclude each other", 400)
    if given.get("lease") or "ttl" in given:
        return Term(_ttl(given), given.get("lease"))
    return None


def _ttl(given: dict[str, Any]) -> int | None:
    ttl_ms: int | None = given.get("ttl")
    if ttl_ms is not None and not 1 <= ttl_ms <= _DAY_MS:
        raise bad_body(f"ttl must be from 1 to {_DAY_MS} milliseconds, not {str(ttl_ms)[:20]}")
    return ttl_ms


def _values(kind: type[Stage], given: Any, current: dict[str, Any], warnings: list[str]) -> dict[str, Any]:
    known: dict[str, type] = {attribute.name: object for attribute in kind.attributes}
    strange: list[str] = []
    found = wire.fields(given, known, "attributes", strange)
    warnings.extend(text.replace("unknown field", "unknown attribute", 1) for text in strange)
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
