"""Variables are filled in as the Compose specification says."""

from __future__ import annotations

import pytest

from harness.description.interpolation import interpolate

GIVEN = {"A": "1", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("$A-${A}", "1-1"),
        ("$$A $${A}", "$A ${A}"),
        ("${NONE}|$NONE", "|"),
        ("${A:-x}${EMPTY:-x}${NONE:-x}", "1xx"),
        ("${A-x}${EMPTY-x}${NONE-x}", "1x"),
        ("${A:+x}|${EMPTY:+x}|${NONE:+x}", "x||"),
        ("${A+x}|${EMPTY+x}|${NONE+x}", "x|x|"),
        ("${NONE:-a${A}b}", "a1b"),
        ("${NONE:-{json}}", "{json}"),
        ("${A:?needed}", "1"),
        ("${NONE:-}", ""),
    ],
)
def test_filled_in(text: str, result: str) -> None:
    assert interpolate(text, GIVEN) == result


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("costs 5$", "invalid variable"),
        ("${1}", "invalid variable"),
        ("${A", "not closed"),
        ("${A!x}", "is not a variable"),
        ("${NONE:?say who}", "NONE is not set: say who"),
        ("${EMPTY:?}", "EMPTY is not set: it is required"),
        ("${NONE?}", "NONE is not set"),
    ],
)
def test_refused(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        interpolate(text, GIVEN)
