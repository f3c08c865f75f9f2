"""Finding the compose files, and what a compose command has to say of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.model.errors import HarnessError, ScenarioError
from harness.onboarding.discovery.addresses import references_of
from harness.onboarding.discovery.project import find_files, read_project
from harness.onboarding.discovery.services import guess_all

WEB = "services: {web: {image: nginx}}\n"


def names(files: tuple[Path, ...]) -> list[str]:
    return [file.name for file in files]


def test_files_are_found_as_compose_finds_them(tmp_path: Path) -> None:
    for name in ("docker-compose.yml", "compose.yaml", "compose.override.yaml", "other.yaml"):
        (tmp_path / name).write_text(WEB)
    assert names(find_files(tmp_path, {})) == ["compose.yaml", "compose.override.yaml"]
    assert names(find_files(tmp_path / "other.yaml", {})) == ["other.yaml"]
    assert names(find_files(tmp_path, {"COMPOSE_FILE": "other.yaml:compose.yaml"})) == ["other.yaml", "compose.yaml"]
    (tmp_path / ".env").write_text("COMPOSE_FILE=other.yaml\n")
    assert names(find_files(tmp_path, {})) == ["other.yaml"]


def test_no_compose_file_but_one_nearby(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="there is no compose file"):
        find_files(tmp_path, {})
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "docker-compose.yaml").write_text(WEB)
    with pytest.raises(ScenarioError, match=r"there is one in deploy/docker-compose.yaml"):
        find_files(tmp_path, {})


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("services: [\n", "this is not YAML"),
        ("services: {a: 3}\n", "a mapping of names"),
        ("version: '3'\n", "there are no services"),
        ("", "there are no services"),
        ("- a\n", "there are no services"),
    ],
)
def test_files_that_describe_nothing(tmp_path: Path, text: str, hint: str) -> None:
    (tmp_path / "compose.yaml").write_text(text)
    with pytest.raises(HarnessError, match=hint):
        read_project(tmp_path, ask_engine=False)


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `docker-compose` that prints the file `told` beside it, or fails where there is none."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "docker-compose"
    script.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = version ]; then echo 1.29.2; exit 0; fi\n'
        f"cat {folder}/told 2>/dev/null && exit 0\n"
        f"cat {folder}/refused >&2 2>/dev/null || echo 'it is all wrong' >&2; exit 1\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")
    docker = folder / "docker"
    docker.write_text("#!/bin/sh\nexit 1\n")
    docker.chmod(0o755)
    return folder


def test_the_compose_command_has_the_last_word(tmp_path: Path, command: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {web: {image: nginx, environment: {API: 'api:8000'}}}\n")
    (command / "told").write_text(
        "services:\n  web: {image: nginx, environment: {API: 'api:9000', COST: '$$5'}}\n  api: {image: api}\n"
    )
    project = read_project(tmp_path)
    assert project.read_with == "docker-compose 1.29.2"
    assert project.services["web"]["environment"] == {"API": "api:9000", "COST": "$5"}
    assert "api: only docker-compose 1.29.2 sees this service" in project.notes[0]
    assert list(guess_all(project, references_of(project))["web"].links) == ["api"]


def test_a_command_that_refuses_the_files_is_no_hindrance(tmp_path: Path, command: Path) -> None:
    (tmp_path / "compose.yaml").write_text(WEB)
    project = read_project(tmp_path)
    assert project.read_with is None
    assert project.notes == ("docker-compose 1.29.2 cannot read these files: it is all wrong",)
    assert list(project.services) == ["web"]


@pytest.mark.parametrize(
    "warning",
    [
        'time="2026-01-01" level=warning msg="The \\"A\\" variable is not set. Defaulting to a blank string."',
        "WARNING: The A variable is not set. Defaulting to a blank string.",
        "The A variable is not set. Defaulting to a blank string.",
    ],
)
def test_the_reason_of_a_refusal_is_shown_and_not_the_warnings_before_it(
    tmp_path: Path, command: Path, warning: str
) -> None:
    (tmp_path / "compose.yaml").write_text(WEB)
    (command / "refused").write_text(f"{warning}\n" * 8 + "services.web: additional property imag\n")
    said = "docker-compose 1.29.2 cannot read these files: services.web: additional property imag"
    assert read_project(tmp_path).notes == (said,)


def test_of_a_long_refusal_the_end_is_shown(tmp_path: Path, command: Path) -> None:
    (tmp_path / "compose.yaml").write_text(WEB)
    (command / "refused").write_text("while reading " * 50 + "\nthe port is wrong\n")
    (note,) = read_project(tmp_path).notes
    assert note.endswith("while reading the port is wrong")
    assert len(note) < 400


def test_an_undefined_variable_is_reported_and_the_rest_is_read(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {web: {image: '${GONE:?say which}', ports: ['80:80']}}\n")
    project = read_project(tmp_path, ask_engine=False)
    assert "the variable GONE is not set: say which" in project.notes[0]
    port = guess_all(project, references_of(project))["web"].port
    assert port is not None
    assert port.value == 80
