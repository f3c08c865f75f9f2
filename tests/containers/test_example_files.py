"""The files of `examples/` without an engine: the output of init, the edits, and their validity."""

from __future__ import annotations

import difflib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from example_images import EXAMPLES, MLFLOW, Example

from harness.description.stackfile import load_stack

pytestmark = pytest.mark.slow

MADE_BY_INIT = ("compose.harness.yaml", "compose.fixed.yaml", "compose.fixed.harness.yaml", "scenarios", "reports")


def harness(folder: Path, *arguments: str) -> str:
    """Call the command line in a folder; it must succeed. Return its output."""
    done = subprocess.run(
        [sys.executable, "-c", "from harness.cli import main; raise SystemExit(main())", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module", params=EXAMPLES, ids=lambda example: example.name)
def example(request: pytest.FixtureRequest) -> Example:
    found: Example = request.param
    return found


@pytest.fixture(scope="module")
def first(example: Example, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the stack's original folder with the files that init wrote, and init's output."""
    folder = tmp_path_factory.mktemp("project") / example.name
    shutil.copytree(example.folder, folder, ignore=shutil.ignore_patterns(*MADE_BY_INIT, "__pycache__"))
    return folder, harness(folder, "init", "--no-engine")


def test_every_example_is_tested() -> None:
    folders = {path.name for path in EXAMPLES[0].folder.parent.iterdir() if path.is_dir()}
    assert folders == {example.name for example in EXAMPLES}


def test_init_finds_what_the_readme_lists(example: Example, first: tuple[Path, str]) -> None:
    readme = (example.folder / "README.md").read_text(encoding="utf-8")
    tables = re.findall(r"```\n(service +kind.*?)```", readme, re.DOTALL)
    table = [line.split() for line in first[1].split("\n\n")[0].splitlines()]
    assert [line.split() for line in tables[0].strip().splitlines()] == table
    scenarios = list((first[0] / "scenarios").glob("*.scenario.yaml"))
    counted = re.search(r"(\d+) services, (\d+) links, (\d+) probes, (\d+) alert rules", first[1])
    assert counted is not None
    listed = [line for line in tables[0].strip().splitlines()[1:] if not line.startswith(" ")]
    rules = re.findall(r"- alert: ", (example.folder / "monitoring" / "rules.yml").read_text(encoding="utf-8"))
    assert (int(counted[1]), int(counted[4])) == (len(listed), len(rules))
    assert f"{counted[3]} probes and {len(scenarios)} scenarios" in readme


def test_the_output_of_init_is_valid(first: tuple[Path, str]) -> None:
    assert "valid" in harness(first[0], "check", "scenarios")


def test_every_edit_is_marked(example: Example, first: tuple[Path, str]) -> None:
    """Every line of the edited file that init did not write follows a comment `edited:`."""
    written = (first[0] / "compose.harness.yaml").read_text(encoding="utf-8").splitlines()
    edited = (example.folder / "compose.harness.yaml").read_text(encoding="utf-8").splitlines()
    changes = difflib.SequenceMatcher(None, written, edited, autojunk=False).get_opcodes()
    new = [edited[start:end] for what, _, _, start, end in changes if what in ("replace", "insert")]
    unmarked = [lines for lines in new if not any("edited:" in line for line in lines)]
    assert not unmarked


@pytest.mark.parametrize("stack", ["compose.harness.yaml", "compose.fixed.harness.yaml"])
def test_every_scenario_is_valid_for_both_stacks(example: Example, stack: str) -> None:
    output = harness(example.folder, "check", "scenarios", "--stack", stack)
    assert f"{len(list((example.folder / 'scenarios').glob('*.scenario.yaml')))} scenarios: valid" in output


def test_every_expected_alert_is_a_rule_of_the_fixed_stack(example: Example) -> None:
    wanted = set(load_stack(example.folder / "compose.fixed.harness.yaml").alerts)
    found = set(re.findall(r"alert: (\w+)", (example.folder / "fixed" / "rules.yml").read_text(encoding="utf-8")))
    before = set(re.findall(r"alert: (\w+)", (example.folder / "monitoring" / "rules.yml").read_text(encoding="utf-8")))
    assert found == wanted
    assert before < found


def test_the_readme_lists_every_scenario(example: Example) -> None:
    text = (example.folder / "README.md").read_text(encoding="utf-8")
    missing = [
        path.name for path in (example.folder / "scenarios").iterdir() if f"`{path.name.partition('.')[0]}`" not in text
    ]
    assert not missing


def test_the_readme_counts_the_standard_suite(tmp_path: Path) -> None:
    folder = tmp_path / "mlflow"
    mlflow = MLFLOW.folder
    shutil.copytree(mlflow, folder, ignore=shutil.ignore_patterns("reports", "__pycache__"))
    output = harness(folder, "init", "--no-engine", "--standard")
    written = list((folder / "scenarios" / "standard").rglob("*.scenario.yaml"))
    assert f"writes {len(written)} more" in (mlflow / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"no fires-(\w+)", output) == ["ModelStale"]
    assert f"{len(written)} scenarios: valid\n" == harness(folder, "check", "scenarios/standard"), "without a note"
