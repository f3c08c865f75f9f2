"""What faults on links share: which links a target means, the toxics put on them, and the proof by exchanges.

`LinkFault` is to faults on links what `ContainerFault` is to faults on containers: a subclass names its toxics and says
what an exchange over a link must look like. A toxic's name holds the fault's id, so that those of others are never
touched.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.faults.link_traffic import LinkTraffic, asked
from harness.model.errors import FaultError
from harness.model.fault import NO_TRAFFIC, Confirmation
from harness.model.faultstep import FaultStep, Target
from harness.model.fields import Link
from harness.seams import Seams
from harness.seams.greetings import greeting, request_of
from harness.seams.toxiproxy import ProxyApi, ProxyAwayError, ToxicSpec, unknown_link

if TYPE_CHECKING:
    from harness.seams.link import Exchange, LinkHandle, Outcome

LINK_TARGETS = ("link", "links", "service")
BACK_WITHIN_S, AGAIN_S = 4.0, 0.1
"""How long a revert waits for a proxy that is being started again: less than the runner gives to a revert."""
LONGEST_S = 6.0
"""How long one exchange may take: less than the runner gives to a whole confirmation."""

DOES: dict[Outcome, str] = {
    "answered": "answers",
    "refused": "refuses connections",
    "reset": "resets connections",
    "closed": "closes connections without an answer",
    "silent": "stays silent",
}
"""How an exchange ended, as what the other side does."""


def links_of(target: Target, seams: Seams) -> tuple[str, ...]:
    """Return the names of the planned links that a target means: those named, or all that lead to a service."""
    if target.link_names:
        return target.link_names
    to_service = tuple(name for name in seams.backend.links if Link.parse(name).service == target.service)
    if not to_service:
        raise FaultError(f"no planned link is meant by the target {target}")
    return to_service


class LinkFault:
    """A fault on links: toxics on every port of each of them.

    Confirmed by an exchange over each port and one directly beside it, and by traffic of the consumers that met it.
    """

    def __init__(self, step: FaultStep, seams: Seams, toxics: Sequence[ToxicSpec], timeout_s: float) -> None:
        """`timeout_s`: how long an exchange must be waited for to tell the fault from silence."""
        self.toxics = Toxics(seams, links_of(step.target, seams), tuple(toxics))
        self.timeout_s = min(timeout_s, LONGEST_S)
        self._seams = seams
        self._service = step.target.service
        self._traffic = LinkTraffic(self.toxics.links)
        self._mute: set[str] = set()

    def judge(self, through: Exchange, direct: Exchange) -> tuple[bool | None, str]:
        """Return whether an exchange over a link shows the fault (None: it cannot tell), and why not.

        `direct` was answered; where it was not, this is never called.
        """
        raise NotImplementedError

    def expected(self) -> dict[str, Any]:
        """Return, as evidence, what is expected of an exchange."""
        return {}

    async def prepare(self) -> dict[str, Any]:
        """Take the lease. The toxics' names are all that there is to undo."""
        await self.toxics.ready()
        await self._traffic.begin()  # so that a proxy that does not count is found before anything is put in
        return {"links": [link.name for link in self.toxics.links]}

    async def inject(self) -> None:
        """Put the toxics on."""
        await self.toxics.on()
        await self._traffic.begin()

    async def confirm(self) -> Confirmation:
        """Ask the proxy for the toxics and the traffic, and make an exchange over each port and beside it."""
        missing = await self.toxics.missing()
        if missing:
            return Confirmation(False, {"why": "toxics are not on", "toxics_missing": missing})
        direct = await exchanges(self._asked(), self._seams, self.timeout_s, direct=True)
        # What is spoken on a further port is not known: one that has no answer to a greeting shows nothing by one.
        self._mute |= {link.name for link in self._asked() if direct[link.name].outcome != "answered"} - self._main
        for link in self._asked():
            self._traffic.add_own(link, request_to(link, self._seams))
        through = await exchanges(self._asked(), self._seams, self.timeout_s)
        evidence = self.expected() | {
            "through": {name: found.outcome for name, found in through.items()},
            "through_ms": _milliseconds(through),
            "direct_ms": _milliseconds(direct),
        }
        verdicts: list[bool | None] = []
        for name in through:
            beside = direct[name]
            if beside.outcome != "answered":
                why = f"{name}: the service itself does not answer, it {DOES[beside.outcome]}"
                return Confirmation(None, evidence | {"why": why})
            landed, why = self.judge(through[name], beside)
            verdicts.append(landed)
            if not landed and "why" not in evidence:
                evidence["why"] = f"{name}: {why}"
        if False in verdicts or None in verdicts:
            return Confirmation(False if False in verdicts else None, evidence)
        sent = await self._traffic.sent()
        evidence["consumer_bytes"] = sent
        why_not = self._not_met(sent)
        return Confirmation(why_not is None, evidence if why_not is None else evidence | {"why": why_not})

    @property
    def _main(self) -> set[str]:
        return {link.name for link in self.toxics.links if link.is_main}

    def _asked(self) -> list[LinkHandle]:
        """Return the ports over which exchanges are made."""
        return [link for link in self.toxics.links if link.name not in self._mute]

    def _not_met(self, sent: Mapping[str, int]) -> str | None:
        """Return whose traffic has not met the fault: that of each link that was named, or all to a service."""
        unused = self._traffic.unused(sent)
        if self._service is not None and len(unused) < len({link.link for link in self.toxics.links}):
            return None
        consumers = dict.fromkeys(Link.parse(name).consumer for name in unused)
        return f"{NO_TRAFFIC} {' or '.join(map(repr, consumers))} met it" if unused else None

    async def revert(self, undo: dict[str, Any]) -> None:
        """Take the toxics off."""
        await self.toxics.off()

    async def absent(self) -> Confirmation:
        """Ask the proxy which of ours are still on."""
        left = await self.toxics.still_on()
        return Confirmation(bool(left), {"toxics_left": left})

    def manifest(self) -> list[dict[str, Any]]:
        """A fault on links changes no rows."""
        return []


class Toxics:
    """The same toxics on every port of several links."""

    def __init__(self, seams: Seams, links: tuple[str, ...], toxics: tuple[ToxicSpec, ...]) -> None:
        self.links: list[LinkHandle] = [port for name in links for port in seams.link(name)]
        self._toxics = toxics
        self._seams = seams
        self._leases: dict[str, str | None] = {}

    async def ready(self) -> None:
        """Take this run's lease on each proxy server, so that no toxic outlives a run that is killed."""
        for url, api in sorted({link.api.url: link.api for link in self.links}.items()):
            self._leases[url] = await self._seams.lease(api)

    async def on(self) -> None:
        """Put them on all links; every link is tried, and the first error is raised at the end."""
        await _each(
            [
                partial(link.api.add_toxic, link.proxy_name, toxic, self._leases.get(link.api.url), self._seams.seed)
                for link in self.links
                for toxic in self._toxics
            ]
        )

    async def off(self) -> None:
        """Take them off all links; every link is tried, and the first error is raised at the end.

        A proxy that is being started again is waited for.
        """
        until_s = time.monotonic() + BACK_WITHIN_S
        await _each(
            [
                partial(_patiently, partial(link.api.remove_toxic, link.proxy_name, toxic.name), until_s)
                for link in self.links
                for toxic in self._toxics
            ]
        )

    async def missing(self) -> list[str]:
        """Return `link: toxic` for each of ours that is not on, though it should be.

        A proxy that was restarted has none of them, and one that has lost a link none of that link's.
        """
        on = set(_named(await self._found()))
        return [name for link in self.links for t in self._toxics if (name := f"{link.name}: {t.name}") not in on]

    async def still_on(self) -> list[str]:
        """Return `link: toxic` for each of ours that is on. Raises FaultError for a link that the proxy has lost."""
        found = await self._found()
        for link, toxics in found.items():
            if toxics is None:
                raise unknown_link(link)
        return _named(found)

    async def _found(self) -> dict[str, list[str] | None]:
        """Return which of ours are on each link; None for a link that its proxy does not know."""
        names = {toxic.name for toxic in self._toxics}
        nothing: list[str] | None = None
        found = await asked(self.links, ProxyApi.toxics, nothing)
        return {link: None if on is None else [one for one in on if one in names] for link, on in found.items()}


def _named(found: Mapping[str, Sequence[str] | None]) -> list[str]:
    return [f"{link}: {toxic}" for link, toxics in found.items() for toxic in toxics or ()]


async def _each(calls: Sequence[Callable[[], None]]) -> None:
    """Make every call, one after the other in one thread, before the first error is raised.

    A thread for each would be no quicker: they would take turns with one another, and the run's own clock would wait.
    """
    import asyncio

    def make() -> FaultError | None:
        first = None
        for call in calls:
            try:
                call()
            except FaultError as error:
                first = first or error
        return first

    error = await asyncio.to_thread(make)
    if error is not None:
        raise error


def _patiently(call: Callable[[], None], until_s: float) -> None:
    """Make a call again while nothing answers it, but not after a moment of the monotonic clock."""
    while True:
        try:
            return call()
        except ProxyAwayError:
            if time.monotonic() > until_s:
                raise
        time.sleep(AGAIN_S)


async def exchanges(
    links: Sequence[LinkHandle], seams: Seams, timeout_s: float, direct: bool = False
) -> dict[str, Exchange]:
    """Make one exchange over each port of links, or beside it, all at once."""
    import asyncio

    async def one(link: LinkHandle) -> Exchange:
        return await link.exchange(request_to(link, seams), timeout_s, direct)

    found = await asyncio.gather(*(one(link) for link in links))
    return {link.name: exchange for link, exchange in zip(links, found, strict=True)}


def request_to(link: LinkHandle, seams: Seams) -> bytes:
    """Return what an exchange over a port sends: the health page and the roles are the main port's."""
    service = seams.service(link.link.service)
    return request_of(service, link.port) if link.is_main else greeting(link.port, None)


def _milliseconds(found: dict[str, Exchange]) -> dict[str, float | None]:
    """Return how long each answer took; None where there was none."""
    return {
        name: round(exchange.time_s * 1e3, 1) if exchange.outcome == "answered" else None
        for name, exchange in found.items()
    }
