"""What a stack says in JSON can be computed with, and written into every report."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.response_match import matches
from harness.probes.strict_json import read_json

HALF = '"\\ud800"'
PAIR = '"\\ud83d\\ude00"'


@pytest.mark.parametrize("page", ["NaN", "[Infinity]", '{"a": -Infinity}', "[" * 100_000, "{", "\ufeff1"])
def test_what_json_does_not_know_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_json(page)


@pytest.mark.parametrize(
    ("page", "value"),
    [("1" * 308, float("1" * 308)), ("1" * 309, math.inf), ("-" + "1" * 5000, -math.inf), ("1e400", math.inf)],
)
def test_a_number_that_is_too_large_is_infinite(page: str, value: float) -> None:
    assert float(read_json(page)) == value
    assert not matches(read_json(page), {"approx": 0.5})


@pytest.mark.parametrize("page", [HALF, f"[{HALF}]", f'{{"a": {{{HALF}: {HALF}}}}}', PAIR])
def test_whatever_is_read_can_be_written(page: str) -> None:
    written = json.dumps(read_json(page.encode()), ensure_ascii=False).encode()
    assert ("😀" in written.decode()) is (page == PAIR)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_what_is_json_is_read_as_it_is(value: object) -> None:
    assert read_json(json.dumps(value)) == value
    assert read_json(json.dumps(value, ensure_ascii=False).encode()) == value
