"""What every Python service of the stack has: settings from the environment, a log, a stop signal, a web port.

The web port answers /healthz, /metrics and the service's own routes from threads, so that a busy or waiting
main loop still answers. All state of the services survives a kill, so stopping is setting an event and leaving.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest

Answer = tuple[int, Any]
Route = Callable[[Mapping[str, Any]], Answer]
LEAVE_WITHIN_S = 0.1


class SettingError(Exception):
    """A setting is missing or cannot be read; the message names it."""


def setting(name: str, default: str | None = None) -> str:
    value = os.environ.get(name) or default
    if value is None:
        raise SettingError(f"{name} is not set")
    return value


def number(name: str, default: float) -> float:
    text = os.environ.get(name) or str(default)
    try:
        return float(text)
    except ValueError:
        raise SettingError(f"{name}={text!r} is not a number") from None


def switch(name: str, default: bool = True) -> bool:
    text = (os.environ.get(name) or ("on" if default else "off")).lower()
    if text not in ("on", "off"):
        raise SettingError(f"{name}={text!r}: on or off")
    return text == "on"


def address(name: str) -> tuple[str, int]:
    """A `host:port` setting."""
    host, _, port = setting(name).rpartition(":")
    if not host or not port.isdigit():
        raise SettingError(f"{name}={setting(name)!r} is not host:port")
    return host, int(port)


class ServiceProcess:
    """One process: its stop event, its metrics, its web port."""

    def __init__(self, kind: str) -> None:
        self.name = setting("SERVICE", kind)
        self.log = logging.getLogger(self.name)
        self.metrics = CollectorRegistry()
        self.stop = threading.Event()
        self.ready: Callable[[], bool] = lambda: True
        self.routes: dict[tuple[str, str], Route] = {}
        disable_created_metrics()  # type: ignore[no-untyped-call]
        logging.basicConfig(
            stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
        )
        # A peer that has gone away is an error of that call, never the end of the process.
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        for sign in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sign, self._asked_to_leave)

    def leave(self) -> None:
        """Ends the process, without the half second that the interpreter would take to put everything away."""
        sys.stderr.flush()
        os._exit(0)

    def _asked_to_leave(self, *_: object) -> None:
        self.stop.set()
        timer = threading.Timer(LEAVE_WITHIN_S, self.leave)
        timer.daemon = True
        timer.start()

    def thread(self, target: Callable[[], None], name: str) -> threading.Thread:
        """A background thread that dies with the process; an escaping error ends the process, to be restarted."""

        def body() -> None:
            try:
                target()
            except BaseException:
                self.log.exception("%s failed", name)
                os._exit(1)

        made = threading.Thread(target=body, name=name, daemon=True)
        made.start()
        return made

    def serve(self) -> None:
        host, port = setting("BIND", "0.0.0.0"), int(number("PORT", 8000))  # noqa: S104
        self.routes[("GET", "/healthz")] = self._health
        server = _Server((host, port), _handler(self))
        self.thread(server.serve_forever, "web")
        self.log.info("listening on %s:%d", host, port)

    def _health(self, _: Mapping[str, Any]) -> Answer:
        good = self.ready()
        return (200 if good else 503), {"service": self.name, "ready": good}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def server_bind(self) -> None:
        """Without the look-up of the host's name, which nothing here uses."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, *_: object) -> None:
        """A caller that went away is its own affair."""


def _handler(service: ServiceProcess) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = 30

        def _reply(self, status: int, body: bytes, kind: str) -> None:
            self.send_response_only(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _dispatch(self, method: str) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            raw = self.rfile.read(length) if length else b""
            path = urlsplit(self.path).path
            if (method, path) == ("GET", "/metrics"):
                self._reply(200, generate_latest(service.metrics), "text/plain; version=0.0.4")
                return
            route = service.routes.get((method, path))
            if route is None:
                status, value = 404, {"error": f"{method} {path}: no such route"}
            else:
                try:
                    body = json.loads(raw) if raw else {}
                    status, value = route(body if isinstance(body, dict) else {"body": body})
                except (KeyError, TypeError, ValueError) as error:
                    status, value = 400, {"error": f"{method} {path}: {type(error).__name__}: {error}"}
            self._reply(status, json.dumps(value).encode(), "application/json")

        def do_GET(self) -> None:
            self._dispatch("GET")

        def do_POST(self) -> None:
            self._dispatch("POST")

        def log_message(self, *_: object) -> None:
            """No access log."""

    return Handler
