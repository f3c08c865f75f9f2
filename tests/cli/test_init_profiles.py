"""`harness init` on projects with profiles: which services it takes in, and what it says of the others."""

from __future__ import annotations

from pathlib import Path

import pytest
from calling import Harness

COMPOSE = """\
services:
  store: {image: "redis:7"}
  web: {image: web, command: uvicorn app:app --port 8000, environment: {STORE: "store:6379"}}
  gpu: {image: "team/gpu", profiles: [gpu], expose: [9000], environment: {STORE: "store:6379"}}
  tools: {image: "team/tools", profiles: [tools, debug]}
"""
ALL_BEHIND = "services: {cpu: {image: x, profiles: [cpu]}, gpu: {image: x, profiles: [gpu]}}\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a compose file, which is made the working directory."""
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COMPOSE_PROFILES", raising=False)
    return tmp_path


def written(folder: Path) -> str:
    return (folder / "compose.harness.yaml").read_text("utf-8")


def test_services_that_are_off_are_named_with_the_way_to_take_them_in(project: Path, harness_: Harness) -> None:
    result = harness_("init", "--no-engine")
    assert result.code == 0
    assert "gpu is in the profile gpu and was left out: --profile gpu takes it in" in result.out
    assert "tools is in the profile tools, debug and was left out: --profile tools takes it in" in result.out
    assert "\n  gpu:" not in written(project)
    assert "\n  profiles:" not in written(project)


def test_a_profile_is_taken_in(project: Path, harness_: Harness) -> None:
    result = harness_("init", "--no-engine", "--profile", "gpu")
    assert result.code == 0
    assert "\n  gpu:" in written(project)
    assert "\n  profiles: [gpu]" in written(project)
    assert "# profiles: [gpu, tools]  # takes in tools" in written(project)
    assert harness_("check").code == 0


def test_services_that_are_on_by_default_only(project: Path, harness_: Harness) -> None:
    more = '  usual: {image: x, profiles: ["", tools]}\n  plain: {image: x, profiles: [""]}\n'
    (project / "compose.yaml").write_text(COMPOSE + more)
    result = harness_("init", "--no-engine", "--profile", "gpu")
    assert result.code == 0
    assert "usual is in the profile tools and was left out: --profile tools takes it in" in result.out
    assert "plain is only on where no profile is chosen, and was left out" in result.out
    assert harness_("init", "--no-engine", "--force").code == 0
    assert "\n  usual:" in written(project)
    assert "\n  plain:" in written(project)


def test_every_profile_is_taken_in(project: Path, harness_: Harness) -> None:
    assert harness_("init", "--no-engine", "--profile", "*").code == 0
    assert "\n  tools:" in written(project)
    assert harness_("check").code == 0


def test_profiles_of_the_env_file(project: Path, harness_: Harness) -> None:
    (project / ".env").write_text("COMPOSE_PROFILES=tools\n")
    assert harness_("init", "--no-engine").code == 0
    assert "\n  profiles: [tools]" in written(project)
    assert "\n  tools:" in written(project)
    assert "\n  gpu:" not in written(project)


def test_a_profile_that_nothing_is_in(project: Path, harness_: Harness) -> None:
    result = harness_("init", "--no-engine", "--profile", "gpus")
    assert result.code == 2
    assert "no service is in the profile 'gpus' — did you mean 'gpu'?" in result.err


def test_a_project_that_is_all_behind_profiles(project: Path, harness_: Harness) -> None:
    (project / "compose.yaml").write_text(ALL_BEHIND)
    result = harness_("init", "--no-engine")
    assert result.code == 2
    assert "every service is behind a profile that is off — choose with --profile: cpu, gpu" in result.err
    assert not (project / "compose.harness.yaml").exists()
    assert harness_("init", "--no-engine", "--profile", "cpu").code == 0


def test_the_compose_command_is_asked_with_the_same_profiles(
    project: Path, harness_: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project / "bin"
    folder.mkdir()
    (folder / "docker").write_text(
        '#!/bin/sh\nif [ "$2" = version ]; then echo 2.39.4; exit 0; fi\n'
        f'echo "$@" > {folder}/asked\necho "services: {{gpu: {{image: team/gpu}}}}"\n'
    )
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")
    assert harness_("init", "--profile", "gpu", "--profile", "tools").code == 0
    assert (folder / "asked").read_text().startswith("compose --profile gpu --profile tools -f ")
