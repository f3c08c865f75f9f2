"""reports/README.md: the schemas on it are the ones in force, and its tables name every field."""

from __future__ import annotations

import json
import re
from pathlib import Path

from harness.model.verdict import Damage
from harness.report import json_schemas
from harness.report.documents import QualityWindow, RunDocument, SuiteDocument, SuiteScenario, with_schemas

PAGE = Path(__file__).parents[2] / "reports" / "README.md"


def test_the_schemas_are_the_ones_in_force() -> None:
    blocks = re.findall(r"<code>([\w.]+)</code></summary>\n\n```json\n(.*?)\n```", PAGE.read_text("utf-8"), re.DOTALL)
    assert {name: json.loads(text) for name, text in blocks} == json_schemas()


def test_the_schemas_on_the_page_are_renewed() -> None:
    page = PAGE.read_text("utf-8")
    assert with_schemas(page) == page
    assert with_schemas(page.replace('"type": "object"', '"type": "array"')) == page


def test_every_field_is_described() -> None:
    words = PAGE.read_text("utf-8").split("## JSON Schema")[0]
    described = {word.removesuffix("[]") for word in re.findall(r"`(\w+(?:\[\])?)`", words)}
    for model in (SuiteDocument, SuiteScenario, RunDocument, Damage, QualityWindow):
        names = {field.alias or name for name, field in model.model_fields.items()}
        assert names - {"window"} <= described, model.__name__
