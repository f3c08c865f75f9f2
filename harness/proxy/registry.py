"""The proxies of a server and what may be done to them: the verbs of the API, free of HTTP."""

from typing import Any

from harness.proxy import wire
from harness.proxy.address import AddressError, NotYetKnown, Resolver, shown
from harness.proxy.chance import Chance
from harness.proxy.loop import Loop
from harness.proxy.pipes import PipePool
from harness.proxy.proxy import ListenError, Proxy
from harness.proxy.toxic import DOWNSTREAM, UPSTREAM, Toxic
from harness.proxy.toxics import TOXICS
from harness.proxy.toxics.stage import ValueRefusedError, Stage
from harness.proxy.wire import ApiError, bad_body

_PROXY_FIELDS: dict[str, type] = {
    "name": str, "listen": str, "upstream": str, "enabled": bool, "toxics": object,
}  # fmt: skip
_TOXIC_FIELDS: dict[str, type] = {
    "name": str, "type": str, "stream": str, "toxicity": float, "attributes": object,
}  # fmt: skip


class Registry:
    """All proxies by name."""

    def __init__(self, loop: Loop, pipes: PipePool, resolver: Resolver, seed: int) -> None:
        self.loop = loop
        self.pipes = pipes
        self.resolver = resolver
        self.seed = seed
        self.proxies: dict[str, Proxy] = {}

    def get(self, name: str) -> Proxy:
        if name not in self.proxies:
            raise ApiError("proxy not found", 404)
        return self.proxies[name]

    def create(self, body: Any, warnings: list[str]) -> Proxy:
        given = wire.fields(body, _PROXY_FIELDS, "Proxy", warnings)
        for name in ("name", "upstream"):
            if not given.get(name):
                raise ApiError(f"missing required field: {name}", 400)
        if given["name"] in self.proxies:
            raise ApiError("proxy already exists", 409)
        enabled = given.get("enabled", True)
        if enabled:
            self._resolved(given.get("listen", ""))
        proxy = self._new(given, warnings)
        if enabled:
            self._start(proxy)
        self.proxies[proxy.name] = proxy
        return proxy

    def update(self, proxy: Proxy, body: Any, warnings: list[str]) -> None:
        given = wire.fields(body, _PROXY_FIELDS, "Proxy", warnings)
        listen, upstream = given.get("listen", proxy.listen), given.get("upstream", proxy.upstream)
        enabled = given.get("enabled", proxy.enabled)
        if self._differs(proxy, listen, upstream):
            proxy.stop()
            proxy.listen, proxy.upstream = listen, upstream
        if enabled and not proxy.enabled:
            self._start(proxy)
        elif proxy.enabled and not enabled:
            proxy.stop()

    def delete(self, proxy: Proxy) -> None:
        proxy.stop()
        del self.proxies[proxy.name]

    def populate(self, body: Any, warnings: list[str]) -> tuple[list[Proxy] | None, ApiError | None]:
        """The proxies that stand afterwards, and what stopped the rest; None when nothing was begun."""
        if body is not None and not isinstance(body, list):
            raise bad_body("json: cannot unmarshal object into Go value of type []Proxy")
        entries = [wire.fields(entry, _PROXY_FIELDS, "Proxy", warnings) for entry in body or []]
        for number, given in enumerate(entries, 1):
            for name in ("name", "upstream"):
                if not given.get(name):
                    raise ApiError(f"missing required field: {name} at proxy {number}", 400)
        for given in entries:  # names are looked up before anything is changed
            self._known_or_broken(given.get("listen", ""))
        proxies: list[Proxy] = []
        for given in entries:
            try:
                proxies.append(self._add_or_replace(given, warnings))
            except ApiError as error:
                return proxies, error
        return proxies or None, None

    def reset(self) -> dict[str, str]:
        """Enable all and remove all toxics; what could not be done, by proxy."""
        failed: dict[str, str] = {}
        for proxy in self.proxies.values():
            self._known_or_broken(proxy.listen)
        for proxy in self.proxies.values():
            for toxic in list(proxy.toxics):
                proxy.remove(toxic)
            if not proxy.enabled:
                try:
                    self._start(proxy)
                except ApiError as error:
                    failed[proxy.name] = error.message
        return failed

    # Toxics.

    def toxic(self, proxy: Proxy, name: str) -> Toxic:
        toxic = proxy.toxic(name)
        if toxic is None:
            raise ApiError("toxic not found", 404)
        return toxic

    def add_toxic(self, proxy: Proxy, body: Any, warnings: list[str]) -> Toxic:
        toxic = self._new_toxic(proxy, body, warnings)
        proxy.add(toxic)
        return toxic

    def change_toxic(self, proxy: Proxy, toxic: Toxic, body: Any, warnings: list[str]) -> None:
        given = wire.fields(body, _TOXIC_FIELDS, "ToxicWrapper", warnings)
        values = _values(toxic.kind, given.get("attributes"), toxic.values, warnings)
        toxic.values = values
        toxic.toxicity = _toxicity(given.get("toxicity", toxic.toxicity), warnings)
        proxy.change(toxic)

    def remove_toxic(self, proxy: Proxy, toxic: Toxic) -> None:
        proxy.remove(toxic)

    def close(self) -> None:
        for proxy in self.proxies.values():
            proxy.stop()

    # Steps of the above.

    def _new(self, given: dict[str, Any], warnings: list[str]) -> Proxy:
        proxy = Proxy(given["name"], given.get("listen", ""), given["upstream"], self.loop, self.pipes, self.resolver)
        toxics = given.get("toxics") or []
        if not isinstance(toxics, list):
            raise bad_body("json: cannot unmarshal value into Go struct field Proxy.toxics of type []Toxic")
        for entry in toxics:
            proxy.add(self._new_toxic(proxy, entry, warnings))
        return proxy

    def _new_toxic(self, proxy: Proxy, body: Any, warnings: list[str]) -> Toxic:
        given = wire.fields(body, _TOXIC_FIELDS, "ToxicWrapper", warnings)
        stream = given.get("stream", DOWNSTREAM).lower()
        if stream not in (UPSTREAM, DOWNSTREAM):
            raise ApiError("stream was invalid, can be either upstream or downstream", 400)
        type_ = given.get("type", "")
        if type_ not in TOXICS:
            raise ApiError("invalid toxic type", 400)
        name = given.get("name") or f"{type_}_{stream}"
        if proxy.toxic(name) is not None:
            raise ApiError("toxic already exists", 409)
        kind = TOXICS[type_]
        defaults = {attribute.name: attribute.default for attribute in kind.attributes}
        values = _values(kind, given.get("attributes"), defaults, warnings)
        toxicity = _toxicity(given.get("toxicity", 1.0), warnings)
        return Toxic(name, kind, type_, stream, toxicity, values, Chance(self.seed, proxy.name, name))

    def _add_or_replace(self, given: dict[str, Any], warnings: list[str]) -> Proxy:
        existing = self.proxies.get(given["name"])
        if existing is not None:
            if not self._differs(existing, given.get("listen", ""), given["upstream"]):
                return existing
        proxy = self._new(given, warnings)
        if existing is not None:
            existing.stop()
        if given.get("enabled", True):
            self._start(proxy)
        self.proxies[proxy.name] = proxy
        return proxy

    def _start(self, proxy: Proxy) -> None:
        try:
            proxy.start(self._resolved(proxy.listen))
        except ListenError as error:
            raise ApiError(str(error), 500) from None

    def _resolved(self, address: str) -> list[Any]:
        try:
            return self.resolver.known(address)
        except AddressError as error:
            raise ApiError(f"listen tcp: {error}", 500) from None

    def _known_or_broken(self, address: str) -> None:
        """Make sure that a name has been looked up; whether it is anywhere does not matter yet."""
        try:
            self.resolver.known(address)
        except AddressError:
            return

    def _differs(self, proxy: Proxy, listen: str, upstream: str) -> bool:
        if upstream != proxy.upstream:
            return True
        if listen == proxy.listen:
            return False
        try:
            return shown(self.resolver.known(listen)[0][1]) != proxy.listen
        except AddressError as error:
            raise ApiError(str(error), 500) from None


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


__all__ = ["NotYetKnown", "Registry"]
