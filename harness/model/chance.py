"""Seeded choice: every decision is a hash of (seed, fault, what is decided), never of the order in which things arrive.

So one choice never shifts another, and the same seed makes the same decision for every row that two runs both saw.
"""

from __future__ import annotations

import hashlib


def draw(seed: int, *what: object) -> float:
    """Return a number in [0, 1) that depends on nothing but the seed and what is decided."""
    text = "\x1f".join((str(seed), *map(str, what)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") / 2**64


def chosen(share: float, seed: int, *what: object) -> bool:
    """Return whether this one is among the share that is hit."""
    return draw(seed, *what) < share
