"""An env file that several services read holds the addresses of all of them, and is no proof that each is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.onboarding.discovery.addresses import doubted
from harness.onboarding.discovery.project import read_project
from harness.onboarding.discovery.services import guess_all

STORES = "  redis: {image: redis}\n  db: {image: postgres}\n"


def links(
    folder: Path, services: str, env: str = "REDIS_URL=redis://redis:6379\nDB_URL=postgresql://db/x\n"
) -> dict[str, Any]:
    (folder / "all.env").write_text(env)
    (folder / "compose.yaml").write_text(f"services:\n{STORES}{services}")
    project = read_project(folder, ask_engine=False)
    found = {name: sorted(one.links) for name, one in guess_all(project).items() if name not in ("redis", "db")}
    return {"links": found, "doubted": doubted(project)}


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
