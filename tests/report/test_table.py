"""The line of a run in the suite's table."""

from __future__ import annotations

from typing import Any

import pytest

from harness.model.verdict import Damage
from harness.report.table import damage


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
