"""What a toxic is made of: attributes that are validated, and a stage in one stream of one connection.

Bytes enter a stage by `push` and leave it to `self.next`; the end of the stream enters by `end`. A stage that holds
bytes back releases them by `flush` when its toxic is removed; `HoldingStage` is the base of those. Offsets count the
bytes of the stream from its source, and keep their meaning behind a stage that drops some.
"""

import abc
import collections
import enum
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Protocol

from harness.proxy.loop import Timer
from harness.proxy.toxic import Toxic

_AT_ONCE = 256  # entries that a holding stage releases before other connections have their turn
Data = bytes | memoryview


class End(enum.Enum):
    """How a stream ends: the source has sent all, the source was reset, or a toxic closes the connection."""

    DONE = enum.auto()
    RESET = enum.auto()
    CLOSE = enum.auto()


class Receiver(Protocol):
    """What comes behind a stage: another stage, or the stream's exit."""

    def push(self, offset: int, data: Data) -> None: ...
    def end(self, how: End) -> None: ...


class StageStream(Receiver, Protocol):
    """What a stage can ask of its stream, which is also its exit."""

    ordinal: int  # of the connection, at its proxy
    offset: int  # bytes read from the source so far

    @property
    def closed(self) -> bool: ...
    def now(self) -> float: ...
    def at(self, when: float, call: Callable[[], None]) -> Timer: ...

    def lost(self, size: int) -> None:
        """The stage dropped bytes that it held."""

    def discard(self) -> int:
        """Drop what is on its way to the target already; how many bytes it was."""

    def close_connection(self, *, reset: bool = False) -> None: ...


class ValueRefusedError(ValueError):
    """An attribute's value is invalid for its toxic; the message names what would be valid."""


def whole(minimum: int = 0) -> Callable[[str, Any], int]:
    """An integer attribute, not below a minimum."""

    def read(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueRefusedError(f"{name} must be an integer, not {_excerpt(value)}")
        if not minimum <= value < 1 << 63:
            raise ValueRefusedError(f"{name} must be {minimum} or more, not {_excerpt(value)}")
        return value

    return read


def flag(name: str, value: Any) -> bool:
    """Yes or no."""
    if not isinstance(value, bool):
        raise ValueRefusedError(f"{name} must be true or false, not {_excerpt(value)}")
    return value


def share(name: str, value: Any) -> float:
    """A number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueRefusedError(f"{name} must be a number, not {_excerpt(value)}")
    if not 0 <= value <= 1:
        raise ValueRefusedError(f"{name} must be from 0 to 1, not {_excerpt(value)}")
    return value


def _excerpt(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


_MAGNITUDE = whole()


class Attribute(NamedTuple):
    """One attribute of a toxic: its name, its default, and how its value is read from JSON.

    One that is `optional` is not in Toxiproxy, and shown only where a client gave it.
    """

    name: str
    default: Any = 0
    read: Callable[[str, Any], Any] = _MAGNITUDE
    optional: bool = False


class Stage:
    """A toxic at work in one stream of one connection. This one passes everything on."""

    attributes: ClassVar[tuple[Attribute, ...]] = ()
    sees_bytes: ClassVar[bool] = True  # False: bytes may be spliced past it, it only needs the end
    silences: ClassVar[bool] = False  # True: nothing reaches the stream's destination while it is present
    window_bytes: ClassVar[int] = 1 << 18  # how much of the stream may be held before its source is read no more

    __slots__ = ("next", "stream", "touched", "toxic")

    def __init__(self, toxic: Toxic, stream: StageStream) -> None:
        self.toxic = toxic
        self.stream = stream
        self.touched = False
        self.next: Receiver = stream  # the exit, until another stage is added behind this one

    @classmethod
    def check(cls, values: dict[str, Any]) -> None:
        """Refuse values that are invalid together, by raising ValueRefusedError."""

    def start(self) -> None:
        """The stage is in the stream from now on."""

    def touch(self) -> None:
        """Count, once, that the stage has had its effect on this connection."""
        if not self.touched:
            self.touched = True
            self.toxic.counts.touched += 1

    def changed(self) -> None:
        """The toxic's attributes have changed."""

    def push(self, offset: int, data: Data) -> None:
        self.next.push(offset, data)

    def end(self, how: End) -> None:
        self.next.end(how)

    def drop(self, size: int) -> None:
        """Count bytes that were held and are dropped."""
        self.toxic.counts.bytes_dropped += size
        self.stream.lost(size)

    def flush(self) -> None:
        """Pass on, now and in order, whatever is held: the toxic is being removed."""

    def stop(self) -> None:
        """The stream is closed or the toxic is removed: cancel every timer."""


class HoldingStage(Stage):
    """A queue whose head leaves at a moment that `leaves_at` names. Order is kept whatever the moments are."""

    __slots__ = ("held", "timer")

    def start(self) -> None:
        # (when it came, offset, bytes); in place of bytes may be the end of the stream.
        self.held: collections.deque[tuple[float, int, Data | End]] = collections.deque()
        self.timer: Timer | None = None

    @abc.abstractmethod
    def leaves_at(self, came: float, offset: int, content: Data | End) -> float | None:
        """When the head may leave; None: not until an attribute changes. It may cut the head in two."""

    def left(self, due: float, now: float) -> None:
        """The head has left."""

    def push(self, offset: int, data: Data) -> None:
        self.touch()
        self.held.append((self.stream.now(), offset, data))
        if self.timer is None:
            self.release()

    def end(self, how: End) -> None:
        self.touch()
        self.held.append((self.stream.now(), self.stream.offset, how))
        if self.timer is None:
            self.release()

    def changed(self) -> None:
        self.stop()
        self.release()

    def flush(self) -> None:
        self.stop()
        while self.held:
            self._pass_on(*self.held.popleft(), self.stream.now())

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def wake(self) -> None:
        """Have it look again soon: what it waits for may be over."""
        if self.timer is None:
            self.timer = self.stream.at(self.stream.now(), self.release)

    def release(self) -> None:
        """Pass on what is due, and set a timer for the rest."""
        self.timer = None
        now = self.stream.now()
        for _ in range(_AT_ONCE):
            if not self.held or self.stream.closed:
                return
            due = self.leaves_at(*self.held[0])
            if due is None:
                return
            if due > now:
                now = self.stream.now()
                if due > now:
                    self.timer = self.stream.at(due, self.release)
                    return
            entry = self.held.popleft()
            self.left(due, now)
            self._pass_on(*entry, now)
        self.timer = self.stream.at(now, self.release)  # others have their turn first

    def cut_head(self, size: int) -> None:
        """Cut the first entry in two after `size` bytes, if it is longer, without copying it."""
        came, offset, content = self.held[0]
        if isinstance(content, End) or len(content) <= size:
            return
        whole = memoryview(content)
        self.held[0] = (came, offset, whole[:size])
        self.held.insert(1, (came, offset + size, whole[size:]))

    def _pass_on(self, came: float, offset: int, content: Data | End, now: float) -> None:
        if isinstance(content, End):
            self.next.end(content)
            return
        self.toxic.counts.delayed(now - came, len(content))
        self.next.push(offset, content)
