"""The one clock of a run."""

from __future__ import annotations

import time

import pytest

from harness.journal.clock import Clock


@pytest.mark.parametrize("interrupted", range(2, 11))
def test_a_pause_between_two_readings_is_no_difference_of_the_clocks(
    interrupted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s, readings = 50.0, 0

    def tick() -> float:
        nonlocal now_s, readings
        readings += 1
        now_s += 0.5 if readings == interrupted else 1e-6
        return now_s

    monkeypatch.setattr(time, "monotonic", tick)
    monkeypatch.setattr(time, "time", lambda: 1000.0 + tick())
    clock = Clock()  # the first reading
    assert clock.unix_at_zero_s() == pytest.approx(1050.0, abs=1e-5)


def test_moments_of_the_monotonic_clock_are_turned_into_the_runs() -> None:
    clock = Clock()
    before_s = clock.now_s()
    assert before_s <= clock.at_s(time.monotonic()) <= clock.now_s()
