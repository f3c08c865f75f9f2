"""The users' page of scenario files: every field is on it, and its example is a good scenario."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from harness.description.findings import field_names
from harness.model.alert_clauses import Cleared, Detected, Flaps, Quiet
from harness.model.clauses import Bound, Noticed, Recovered
from harness.model.expectations import INTEGRITY_CHECKS, Expect
from harness.model.faultstep import After, FaultStep, Misfire, Target
from harness.model.guardrails import AbortRule, Limits
from harness.model.scenario import KnownWeakness, Scenario
from harness.model.units import format_seconds
from harness.runner.loading.load import load_file

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "scenarios.md").read_text("utf-8")
MODELS = (
    Scenario,
    FaultStep,
    Misfire,
    Target,
    After,
    KnownWeakness,
    Expect,
    Quiet,
    Bound,
    Recovered,
    Noticed,
    Detected,
    Cleared,
    Flaps,
)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_field_is_on_the_page(model: type[BaseModel]) -> None:
    spelt = "".join(re.findall(r"`[^`]*`", PAGE))
    missing = [name for name in field_names(model) if not re.search(rf"\b{name}\b", spelt)]
    assert missing == []


@pytest.mark.parametrize("model", [AbortRule, Limits], ids=lambda model: model.__name__)
def test_every_field_of_guardrails_is_on_their_page(model: type[BaseModel]) -> None:
    spelt = "".join(re.findall(r"`[^`]*`", (DOCS / "guardrails.md").read_text("utf-8")))
    assert [name for name in field_names(model) if not re.search(rf"\b{name}\b", spelt)] == []


@pytest.mark.parametrize(
    ("model", "field"),
    [(Scenario, "gate_timeout"), (Scenario, "observe"), (After, "timeout"), (Bound, "over"), (Recovered, "hold")],
)
def test_defaults_are_those_of_the_models(model: type[BaseModel], field: str) -> None:
    default = format_seconds(model.model_fields[field].default)
    assert re.search(rf"^\| `{field}` \| duration \| `{default}` \|", PAGE, re.MULTILINE)


def test_every_guarantee_is_on_the_page() -> None:
    assert all(f"`{check}`" in PAGE for check in INTEGRITY_CHECKS)


def test_the_example_is_a_good_scenario(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    path = tmp_path / "example.scenario.yaml"
    path.write_text(example[1], "utf-8")
    (item,) = load_file(path)
    assert item.name == "slow-object-store"


def test_links_inside_the_page_lead_somewhere() -> None:
    headings = {
        re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in re.findall(r"^#+ (.*)$", PAGE, re.M)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= headings
