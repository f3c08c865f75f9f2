"""The handles that faults and probes share: links, key spaces, objects, processes, and the stack's event clock."""

from harness.seams.handles import Seams

__all__ = ["Seams"]
