"""noop: everything passes as it is, at full speed. A client can try its way to a toxic without breaking anything."""

from harness.proxy.toxics.stage import Stage


class Noop(Stage):
    sees_bytes = False

    __slots__ = ()
