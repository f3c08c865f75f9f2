"""What the README tells a newcomer to type is valid."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_the_first_scenario_is_valid(tmp_path: Path) -> None:
    (written,) = re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL)
    file = tmp_path / "late-store.scenario.yaml"
    file.write_text(written)
    harness = str(Path(sys.executable).parent / "harness")
    done = subprocess.run([harness, "check", str(file)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_page_that_is_named_is_there() -> None:
    for page in re.findall(r"\]\(([^)#]+)\)", README.read_text()):
        assert (README.parent / page).is_file(), page
