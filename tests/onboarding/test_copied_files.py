"""Configuration that a Dockerfile copies into the image shows links and probes as a mounted one does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.onboarding.discovery.addresses import references_of
from harness.onboarding.discovery.exporting import exporters_of
from harness.onboarding.discovery.probes import candidates
from harness.onboarding.discovery.project import Project, read_project
from harness.onboarding.discovery.services import guess_all

STORE = "project: rides\nonline_store:\n  type: redis\n  connection_string: redis:6379\n"
VIEWS = 'stats = FeatureView(name="driver_stats", ttl=None)\n'


def project(folder: Path, build: Any, dockerfile: str, name: str = "feast/Dockerfile") -> Project:
    for path, text in {"feast/repo/feature_store.yaml": STORE, "feast/repo/views.py": VIEWS, name: dockerfile}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    text = f"services:\n  redis: {{image: redis}}\n  feast: {{build: {build}, expose: [6566]}}\n"
    (folder / "compose.yaml").write_text(text)
    return read_project(folder, ask_engine=False)


def places(found: Project) -> list[str]:
    return [place.where for place in guess_all(found, references_of(found))["feast"].links.get("redis", [])]


@pytest.mark.parametrize(
    "dockerfile",
    [
        "FROM python\nCOPY repo/feature_store.yaml /app/\n",
        "FROM python\nCOPY --chown=1:1 repo/*.yaml \\\n   /app/\n",
        'FROM python\nADD ["repo/feature_store.yaml", "/app/"]\n',
        "FROM python\nCOPY repo /app\n",
        "FROM python AS made\ncopy . /app\nFROM python\nCOPY --from=made /app /app\n",
        "FROM python\nCOPY /repo/feature_store.yaml other.txt /app/\n",
    ],
)
def test_a_link_in_a_copied_file(tmp_path: Path, dockerfile: str) -> None:
    assert places(project(tmp_path, "./feast", dockerfile)) == ["feast/repo/feature_store.yaml:4"]


@pytest.mark.parametrize(
    "dockerfile",
    [
        "FROM python\nCOPY --from=other repo/feature_store.yaml /app/\n",
        "FROM python\nCOPY gone.yaml ${FILE} /app/\n",
        "FROM python\nCOPY ../compose.yaml /app/\n",
        "FROM python\nCOPY [broken /app/\n",
        "FROM python\n# COPY repo /app\n",
        "FROM python\nCOPY repo/views.py repo/nul\0.yaml /app/\n",
    ],
)
def test_what_is_not_copied(tmp_path: Path, dockerfile: str) -> None:
    assert places(project(tmp_path, "./feast", dockerfile)) == []


def test_the_project_as_a_whole_says_nothing_of_one_service(tmp_path: Path) -> None:
    assert places(project(tmp_path, ".", "FROM python\nCOPY . /app\n", "Dockerfile")) == []


def test_of_a_copied_folder_programs_and_compose_files_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "feast").mkdir()
    (tmp_path / "feast" / "test_store.py").write_text("URL = 'redis:6379'\n")
    (tmp_path / "feast" / "docker-compose.dev.yml").write_text("services: {x: {command: 'a redis:6379'}}\n")
    (tmp_path / "feast" / "settings.toml").write_text('store = "redis:6379"\n')
    assert places(project(tmp_path, "./feast", "FROM python\nCOPY . /app\n")) == [
        "feast/settings.toml:1",
        "feast/repo/feature_store.yaml:4",
    ]


def test_the_dockerfile_that_compose_holds(tmp_path: Path) -> None:
    inline = '{context: feast, dockerfile_inline: "FROM python\\nCOPY repo /app"}'
    assert places(project(tmp_path, inline, "")) == ["feast/repo/feature_store.yaml:4"]


def test_a_copied_feature_repository_gives_the_age_of_its_views(tmp_path: Path) -> None:
    found = project(tmp_path, "./feast", "FROM python\nCOPY repo /app\n")
    services = guess_all(found, references_of(found))
    probes = {probe.name: probe for probe in candidates(found, services, [], exporters_of(found, services))}
    assert probes["driver_stats_age"].spec["feast"] == {"service": "redis", "project": "rides", "view": "driver_stats"}
    assert "among the files of feast" in probes["driver_stats_age"].why


def test_a_store_file_that_all_services_have_is_read_for_sure_by_feast_alone(tmp_path: Path) -> None:
    project(tmp_path, "./feast", "FROM python\nCOPY repo /app\n")
    served = '[feast, --chdir, repo, serve, --port, "6566"]'
    (tmp_path / "compose.yaml").write_text(
        "services:\n  redis: {image: redis}\n"
        f"  features: {{build: ./feast, command: {served}}}\n"
        "  generator: {build: ./feast, command: python source.py}\n"
        "  front: {build: ./feast, command: uvicorn app:app --port 8000, environment: {AT: 'features:6566'}}\n"
    )
    read = read_project(tmp_path, ask_engine=False)
    found = guess_all(read, references_of(read))
    links = {name: sorted(one.links) for name, one in found.items()}
    assert links == {"redis": [], "features": ["redis"], "generator": [], "front": ["features"]}
