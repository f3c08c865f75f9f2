"""Kernel pipes to splice through, lent to a connection only while bytes are on their way.

An idle connection holds no pipe, so 9,000 of them cost 18,000 descriptors and not 36,000. Where the platform has no
splice, or no descriptor is left, `take` returns None and the bytes go through Python instead.
"""

import contextlib
import fcntl
import os
import resource
import sys

_KEPT_FOR_THE_API = 64  # descriptors, so that a fault can be removed whatever it has caused
WANTED_BYTES = 1 << 20
_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ
CAN_SPLICE = hasattr(os, "splice")


class Pipe:
    __slots__ = ("r", "size_bytes", "w")

    def __init__(self) -> None:
        self.r, self.w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.size_bytes = 65536
        with contextlib.suppress(OSError):  # over the user's limit of pipe memory: the default size will do
            self.size_bytes = fcntl.fcntl(self.w, _SET_PIPE_SIZE, WANTED_BYTES)

    def close(self) -> None:
        os.close(self.r)
        os.close(self.w)


class PipePool:
    """Empty pipes to lend. `hot` is used without being lent, as long as each use leaves it empty."""

    def __init__(self, keep: int = 16, *, portable: bool = False) -> None:
        self.splice = CAN_SPLICE and not portable
        self._keep = keep
        self._idle: list[Pipe] = []
        self.hot = self.take()
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self.descriptors = sys.maxsize if limit == resource.RLIM_INFINITY else max(64, limit - _KEPT_FOR_THE_API)

    def take(self) -> Pipe | None:
        if self._idle:
            return self._idle.pop()
        if not self.splice:
            return None
        try:
            return Pipe()
        except OSError:
            return None

    def give(self, pipe: Pipe, *, empty: bool) -> None:
        """Take a pipe back; one with bytes left in it is closed, never lent again."""
        if empty and len(self._idle) < self._keep:
            self._idle.append(pipe)
        else:
            pipe.close()

    def keep_hot(self) -> Pipe | None:
        """The hot pipe was left with bytes in it and is now lent: replace it."""
        self.hot = self.take()
        return self.hot

    def close(self) -> None:
        if self.hot is not None:
            self.hot.close()
        while self._idle:
            self._idle.pop().close()
