"""The event loop of the one thread: readiness of descriptors, timers, and calls posted from other threads.

Not asyncio, which needs a transport for each socket and whose timers are no finer than a millisecond. Readiness is
level-triggered, so nothing is lost by not reading to the end. epoll where there is one, poll elsewhere.
"""

import collections
import contextlib
import heapq
import itertools
import os
import select
import time
import traceback
from collections.abc import Callable

IN, OUT = 0x001, 0x004
ERROR, HANG_UP = 0x008, 0x010
_FINE_S = 0.002  # below this, wait with select(), which is exact to microseconds; epoll only to milliseconds
_SELECT_LIMIT = 1024
# Sleeping and being woken costs more than a short wait: undisturbed, spinning makes round trips 1.45 times as fast, and
# on a busy machine it changes nothing (docs/proxy.md). While events keep coming within _SHORT_S, each wait begins with
# a few polls that yield the processor in between. A few long waits end that; and polls that took _LONG_S, because
# others wanted the processor, end it for many waits.
_SHORT_S = 0.00015
_LONG_S = 0.0005
_SPIN_POLLS = range(64)
_SPIN_CREDIT, _SPIN_PENALTY = 8, -200


class Timer:
    """A call due at a moment of the monotonic clock; `cancel` makes it a no-op."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class _Poll:
    """poll() with the interface of epoll."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self.register = self._poll.register
        self.modify = self._poll.modify
        self.unregister = self._poll.unregister

    def poll(self, timeout_s: float | None) -> list[tuple[int, int]]:
        return self._poll.poll(None if timeout_s is None else int(timeout_s * 1000 + 0.999))

    def close(self) -> None:
        """Nothing to close."""


class Loop:
    """Calls handlers of ready descriptors and due timers until `stop` is called."""

    def __init__(self, *, portable: bool = False, spin: bool = False) -> None:
        self._spin = spin and hasattr(os, "sched_yield")
        self._spin_credit = 0
        self.poller = select.epoll() if hasattr(select, "epoll") and not portable else _Poll()
        self.now = time.monotonic
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._resting: dict[int, Timer] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._posted: collections.deque[Callable[[], None]] = collections.deque()
        self._running = False
        self.contain: Callable[[Callable[..., None] | None], None] = lambda _: None  # called when a handler has failed
        self._wake_r, self._wake_w = os.pipe()
        for end in (self._wake_r, self._wake_w):
            os.set_blocking(end, False)
        self.register(self._wake_r, IN, self._woken)
        number = self.poller.fileno() if not isinstance(self.poller, _Poll) else _SELECT_LIMIT
        self._fine = [number] if number < _SELECT_LIMIT else []

    def register(self, fd: int, mask: int, handler: Callable[[int], None]) -> None:
        self._resting.pop(fd, None)
        self.poller.register(fd, mask)
        self._handlers[fd] = handler

    def modify(self, fd: int, mask: int) -> None:
        self.poller.modify(fd, mask)

    def unregister(self, fd: int) -> None:
        self._resting.pop(fd, None)
        if self._handlers.pop(fd, None) is not None:
            self.poller.unregister(fd)

    def rest(self, fd: int, mask: int, handler: Callable[[int], None], for_s: float) -> None:
        """Ignore a descriptor for a while: it is ready, and nothing can be done about it now."""
        self.unregister(fd)
        resting = self._resting[fd] = self.after(for_s, lambda: self._rested(fd, mask, handler, resting))

    def _rested(self, fd: int, mask: int, handler: Callable[[int], None], timer: Timer) -> None:
        if self._resting.get(fd) is timer:  # and was not unregistered, or even closed, in the meantime
            self.register(fd, mask, handler)

    def at(self, when: float, call: Callable[[], None]) -> Timer:
        timer = Timer(call)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def after(self, delay_s: float, call: Callable[[], None]) -> Timer:
        return self.at(self.now() + delay_s, call)

    def post(self, call: Callable[[], None]) -> None:
        """Run a call in the loop's thread; may be called from any thread."""
        self._posted.append(call)
        with contextlib.suppress(OSError):  # the pipe is full of wake-ups already, or the loop is closed
            os.write(self._wake_w, b"\0")

    def run(self) -> None:
        self._running = True
        while self._running:
            handler: Callable[..., None] | None = None
            try:
                for fd, mask in self._wait():
                    handler = self._handlers.get(fd)
                    if handler is not None:  # closed by an earlier handler of the same round
                        handler(mask)
                handler = None
                if self._timers:
                    self._run_due()
            except Exception:  # noqa: BLE001 - a defect on one connection must not end all others
                traceback.print_exc()
                self.contain(handler)

    def stop(self) -> None:
        self.post(self._halt)

    def close(self) -> None:
        self.poller.close()
        os.close(self._wake_r)
        os.close(self._wake_w)

    def _halt(self) -> None:
        self._running = False

    def _woken(self, _mask: int) -> None:
        os.read(self._wake_r, 4096)
        while self._posted:
            call = self._posted.popleft()
            try:
                call()
            except Exception:  # noqa: BLE001 - the other posted calls are still due
                traceback.print_exc()

    def _wait(self) -> list[tuple[int, int]]:
        timers = self._timers
        while timers and timers[0][2].call is None:
            heapq.heappop(timers)
        left_s = timers[0][0] - self.now() if timers else None
        if left_s is not None and left_s <= 0:
            return self.poller.poll(0)
        if self._spin_credit > 0 and (left_s is None or left_s > _FINE_S):
            ready = self._poll_spinning()
            if ready:
                return ready
        if left_s is None:
            return self._sleep(None)
        if left_s < _FINE_S and self._fine:
            if not select.select(self._fine, (), (), left_s)[0]:
                return []
            return self.poller.poll(0)
        # Wake a little early from a long wait; the rest of it is a fine wait.
        return self._sleep(max(left_s - 0.001, 0.001) if self._fine else left_s)

    def _poll_spinning(self) -> list[tuple[int, int]]:
        began = self.now()
        for _ in _SPIN_POLLS:
            ready = self.poller.poll(0)
            if ready:
                break
            os.sched_yield()
        if self.now() - began > _LONG_S:
            self._spin_credit = _SPIN_PENALTY
        return ready

    def _sleep(self, for_s: float | None) -> list[tuple[int, int]]:
        """Wait; a short wait earns credit for spinning before the next ones."""
        if not self._spin:
            return self.poller.poll(for_s)
        began = self.now()
        ready = self.poller.poll(for_s)
        if self.now() - began < _SHORT_S:
            self._spin_credit = min(self._spin_credit + 2, _SPIN_CREDIT)
        elif self._spin_credit > 0:
            self._spin_credit -= 1
        return ready

    def _run_due(self) -> None:
        timers, now = self._timers, self.now()
        while timers and timers[0][0] <= now:
            call = heapq.heappop(timers)[2].call
            if call is not None:
                call()
