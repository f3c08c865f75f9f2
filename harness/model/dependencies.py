"""What services depend on by way of others: from some of them on, over who uses whom, as far as that leads.

Who uses whom is another question, and has more than one answer: links alone, for what a verdict claims; names in the
compose file as well, where a tie that is overlooked would be a lie.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable


def reached(start: Iterable[str], neighbours: Callable[[str], Iterable[str]]) -> set[str]:
    """Return where one comes to from some services, those included."""
    found: set[str] = set()
    waiting = set(start)
    while waiting:
        service = waiting.pop()
        found.add(service)
        waiting |= set(neighbours(service)) - found
    return found
