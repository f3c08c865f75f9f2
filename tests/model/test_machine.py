"""What the machine lacked: which of it is named, with how much and when; and what is said where nothing was lacking."""

from __future__ import annotations

from typing import Any

import pytest

from harness.model.machine import busy_share, busy_text, lacking
from harness.model.readings import MachineSeen

CROWDED: dict[str, Any] = {"busy": 2.0, "own": 0.7, "cpu_pressure": 0.9}


def seen(from_s: float = 0.0, to_s: float = 1.0, **what: Any) -> MachineSeen:
    return MachineSeen(from_s=from_s, to_s=to_s, **({"processors": 2.0} | what))


def test_a_stretch_too_short_to_be_measured_says_nothing() -> None:
    assert lacking(seen(0.0, 0.05, **CROWDED)) == "processors"
    assert lacking(seen(0.0, 0.049, **CROWDED)) is None


def test_nothing_was_lacking() -> None:
    assert busy_text([]) is None
    assert busy_text([seen()]) is None
    assert busy_share([]) == 0.0
    assert busy_share([seen()]) == 0.0


def test_the_share_is_of_the_time() -> None:
    assert busy_share([seen(0.0, 1.0, **CROWDED), seen(1.0, 4.0)]) == 0.25
    assert busy_share([seen(0.0, 0.125, **CROWDED), seen(0.125, 0.5)]) == 0.25, "also of less than a second"


@pytest.mark.parametrize(
    ("what", "text"),
    [
        (CROWDED, "machine busy (others took 1.3 of 2 processors at 3.0–4.5 s)"),
        ({"processors": 1.0, "steal": 0.4}, "machine busy (the hypervisor took 0.4 of 1 processor at 3.0–4.5 s)"),
        ({"throttled": 0.25}, "machine busy (a quota held the run back for 25 % of the time at 3.0–4.5 s)"),
        ({"memory_pressure": 0.2, "memory_free": 0.02}, "machine busy (2 % of the memory was free at 3.0–4.5 s)"),
    ],
)
def test_what_was_lacking_is_named_with_how_much_and_when(what: dict[str, Any], text: str) -> None:
    assert busy_text([seen(2.0, 3.0), seen(3.0, 4.0, **what), seen(4.0, 4.5, **what), seen(4.5, 5.0)]) == text


def test_what_was_lacking_for_the_longest_is_named() -> None:
    stolen = {"steal": 0.5}
    text = busy_text([seen(0.0, 1.0, **stolen), seen(1.0, 2.0, **CROWDED), seen(2.0, 3.0, **CROWDED)])
    assert text == "machine busy (others took 1.3 of 2 processors at 0.0–3.0 s)"
