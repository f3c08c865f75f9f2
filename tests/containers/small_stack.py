"""Path of the small stack of four services, shared by the tests of backends and of containers."""

from pathlib import Path

STACK = Path(__file__).resolve().parents[1] / "backends" / "stack" / "compose.yaml"
