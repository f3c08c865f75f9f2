"""Which services are on: profiles, as compose v2 chooses among them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.description.stackfile import load_stack
from harness.model.errors import StackError

SERVICES = """\
  always: {image: x}
  usual: {image: x, profiles: ["", gpu]}
  gpu: {image: x, profiles: [gpu]}
  debug: {image: x, profiles: [debug]}
"""


def stack(folder: Path, fields: str = "", services: str = SERVICES) -> Path:
    path = folder / "compose.yaml"
    path.write_text(f"x-harness: {{schema: 1{fields}}}\nservices:\n{services}")
    return path


@pytest.mark.parametrize(
    ("fields", "variable", "on"),
    [
        ("", None, ["always", "usual"]),
        ("", "", ["always", "usual"]),
        ("", "gpu", ["always", "usual", "gpu"]),
        ("", "debug", ["always", "debug"]),
        ("", "gpu, debug", ["always", "usual", "gpu", "debug"]),
        ("", "*", ["always", "usual", "gpu", "debug"]),
        (", profiles: [debug]", "gpu", ["always", "debug"]),
        (", profiles: ['*']", None, ["always", "usual", "gpu", "debug"]),
        (", profiles: []", "gpu", ["always", "usual"]),
    ],
)
def test_services_that_are_on(tmp_path: Path, fields: str, variable: str | None, on: list[str]) -> None:
    variables = {} if variable is None else {"COMPOSE_PROFILES": variable}
    assert list(load_stack(stack(tmp_path, fields), variables=variables).services) == on


def test_the_env_file_names_profiles_and_the_environment_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("COMPOSE_PROFILES=debug\n")
    monkeypatch.delenv("COMPOSE_PROFILES", raising=False)
    assert list(load_stack(stack(tmp_path)).services) == ["always", "debug"]
    monkeypatch.setenv("COMPOSE_PROFILES", "gpu")
    assert list(load_stack(stack(tmp_path)).services) == ["always", "usual", "gpu"]


def test_a_stack_whose_services_are_all_off_is_refused(tmp_path: Path) -> None:
    path = stack(tmp_path, services="  web: {image: x, profiles: [cpu]}\n")
    with pytest.raises(StackError, match=r"every service is behind a profile that is off.*COMPOSE_PROFILES"):
        load_stack(path, variables={})


def test_waiting_for_a_service_that_is_off(tmp_path: Path) -> None:
    path = stack(tmp_path, services=SERVICES + "  web: {image: x, depends_on: [debug]}\n")
    with pytest.raises(StackError, match=r"the service 'debug' is off.*add debug to x-harness\.profiles"):
        load_stack(path, variables={})
    wait = "{debug: {condition: service_started, required: false}}"
    path = stack(tmp_path, services=SERVICES + f"  web: {{image: x, depends_on: {wait}}}\n")
    assert load_stack(path, variables={}).services["web"].depends_on == {}
    assert load_stack(path, variables={"COMPOSE_PROFILES": "debug"}).services["web"].depends_on == {
        "debug": "service_started"
    }
