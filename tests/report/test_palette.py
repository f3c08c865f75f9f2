"""Colours: no two alike, and every text readable on its background, in light and in dark."""

from __future__ import annotations

import pytest

from harness.report.drawing import PALETTE, palette_css


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_no_two_names_share_a_colour(mode: int) -> None:
    assert len({colours[mode] for colours in PALETTE.values()}) == len(PALETTE)


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        *[(text, ground) for text in ("ink", "soft", "link") for ground in ("paper", "card")],
        *[(text, "paper") for text in ("good", "bad", "unknown", "fault", "marker")],
        ("good", "good-tint"),
        ("bad", "bad-tint"),
        ("unknown", "unknown-tint"),
        ("ink", "unknown-tint"),
        *[("ink", f"phase-{name}") for name in ("gate", "baseline", "fault", "observing", "other")],
    ],
)
def test_text_can_be_read(mode: int, text: str, ground: str) -> None:
    assert contrast(PALETTE[text][mode], PALETTE[ground][mode]) >= 4.5


def test_both_modes_are_in_the_style() -> None:
    css = palette_css()
    for name, (light, dark) in PALETTE.items():
        assert f"--{name}:{light}" in css
        assert f"--{name}:{dark}" in css
