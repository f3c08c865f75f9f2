"""An env file that several services read holds the addresses of all of them, and is no proof that each is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.onboarding.discovery.addresses import references_of
from harness.onboarding.discovery.project import read_project
from harness.onboarding.discovery.services import guess_all

STORES = "  redis: {image: redis}\n  db: {image: postgres}\n"


def links(
    folder: Path, services: str, env: str = "REDIS_URL=redis://redis:6379\nDB_URL=postgresql://db/x\n"
) -> dict[str, Any]:
    (folder / "all.env").write_text(env)
    (folder / "compose.yaml").write_text(f"services:\n{STORES}{services}")
    project = read_project(folder, ask_engine=False)
    found = {
        name: sorted(one.links)
        for name, one in guess_all(project, references_of(project)).items()
        if name not in ("redis", "db")
    }
    return {"links": found, "doubted": references_of(project).doubtful_services}


def test_whoever_waits_for_a_store_talks_to_it(tmp_path: Path) -> None:
    found = links(
        tmp_path,
        "  api: {image: x, env_file: all.env, depends_on: [db, redis]}\n"
        "  worker: {image: x, env_file: [all.env], depends_on: [redis]}\n"
        "  ui: {image: x, env_file: all.env, depends_on: [api]}\n",
    )
    assert found["links"] == {"api": ["db", "redis"], "worker": ["redis"], "ui": []}
    assert found["doubted"] == {"worker": {"all.env": ["db"]}, "ui": {"all.env": ["redis", "db"]}}


def test_a_place_of_its_own_is_proof(tmp_path: Path) -> None:
    found = links(
        tmp_path,
        "  api: {image: x, env_file: all.env, command: serve --cache redis:6379}\n"
        "  ui: {image: x, env_file: all.env}\n",
    )
    assert found["links"] == {"api": ["db", "redis"], "ui": ["db"]}, "of the database nothing tells them apart"


def test_a_file_of_one_service_is_its_own(tmp_path: Path) -> None:
    found = links(tmp_path, "  api: {image: x, env_file: all.env, depends_on: [db]}\n")
    assert found == {"links": {"api": ["db", "redis"]}, "doubted": {}}


def test_variables_of_the_compose_file_itself_are_no_shared_file(tmp_path: Path) -> None:
    own = "environment: {REDIS_URL: 'redis://redis:6379'}"
    found = links(tmp_path, f"  api: {{image: x, {own}, depends_on: [redis]}}\n  ui: {{image: x, {own}}}\n")
    assert found["links"] == {"api": ["redis"], "ui": ["redis"]}


def test_an_environment_that_services_take_in_by_an_anchor_is_shared_as_a_file_is(tmp_path: Path) -> None:
    env = "x-env: &env\n  REDIS_URL: redis://redis:6379\n  DB_URL: postgresql://db/x\n"
    text = (
        f"{env}services:\n{STORES}"
        "  api: {image: x, environment: *env, depends_on: [db, redis]}\n"
        "  worker: {image: x, environment: {<<: *env, OWN: 1}, depends_on: [redis]}\n"
        "  ui: {image: x, environment: *env, depends_on: [api]}\n"
    )
    (tmp_path / "compose.yaml").write_text(text)
    project = read_project(tmp_path, ask_engine=False)
    found = {name: sorted(one.links) for name, one in guess_all(project, references_of(project)).items()}
    assert found == {"redis": [], "db": [], "api": ["db", "redis"], "worker": ["redis"], "ui": []}
    assert references_of(project).doubtful_services == {
        "worker": {"an environment in compose.yaml": ["db"]},
        "ui": {"an environment in compose.yaml": ["redis", "db"]},
    }


def test_stores_take_settings_from_a_file_of_addresses_and_talk_to_nobody(tmp_path: Path) -> None:
    stores = "  redis: {image: redis, env_file: all.env}\n  db: {image: postgres, env_file: all.env}\n"
    (tmp_path / "all.env").write_text("REDIS_URL=redis://redis:6379\nDB_URL=postgresql://db/x\n")
    (tmp_path / "compose.yaml").write_text(f"services:\n{stores}  app: {{image: x, env_file: all.env}}\n")
    project = read_project(tmp_path, ask_engine=False)
    found = guess_all(project, references_of(project))
    assert {name: sorted(one.links) for name, one in found.items()} == {"redis": [], "db": [], "app": ["db", "redis"]}


def in_folder(folder: Path, file: str, text: str, services: str) -> dict[str, Any]:
    (folder / "shared").mkdir()
    (folder / "shared" / file).write_text(text)
    return links(folder, services)


def test_code_that_several_have_is_no_proof(tmp_path: Path) -> None:
    found = in_folder(
        tmp_path,
        "settings.py",
        "CACHE = os.getenv('CACHE', 'redis:6379')\nDB = 'postgresql://db/x'\n",
        "  api: {image: x, volumes: ['./shared:/app'], depends_on: [db]}\n"
        "  worker: {image: y, volumes: ['./shared:/app']}\n",
    )
    assert found["links"] == {"api": ["db"], "worker": []}
    assert found["doubted"] == {
        "api": {"shared/settings.py": ["redis"]},
        "worker": {"shared/settings.py": ["redis", "db"]},
    }


def test_code_of_one_service_is_its_own(tmp_path: Path) -> None:
    found = in_folder(
        tmp_path, "settings.py", "CACHE = 'redis:6379'\n", "  api: {image: x, volumes: ['./shared:/app']}\n"
    )
    assert found["links"] == {"api": ["redis"]}


def test_settings_that_several_mount_are_told_apart_as_an_env_file_is(tmp_path: Path) -> None:
    found = in_folder(
        tmp_path,
        "settings.yaml",
        "cache: redis:6379\ndb: db:5432\n",
        "  api: {image: x, volumes: ['./shared:/app'], depends_on: [db]}\n"
        "  worker: {image: y, volumes: ['./shared:/app']}\n",
    )
    assert found["links"] == {"api": ["db", "redis"], "worker": ["redis"]}
