"""A small HTTP/1.1 server on the loop: keep-alive, bodies by length or in chunks, and limits on all of it.

The handler is a plain function of a request. It may raise NotYetKnown, and is then called again when the name it
needs has been looked up.
"""

import contextlib
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote

from harness.proxy.address import NotYetKnown, Place, Resolver
from harness.proxy.loop import IN, OUT, Loop, Timer

HEAD_BYTES = 1 << 16
BODY_BYTES = 4 << 20
CONNECTIONS = 512
IDLE_S = 60.0
LEAVE_S = 2.0
_REASONS = {
    200: "OK", 201: "Created", 204: "No Content", 400: "Bad Request", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 409: "Conflict", 413: "Request Entity Too Large", 417: "Expectation Failed",
    431: "Request Header Fields Too Large", 500: "Internal Server Error", 503: "Service Unavailable",
}  # fmt: skip
_REQUEST = re.compile(rb"([A-Z]+) (\S+) HTTP/1\.([01])\Z")
PLAIN = "text/plain; charset=utf-8"


@dataclass
class Request:
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class HttpResponse:
    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


class _BrokenError(Exception):
    """The request cannot be read; answered, and the connection closed."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Client:
    """One connection to the API."""

    def __init__(self, server: "HttpServer", sock: socket.socket) -> None:
        self.server = server
        self.sock = sock
        self.fd = sock.fileno()
        self.got = bytearray()
        self.out = bytearray()
        self.continued = False
        self.waiting = False  # for a name that is being looked up
        self.last = False  # close when all is sent
        self.leaving = False  # all is sent: waiting for the client to close
        self.mask = IN
        self.idle: Timer | None = None
        server.loop.register(self.fd, IN, self._ready)
        self._rest()

    def close(self) -> None:
        if self.fd < 0:
            return
        if self.idle is not None:
            self.idle.cancel()
        self.server.loop.unregister(self.fd)
        self.sock.close()
        self.fd = -1
        self.server.clients.discard(self)

    def _rest(self) -> None:
        if self.idle is not None:
            self.idle.cancel()
        self.idle = self.server.loop.after(IDLE_S, self.close)

    def _leave(self) -> None:
        """All is said. Were the socket closed now, with bytes unread, a reset would destroy the answer on its way."""
        self.leaving = True
        self.got.clear()
        self.sock.shutdown(socket.SHUT_WR)
        if self.idle is not None:
            self.idle.cancel()
        self.idle = self.server.loop.after(LEAVE_S, self.close)

    def _ready(self, mask: int) -> None:
        try:
            if mask & ~OUT and not self.out:
                data = self.sock.recv(1 << 16)
                if not data:
                    self.close()
                    return
                if self.leaving:
                    return
                self.got += data
                self._rest()
            self._serve()
            self._send()
        except BlockingIOError:
            return
        except OSError:
            self.close()

    def _serve(self) -> None:
        while self.got and not (self.waiting or self.last or self.out):
            try:
                request = self._request()
            except _BrokenError as broken:
                self.last = True
                text = f"{broken.status} {_REASONS[broken.status]}".encode()
                self._answer(HttpResponse(broken.status, text, PLAIN), head=False)
                return
            if request is None:
                return
            self._handle(request)

    def _handle(self, request: Request) -> None:
        try:
            answer = self.server.handler(request)
        except NotYetKnown as name:
            self.waiting = True
            self.server.resolver.ask(name.host, lambda: self._again(request))
            return
        self._answer(answer, head=request.method == "HEAD")

    def _again(self, request: Request) -> None:
        self.waiting = False
        if self.fd >= 0:
            self._handle(request)
            self._ready(OUT)

    def _answer(self, answer: HttpResponse, *, head: bool) -> None:
        lines = [f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        if answer.status != 204:
            lines += [f"Content-Type: {answer.content_type}"] * bool(answer.content_type)
            lines.append(f"Content-Length: {len(answer.body)}")
        if self.last:
            lines.append("Connection: close")
        self.out += "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")
        if not head:
            self.out += answer.body

    def _send(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self.out:
                del self.out[: self.sock.send(self.out)]
                if not self.out:
                    self._serve()
        if self.last and not (self.out or self.waiting or self.leaving):
            self._leave()
        mask = OUT if self.out else 0 if self.waiting else IN
        if mask != self.mask:
            self.server.loop.modify(self.fd, mask)
            self.mask = mask

    def _request(self) -> Request | None:
        """The next whole request, or None as long as some of it is still to come."""
        stop = self.got.find(b"\r\n\r\n")
        if stop < 0:
            if len(self.got) > HEAD_BYTES:
                raise _BrokenError(431)
            return None
        if stop > HEAD_BYTES:
            raise _BrokenError(431)
        request, close = _head(bytes(self.got[:stop]))
        length, body = self._body(stop + 4, request.headers)
        if length < 0:
            if "100-continue" in request.headers.get("expect", "").lower() and not self.continued:
                self.continued = True
                self.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            return None
        request.body = body
        del self.got[: stop + 4 + length]
        self.continued = False
        self.last = close
        return request

    def _body(self, start: int, headers: dict[str, str]) -> tuple[int, bytes]:
        """How long the body is on the wire, -1 while it is not all there, and the body."""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return _chunks(self.got, start)
        text = headers.get("content-length", "0")
        if not (text.isascii() and text.isdigit()):
            raise _BrokenError(400)
        length = int(text[:12])
        if length > BODY_BYTES:
            raise _BrokenError(413)
        if len(self.got) < start + length:
            return -1, b""
        return length, bytes(self.got[start : start + length])


class HttpServer:
    """Accepts clients and hands their requests to the handler."""

    def __init__(self, loop: Loop, resolver: Resolver, handler: Callable[[Request], HttpResponse]) -> None:
        self.loop = loop
        self.resolver = resolver
        self.handler = handler
        self.clients: set[Client] = set()
        self.sock: socket.socket | None = None

    def listen(self, place: Place) -> tuple[str, int]:
        family, address = place
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.sock.bind(address)
        self.sock.listen(256)
        self.loop.register(self.sock.fileno(), IN, self._accept)
        host, port = self.sock.getsockname()[:2]
        return host, port

    def close(self) -> None:
        for client in list(self.clients):
            client.close()
        if self.sock is not None:
            self.loop.unregister(self.sock.fileno())
            self.sock.close()
            self.sock = None

    def _accept(self, _mask: int) -> None:
        assert self.sock is not None
        try:
            sock, _ = self.sock.accept()
        except BlockingIOError:
            return
        except OSError:
            self.loop.rest(self.sock.fileno(), IN, self._accept, 0.05)
            return
        if len(self.clients) >= CONNECTIONS:
            sock.close()
            return
        sock.setblocking(False)
        self.clients.add(Client(self, sock))


def _head(raw: bytes) -> tuple[Request, bool]:
    """A request without its body, and whether it is the connection's last."""
    first, *lines = raw.lstrip(b"\r\n").split(b"\r\n")
    match = _REQUEST.match(first)
    if match is None:
        raise _BrokenError(400)
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or not name or name != name.strip():
            raise _BrokenError(400)
        headers[name.lower()] = value.strip()
    target = match[2].decode("latin-1")
    if "://" in target:
        target = "/" + target.split("://", 1)[1].partition("/")[2]
    path, _, query = target.partition("?")
    asked = headers.get("connection", "").lower()
    close = "close" in asked or (match[3] == b"0" and "keep-alive" not in asked)
    return Request(match[1].decode(), unquote_parts(path), query, headers), close


def unquote_parts(path: str) -> str:
    """A path with its escapes undone, but for a slash that was escaped: it stays part of a name."""
    return "/".join(unquote(part).replace("/", "%2F") for part in path.split("/"))


def _chunks(got: bytearray, start: int) -> tuple[int, bytes]:
    place, body = start, bytearray()
    while True:
        stop = got.find(b"\r\n", place, place + 64)
        if stop < 0:
            if len(got) - place > 64:
                raise _BrokenError(400)
            return -1, b""
        try:
            size = int(bytes(got[place:stop]).partition(b";")[0], 16)
        except ValueError:
            raise _BrokenError(400) from None
        if size < 0 or len(body) + size > BODY_BYTES:
            raise _BrokenError(413 if size > 0 else 400)
        place = stop + 2 + size + 2
        if size == 0:
            last = got.find(b"\r\n", stop + 2)
            if last == stop + 2:
                return last + 2 - start, bytes(body)
            last = got.find(b"\r\n\r\n", stop + 2)
            return (last + 4 - start, bytes(body)) if last >= 0 else (-1, b"")
        if len(got) < place:
            return -1, b""
        body += got[stop + 2 : stop + 2 + size]
