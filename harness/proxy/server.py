"""The fault proxy as a whole: loop, registry and API; run in this thread, or in one of its own for tests."""

import contextlib
import json
import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.proxy.address import NotYetKnown, Resolver
from harness.proxy.api import Api
from harness.proxy.connection import Connection
from harness.proxy.httpd import Client, HttpServer
from harness.proxy.loop import Loop
from harness.proxy.pipes import PipePool
from harness.proxy.registry import Registry

DEFAULT_PORT = 8474


class ProxyServer:
    """A fault proxy; `portable` has it use nothing that only Linux has, `eager` be quicker.

    `start` and `stop` run it in a thread; `serve` runs it in the calling thread.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        seed: int | None = None,
        metrics: bool = False,
        portable: bool = False,
        eager: bool = False,
    ) -> None:
        self.seed = secrets.randbits(53) if seed is None else seed
        self.loop = Loop(portable=portable, eager=eager)
        self.pipes = PipePool(portable=portable)
        self.resolver = Resolver(self.loop.now, self.loop.post)
        self.registry = Registry(self.loop, self.pipes, self.resolver, self.seed)
        self.http = HttpServer(self.loop, self.resolver, Api(self.registry, with_metrics=metrics))
        shown_host = f"[{host}]" if ":" in host else host
        self.host, self.port = self.http.listen(self.resolver.known(f"{shown_host}:{port}")[0])
        self.loop.contain = _contain
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def load(self, config: Path) -> None:
        """Take the proxies of a file in Toxiproxy's form, which may name toxics too."""
        body = json.loads(config.read_text(encoding="utf-8"))
        warnings: list[str] = []
        while True:
            try:
                _, error = self.registry.populate(body, warnings)
            except NotYetKnown as name:
                self.resolver.look_up(name.host)
                continue
            if error is not None:
                raise error
            return

    def serve(self) -> None:
        """Run until `stop` is called from elsewhere."""
        try:
            self.loop.run()
        finally:
            self.close()

    def close(self) -> None:
        self.http.close()
        self.registry.close()
        self.resolver.close()
        self.pipes.close()
        self.loop.close()

    def start(self) -> "ProxyServer":
        self._thread = threading.Thread(target=self.serve, name="harness-proxy", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        self.loop.stop()
        if self._thread is not None:
            self._thread.join()
            self._thread = None


def _contain(handler: Callable[..., None] | None) -> None:
    """A handler failed: close what it belongs to, a client's connection or one to the API, and go on."""
    owner = getattr(handler, "__self__", None)
    if isinstance(owner, Connection | Client):
        owner.close()


@contextlib.contextmanager
def running(
    *, seed: int | None = None, port: int = 0, metrics: bool = False, portable: bool = False
) -> Iterator[ProxyServer]:
    """A fault proxy for the length of a `with` block, on a free port of the loopback."""
    server = ProxyServer(port=port, seed=seed, metrics=metrics, portable=portable).start()
    try:
        yield server
    finally:
        server.stop()
