"""The proxies of a server and the operations of the API on them, without HTTP."""

from typing import Any, NamedTuple

from harness.proxy import entries
from harness.proxy.access import Upstreams
from harness.proxy.address import AddressError, LookupNeeded, Resolver, SocketAddress, as_text
from harness.proxy.dead_upstream import CLOSE
from harness.proxy.journal import ProxyJournal
from harness.proxy.leases import Expiry, Leases, Lifetime
from harness.proxy.loop import Loop
from harness.proxy.proxy import ListenError, Proxy
from harness.proxy.sockets import PipePool
from harness.proxy.toxic import Toxic
from harness.proxy.wire import ApiError

_RETRY_S = 0.5


class _NewToxic(NamedTuple):
    toxic: Toxic
    lifetime: Lifetime | None


class ProxyRegistry:
    """All proxies by name."""

    def __init__(self, loop: Loop, pipes: PipePool, resolver: Resolver, seed: int, upstreams: Upstreams) -> None:
        self.loop = loop
        self.upstreams = upstreams
        self.pipes = pipes
        self.resolver = resolver
        self.seed = seed
        self.proxies: dict[str, Proxy] = {}
        self.journal = ProxyJournal(seed)
        self.leases = Leases(loop, self.journal.record)

    # Proxies.

    def get(self, name: str) -> Proxy:
        if name not in self.proxies:
            raise ApiError("proxy not found", 404)
        return self.proxies[name]

    def create(self, body: Any, warnings: list[str]) -> Proxy:
        given = entries.whole_proxy(body, warnings)
        if given["name"] in self.proxies:
            raise ApiError("proxy already exists", 409)
        return self._create(given, warnings)

    def update(self, proxy: Proxy, body: Any, warnings: list[str]) -> None:
        given = entries.proxy(body, warnings)
        given.pop("toxics", None)  # clients send back what a response contained
        listen, upstream = given.get("listen", proxy.listen), given.get("upstream", proxy.upstream)
        enabled = given.get("enabled", proxy.enabled)
        self.upstreams.check(upstream)
        lifetime = self._lifetime(given)
        differs = self._differs(proxy, listen, upstream)
        addresses = self._resolve(listen) if enabled and (differs or not proxy.enabled) else []
        proxy.when_dead(given.get("dead_upstream", proxy.dead_upstream))
        if differs:
            proxy.stop()
            proxy.listen, proxy.upstream = listen, upstream
            self.journal.record("proxy_changed", proxy=proxy.name, listen=listen, upstream=upstream)
        if enabled and not proxy.enabled:
            self._start(proxy, addresses)
        elif proxy.enabled and not enabled:
            proxy.stop()
            self.journal.record("proxy_down", proxy=proxy.name)
        if proxy.enabled:
            self._cancel_down_expiry(proxy)
        if lifetime is not None:
            self._limit_proxy(proxy, lifetime)

    def delete(self, proxy: Proxy, reason: str = "requested") -> None:
        for toxic in list(proxy.toxics):
            self.remove_toxic(proxy, toxic, f"proxy deleted: {reason}")
        proxy.stop()
        for expiry in (proxy.expiry, proxy.down_expiry):
            if expiry is not None:
                expiry.cancel()
        del self.proxies[proxy.name]
        self.journal.record("proxy_deleted", proxy=proxy.name, why=reason)

    def populate(self, body: Any, warnings: list[str]) -> tuple[list[Proxy] | None, ApiError | None]:
        """The proxies in place afterwards (None if there are none), and the error that stopped the rest."""
        wanted = entries.populated(body, warnings)
        for given in wanted:  # names are looked up before anything is changed
            self._look_up(given.get("listen", ""))
        proxies: list[Proxy] = []
        for given in wanted:
            existing = self.proxies.get(given["name"])
            try:
                if existing is not None and not self._differs(existing, given.get("listen", ""), given["upstream"]):
                    existing.when_dead(given.get("dead_upstream", existing.dead_upstream))
                    proxies.append(existing)
                else:
                    proxies.append(self._create(given, warnings, existing))
            except ApiError as error:
                return proxies or None, error
        return proxies or None, None

    def reset(self) -> dict[str, str]:
        """Enable all proxies and remove all toxics; the errors, by proxy."""
        failed: dict[str, str] = {}
        for proxy in self.proxies.values():
            self._look_up(proxy.listen)
        for proxy in self.proxies.values():
            for toxic in list(proxy.toxics):
                self.remove_toxic(proxy, toxic, "reset")
            try:
                self._enable(proxy)
            except ApiError as error:
                failed[proxy.name] = error.message
        return failed

    def close(self) -> None:
        for proxy in self.proxies.values():
            proxy.stop()

    # Toxics.

    def toxic(self, proxy: Proxy, name: str) -> Toxic:
        toxic = proxy.toxic(name)
        if toxic is None:
            raise ApiError("toxic not found", 404)
        return toxic

    def add_toxic(self, proxy: Proxy, body: Any, warnings: list[str]) -> Toxic:
        taken = {toxic.name for toxic in proxy.toxics}
        new = _NewToxic(*entries.toxic(body, proxy.name, taken, self.seed, warnings))
        self._add_toxic(proxy, new)
        return new.toxic

    def change_toxic(self, proxy: Proxy, toxic: Toxic, body: Any, warnings: list[str]) -> None:
        values, toxicity, lifetime = entries.change(toxic, body, warnings)
        if lifetime is not None:
            self._limit_toxic(proxy, toxic, lifetime)
        toxic.values, toxic.toxicity = values, toxicity
        proxy.change(toxic)
        self.journal.record("toxic_changed", proxy=proxy.name, **toxic.as_json())

    def remove_toxic(self, proxy: Proxy, toxic: Toxic, reason: str = "requested") -> None:
        if toxic.expiry is not None:
            toxic.expiry.cancel()
        proxy.remove(toxic)
        self.journal.toxic_removed(proxy.name, toxic, reason)

    def _add_toxic(self, proxy: Proxy, new: _NewToxic) -> None:
        if new.lifetime is not None:
            self._limit_toxic(proxy, new.toxic, new.lifetime)
        proxy.add(new.toxic)
        self.journal.toxic_added(proxy.name, new.toxic)

    # Lifetimes.

    def _lifetime(self, given: dict[str, Any]) -> Lifetime | None:
        """The lifetime in a body; its lease must exist before anything is changed."""
        lifetime = entries.lifetime(given)
        if lifetime is not None and lifetime.lease is not None:
            self.leases.get(lifetime.lease)
        return lifetime

    def _limit_toxic(self, proxy: Proxy, toxic: Toxic, lifetime: Lifetime) -> None:
        name = f"{proxy.name}/{toxic.name}"
        expiry = Expiry(self.leases, lifetime, name, lambda reason: self.remove_toxic(proxy, toxic, reason))
        if toxic.expiry is not None:
            toxic.expiry.cancel()
        toxic.expiry = expiry

    def _limit_proxy(self, proxy: Proxy, lifetime: Lifetime) -> None:
        """A proxy that is enabled is deleted at the end of the lifetime; one that is disabled is enabled again."""
        if proxy.enabled:
            expiry = Expiry(self.leases, lifetime, proxy.name, lambda reason: self.delete(proxy, reason))
            if proxy.expiry is not None:
                proxy.expiry.cancel()
            proxy.expiry = expiry
        else:
            expiry = Expiry(self.leases, lifetime, f"{proxy.name} down", lambda _reason: self._enable_again(proxy))
            self._cancel_down_expiry(proxy)
            proxy.down_expiry = expiry

    def _cancel_down_expiry(self, proxy: Proxy) -> None:
        if proxy.down_expiry is not None:
            proxy.down_expiry.cancel()
            proxy.down_expiry = None

    def _enable_again(self, proxy: Proxy) -> None:
        """A downtime has expired. If the address is in use just now, keep trying: the proxy must not stay down."""
        proxy.down_expiry = None
        if self.proxies.get(proxy.name) is not proxy or proxy.enabled:
            return
        try:
            self._enable(proxy)
        except LookupNeeded as needed:
            self.resolver.look_up(needed.host, lambda: self._enable_again(proxy))
        except ApiError as error:
            self.journal.record("proxy_still_down", proxy=proxy.name, why=str(error))
            self.loop.after(_RETRY_S, lambda: self._enable_again(proxy))

    # Steps of the above.

    def _create(self, given: dict[str, Any], warnings: list[str], replaced: Proxy | None = None) -> Proxy:
        """Validate everything, then start the proxy in place of the one it replaces."""
        self.upstreams.check(given["upstream"])
        lifetime = self._lifetime(given)
        enabled = given.get("enabled", True)
        listen = given.get("listen", "")
        addresses = self._resolve(listen) if enabled else []
        proxy = Proxy(
            given["name"], listen, given["upstream"], self.loop, self.pipes, self.resolver, self.journal.record
        )
        proxy.when_dead(given.get("dead_upstream", CLOSE))
        toxics = self._new_toxics(proxy.name, given.get("toxics", []), warnings)
        if replaced is not None:
            replaced.stop()
        if enabled:
            self._start(proxy, addresses)
        if replaced is not None:
            self.delete(replaced, "replaced")
        self.proxies[proxy.name] = proxy
        self.journal.record("proxy_created", proxy=proxy.name, listen=proxy.listen, upstream=proxy.upstream)
        for new in toxics:
            self._add_toxic(proxy, new)
        if lifetime is not None:
            proxy.expiry = Expiry(self.leases, lifetime, proxy.name, lambda reason: self.delete(proxy, reason))
        return proxy

    def _new_toxics(self, proxy_name: str, bodies: list[Any], warnings: list[str]) -> list[_NewToxic]:
        new: list[_NewToxic] = []
        for body in bodies:
            taken = {one.toxic.name for one in new}
            new.append(_NewToxic(*entries.toxic(body, proxy_name, taken, self.seed, warnings)))
            lifetime = new[-1].lifetime
            if lifetime is not None and lifetime.lease is not None:
                self.leases.get(lifetime.lease)
        return new

    def _enable(self, proxy: Proxy) -> None:
        if not proxy.enabled:
            self._start(proxy, self._resolve(proxy.listen))
        self._cancel_down_expiry(proxy)

    def _start(self, proxy: Proxy, addresses: list[SocketAddress]) -> None:
        try:
            proxy.start(addresses)
        except ListenError as error:
            raise ApiError(str(error), 500) from None
        self.journal.record("proxy_up", proxy=proxy.name, listen=proxy.listen)

    def _resolve(self, address: str) -> list[SocketAddress]:
        try:
            return self.resolver.resolve(address)
        except AddressError as error:
            raise ApiError(f"listen tcp: {error}", 500) from None

    def _look_up(self, address: str) -> None:
        """Make sure that a name has been looked up; whether it exists does not matter yet."""
        try:
            self.resolver.resolve(address)
        except AddressError:
            return

    def _differs(self, proxy: Proxy, listen: str, upstream: str) -> bool:
        if listen == proxy.listen and proxy.enabled:
            return upstream != proxy.upstream
        try:
            return as_text(self.resolver.resolve(listen)[0][1]) != proxy.listen or upstream != proxy.upstream
        except AddressError as error:
            raise ApiError(str(error), 500) from None
