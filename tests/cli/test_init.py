"""`harness init`: what it prints, what it writes where, and the files that it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from calling import Harness

COMPOSE = """\
services:
  store: {image: "redis:7", volumes: ["data:/data"]}
  web: {image: web, command: uvicorn app:app --port 8000, environment: {STORE: "store:6379"}, restart: always}
volumes: {data: {}}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a compose file, which is made the working directory."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "compose.yaml").write_text(COMPOSE)
    monkeypatch.chdir(folder)
    return folder


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_findings_are_printed_with_what_is_uncertain(project: Path, harness_: Harness) -> None:
    result = harness_("init", "--no-engine")
    assert result.code == 0
    head, store, web, *_ = result.out.splitlines()
    assert head.split() == ["service", "kind", "port", "health", "links"]
    assert store.split() == ["store", "redis", "6379", "tcp", "-"]
    assert web.split() == ["web", "uvicorn", "8000", "tcp", "store"]
    assert "note: no alert rule was found" in result.out
    assert "harness doctor compose.harness.yaml scenarios --attach shop " in result.out
    assert "scenarios/crashed-web.scenario.yaml" in files(project)
    assert harness_("check").code == 0


SERVERS = """\
services:
  store:
    image: "python:3.12"
    command: [python, app/store.py]
    expose: [8001]
    healthcheck: {test: [CMD, curl, -f, "http://localhost:8001/health"]}
  front: {image: "python:3.12", command: [python, app/front.py], environment: {STORE: "http://store:8001"}}
"""


def test_ordinary_servers_get_a_first_scenario(project: Path, harness_: Harness) -> None:
    (project / "compose.yaml").write_text(SERVERS)
    result = harness_("init", "--no-engine")
    assert result.code == 0
    written = [".harness-init", "compose.harness.yaml", "compose.yaml", "scenarios/crashed-store.scenario.yaml"]
    assert files(project) == written
    text = (project / "scenarios" / "crashed-store.scenario.yaml").read_text()
    assert "fault: container.kill" in text
    assert "{id: store_up-again, probe: store_up, at_least: 1, within: 30s, from: injection}" in text
    assert "note: no hung-store: no probe asks front for work that needs store" in result.out
    assert harness_("check").out == "1 scenario: valid\n", "and no note that nothing could feel it"


def test_what_comes_next_names_no_folder_that_was_not_written(project: Path, harness_: Harness) -> None:
    (project / "compose.yaml").write_text("services: {web: {image: acme/app}}\n")
    result = harness_("init", "--no-engine")
    assert "no scenario was written" in result.out
    after = result.out[result.out.index("next:") :]
    assert "scenarios" not in after
    assert "harness doctor compose.harness.yaml --attach shop " in after


def test_nothing_is_written_over(project: Path, harness_: Harness) -> None:
    (project / "scenarios").mkdir()
    mine = project / "scenarios" / "crashed-web.scenario.yaml"
    mine.write_text("# mine\n")
    for force in ((), ("--force",)):
        result = harness_("init", "--no-engine", *force)
        assert result.code == 2
        assert "scenarios/crashed-web.scenario.yaml: there is a file already" in result.err
        assert "left alone" in result.err
        assert "--out" in result.err
    assert mine.read_text() == "# mine\n"
    assert files(project) == ["compose.yaml", "scenarios/crashed-web.scenario.yaml"], "nothing at all is written then"


def test_a_link_to_a_file_of_somebody_else_is_not_followed(project: Path, harness_: Harness, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.yaml"
    elsewhere.write_text("# Written by `harness init`\n")
    (project / "compose.harness.yaml").symlink_to(elsewhere)
    assert harness_("init", "--no-engine", "--force").code == 2
    assert elsewhere.read_text() == "# Written by `harness init`\n"


def test_another_folder_for_what_is_written(project: Path, harness_: Harness) -> None:
    assert harness_("init", "--no-engine", "--out", "chaos").code == 0
    assert "base: [../compose.yaml]" in (project / "chaos" / "compose.harness.yaml").read_text()
    assert harness_("check", "chaos").code == 0


def test_links_that_only_a_shared_env_file_shows_are_listed(project: Path, harness_: Harness) -> None:
    (project / "all.env").write_text("STORE=redis://store:6379\n")
    (project / "compose.yaml").write_text(
        "services:\n  store: {image: redis}\n"
        "  api: {image: x, env_file: all.env, depends_on: [store]}\n  ui: {image: x, env_file: all.env}\n"
    )
    result = harness_("init", "--no-engine")
    assert "note: ui: it is not clear whether it uses store: only all.env says so, which others have" in result.out
    _, _, api, ui, *_ = result.out.splitlines()
    assert (api.split()[-1], ui.split()[-1]) == ("store", "-")


def test_what_the_stack_file_says_of_an_unclear_link_is_taken(project: Path, harness_: Harness) -> None:
    apart = "{image: x, command: python api.py, restart: always, environment: *env, depends_on: [store]}"
    (project / "compose.yaml").write_text(
        'x-env: &env {STORE: "store:6379"}\nservices:\n  store: {image: redis}\n'
        f"  api: {apart}\n  ui: {{image: x, restart: always, environment: *env}}\n"
    )
    first = harness_("init", "--no-engine")
    assert "note: ui: it is not clear whether it uses store" in first.out
    assert "list these links in x-harness.links, or in x-harness.unused_links if nobody uses them" in first.out
    stack = project / "compose.harness.yaml"
    text = stack.read_text()
    assert text.count("  # unused_links:\n  #   - ui -> store\n") == 1
    assert "ui -> store" in harness_("coverage", stack).out, "until then it counts as a link"
    stack.write_text(text.replace("  # unused_links:\n  #   -", "  unused_links:\n    -"))
    assert "it is not clear" not in harness_("init", "--no-engine").out
    covered = harness_("coverage", stack).out
    assert "api -> store" in covered
    assert "ui -> store" not in covered


def test_a_project_elsewhere_and_files_by_name(project: Path, harness_: Harness) -> None:
    (project / "more.yaml").write_text("services: {web: {environment: {MODE: slow}}}\n")
    assert harness_("init", "--no-engine", "-f", "compose.yaml", "-f", "more.yaml").code == 0
    assert "base: [compose.yaml, more.yaml]" in (project / "compose.harness.yaml").read_text()


def test_a_folder_is_given(project: Path, harness_: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.parent)
    assert harness_("init", "shop", "--no-engine").code == 0
    assert (project / "compose.harness.yaml").is_file()
    assert harness_("check", "shop").code == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services: {a: [\n", "this is not YAML"),
        ("services: {a: {image: x}, a: {image: y}}\n", "duplicate key 'a'"),
        ("name: x\n", "there are no services"),
    ],
)
def test_a_compose_file_that_cannot_be_read(project: Path, harness_: Harness, text: str, said: str) -> None:
    (project / "compose.yaml").write_text(text)
    result = harness_("init", "--no-engine")
    assert result.code == 2
    assert said in result.err
    assert "compose.yaml" in result.err
    assert files(project) == ["compose.yaml"]


def test_no_compose_file(tmp_path: Path, harness_: Harness) -> None:
    result = harness_("init", tmp_path)
    assert result.code == 2
    assert "there is no compose file in this folder — one is named compose.yaml" in result.err
    assert harness_("init", tmp_path / "gone").code == 2
    assert harness_("init", tmp_path, "-f", tmp_path / "gone.yaml").code == 2


@pytest.mark.parametrize("name", ["serving", "server", "model-server", "predictor", "inference"])
def test_a_model_server_without_a_port(tmp_path: Path, harness_: Harness, name: str) -> None:
    (tmp_path / "compose.yaml").write_text(f"services: {{{name}: {{image: acme/app:1}}}}\n")
    result = harness_("init", tmp_path, "--no-engine")
    assert result.code == 0
    assert f"{name}: no port was found" in result.out
