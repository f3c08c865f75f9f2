"""What every toxic is made of: attributes that are checked, and a stage that stands in one stream of one connection.

Bytes enter a stage by `push` and leave it to `self.next`; the end of the stream enters by `end`. A stage that holds
bytes back gives them up by `flush` when its toxic is removed. Offsets count the bytes of the stream from its source,
and keep their meaning behind a stage that drops some.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from harness.proxy.stream import Stream
    from harness.proxy.toxic import Toxic


class End(enum.Enum):
    """How a stream ends: the source has no more to say, the source is gone, or a toxic closes the connection."""

    DONE = enum.auto()
    RESET = enum.auto()
    CLOSE = enum.auto()


Data = bytes | memoryview


class Receiver(Protocol):
    """What stands behind a stage: another stage, or the stream's exit."""

    def push(self, offset: int, data: Data) -> None: ...

    def end(self, how: End) -> None: ...


class ValueRefusedError(ValueError):
    """An attribute whose value its toxic cannot work with; the message names what would be right."""


def whole(minimum: int = 0) -> Callable[[str, Any], int]:
    """An integer attribute, not below a minimum."""

    def read(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueRefusedError(f"{name} must be an integer, not {_shown(value)}")
        if not minimum <= value < 1 << 63:
            raise ValueRefusedError(f"{name} must be {minimum} or more, not {_shown(value)}")
        return value

    return read


def share(name: str, value: Any) -> float:
    """A number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueRefusedError(f"{name} must be a number, not {_shown(value)}")
    if not 0 <= value <= 1:
        raise ValueRefusedError(f"{name} must be from 0 to 1, not {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


_MAGNITUDE = whole()


@dataclass(frozen=True)
class Attribute:
    """One attribute of a toxic: its name, its default, and how its value is read from JSON."""

    name: str
    default: Any = 0
    read: Callable[[str, Any], Any] = _MAGNITUDE


class Stage:
    """A toxic at work in one stream of one connection. This one passes everything on."""

    attributes: ClassVar[tuple[Attribute, ...]] = ()
    sees_bytes: ClassVar[bool] = True  # False: bytes may be spliced past it, it only wants to know of the end
    silences: ClassVar[bool] = False  # True: nothing reaches the stream's destination while it stands
    window_bytes: ClassVar[int] = 1 << 18  # how much of the stream may be held before its source is read no more

    __slots__ = ("next", "stream", "touched", "toxic")

    def __init__(self, toxic: "Toxic", stream: "Stream") -> None:
        self.toxic = toxic
        self.stream = stream
        self.touched = False
        self.next: Receiver = stream  # the way out, until another stage is put behind this one

    @classmethod
    def check(cls, values: dict[str, Any]) -> None:
        """Refuse values that are wrong together, by raising ValueRefusedError."""

    def start(self) -> None:
        """The stage stands in the stream from now on."""

    def touch(self) -> None:
        """The stage does to this connection what it is for; counted once."""
        if not self.touched:
            self.touched = True
            self.toxic.tally.touched += 1

    def changed(self) -> None:
        """The toxic's attributes have changed."""

    def push(self, offset: int, data: Data) -> None:
        self.next.push(offset, data)

    def end(self, how: End) -> None:
        self.next.end(how)

    def flush(self) -> None:
        """Pass on, now and in order, whatever is held: the toxic is being removed."""

    def stop(self) -> None:
        """The stream is closed or the toxic is gone: no call may come any more."""
