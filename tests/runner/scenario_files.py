"""A good scenario, ways to make it bad, and the stack that it is checked against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.model.errors import ScenarioError
from harness.model.scenario import Scalar
from harness.runner.checking.stacks import validated
from harness.runner.loading.explain import RefusedError, problems_of
from harness.runner.loading.load import Loaded, load_each, load_file

DATA = Path(__file__).parent / "data"
STACK = DATA / "stack.compose.yaml"
GOOD = (DATA / "good.scenario.yaml").read_text("utf-8")


def changed(old: str, new: str, text: str = GOOD) -> str:
    """Return the good scenario with one thing changed."""
    assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
    return text.replace(old, new)


def load_all(paths: Sequence[Path], settings: Mapping[str, Scalar] | None = None) -> list[Loaded]:
    """Load every scenario under these paths; whatever is wrong with one is raised."""
    found, wrong = load_each(paths, settings)
    if wrong:
        raise RefusedError(wrong)
    return found


def written(folder: Path, text: str = GOOD, name: str = "one.scenario.yaml") -> Path:
    """Write a scenario file."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def loaded(folder: Path, text: str = GOOD) -> list[Loaded]:
    """Write a file and load it."""
    return load_file(written(folder, text))


def load_problems(folder: Path, text: str) -> tuple[ScenarioError, ...]:
    """Return what is wrong with a file in itself."""
    try:
        loaded(folder, text)
    except ScenarioError as error:
        return problems_of(error)
    return ()


def check_problems(folder: Path, text: str) -> tuple[ScenarioError, ...]:
    """Return what is wrong with a file on the small stack."""
    try:
        validated([written(folder, text)], stack=str(STACK))
    except ScenarioError as error:
        return problems_of(error)
    return ()


def line_of(text: str, part: str) -> int:
    """Return the line on which something is first written."""
    return next(n for n, line in enumerate(text.splitlines(), 1) if part in line)
