"""What makes a file unreadable, and how scenario files are found."""

from __future__ import annotations

import os
import pickle
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scenario_files import GOOD, changed, load_all, load_problems, loaded, written

from harness.model.errors import ScenarioError
from harness.runner.loading.explain import problems_of
from harness.runner.loading.load import discover, load_file

pytestmark = pytest.mark.slow


def refused(folder: Path, content: bytes | str) -> ScenarioError:
    path = folder / "bad.scenario.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ScenarioError) as caught:
        load_file(path)
    assert str(path) in str(caught.value)
    return problems_of(caught.value)[0]


def test_a_good_file_is_loaded(tmp_path: Path) -> None:
    (item,) = loaded(tmp_path)
    assert item.name == "slow-store"
    assert item.scenario.timeline[0].parameters == {"latency": "800ms", "jitter": "100ms"}
    assert item.scenario.timeline[0].duration == 12.0


def test_not_yaml(tmp_path: Path) -> None:
    error = refused(tmp_path, "schema: 1\nscenario: [unclosed\nstack: {\n")
    assert error.message.startswith("this is not YAML")
    assert error.line is not None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"# only a comment\n", "empty"),
        (b"\xff\xfe\x00\x01scenario", "UTF-8"),
        (b"- a\n- b\n", "a mapping of fields"),
        (b"just words\n", "a mapping of fields"),
        (b"a: " + b"[" * 60 + b"]" * 60, "deep"),
        (b"a: " + b"[" * 5000 + b"]" * 5000, "deep"),
        (b"schema: 1\nschema: 1\n", "duplicate key"),
        (b"? [a, b]\n: 1\n", "key"),
        (b"a: &a [*a]\n", "deep"),
        (b"a: &a {<<: *a}\n", "merged into itself"),
        (b'a: "\\UFFFFFFFF"\n', "not YAML"),
        (b"a: 1\n---\nb: 2\n", "not YAML"),
        (b"seed: .inf\n", "not a finite number"),
        (b"seed: .nan\n", "not a finite number"),
        (b"seed: 99999999999999999999999\n", "too large"),
        (b'summary: "a\\ud800b"\n', "invalid Unicode character"),
        (b'summary: "a\\0b"\n', "U+0000"),
    ],
)
def test_what_yaml_can_hold_and_a_scenario_cannot(tmp_path: Path, content: bytes, message: str) -> None:
    assert message in refused(tmp_path, content).message


def test_huge(tmp_path: Path) -> None:
    error = refused(tmp_path, b"# " + b"x" * (2 << 20))
    assert "bytes" in error.message


@pytest.mark.parametrize("unit", ["[{0}]", "{{<<: [{0}]}}"])
def test_an_alias_bomb_is_not_expanded(tmp_path: Path, unit: str) -> None:
    lines = ["a0: &a0 {}"]
    lines += [f"a{n}: &a{n} " + unit.format(", ".join([f"*a{n - 1}"] * 9)) for n in range(1, 12)]
    assert "expand" in refused(tmp_path, "\n".join(lines)).message


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="folder"):
        load_file(tmp_path)


def test_a_missing_file_names_its_neighbour(tmp_path: Path) -> None:
    written(tmp_path, name="slow.scenario.yaml")
    with pytest.raises(ScenarioError, match=r"did you mean .*slow\.scenario\.yaml"):
        discover([tmp_path / "slo.scenario.yaml"])


def test_an_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path)

    opened = os.open

    def denied(given: Any, *more: Any, **others: Any) -> int:
        if given == path:
            raise PermissionError(13, "Permission denied")
        return opened(given, *more, **others)

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(ScenarioError, match="Permission denied") as caught:
        load_all([path])
    assert caught.value.file == str(path)


def test_what_is_not_an_ordinary_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.scenario.yaml")
    with pytest.raises(ScenarioError, match="ordinary"):
        load_all([tmp_path])
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        with pytest.raises(ScenarioError, match="ordinary"):
            load_file(tmp_path / "s")


def test_files_are_found_in_folders_and_sorted(tmp_path: Path) -> None:
    for name in ("b/two", "a/one", "a/deeper/zero", ".hidden/not"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        written(tmp_path, name=f"{name}.scenario.yaml")
    written(tmp_path, name="a/other.yaml")
    found = [str(p.relative_to(tmp_path)) for p in discover([tmp_path, tmp_path / "b"])]
    assert found == ["a/deeper/zero.scenario.yaml", "a/one.scenario.yaml", "b/two.scenario.yaml"]


def test_a_file_that_is_named_may_end_as_it_likes(tmp_path: Path) -> None:
    assert discover([written(tmp_path, name="x.yaml")])


def test_nothing_found(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"no scenario found in .*scenario\.yaml"):
        load_all([tmp_path])


def test_duplicate_scenario_names_name_both_places(tmp_path: Path) -> None:
    first, second = written(tmp_path, name="a.scenario.yaml"), written(tmp_path, name="b.scenario.yaml")
    with pytest.raises(ScenarioError) as caught:
        load_all([tmp_path])
    assert (caught.value.file, caught.value.line, caught.value.field) == (str(second), 2, "scenario")
    assert f"{first}:2" in str(caught.value)


def test_an_error_in_one_file_does_not_hide_those_in_others(tmp_path: Path) -> None:
    written(tmp_path, "{", name="a.scenario.yaml")
    written(tmp_path, changed("owner:", "ownr:"), name="b.scenario.yaml")
    with pytest.raises(ScenarioError) as caught:
        load_all([tmp_path])
    assert [Path(str(p.file)).name for p in problems_of(caught.value)] == ["a.scenario.yaml", "b.scenario.yaml"]
    assert len(str(caught.value).splitlines()) == 2
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda t: t.encode(errors="surrogatepass"))))
def test_no_bytes_raise_anything_but_a_scenario_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.scenario.yaml"
    path.write_bytes(content)
    with pytest.raises(ScenarioError):
        load_file(path)


_SIGNS = ["'", '"', "[", "]", "{", "}", "<<", "?", "-", "|", ">", "%", "@", "\\", "#", ",", ":"]
_WORDS = [
    "a",
    "null",
    "~",
    "1",
    "-1",
    "1e999",
    "0x1F",
    "${",
    "${latency}",
    "${x}",
    "&a",
    "*a",
    "!!int",
    "!x",
    "5s",
    ".nan",
]
_PIECES = st.sampled_from([*_WORDS, *_SIGNS, ": ", "- ", "\t", "\n", "2013-06-14"])
_LINES = [number for number, line in enumerate(GOOD.splitlines()) if line.strip()]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(_LINES), st.integers(0, 60), st.lists(_PIECES, min_size=1, max_size=5).map("".join))
def test_no_change_to_a_scenario_raises_anything_but_a_scenario_error(
    tmp_path: Path, line: int, column: int, piece: str
) -> None:
    lines = GOOD.splitlines()
    lines[line] = lines[line][:column] + piece + lines[line][column:]
    for problem in load_problems(tmp_path, "\n".join(lines)):
        assert problem.file is not None


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["5s", "${latency}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "at", "probe", "x"]), inner),
    max_leaves=8,
)
_FIELDS = ["schema", "scenario", "vars", "matrix", "timeline", "expect", "steady_state", "sabotage", "start_at", "seed"]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(_FIELDS), _VALUES)
def test_no_value_of_a_field_raises_anything_but_a_scenario_error(tmp_path: Path, field: str, value: object) -> None:
    data = yaml.safe_load(GOOD)
    data[field] = value
    path = tmp_path / "x.scenario.yaml"
    try:
        with path.open("w", encoding="utf-8") as file:
            yaml.safe_dump(data, file, allow_unicode=True)
    except (UnicodeEncodeError, ValueError):
        return
    load_problems(tmp_path, path.read_text("utf-8"))
