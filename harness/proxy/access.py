"""Who may use the API, and where proxies may lead: a token, a check against browsers, and a list of upstreams.

A toxic can cut any link, and a proxy can reach whatever its machine reaches; so both are limited where the API is open
to others than its owner. On the loopback a plain Toxiproxy client needs nothing, but a page in a browser there must not
get through: its requests name a foreign origin, or a host name that somebody else's DNS leads here.
"""

import ipaddress
from _operator import _compare_digest  # the same as hmac's, without loading OpenSSL
from collections.abc import Iterable

from harness.proxy.address import AddressError, port_number, split
from harness.proxy.httpd import HttpRequest
from harness.proxy.wire import ApiError

TOKEN = "HARNESS_PROXY_TOKEN"
SHORTEST_TOKEN = 16
_SAME_SITE = ("", "none", "same-origin")


class AccessError(ValueError):
    """A token, host name or upstream that cannot be meant."""


class Access:
    """The rules of one server. Its token is never printed."""

    __slots__ = ("_expected", "_hosts")

    def __init__(self, token: str | None = None, hosts: Iterable[str] = ()) -> None:
        """`hosts`: names of this server besides `localhost`, which requests without a token may use.

        Raises AccessError for a token that protects nothing, or that no header can hold.
        """
        if token is not None and (len(token) < SHORTEST_TOKEN or not all("!" <= sign <= "~" for sign in token)):
            raise AccessError(f"{TOKEN} must have at least {SHORTEST_TOKEN} visible ASCII characters, without spaces")
        self._expected = None if token is None else f"Bearer {token}".encode()
        self._hosts = frozenset(("localhost", *(name.lower() for name in hosts)))

    def check(self, request: HttpRequest) -> None:
        """Raise ApiError for a request that must not be answered."""
        headers = request.headers
        origin = headers.get("origin")
        if origin is not None and origin.lower() != f"http://{headers.get('host', '')}".lower():
            raise ApiError("requests of pages of other origins are refused", 403)
        if headers.get("sec-fetch-site", "").lower() not in _SAME_SITE:
            raise ApiError("requests of pages of other sites are refused", 403)
        if self._expected is None:
            self._check_host(headers.get("host", ""))
            return
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = f"{scheme.capitalize()} {token.strip()}"
        if not _compare_digest(given.encode("latin-1", "replace"), self._expected):
            raise ApiError("the token is missing or wrong: send `Authorization: Bearer TOKEN`", 401)

    def _check_host(self, given: str) -> None:
        """Names are what DNS can be made to lead here; an address is what a client itself has chosen."""
        if not given:
            return
        try:
            host = split(given)[0] if _has_port(given) else given
        except AddressError:
            host = given
        name = host.strip("[]").lower().removesuffix(".")
        if name not in self._hosts and not _is_address(name):
            message = f"the host name {name[:80]!r} is refused: use the address, or start the proxy with --allow-host"
            raise ApiError(message, 403)


def _has_port(given: str) -> bool:
    return ":" in given and not given.endswith("]")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


class Upstreams:
    """The upstreams that proxies may lead to; without a list, all."""

    __slots__ = ("_allowed", "_shown")

    def __init__(self, allowed: Iterable[str] | None = None) -> None:
        """Raises AccessError for an entry that is not `host:port`."""
        self._allowed: frozenset[tuple[str, int]] | None = None
        self._shown = ""
        if allowed is not None:
            entries = list(allowed)
            places = {_place(entry): entry for entry in entries}
            if None in places:
                raise AccessError(f"the allowed upstream {places[None]!r} is not host:port")
            self._allowed = frozenset(place for place in places if place is not None)
            self._shown = ", ".join(entries) or "none"

    def check(self, upstream: str) -> None:
        """Raise ApiError for one that is not on the list."""
        if self._allowed is not None and _place(upstream) not in self._allowed:
            raise ApiError(f"the upstream {upstream[:80]!r} is not allowed; allowed: {self._shown}", 403)


def _place(address: str) -> tuple[str, int] | None:
    """An address in one way of writing; None where it is none."""
    try:
        host, port = split(address)
        number = port_number(port)
    except AddressError:
        return None
    return (host.lower(), number) if host and number else None
