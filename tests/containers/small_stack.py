"""Where the small stack of four services is, which the tests of backends and of containers share."""

from pathlib import Path

STACK = Path(__file__).resolve().parents[1] / "backends" / "stack" / "compose.yaml"
