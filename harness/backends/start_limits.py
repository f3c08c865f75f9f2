"""Limits of both backends for a start: after how many exits it fails, and how much of a log an error shows."""

from __future__ import annotations

from collections.abc import Callable

MOST_EXITS = 3
LOG_LINES = 20
Tail = Callable[[str, int], list[str]]
"""Returns so many of the last log lines of a service."""
