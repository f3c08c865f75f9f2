"""The line of a run in the suite's table."""

from __future__ import annotations

from typing import Any

import pytest

from harness.model.verdict import Damage, Value
from harness.report.documents import DetectionEntry, NoticedEntry, SuiteScenario
from harness.report.table import damage, row


@pytest.mark.parametrize(
    ("cost", "text"),
    [
        ({"requests": 0}, "–"),
        ({"requests": 342}, "none"),
        ({"requests": 100, "unverified": 5}, "none"),
        ({"requests": 100, "unverified": 6}, "none, 6 not checked of 100 requests"),
        ({"requests": 342, "unverified": 342}, "none, 342 not checked of 342 requests"),
        ({"requests": 1}, "none"),
        ({"requests": 200, "failed": 1, "wrong_after": 2, "unverified": 40},
         "2 silently wrong answers, 1 failed, 40 not checked of 200 requests"),
    ],
)  # fmt: skip
def test_damage_is_told_with_what_could_not_be_checked(cost: dict[str, Any], text: str) -> None:
    assert damage(Damage(**cost)) == text


def noticed(after_s: float | None, *, met: bool | None) -> NoticedEntry:
    return NoticedEntry(
        id="says-no", probe="ready", limit="exactly 200", within_s=5, after_lo_s=after_s, after_s=after_s, met=met
    )


SEEN = DetectionEntry(id="seen", alert="Slow", within_s=9, after_lo_s=3.2, after_s=3.4, met=True)


@pytest.mark.parametrize(
    ("alerts", "probes", "told"),
    [
        ((), (noticed(1.25, met=True),), "1.25 s"),
        ((SEEN,), (noticed(1.25, met=True),), "3.40 s"),
        ((SEEN,), (noticed(None, met=False),), "never"),
        ((SEEN,), (noticed(None, met=None),), "unknown"),
        ((), (), "–"),
    ],
)
def test_what_a_probe_noticed_is_a_detection(
    alerts: tuple[DetectionEntry, ...], probes: tuple[NoticedEntry, ...], told: str
) -> None:
    run = SuiteScenario(name="x", verdict=Value.PASS, reasons=(), run_dir="x", detection=alerts, noticed=probes)
    assert row(run).detected == told
