"""What `object.corrupt` and `file.corrupt` have in common: the operations, and what each draws by seed and name.

One damages bytes that it holds, the other files where they lie; the choices are the same for both.
"""

from __future__ import annotations

from typing import Literal

from harness.model.fault import draw
from harness.model.fields import Frozen, refuse_unused

Operation = Literal["truncate", "flip", "empty", "other", "previous", "content"]


def refuse_mismatched(given: Frozen, operation: Operation, content: str | None) -> None:
    """Raise ValueError for a parameter that the operation has no use for, or lacks."""
    if (content is None) == (operation == "content"):
        raise ValueError("`content` goes with the operation `content`, which needs it")
    refuse_unused(given, "operation", {"truncate": ("keep",), "flip": ("bits",)})


def inverted_bits(seed: int, fault: str, name: str, size_bytes: int, number: int) -> list[int]:
    """Return which bits of a content are inverted: so many, or fewer where one is drawn twice; none of no content."""
    drawn = {int(draw(seed, fault, "bit", name, k) * size_bytes * 8) for k in range(number)}
    return sorted(drawn) if size_bytes else []


def others_to_try(seed: int, fault: str, name: str, names: list[str]) -> list[str]:
    """Return the other names, from a drawn one on: the first whose content differs is copied."""
    others = [other for other in names if other != name]
    at = int(draw(seed, fault, "other", name) * len(others))
    return others[at:] + others[:at]
