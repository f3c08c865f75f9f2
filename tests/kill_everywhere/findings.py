"""What a campaign shows that must not be: every promise of `docs/left-behind.md` that the record of a trial can break.

Where everybody was killed, something may stay until `harness heal`, or until the next run names the command. In every
other trial somebody is left who takes the fault out by himself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

GOOD_NEXT = ("worked", "refused, command named")
"""What may become of the next run. It is a list of what may be: anything else is a finding, new words too."""


def findings(records: Sequence[dict[str, Any]]) -> list[str]:
    """Return what the records show that must not be, and why they show nothing."""
    done = [one for one in records if "error" not in one and "missed" not in one]
    wrong = [f"{one['id']}: {what}" for one in done for what in (*_by_itself(one), *_once_healed(one))]
    wrong += [f"{one['id']}: not run: {one['error']}" for one in records if "error" in one]
    if not done:
        return ["no trial was made", *wrong]
    return wrong if any(one["killed"] for one in done) else ["nobody was killed", *wrong]


def _by_itself(one: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong before anybody heals by hand."""
    if one["next"] not in GOOD_NEXT:
        yield one["next"]
    if one["whom"] != "all":
        if not one["restored"]:
            yield f"not restored{_first(one['left'])}"
        if one["left_after_15_s"]:
            yield f"left after 15 s{_first(one['left_after_15_s'])}"
    if one["scratch_left"] > 0:
        yield f"scratch left behind: {one['scratch_left']}"


def _once_healed(one: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong after `harness heal`, in a trial that called it."""
    if one.get("left_after_heal"):
        yield f"still in after heal{_first(one['left_after_heal'])}"
    if one.get("heal_code"):
        left = "" if one["left_after_heal"] else ", and nothing was left"
        yield f"heal ended with {one['heal_code']}{left}"
    if one.get("second_heal_code"):
        yield f"a second heal ended with {one['second_heal_code']}"
    if one.get("second_heal_changed"):
        yield "a second heal changed something"


def _first(places: Sequence[str]) -> str:
    return f": {places[0]}" if places else ""
