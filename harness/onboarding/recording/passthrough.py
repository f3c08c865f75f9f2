"""A pass-through in front of a service, which records what is asked and answered.

Everything is passed on as it comes, streams too. What is recorded of a body is bounded, and needs no more than a copy.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
from multidict import CIMultiDict

from harness.model.errors import BackendError, ScenarioError
from harness.onboarding.recording.bodies import MOST_BYTES, answer_of, body_of
from harness.onboarding.recording.exchange import RecordedExchange
from harness.probes.http import request_body

if TYPE_CHECKING:
    from aiohttp import web

LARGEST_BYTES = 2**28
"""The longest body of a request that is passed on."""
ANSWER_S = 300.0
GRACE_S = 5.0
"""How long requests that are on their way at the end may take."""
CLOSING_S = 0.5
"""How long connections without a request may take to close; it passes more than once."""
AGAIN_S = 10.0
MOST_AGAIN = 200
"""How many requests are asked again at the most."""
_HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "content-length")
)
"""Headers that are about one connection (RFC 9110, 7.6.1), and those that are made anew."""


class PassThrough:
    """Passes requests on to a service, and keeps them with their answers."""

    def __init__(self, url: str, on_exchange: Callable[[int], None]) -> None:
        """`url` is the service's; `on_exchange` is called with how many were recorded. Raises ScenarioError."""
        remedy = "give the address of the service, such as http://127.0.0.1:8080"
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError as error:
            raise ScenarioError(f"{url!r} is not an address: {error}", field="URL", remedy=remedy) from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ScenarioError(f"{url!r} is not an address of HTTP", field="URL", remedy=remedy)
        if parts.username is not None:
            remedy = (
                "let the client send it; --keep-header and the workload's `headers` are for what each request needs"
            )
            raise ScenarioError("a login in the address would be written down", field="URL", remedy=remedy)
        if parts.path.strip("/") or parts.query:
            message = f"{url!r} has a path: requests keep their own"
            raise ScenarioError(message, field="URL", remedy=f"give {parts.scheme}://{parts.netloc}")
        self.upstream = f"{parts.scheme}://{parts.netloc}"
        self.exchanges: list[RecordedExchange] = []
        self.unanswered = 0
        self.left = 0
        """How many clients went away before they had their answer."""
        self.cut_off = 0
        """How many requests had no answer yet when it ended."""
        self._on_their_way: set[asyncio.Task[web.StreamResponse]] = set()
        self._ended = asyncio.Event()
        self._on_exchange = on_exchange
        self._session: aiohttp.ClientSession | None = None

    async def go(self, host: str, port: int, *, for_s: float, most: int, started: Callable[[str], None]) -> None:
        """Record until so much time is over, so many requests were answered, or a signal ends it.

        0 stands for no end of that kind. Raises ScenarioError where it cannot listen there, or nobody answers.
        """
        from aiohttp import web

        await self._expect_somebody()
        ended, loop = self._ended, asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ended.set)
        # Of a request that is none it would print a traceback; the client gets a 400.
        logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL + 1)
        app = web.Application(client_max_size=LARGEST_BYTES)
        app.router.add_route("*", "/{path:.*}", self._counted)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSING_S)
        timeout = aiohttp.ClientTimeout(total=None, sock_read=ANSWER_S, connect=10.0)
        # Without a jar: a cookie of one client is not for another.
        jar = aiohttp.DummyCookieJar()
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False, cookie_jar=jar) as self._session:
            await runner.setup()
            try:
                site = web.TCPSite(runner, host, port)
                try:
                    await site.start()
                except OSError as error:
                    message = f"{host}:{port} cannot be listened on: {error.strerror}"
                    raise ScenarioError(message, field="--listen", remedy="choose another port") from error
                started(f"http://{f'[{host}]' if ':' in host else host}:{runner.addresses[0][1]}")
                until_s = time.monotonic() + for_s if for_s else None
                while not ended.is_set() and not (most and len(self.exchanges) >= most):
                    left_s = 0.1 if until_s is None else min(0.1, until_s - time.monotonic())
                    if left_s <= 0:
                        break
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(ended.wait(), left_s)
            finally:
                for listening in list(runner.sites):
                    await listening.stop()
                await self._let_end()
                await runner.cleanup()

    async def again(self, exchanges: Sequence[RecordedExchange]) -> list[RecordedExchange]:
        """Send requests once more, and return them with their answers: what differs then is not content.

        A signal ends it; what was answered by then is returned.
        """
        found: list[RecordedExchange] = []
        self._ended.clear()
        stopping = asyncio.ensure_future(self._ended.wait())
        timeout, jar = aiohttp.ClientTimeout(total=AGAIN_S), aiohttp.DummyCookieJar()
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False, cookie_jar=jar) as session:
            for one in exchanges[:MOST_AGAIN]:
                asking = asyncio.ensure_future(self._asked(session, one))
                await asyncio.wait([asking, stopping], return_when=asyncio.FIRST_COMPLETED)
                if stopping.done():
                    asking.cancel()
                    await asyncio.wait([asking])
                    break
                answered = asking.result()
                found += [answered] if answered is not None else []
        stopping.cancel()
        return found

    async def _asked(self, session: aiohttp.ClientSession, one: RecordedExchange) -> RecordedExchange | None:
        headers = _passed_on(one.headers)
        headers["Accept-Encoding"] = "identity"
        began = time.time()
        try:
            sent = session.request(
                one.method, self.upstream + one.path, headers=headers, allow_redirects=False,
                **request_body(one.body, headers),
            )  # fmt: skip
            async with sent as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None
        answer, is_json = answer_of(response.headers, body)
        return RecordedExchange(began, one.method, one.path, response.status, {}, one.body, None, answer, is_json)

    async def _expect_somebody(self) -> None:
        parts = urlsplit(self.upstream)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            async with asyncio.timeout(5.0):
                _, writer = await asyncio.open_connection(parts.hostname, port)
        except (OSError, TimeoutError) as error:
            message = f"nobody answers at {self.upstream}: {getattr(error, 'strerror', None) or 'no connection in 5 s'}"
            raise BackendError(
                message, remedy="start the service first, or give its address as it is from here"
            ) from None
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def _let_end(self) -> None:
        """Wait for the requests that are on their way, and cut off those that take too long."""
        if self._on_their_way:
            _, late = await asyncio.wait(self._on_their_way, timeout=GRACE_S)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    async def _counted(self, request: web.Request) -> web.StreamResponse:
        passing = asyncio.ensure_future(self._pass(request))
        self._on_their_way.add(passing)
        try:
            return await passing
        except asyncio.CancelledError:
            self.cut_off += 1
            passing.cancel()
            if request.transport is not None:  # the client must not wait for what will not come
                request.transport.abort()
            raise
        finally:
            self._on_their_way.discard(passing)

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        assert self._session is not None
        if "upgrade" in request.headers.get("Connection", "").lower():
            return web.Response(status=501, text="harness record passes no web sockets on\n")
        began, began_unix = time.monotonic(), time.time()
        body = await request.read()
        # Compressed answers could not be read; the service is asked for none, and what it sends is passed on as it is.
        headers = _passed_on(request.headers)
        headers["Accept-Encoding"], headers["Host"] = "identity", urlsplit(self.upstream).netloc
        there = urlsplit(self.upstream)
        url = request.url.with_scheme(there.scheme).with_host(there.hostname or "").with_port(there.port)
        answered: web.StreamResponse | None = None
        try:
            sending = self._session.request(
                request.method, url, headers=headers, data=body or None, allow_redirects=False,
                skip_auto_headers=("User-Agent", "Accept", "Content-Type"),
            )  # fmt: skip
            async with sending as response:
                answered = web.StreamResponse(status=response.status, reason=response.reason)
                for name, value in response.headers.items():
                    if name.lower() not in _HOP_BY_HOP:
                        answered.headers.add(name, value)
                await answered.prepare(request)
                copy = await _copied(response, answered)
        except _ClientLeftError:
            self.left += 1
            assert answered is not None
            return answered
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            self.unanswered += 1
            if answered is None:
                return web.Response(status=502, text=f"harness record: no answer of the service: {error}\n")
            if request.transport is not None:  # its end must not look like a whole answer
                request.transport.abort()
            return answered
        sent, unreadable = body_of(request.headers, body)
        answer, is_json = answer_of(response.headers, copy)
        if copy is None and unreadable is None:
            unreadable = f"its answer is longer than {MOST_BYTES} bytes"
        self.exchanges.append(
            RecordedExchange(
                began_unix,
                request.method,
                response.request_info.url.raw_path_qs,  # as it reached the service
                response.status,
                headers=dict(request.headers),
                body=sent,
                unreadable=unreadable,
                answer=answer,
                answer_is_json=is_json,
                took_s=time.monotonic() - began,
            )
        )
        self._on_exchange(len(self.exchanges))
        return answered


class _ClientLeftError(Exception):
    """The client went away before it had its answer."""


async def _written(to: web.StreamResponse, part: bytes) -> None:
    try:
        await to.write(part)
    except ConnectionError as error:
        raise _ClientLeftError from error


async def _copied(response: aiohttp.ClientResponse, to: web.StreamResponse) -> bytes | None:
    """Pass an answer on; return a copy, None where it is too long for that."""
    copy: bytearray | None = bytearray()
    async for part in response.content.iter_any():
        await _written(to, part)
        if copy is not None:
            copy += part
            copy = copy if len(copy) <= MOST_BYTES else None
    await to.write_eof()
    return None if copy is None else bytes(copy)


def _passed_on(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Return the headers that go on to the service; one that comes twice goes on twice."""
    kept = [(name, value) for name, value in headers.items() if name.lower() not in (*_HOP_BY_HOP, "host")]
    return CIMultiDict(kept)
