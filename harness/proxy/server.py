"""The fault proxy as a whole: as a program (`harness proxy serve`), in this thread, or in another thread for tests.

Imports little, so that it starts fast: every run starts one.
"""

import argparse
import contextlib
import ctypes
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from harness.proxy import configfile
from harness.proxy.access import TOKEN, Access, AccessError, Upstreams
from harness.proxy.address import LookupNeeded, Resolver, SocketAddress
from harness.proxy.api import Api
from harness.proxy.connection import Connection
from harness.proxy.httpd import HttpClientConnection, HttpServer
from harness.proxy.loop import Loop
from harness.proxy.registry import ProxyRegistry
from harness.proxy.sockets import PipePool
from harness.proxy.wire import ApiError

DEFAULT_PORT = 8474
_PR_SET_PDEATHSIG = 1


class ProxyServer:
    """A fault proxy; `portable` uses no epoll or splice, `spin` makes round trips faster.

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
        spin: bool = False,
        access: Access | None = None,
        upstreams: Upstreams | None = None,
    ) -> None:
        self.seed = int.from_bytes(os.urandom(8)) >> 11 if seed is None else seed
        self.loop = Loop(portable=portable, spin=spin)
        self.pipes = PipePool(portable=portable)
        self.resolver = Resolver(self.loop.now, self.loop.post)
        self.registry = ProxyRegistry(self.loop, self.pipes, self.resolver, self.seed, upstreams or Upstreams())
        api = Api(self.registry, access or Access(hosts=[host]), with_metrics=metrics)
        self.http = HttpServer(self.loop, self.resolver, api)
        self.host, self.port = self.http.listen(self._resolve_now(f"{_in_url(host)}:{port}"))
        self.loop.contain = _contain
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://{_in_url(self.host)}:{self.port}"

    def _resolve_now(self, address: str) -> SocketAddress:
        try:
            return self.resolver.resolve(address)[0]
        except LookupNeeded as needed:
            self.resolver.look_up_now(needed.host)
            return self.resolver.resolve(address)[0]

    def load(self, config: Path) -> list[str]:
        """Create the proxies of a file in Toxiproxy's form, which may contain toxics too. Returns what was ignored."""
        body = configfile.read(config, self.registry.journal.record)
        while True:
            warnings: list[str] = []
            try:
                _, error = self.registry.populate(body, warnings)
            except LookupNeeded as needed:
                self.resolver.look_up_now(needed.host)
                continue
            if error is not None:
                raise error
            for text in warnings:
                self.registry.journal.record("ignored", what=text)
            return warnings

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


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _contain(handler: Callable[..., None] | None) -> None:
    """A handler failed: close the connection it belongs to, proxied or to the API, and go on."""
    owner = getattr(handler, "__self__", None)
    if isinstance(owner, Connection | HttpClientConnection):
        owner.close()


@contextlib.contextmanager
def running(
    *, seed: int | None = None, port: int = 0, metrics: bool = False, portable: bool = False,
    access: Access | None = None, upstreams: Upstreams | None = None,
) -> Iterator[ProxyServer]:  # fmt: skip
    """A fault proxy for the length of a `with` block, on a free port of the loopback."""
    server = ProxyServer(
        port=port, seed=seed, metrics=metrics, portable=portable, access=access, upstreams=upstreams
    ).start()
    try:
        yield server
    finally:
        server.stop()


def serve(
    *, host: str = "127.0.0.1", port: int = DEFAULT_PORT, config: Path | None = None, seed: int | None = None,
    metrics: bool = False, die_with_parent: int | None = None, hosts: Sequence[str] = (),
    upstreams: Sequence[str] | None = None,
) -> int:  # fmt: skip
    """Run a fault proxy until SIGINT or SIGTERM, and return the exit code.

    The token comes from the environment alone, because everybody on a machine can read command lines.
    `die_with_parent` is the process to die with, or 0 for the current parent.
    """
    parent = die_with_parent or os.getppid()
    if die_with_parent is not None:
        _die_with_parent(parent)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # as many descriptors as allowed
        resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    try:
        access, allowed = Access(os.environ.get(TOKEN), (host, *hosts)), Upstreams(upstreams)
        server = ProxyServer(
            host=host, port=port, seed=seed, metrics=metrics, spin=True, access=access, upstreams=allowed
        )
    except AccessError as error:
        return _invalid(str(error))
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        return _invalid(f"cannot listen at {host}:{port}: {reason}; choose --host and --port (0 takes a free port)")
    if config is not None:
        try:
            ignored = server.load(config)
        except (OSError, ValueError, ApiError) as error:
            return _invalid(f"cannot load {config}: {error}")
        for text in ignored:
            print(f"harness proxy serve: {config}: {text}", file=sys.stderr)
    if die_with_parent is not None and sys.platform != "linux":
        _watch_parent(server.loop, parent)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.loop.stop())
    print(f"harness proxy listening on {server.url}, seed {server.seed}", flush=True)
    server.serve()
    return 0


def _invalid(message: str) -> int:
    print(f"harness proxy serve: {message}", file=sys.stderr)
    return 2


def _die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; end at once if it has ended already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def _watch_parent(loop: Loop, parent: int) -> None:
    """The same where the kernel has no such signal: check every second."""
    if os.getppid() != parent:
        os._exit(0)
    loop.after(1.0, lambda: _watch_parent(loop, parent))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="harness proxy", description="A TCP fault proxy with Toxiproxy's API.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser(
        "serve", help="run the proxy until SIGINT or SIGTERM",
        description=f"Run the proxy until SIGINT or SIGTERM. The API asks for the token in {TOKEN}, if there is one.",
    )  # fmt: skip
    command.add_argument("--host", default="127.0.0.1", help="listen address of the API (default: %(default)s)")
    command.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="port of the API; 0: any (default: %(default)s)"
    )
    command.add_argument("--config", type=Path, help="JSON file of proxies and toxics to start with")
    command.add_argument(
        "--allow-host", action="append", default=[], dest="hosts", metavar="NAME",
        help="a further host name of the API in requests without a token; may be repeated",
    )  # fmt: skip
    command.add_argument(
        "--allow-upstream", action="append", dest="upstreams", metavar="HOST:PORT",
        help="let proxies lead only there; may be repeated (default: anywhere)",
    )  # fmt: skip
    command.add_argument("--seed", type=int, help="seed of every random choice (default: random, printed)")
    command.add_argument("--metrics", action="store_true", help="serve /metrics for Prometheus")
    command.add_argument(
        "--die-with-parent", nargs="?", const=0, type=int, metavar="PID",
        help="exit when the parent process ends; with its PID, also if it has ended already",
    )  # fmt: skip
    given = vars(parser.parse_args(arguments))
    del given["command"]
    return serve(**given)
