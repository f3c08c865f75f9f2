"""The table of a campaign, from its records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

HEAD = (
    "| where | kind | killed | trials | left after 15 s | left after heal | restored after, p50 | p99 | longest |\n"
    "|--|--|--|--|--|--|--|--|--|"
)
IN = ("injecting", "injected", "confirmed", "reverting")
"""The last records of journals of runs that were killed while the fault was in, or on its way."""


def table(records: Sequence[dict[str, Any]]) -> str:
    """Return the Markdown table: a line for each kind and victim, then what they add up to."""
    done = [one for one in records if "missed" not in one and "error" not in one]
    lines = [HEAD, *_lines(done, lambda one: (one["where"], one["kind"], one["whom"]))]
    lines += _lines(done, lambda one: (one["where"], "all kinds", one["whom"]))
    lines += _lines(done, lambda one: ("everywhere", "all kinds", "anybody"))
    inside = [one for one in done if one.get("last_stage") in IN]
    lines += _lines(inside, lambda one: ("everywhere", "while the fault was in", one["whom"]))
    missed = sum("missed" in one for one in records)
    broken = sum("error" in one for one in records)
    no_guard = sum(one.get("guard") == "no guard" for one in done)
    nexts: dict[str, int] = {}
    for one in done:
        nexts[one["next"]] = nexts.get(one["next"], 0) + 1
    second = sum(bool(one.get("second_heal_changed")) for one in done)
    pairs = {(one["where"], one["kind"], one["whom"]) for one in done}
    places = sorted({where for where, _, _ in pairs})
    notes = [
        "pairs of kind and victim: " + ", ".join(f"{one} {sum(one == pair[0] for pair in pairs)}" for one in places),
        f"missed: {missed} (the run was over before its moment); not run: {broken}; without a guard: {no_guard} of "
        f"{len(done)}",
        "next run of the same name: " + ", ".join(f"{name} {count}" for name, count in sorted(nexts.items())),
        f"a second heal changed something: {second}; scratch folders left: {sum(map(_scratch, done))}",
    ]
    return "\n".join([*lines, "", *notes])


def _scratch(one: dict[str, Any]) -> int:
    return max(0, int(one.get("scratch_left", 0)))


def _lines(records: Iterable[dict[str, Any]], key: Callable[[dict[str, Any]], tuple[str, ...]]) -> list[str]:
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for one in records:
        groups.setdefault(key(one), []).append(one)
    return [_line(name, groups[name]) for name in sorted(groups)]


def _line(name: tuple[str, ...], group: list[dict[str, Any]]) -> str:
    times = sorted(one["restored_s"] for one in group if one["restored_s"] is not None)
    left = sum(bool(one["left_after_15_s"]) for one in group)
    healed = [one for one in group if "left_after_heal" in one]  # the others were left to the next run
    after_heal = f"{sum(bool(one['left_after_heal']) for one in healed)} of {len(healed)}"
    after = " | ".join(f"{_quantile(times, q):.1f} s" if times else "–" for q in (0.5, 0.99, 1.0))
    return f"| {' | '.join(name)} | {len(group)} | {left} | {after_heal} | {after} |"


def _quantile(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, round(share * (len(values) - 1)))]
