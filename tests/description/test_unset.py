"""Variables that must be set and are not: one error names them all."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.description.composefile import filled_in, read_compose
from harness.description.stackfile import load_stack
from harness.model.errors import StackError

TEXT = """\
x-harness: {schema: 1, stack: shop}
services:
  a:
    image: "${A1:?no A1}"
    environment: {B: "${B1:?}", TWO: "${A1:?no A1}-${C1?first}-${D1:?}", SET: "${SET:?}"}
  b:
    command: "run $(mktemp) ${E1:?}"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a compose file whose variables are not set."""
    file = tmp_path / "compose.yaml"
    file.write_text(TEXT)
    return file


def test_all_of_them_are_named_with_their_places(path: Path) -> None:
    with pytest.raises(StackError) as caught:
        load_stack(path, variables={"SET": "x"})
    assert (caught.value.line, caught.value.field) == (4, "services.a.image")
    assert caught.value.message == (
        "the variable A1 is not set: no A1; neither are B1 (compose.yaml:5: it is required), "
        "C1 (compose.yaml:5: first), D1 (compose.yaml:5: it is required), E1 (compose.yaml:7: it is required)"
    )


def test_one_alone(path: Path) -> None:
    with pytest.raises(StackError, match=r"the variable E1 is not set: it is required$"):
        load_stack(path, variables=dict.fromkeys(["A1", "B1", "C1", "D1", "SET"], "x"))
    stack = load_stack(path, variables=dict.fromkeys(["A1", "B1", "C1", "D1", "E1", "SET"], "x"))
    assert stack.services["b"].command == ("run", "$(mktemp)", "x")


def test_very_many_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "compose.yaml"
    lines = "".join(f"      V{n}: ${{V{n}:?}}\n" for n in range(30))
    path.write_text(f"x-harness: {{schema: 1}}\nservices:\n  a:\n    environment:\n{lines}")
    with pytest.raises(StackError, match=r"V20 \(compose.yaml:25: it is required\), 9 more$"):
        load_stack(path, variables={})


def test_those_of_a_whole_file_that_is_started(path: Path) -> None:
    read = read_compose([path], {"SET": "x"})
    with pytest.raises(StackError, match=r"A1 is not set: no A1; neither are B1 .*E1"):
        filled_in(read.tree, read.tree.value, read.variables)
