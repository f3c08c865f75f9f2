"""What a client gets whose upstream cannot be reached: the end of the connection, a reset, or a refusal.

A proxy has accepted its client before it knows, so to refuse means to listen no more until the upstream accepts again,
which a watch finds out by dialling it. The upstream sees one connection of the watch, which is closed at once.
"""

from collections.abc import Callable

from harness.proxy.address import Resolver
from harness.proxy.loop import OUT, Loop
from harness.proxy.sockets import Dial, Side

CLOSE, RESET, REFUSE = "close", "reset", "refuse"
DEAD_UPSTREAM = (CLOSE, RESET, REFUSE)
RETRY_S = 0.1
_GIVE_UP_S = 2.0  # on a dial that is not answered: a new one may be, once the upstream is back


class UpstreamWatch:
    """Dials an upstream until it accepts, calls `alive` once, and ends."""

    def __init__(self, loop: Loop, resolver: Resolver, upstream: str, alive: Callable[[], None]) -> None:
        self._loop = loop
        self._resolver = resolver
        self._upstream = upstream
        self._alive = alive
        self._attempt: _Attempt | None = None
        self._timer = loop.after(RETRY_S, self._dial)

    def cancel(self) -> None:
        self._timer.cancel()
        if self._attempt is not None:
            self._attempt.close()

    def _dial(self) -> None:
        self._attempt = _Attempt(self._loop, self._answered)
        self._timer = self._loop.after(_GIVE_UP_S, lambda: self._answered(alive=False))
        self._attempt.start(self._resolver, self._upstream)

    def _answered(self, *, alive: bool) -> None:
        self.cancel()
        if alive:
            self._alive()
        else:
            self._timer = self._loop.after(RETRY_S, self._dial)


class _Attempt:
    """One dial, of which only the outcome counts."""

    def __init__(self, loop: Loop, answered: Callable[..., None]) -> None:
        self.closed = False
        self._loop = loop
        self._answered = answered
        self._side = Side(None)
        self._dialling: Dial | None = None

    def start(self, resolver: Resolver, upstream: str) -> None:
        self._dialling = Dial(self, self._side, self._loop, resolver, upstream)
        self._dialling.start()

    def close(self) -> None:
        self.closed = True
        self._side.release(self._loop)

    # For the dial.

    def dialled(self) -> None:
        self._answered(alive=True)

    def unreachable(self) -> None:
        if not self.closed:
            self._answered(alive=False)

    def settle(self) -> None:
        if not self.closed:
            self._side.watch(self._loop, OUT, self._ready)

    def _ready(self, _mask: int) -> None:
        assert self._dialling is not None
        self._dialling.answered()
        self.settle()
