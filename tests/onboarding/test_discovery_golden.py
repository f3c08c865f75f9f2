"""What init makes of projects of several shapes: as was read and found good, valid, and beside files left untouched."""

from __future__ import annotations

from pathlib import Path

import pytest
from trying import GOLDEN, NAMES, copied, described, digests

from harness.description.composefile import read_compose
from harness.description.stackfile import load_stack
from harness.runner.checking.stacks import validated

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", NAMES)
def test_a_project_is_described(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = copied(name, tmp_path)
    before = digests(project)
    told = described(project)
    assert told == (GOLDEN / f"{name}.txt").read_text("utf-8"), "see tests/onboarding/regenerate_golden.py"
    after = digests(project)
    assert {file: after[file] for file in before} == before, "no file of the user's is touched"

    monkeypatch.setenv("REGISTRY", "registry.example")
    stack = load_stack(project / "compose.harness.yaml")
    written = sorted(after.keys() - before.keys() - {"compose.harness.yaml", ".harness-init"})
    assert all(file.startswith("scenarios/") for file in written)
    if written:
        assert len(validated([project / "scenarios"])) == len(written), "each is valid under harness check"
    alone = read_compose([Path(file) for file in stack.files[:-1]])
    laid_over = read_compose([Path(file) for file in stack.files])
    for body in laid_over.tree.value["services"].values():
        body.pop("x-harness", None)
    assert laid_over.tree.value["services"] == alone.tree.value["services"], "the override changes nothing by itself"


def test_every_link_that_was_found_is_one_of_the_stack(tmp_path: Path) -> None:
    project = copied("mlflow-team", tmp_path)
    described(project)
    links = {link.name for link in load_stack(project / "compose.harness.yaml").links}
    assert links == {
        "create-bucket -> minio", "mlflow -> db", "mlflow -> minio", "model-a -> mlflow", "model-b -> mlflow",
        "gateway -> model-a", "gateway -> model-b", "prometheus -> model-a", "prometheus -> model-b",
    }  # fmt: skip


def test_no_value_of_an_env_file_is_copied(tmp_path: Path) -> None:
    assert "hidden" not in described(copied("includes", tmp_path))
