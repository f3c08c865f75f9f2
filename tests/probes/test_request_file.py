"""Files of requests: what a line may say, what is refused and where, and what counts as an expected answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.errors import ProbeError
from harness.model.response_match import Expected, matches
from harness.probes.request_file import read_requests


def written(folder: Path, *lines: Any) -> Path:
    path = folder / "requests.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


def test_a_file_sent_at_a_rate(tmp_path: Path) -> None:
    whole = {
        "id": "a", "method": "get", "path": "/score", "headers": {"X": "1"}, "body": {"x": 1},
        "expect": {"status": 200, "json": {"score": {"approx": 0.5, "atol": 0.1}}, "header": {"X-Model": "3"}},
    }  # fmt: skip
    read = read_requests(written(tmp_path, whole, "", {"body": 2, "expect": {"status": [200, 404]}}), rate=5.0)
    first, second = read.requests
    assert (first.id, first.method, first.path, first.headers, first.body) == (
        "a", "GET", "/score", {"X": "1"}, {"x": 1},
    )  # fmt: skip
    assert second.id == "line-3", "a line without an id is told by its number"
    assert second.expect is not None
    assert second.expect.status == (200, 404)
    assert (read.timed, read.expects) == (False, True)


def test_lines_at_their_own_times(tmp_path: Path) -> None:
    seconds = read_requests(written(tmp_path, {"at": 3, "id": "late"}, {"at": 1, "id": "early"}))
    assert [(r.id, r.offset_s) for r in seconds.requests] == [("early", 1.0), ("late", 3.0)]
    assert (seconds.length_s, seconds.expects) == (5.0, False)
    recorded = written(tmp_path, {"at": "2026-05-01T12:00:02+02:00"}, {"at": "2026-05-01T10:00:00Z"})
    moments = read_requests(recorded)
    assert [r.offset_s for r in moments.requests] == [0.0, 2.0], "moments count from the earliest"


# What is in the file, the line of the mistake, its field, and part of the message.
MISTAKES: list[tuple[tuple[Any, ...], dict[str, Any], int | None, str | None, str]] = [
    (("",), {}, None, None, "holds no request"),
    (("{",), {}, 1, None, "not a line of JSON"),
    (("[]",), {}, 1, None, "a mapping of fields"),
    (("[" * 100_000,), {}, 1, None, "not a line of JSON"),
    (('{"body": NaN}',), {}, 1, None, "NaN is not a valid JSON number"),
    (({"at": 0}, {"att": 1}), {}, 2, "att", "did you mean 'at'?"),
    (({"at": 0, "expect": {"stauts": 200}},), {}, 1, "expect.stauts", "did you mean 'status'?"),
    (({"at": 0, "path": "score"},), {}, 1, "path", "begin it with '/'"),
    (({"at": 0, "method": "G T"},), {}, 1, "method", "not an HTTP method"),
    (({"at": 0, "expect": {"status": 20}},), {}, 1, "expect.status", "not a status"),
    (({"at": 0, "expect": {"status": []}},), {}, 1, "expect.status", "no status is named"),
    (({"at": 0, "expect": {}},), {}, 1, "expect", "nothing is expected"),
    (({"at": 0, "expect": {"json": {"s": {"aprox": 1}}}},), {}, 1, "expect.json", "did you mean 'approx'?"),
    (({"at": 0, "expect": {"json": {"s": {"approx": "x"}}}},), {}, 1, "expect.json", "must be a number"),
    (({"at": 0, "expect": {"json": {"s": {"approx": 1, "tol": 2}}}},), {}, 1, "expect.json", "does not go with"),
    (({"at": 0, "expect": {"json": {"s": {"approx": 1, "atol": -1}}}},), {}, 1, "expect.json", "negative"),
    (({"at": 0, "expect": {"json": {"s": {"one_of": 3}}}},), {}, 1, "expect.json", "must be a list"),
    (({"at": 0, "expect": {"json": {"s": {"any": False}}}},), {}, 1, "expect.json", "any: true"),
    (({"at": "noon"},), {}, 1, "at", "not a moment"),
    (({"at": -1},), {}, 1, "at", "not a time in seconds"),
    (({"at": 0}, {"at": "2026-05-01T10:00:00Z"}), {}, 2, "at", "mixed"),
    (({"at": 0}, {}), {}, 2, "at", "this line has no time"),
    (({}, {"at": 0}), {"rate": 5.0}, 2, "at", "the workload has a rate"),
    (({"at": 0, "expect": {"status": 200}}, {"at": 1}), {}, 2, "expect", "does not say what is expected"),
    (({"at": 0}, {"at": 1, "expect": {"status": 200}}), {}, 2, "expect", "no line before it does"),
    (({"at": 0, "id": "a"}, {"at": 1, "id": "a"}), {}, 2, "id", "that of line 1 too"),
    (({"at": 0},), {"repeat": True}, None, None, "at one moment cannot be repeated"),
]


@pytest.mark.parametrize(("lines", "how", "line", "field", "hint"), MISTAKES)
def test_mistakes_are_named_with_their_place(
    tmp_path: Path, lines: tuple[Any, ...], how: dict[str, Any], line: int | None, field: str | None, hint: str
) -> None:
    path = written(tmp_path, *lines)
    with pytest.raises(ProbeError) as caught:
        read_requests(path, **how)
    assert hint in str(caught.value)
    assert (caught.value.file, caught.value.line, caught.value.field) == (str(path), line, field)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match="cannot be read: No such file"):
        read_requests(tmp_path / "gone.jsonl")
    (tmp_path / "odd").write_bytes(b"\xff\xfe")
    with pytest.raises(ProbeError, match="not a text file in UTF-8"):
        read_requests(tmp_path / "odd")


@pytest.mark.parametrize(
    ("found", "wanted", "same"),
    [
        (1, 1.0, True), (True, 1, False), (1, True, False), ("a", "a", True), (None, None, True),
        ([1, 2], [1, 2], True), ([1], [1, 2], False), ({"a": 1}, {"equal": {"a": 1}}, True),
        ({"a": 1}, {"equal": {"a": True}}, False),
        (0.7000001, {"approx": 0.7}, True), (0.71, {"approx": 0.7}, False), (0.71, {"approx": 0.7, "atol": 0.02}, True),
        (110, {"approx": 100, "rtol": 0.1}, True), ("0.7", {"approx": 0.7}, False), (True, {"approx": 1}, False),
        (5, {"at_least": 5, "at_most": 6}, True), (7, {"at_most": 6}, False), ("x", {"at_least": 0}, False),
        ("b", {"one_of": ["a", "b"]}, True), (True, {"one_of": [1]}, False), (None, {"any": True}, True),
    ],
)  # fmt: skip
def test_values_are_compared_as_json(found: Any, wanted: Any, same: bool) -> None:
    assert matches(found, wanted) is same


def test_the_message_names_the_difference() -> None:
    expected = Expected.model_validate({"json": {"a.0.b": 1}, "header": {"X": "1"}})
    assert expected.differs({"a": [{"b": 1.0}]}) is None
    assert expected.differs({"a": [{"b": 2}]}) == "a.0.b is 2, not 1"
    assert expected.differs([]) == "nothing at 'a.0.b'"
    assert expected.header_differs({}) == "the header X is None, not '1'"
    assert expected.header_differs({"X": "1"}) is None
    assert (expected.takes(204), expected.takes(302)) == (True, False)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, JSON)
def test_equality_is_that_of_the_written_json(one: Any, other: Any) -> None:
    assert matches(one, {"equal": one})
    if matches(one, {"equal": other}):
        assert one == other
        assert matches(other, {"equal": one})


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(0, 10))
def test_a_wider_tolerance_never_refuses_what_a_narrower_one_takes(found: float, wanted: float, atol: float) -> None:
    if matches(found, {"approx": wanted, "atol": atol}):
        assert matches(found, {"approx": wanted, "atol": atol * 2})
