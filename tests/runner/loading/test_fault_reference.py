"""The documentation names every kind that there is, and what is generated in it is up to date."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.faults.table import FAULTS
from harness.model import alertsources
from harness.model.fault import FaultKind, NoParameters
from harness.model.faultstep import FaultStep
from harness.model.probekinds import PROBE_KINDS
from harness.runner.loading.reference import fault_reference, with_reference

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"


def test_the_reference_of_faults_is_up_to_date() -> None:
    page = (DOCS / "faults.md").read_text("utf-8")
    assert page == with_reference(page, FAULTS), "run `make generate`"


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="the page has no part between"):
        with_reference("# Faults\n", FAULTS)


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_says_what_it_proves_and_what_its_parameters_mean(name: str) -> None:
    kind = FAULTS[name]
    assert all((kind.confirmed_by, kind.restored, kind.certifies, kind.not_certified))
    reference = fault_reference({name: kind})
    assert f"### `{name}`" in reference
    undescribed = [row for row in reference.splitlines() if row.startswith("| `") and row.endswith("|  |")]
    assert undescribed == []


def step(kind: str, **parameters: object) -> FaultStep:
    raw = {"id": "it", "at": "0s", "fault": kind, "target": {"service": "web"}, "for": "1s", "with": parameters}
    return FaultStep.model_validate(raw)


@pytest.mark.parametrize("name", [name for name in FAULTS if name not in ("command", "file.corrupt")])
def test_every_fault_of_our_own_accounts_for_the_data_that_it_changes(name: str) -> None:
    assert FAULTS[name].untold(step(name)) is None


def test_who_read_a_file_of_a_volume_nobody_can_tell() -> None:
    assert "file.corrupt does not report" in str(FAULTS["file.corrupt"].untold(step("file.corrupt")))


def test_a_command_accounts_for_the_data_that_it_changes_only_where_it_changes_none() -> None:
    commands = {"inject": ["true"], "confirm": ["true"], "revert": ["true"]}
    assert "command does not report" in str(FAULTS["command"].untold(step("command", **commands)))
    assert FAULTS["command"].untold(step("command", **commands, changes_data=False)) is None


def test_a_fault_of_others_that_does_not_say_what_it_changes_may_have_changed_anything() -> None:
    kind = FaultKind("shop.outage", "everything stops", ("service",), NoParameters, FAULTS["network.reset"].make)
    assert "shop.outage does not report" in str(kind.untold(step("shop.outage")))


EXAMPLE = (
    "harness/faults/network_reset.py",
    "harness/faults/table.py",
    "tests/faults/test_fault_contract.py",
    "scenarios/network/connection-resets.scenario.yaml",
)


def test_the_example_of_contributing_is_the_code_itself() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    section = page.partition("## A fault\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```(?:python|yaml)\n(.*?)```", section, re.DOTALL)
    files = {name: (ROOT / name).read_text("utf-8") for name in EXAMPLE}
    quoted = [next((name for name, text in files.items() if block in text), block) for block in blocks]
    assert set(quoted) == set(EXAMPLE)


def test_every_kind_of_probe_is_in_the_docs() -> None:
    page = (DOCS / "probes.md").read_text("utf-8")
    assert [kind for kind in PROBE_KINDS if f"| `{kind}` |" not in page] == []


def test_every_kind_of_alert_source_is_in_the_docs() -> None:
    page = (DOCS / "stack-description.md").read_text("utf-8")
    assert [kind for kind in alertsources.KINDS if f"- `{kind}` " not in page] == []
