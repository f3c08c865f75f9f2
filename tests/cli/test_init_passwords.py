"""`harness init` where it wrote before: what it shows of an edited file has no password in it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from calling import Harness

COMPOSE = 'services: {store: {image: "postgres:16", environment: {POSTGRES_PASSWORD: hunter2}}}\n'
STACK = "compose.harness.yaml"


@pytest.mark.parametrize("edit", [("password: hunter2", "password: hunter3"), ("store_answers:", "mine:")])
def test_no_password_is_shown(
    edit: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harness_: Harness
) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    monkeypatch.chdir(tmp_path)
    assert harness_("init", "--no-engine").code == 0
    text = (tmp_path / STACK).read_text()
    assert edit[0] in text, "the password is one of the file"
    (tmp_path / STACK).write_text(text.replace(*edit))
    again = harness_("init", "--no-engine")
    assert again.code == 0
    assert "hunter" not in again.out
    assert re.search('password: "?…', again.out)


@pytest.mark.parametrize("password", ["hunter2 #x, y", "1234567", "it's: hunter2", 'hunter2"}', "${MINE:-hunter2}"])
def test_no_password_with_signs_of_yaml_is_shown(
    password: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harness_: Harness
) -> None:
    services = {
        "store": {"image": "postgres:16", "environment": {"POSTGRES_PASSWORD": password}},
        "cache": {"image": "redis:7", "command": ["redis-server", "--requirepass", password]},
        "web": {"image": "web", "environment": {"URL": f"postgresql://app:{password}@store:5432/x"}},
    }
    (tmp_path / "compose.yaml").write_text(json.dumps({"services": services}))
    monkeypatch.chdir(tmp_path)
    assert harness_("init", "--no-engine").code == 0
    text = (tmp_path / STACK).read_text()
    (tmp_path / STACK).write_text(re.sub(r"(?s)\n  probes:.*?(?=\n  \w)", "", text).replace("180s", "20s"))
    again = harness_("init", "--no-engine")
    assert again.code == 0
    assert "probes lacks" in again.out or "x-harness lacks" in again.out, again.out
    assert "hunter" not in again.out
    assert "1234567" not in again.out
