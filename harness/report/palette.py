"""Every colour of the reports, once, for light and for dark.

Drawings carry the light colour as an attribute and its name as a class, so that the page's style sheet can override it
(see `svg`). The data colours differ in lightness as well as in hue, for readers who cannot tell the hues apart.
"""

from __future__ import annotations

PALETTE: dict[str, tuple[str, str]] = {
    # name: (light, dark)
    "ink": ("#1b1f24", "#e6e8eb"),
    "soft": ("#57606a", "#a1abb6"),
    "line": ("#d8dee4", "#343b44"),
    "paper": ("#ffffff", "#15181c"),
    "card": ("#f6f8fa", "#1d2228"),
    "good": ("#15693d", "#4cc38a"),
    "bad": ("#b3261e", "#ff7b72"),
    "unknown": ("#8a5d00", "#e3b341"),
    "link": ("#0a58ca", "#79b8ff"),
    "good-tint": ("#def3e6", "#17342a"),
    "bad-tint": ("#fbdedc", "#47201f"),
    "unknown-tint": ("#fbeecb", "#3d3113"),
    "fault": ("#7d3bd1", "#b794f6"),
    "fault-tint": ("#d9c6f5", "#4d3a75"),
    "alert": ("#d9730d", "#ffa657"),
    "alert-tint": ("#f8dcba", "#5e4420"),
    "unexpected": ("#c4302b", "#ff8078"),
    "unexpected-tint": ("#f3bfbd", "#5f2b2b"),
    "phase-gate": ("#d5dce4", "#3a434e"),
    "phase-baseline": ("#c3dfce", "#29513c"),
    "phase-fault": ("#e2d5f8", "#443365"),
    "phase-observing": ("#c5dcf5", "#27456a"),
    "phase-other": ("#e9ecef", "#2b3138"),
    "curve": ("#1f6feb", "#6cb0ff"),
    "breach": ("#fad7d5", "#4f2223"),
    "inconclusive": ("#eceff2", "#282d34"),
    "right": ("#86c2a2", "#3f8562"),
    "flagged": ("#e9b949", "#c9992b"),
    "wrong": ("#d1383a", "#f0605a"),
    "slow": ("#8db4dc", "#527fae"),
    "failed": ("#424a53", "#b9c2cc"),
    "unverified": ("#b9a9cc", "#6f6287"),
    "marker": ("#2a3038", "#d5dbe1"),
}
LIGHT: dict[str, str] = {name: light for name, (light, _) in PALETTE.items()}


def palette_css() -> str:
    """Return the colours as CSS variables, for light and dark, and the classes that drawings carry."""
    light = "".join(f"--{name}:{value[0]};" for name, value in PALETTE.items())
    dark = "".join(f"--{name}:{value[1]};" for name, value in PALETTE.items())
    classes = "".join(f".f-{n}{{fill:var(--{n})}}.s-{n}{{stroke:var(--{n})}}" for n in PALETTE)
    return (
        f":root{{color-scheme:light dark;{light}}}\n"
        f"@media (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
        f"@media print{{:root{{color-scheme:light;{light}}}}}\n"
        f"{classes}\n"
    )
