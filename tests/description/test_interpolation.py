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
        ("D=$(mktemp -d) $${A}", "D=$(mktemp -d) ${A}"),
        ("costs 5$", "costs 5$"),
        ('awk $1 $-x $ y $.z $"', 'awk $1 $-x $ y $.z $"'),
        ("a$$$(x)$A", "a$$(x)1"),
        ("${NONE:-$(x)}", "$(x)"),
        ("$é", "$é"),
    ],
)
def test_filled_in(text: str, result: str) -> None:
    assert interpolate(text, GIVEN) == result


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("${", "invalid variable"),
        ("$(x) ${-}", "invalid variable"),
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
