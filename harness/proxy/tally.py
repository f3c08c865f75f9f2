"""What a toxic has really done, counted where it is done, so that a fault can be proved to have landed."""

from typing import Any

FLIPS_KEPT = 256


class Tally:
    """Counts of one toxic over all its connections."""

    __slots__ = (
        "bits_flipped", "bytes_delayed", "bytes_dropped", "bytes_passed", "chosen", "closes", "delay_count",
        "delay_max_s", "delay_min_s", "delay_sum_s", "flips", "resets", "spared", "touched",
    )  # fmt: skip

    def __init__(self) -> None:
        self.chosen = self.spared = self.touched = 0
        self.bytes_passed = self.bytes_delayed = self.bytes_dropped = self.bits_flipped = 0
        self.closes = self.resets = 0
        self.flips: list[tuple[int, int, int]] = []  # the first: connection, offset, bit
        self.delay_count = 0
        self.delay_sum_s = self.delay_max_s = 0.0
        self.delay_min_s: float | None = None

    def delayed(self, delay_s: float, size: int) -> None:
        self.bytes_delayed += size
        self.delay_count += 1
        self.delay_sum_s += delay_s
        if delay_s > self.delay_max_s:
            self.delay_max_s = delay_s
        if self.delay_min_s is None or delay_s < self.delay_min_s:
            self.delay_min_s = delay_s

    def dropped(self, size: int) -> None:
        self.bytes_dropped += size

    def passed(self, size: int) -> None:
        self.bytes_passed += size

    def flipped(self, ordinal: int, offset: int, bit: int) -> None:
        self.bits_flipped += 1
        if len(self.flips) < FLIPS_KEPT:
            self.flips.append((ordinal, offset, bit))

    def closed(self) -> None:
        self.closes += 1

    def reset(self) -> None:
        self.resets += 1

    def shown(self) -> dict[str, Any]:
        mean_s = self.delay_sum_s / self.delay_count if self.delay_count else None
        return {
            "connections": self.chosen,
            "connections_spared": self.spared,
            "connections_touched": self.touched,
            "bytes_passed": self.bytes_passed,
            "bytes_delayed": self.bytes_delayed,
            "bytes_dropped": self.bytes_dropped,
            "bits_flipped": self.bits_flipped,
            "flips": self.flips,
            "closes": self.closes,
            "resets": self.resets,
            "delays": self.delay_count,
            "delay_min_ms": _ms(self.delay_min_s),
            "delay_mean_ms": _ms(mean_s),
            "delay_max_ms": _ms(self.delay_max_s) if self.delay_count else None,
        }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
