"""The proxies of a server and what may be done to them: the verbs of the API, free of HTTP."""

from typing import Any

from harness.proxy import entries
from harness.proxy.address import AddressError, NotYetKnown, Place, Resolver, shown
from harness.proxy.entries import Term
from harness.proxy.journal import EventFile
from harness.proxy.leases import Claim, Leases
from harness.proxy.loop import Loop
from harness.proxy.pipes import PipePool
from harness.proxy.proxy import ListenError, Proxy
from harness.proxy.toxic import Toxic
from harness.proxy.wire import ApiError

_TRY_AGAIN_S = 0.5


class Registry:
    """All proxies by name."""

    def __init__(self, loop: Loop, pipes: PipePool, resolver: Resolver, seed: int) -> None:
        self.loop = loop
        self.pipes = pipes
        self.resolver = resolver
        self.seed = seed
        self.proxies: dict[str, Proxy] = {}
        self.journal = EventFile(seed)
        self.leases = Leases(loop, self.journal.note)

    # Proxies.

    def get(self, name: str) -> Proxy:
        if name not in self.proxies:
            raise ApiError("proxy not found", 404)
        return self.proxies[name]

    def create(self, body: Any, warnings: list[str]) -> Proxy:
        given = entries.whole_proxy(body, warnings)
        if given["name"] in self.proxies:
            raise ApiError("proxy already exists", 409)
        return self._make(given, warnings)

    def update(self, proxy: Proxy, body: Any, warnings: list[str]) -> None:
        given = entries.proxy(body, warnings)
        given.pop("toxics", None)  # clients send back what they were shown
        listen, upstream = given.get("listen", proxy.listen), given.get("upstream", proxy.upstream)
        enabled = given.get("enabled", proxy.enabled)
        term = self._term(given)
        differs = self._differs(proxy, listen, upstream)
        places = self._resolved(listen) if enabled and (differs or not proxy.enabled) else []
        if differs:
            proxy.stop()
            proxy.listen, proxy.upstream = listen, upstream
            self.journal.note("proxy_changed", proxy=proxy.name, listen=listen, upstream=upstream)
        if enabled and not proxy.enabled:
            self._start(proxy, places)
        elif proxy.enabled and not enabled:
            proxy.stop()
            self.journal.note("proxy_down", proxy=proxy.name)
        if proxy.enabled and proxy.down_claim is not None:
            proxy.down_claim.drop()
            proxy.down_claim = None
        if term is not None:
            self._claim_proxy(proxy, term)

    def delete(self, proxy: Proxy, why: str = "asked") -> None:
        for toxic in list(proxy.toxics):
            self.remove_toxic(proxy, toxic, f"proxy deleted: {why}")
        proxy.stop()
        for claim in (proxy.claim, proxy.down_claim):
            if claim is not None:
                claim.drop()
        del self.proxies[proxy.name]
        self.journal.note("proxy_deleted", proxy=proxy.name, why=why)

    def populate(self, body: Any, warnings: list[str]) -> tuple[list[Proxy] | None, ApiError | None]:
        """The proxies that stand afterwards, and what stopped the rest; None when there are none."""
        wanted = entries.populated(body, warnings)
        for given in wanted:  # names are looked up before anything is changed
            self._look_up(given.get("listen", ""))
        proxies: list[Proxy] = []
        for given in wanted:
            existing = self.proxies.get(given["name"])
            try:
                if existing is not None and not self._differs(existing, given.get("listen", ""), given["upstream"]):
                    proxies.append(existing)
                else:
                    proxies.append(self._make(given, warnings, existing))
            except ApiError as error:
                return proxies or None, error
        return proxies or None, None

    def reset(self) -> dict[str, str]:
        """Enable all and remove all toxics; what could not be done, by proxy."""
        failed: dict[str, str] = {}
        for proxy in self.proxies.values():
            self._look_up(proxy.listen)
        for proxy in self.proxies.values():
            for toxic in list(proxy.toxics):
                self.remove_toxic(proxy, toxic, "reset")
            try:
                self._bring_up(proxy)
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
        toxic, term = entries.toxic(body, proxy.name, taken, self.seed, warnings)
        if term is not None:
            self._claim_toxic(proxy, toxic, term)
        proxy.add(toxic)
        self.journal.toxic_added(proxy.name, toxic)
        return toxic

    def change_toxic(self, proxy: Proxy, toxic: Toxic, body: Any, warnings: list[str]) -> None:
        values, toxicity, term = entries.change(toxic, body, warnings)
        if term is not None:
            self._claim_toxic(proxy, toxic, term)
        toxic.values, toxic.toxicity = values, toxicity
        proxy.change(toxic)
        self.journal.note("toxic_changed", proxy=proxy.name, **toxic.shown())

    def remove_toxic(self, proxy: Proxy, toxic: Toxic, why: str = "asked") -> None:
        if toxic.claim is not None:
            toxic.claim.drop()
        proxy.remove(toxic)
        self.journal.toxic_removed(proxy.name, toxic, why)

    # Claims.

    def _term(self, given: dict[str, Any]) -> Term | None:
        """The term a body asks for; its lease must exist before anything is changed."""
        term = entries.term(given)
        if term is not None and term.lease:
            self.leases.get(term.lease)
        return term

    def _claim_toxic(self, proxy: Proxy, toxic: Toxic, term: Term) -> None:
        claim = Claim(self.leases, term, f"{proxy.name}/{toxic.name}", lambda why: self.remove_toxic(proxy, toxic, why))
        if toxic.claim is not None:
            toxic.claim.drop()
        toxic.claim = claim

    def _claim_proxy(self, proxy: Proxy, term: Term) -> None:
        """Of a proxy that is up it is the proxy that lasts so long; of one that is down, its being down."""
        if proxy.enabled:
            claim = Claim(self.leases, term, proxy.name, lambda why: self.delete(proxy, why))
            if proxy.claim is not None:
                proxy.claim.drop()
            proxy.claim = claim
        else:
            claim = Claim(self.leases, term, f"{proxy.name} down", lambda why: self._up_again(proxy, why))
            if proxy.down_claim is not None:
                proxy.down_claim.drop()
            proxy.down_claim = claim

    def _up_again(self, proxy: Proxy, why: str) -> None:
        """A down has run out. If its address is taken just now, keep trying: it must not stay down."""
        proxy.down_claim = None
        if self.proxies.get(proxy.name) is not proxy or proxy.enabled:
            return
        try:
            self._bring_up(proxy)
        except NotYetKnown as name:
            self.resolver.ask(name.host, lambda: self._up_again(proxy, why))
        except ApiError as error:
            self.journal.note("proxy_still_down", proxy=proxy.name, why=str(error))
            self.loop.after(_TRY_AGAIN_S, lambda: self._up_again(proxy, why))

    # Steps of the above.

    def _make(self, given: dict[str, Any], warnings: list[str], replaced: Proxy | None = None) -> Proxy:
        term = self._term(given)
        enabled = given.get("enabled", True)
        listen = given.get("listen", "")
        places = self._resolved(listen) if enabled else []
        proxy = Proxy(given["name"], listen, given["upstream"], self.loop, self.pipes, self.resolver)
        taken: set[str] = set()
        toxics = []
        for entry in given.get("toxics", []):
            toxic, toxic_term = entries.toxic(entry, proxy.name, taken, self.seed, warnings)
            if toxic_term is not None and toxic_term.lease:
                self.leases.get(toxic_term.lease)
            taken.add(toxic.name)
            toxics.append((toxic, toxic_term))
        if replaced is not None:
            replaced.stop()
        if enabled:
            self._start(proxy, places)
        if replaced is not None:
            self.delete(replaced, "replaced")
        self.proxies[proxy.name] = proxy
        self.journal.note("proxy_created", proxy=proxy.name, listen=proxy.listen, upstream=proxy.upstream)
        for toxic, toxic_term in toxics:
            if toxic_term is not None:
                self._claim_toxic(proxy, toxic, toxic_term)
            proxy.add(toxic)
            self.journal.toxic_added(proxy.name, toxic)
        if term is not None:
            proxy.claim = Claim(self.leases, term, proxy.name, lambda why: self.delete(proxy, why))
        return proxy

    def _bring_up(self, proxy: Proxy) -> None:
        if not proxy.enabled:
            self._start(proxy, self._resolved(proxy.listen))
        if proxy.down_claim is not None:
            proxy.down_claim.drop()
            proxy.down_claim = None

    def _start(self, proxy: Proxy, places: list[Place]) -> None:
        try:
            proxy.start(places)
        except ListenError as error:
            raise ApiError(str(error), 500) from None
        self.journal.note("proxy_up", proxy=proxy.name, listen=proxy.listen)

    def _resolved(self, address: str) -> list[Place]:
        try:
            return self.resolver.known(address)
        except AddressError as error:
            raise ApiError(f"listen tcp: {error}", 500) from None

    def _look_up(self, address: str) -> None:
        """Make sure that a name has been looked up; whether it is anywhere does not matter yet."""
        try:
            self.resolver.known(address)
        except AddressError:
            return

    def _differs(self, proxy: Proxy, listen: str, upstream: str) -> bool:
        if listen == proxy.listen and proxy.enabled:
            return upstream != proxy.upstream
        try:
            return shown(self.resolver.known(listen)[0][1]) != proxy.listen or upstream != proxy.upstream
        except AddressError as error:
            raise ApiError(str(error), 500) from None
