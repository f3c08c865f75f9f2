"""A small HTTP/1.1 server on the loop: keep-alive, bodies by length or in chunks, and limits on everything.

Hand-written, because the proxy runs on a plain Python and every run starts one: h11 would make its start a fifth
slower and a request seven times as expensive. The handler is a plain function of a request. It may raise LookupNeeded,
and is then called again when the name it needs has been looked up.
"""

import contextlib
import re
import socket
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import unquote

from harness.proxy.address import LookupNeeded, Resolver, SocketAddress
from harness.proxy.loop import IN, OUT, Loop, Timer

HEAD_BYTES = 1 << 16
BODY_BYTES = 4 << 20
CONNECTIONS = 512
IDLE_S = 60.0
LINGER_S = 2.0
PLAIN = "text/plain; charset=utf-8"
_REASONS = {
    200: "OK", 201: "Created", 204: "No Content", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
    404: "Not Found", 405: "Method Not Allowed", 409: "Conflict", 413: "Request Entity Too Large",
    417: "Expectation Failed", 431: "Request Header Fields Too Large", 500: "Internal Server Error",
    503: "Service Unavailable",
}  # fmt: skip
_REQUEST_LINE = re.compile(rb"([A-Z]+) (\S+) HTTP/1\.([01])\Z")
_CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]+[ \t]*\Z")
_CHUNK_LINE_BYTES = 64


class HttpRequest(NamedTuple):
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    close: bool  # the client wants the connection closed after the response


class ApiResponse(NamedTuple):
    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[str, ...] = ()

    def encode(self, *, head: bool, close: bool) -> bytes:
        """The bytes on the wire; without the body in answer to HEAD."""
        lines = [f"HTTP/1.1 {self.status} {_REASONS[self.status]}", *self.headers]
        if self.status != 204:
            lines += [f"Content-Type: {self.content_type}"] * bool(self.content_type)
            lines.append(f"Content-Length: {len(self.body)}")
        if close:
            lines.append("Connection: close")
        encoded = "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")
        return encoded if head else encoded + self.body


class MalformedRequestError(Exception):
    """The request cannot be parsed: answer with this status, and close the connection."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Incomplete(Exception):  # noqa: N818 - more bytes are to come, which is no error
    """The rest of the request is still to come; `headers` are its headers, if those are complete."""

    def __init__(self, headers: dict[str, str] | None = None) -> None:
        super().__init__()
        self.headers = headers or {}


def parse(received: bytearray) -> tuple[HttpRequest, int]:
    """The first request in the bytes received, and how many of them it takes. Raises Incomplete."""
    end = received.find(b"\r\n\r\n")
    if end > HEAD_BYTES or (end < 0 and len(received) > HEAD_BYTES):
        raise MalformedRequestError(431)
    if end < 0:
        raise Incomplete
    first, *lines = bytes(received[:end]).lstrip(b"\r\n").split(b"\r\n")
    match = _REQUEST_LINE.match(first)
    if match is None:
        raise MalformedRequestError(400)
    headers = _headers(lines)
    target = match[2].decode("latin-1")
    if "://" in target:
        target = "/" + target.split("://", 1)[1].partition("/")[2]
    path, _, query = target.partition("?")
    connection = headers.get("connection", "").lower()
    close = "close" in connection or (match[3] == b"0" and "keep-alive" not in connection)
    try:
        body, stop = _body(received, end + 4, headers)
    except Incomplete:
        raise Incomplete(headers) from None
    return HttpRequest(match[1].decode(), unquote_parts(path), query, headers, body, close), stop


def _headers(lines: list[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or not name or name != name.strip():
            raise MalformedRequestError(400)
        headers[name.lower()] = value.strip()
    return headers


def unquote_parts(path: str) -> str:
    """A path with its escapes decoded, except an escaped slash: it stays part of a name."""
    return "/".join(unquote(part).replace("/", "%2F") for part in path.split("/"))


def _body(received: bytearray, start: int, headers: dict[str, str]) -> tuple[bytes, int]:
    """A request's body, and where it stops."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return _chunks(received, start)
    text = headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit()):
        raise MalformedRequestError(400)
    stop = start + int(text[:12])
    if stop - start > BODY_BYTES:
        raise MalformedRequestError(413)
    if len(received) < stop:
        raise Incomplete
    return bytes(received[start:stop]), stop


def _chunks(received: bytearray, place: int) -> tuple[bytes, int]:
    body = bytearray()
    while True:
        line_end = received.find(b"\r\n", place, place + _CHUNK_LINE_BYTES)
        if line_end < 0:
            raise MalformedRequestError(400) if len(received) - place > _CHUNK_LINE_BYTES else Incomplete
        size_text = bytes(received[place:line_end]).partition(b";")[0]
        if not _CHUNK_SIZE.match(size_text):
            raise MalformedRequestError(400)
        size = int(size_text, 16)
        if len(body) + size > BODY_BYTES:
            raise MalformedRequestError(413)
        if size == 0:  # then come trailers, which are ignored, and an empty line
            end = received.find(b"\r\n\r\n", line_end)
            if end < 0:
                raise Incomplete
            return bytes(body), end + 4
        place = line_end + 2 + size + 2
        if len(received) < place:
            raise Incomplete
        body += received[line_end + 2 : line_end + 2 + size]


class HttpClientConnection:
    """One client's connection to the API."""

    def __init__(self, server: "HttpServer", sock: socket.socket) -> None:
        self.server = server
        self.sock, self.fd = sock, sock.fileno()
        self.received, self.out = bytearray(), bytearray()
        self.continued = False
        self.waiting = False  # for a name lookup
        self.last = False  # close when everything is sent
        self.lingering = False  # everything is sent: waiting for the client to close
        self.mask = IN
        self.idle: Timer | None = None
        server.loop.register(self.fd, IN, self._ready)
        self._close_after(IDLE_S)

    def close(self) -> None:
        if self.fd < 0:
            return
        if self.idle is not None:
            self.idle.cancel()
        self.server.loop.unregister(self.fd)
        self.sock.close()
        self.fd = -1
        self.server.clients.discard(self)

    def _close_after(self, delay_s: float) -> None:
        if self.idle is not None:
            self.idle.cancel()
        self.idle = self.server.loop.after(delay_s, self.close)

    def _ready(self, mask: int) -> None:
        try:
            if mask & ~OUT and not self.out:
                data = self.sock.recv(1 << 16)
                if not data:
                    self.close()
                    return
                if self.lingering:
                    return
                self.received += data
                self._close_after(IDLE_S)
            self._serve()
            self._send()
        except BlockingIOError:
            return
        except OSError:
            self.close()

    def _serve(self) -> None:
        """Answer the next request, if it is complete and the response before it is sent."""
        while self.received and not (self.waiting or self.last or self.out):
            try:
                request, size = parse(self.received)
            except Incomplete as incomplete:
                if "100-continue" in incomplete.headers.get("expect", "").lower() and not self.continued:
                    self.continued = True
                    self.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            except MalformedRequestError as error:
                self.last = True
                text = f"{error.status} {_REASONS[error.status]}".encode()
                self.out += ApiResponse(error.status, text, PLAIN).encode(head=False, close=True)
                return
            del self.received[:size]
            self.continued = False
            self.last = request.close
            self._handle(request)

    def _handle(self, request: HttpRequest) -> None:
        try:
            response = self.server.handler(request)
        except LookupNeeded as needed:
            self.waiting = True
            self.server.resolver.look_up(needed.host, lambda: self._handle_again(request))
            return
        self.out += response.encode(head=request.method == "HEAD", close=self.last)

    def _handle_again(self, request: HttpRequest) -> None:
        self.waiting = False
        if self.fd >= 0:
            self._handle(request)
            self._ready(OUT)

    def _send(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self.out:
                del self.out[: self.sock.send(self.out)]
                if not self.out:
                    self._serve()
        if self.last and not (self.out or self.waiting or self.lingering):
            self._linger()
        mask = OUT if self.out else 0 if self.waiting else IN
        if mask != self.mask:
            self.server.loop.modify(self.fd, mask)
            self.mask = mask

    def _linger(self) -> None:
        """Let the client close first: a close with bytes unread would reset, and destroy the response on its way."""
        self.lingering = True
        self.received.clear()
        self.sock.shutdown(socket.SHUT_WR)
        self._close_after(LINGER_S)


class HttpServer:
    """Accepts clients and passes their requests to the handler."""

    def __init__(self, loop: Loop, resolver: Resolver, handler: Callable[[HttpRequest], ApiResponse]) -> None:
        self.loop = loop
        self.resolver = resolver
        self.handler = handler
        self.clients: set[HttpClientConnection] = set()
        self.sock: socket.socket | None = None

    def listen(self, where: SocketAddress) -> tuple[str, int]:
        family, address = where
        dualstack = family == socket.AF_INET6 and address[0] == "::"
        self.sock = socket.create_server(address, family=family, backlog=256, dualstack_ipv6=dualstack)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
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
        self.clients.add(HttpClientConnection(self, sock))
