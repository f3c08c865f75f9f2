"""`harness proxy serve`: the fault proxy as a program. Imports little, so that it is up in a moment."""

import argparse
import contextlib
import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

from harness.proxy.loop import Loop
from harness.proxy.server import DEFAULT_PORT, ProxyServer
from harness.proxy.wire import ApiError

_PR_SET_PDEATHSIG = 1


def serve(
    *, host: str = "127.0.0.1", port: int = DEFAULT_PORT, config: Path | None = None, seed: int | None = None,
    metrics: bool = False, die_with_parent: int | None = None,
) -> int:  # fmt: skip
    """Run a fault proxy until SIGINT or SIGTERM; the exit code.

    `die_with_parent` is the process to die with, or 0 for whichever is the parent now.
    """
    parent = die_with_parent or os.getppid()
    if die_with_parent is not None:
        _die_with_parent(parent)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # as many as may be
        resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    try:
        server = ProxyServer(host=host, port=port, seed=seed, metrics=metrics, eager=True)
        if config is not None:
            server.load(config)
    except (OSError, ValueError, ApiError) as error:
        print(f"harness proxy serve: {error}", file=sys.stderr)
        return 2
    if die_with_parent is not None and sys.platform != "linux":
        _look_after(server.loop, parent)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.loop.stop())
    print(f"harness proxy listening on {server.url}, seed {server.seed}", flush=True)
    server.serve()
    return 0


def _die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, and make sure that it has not ended already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def _look_after(loop: Loop, parent: int) -> None:
    """Where the kernel does not do that, look every second."""
    if os.getppid() != parent:
        os._exit(0)
    loop.after(1.0, lambda: _look_after(loop, parent))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="harness proxy", description="A TCP fault proxy with Toxiproxy's API.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("serve", help="run the proxy")
    command.add_argument("--host", default="127.0.0.1", help="address of the API (default %(default)s)")
    command.add_argument("--port", type=int, default=DEFAULT_PORT, help="port of the API (default %(default)s)")
    command.add_argument("--config", type=Path, help="JSON file of proxies, and their toxics, to start with")
    command.add_argument("--seed", type=int, help="seed of every random choice (default: a random one, printed)")
    command.add_argument("--metrics", action="store_true", help="serve /metrics")
    command.add_argument(
        "--die-with-parent", nargs="?", const=0, type=int, metavar="PID",
        help="end when the parent process ends; with its PID, also if it has ended already",
    )  # fmt: skip
    given = vars(parser.parse_args(arguments))
    del given["command"]
    return serve(**given)
