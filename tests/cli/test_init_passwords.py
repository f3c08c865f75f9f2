"""`harness init` where it wrote before: what it shows of an edited file has no password in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from calling import Harness

COMPOSE = 'services: {store: {image: "postgres:16", environment: {POSTGRES_PASSWORD: hunter2}}}\n'
STACK = "compose.harness.yaml"


@pytest.mark.xfail(reason="lines and values are shown as they are", strict=True)
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
