"""The names and passwords that `harness init` writes: exactly those that the stack has, or none and a note."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from calling import Harness

from harness.description.stackfile import load_stack

HARD = "p@ss/w:rd#1 %25?"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder, which is made the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def described(harness_: Harness, folder: Path, services: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the settings of the probes that init writes for these services, and what it prints."""
    (folder / "compose.yaml").write_text(json.dumps({"services": services}))
    result = harness_("init", "--no-engine", "--force")
    assert result.code == 0, result.err
    stack = load_stack(folder / "compose.harness.yaml")
    return {name: probe.settings for name, probe in stack.probes.items()}, result.out


@pytest.mark.parametrize("written", [HARD, "${DB_PASSWORD}", "${GONE:-" + HARD + "}"])
def test_a_password_of_postgres_with_any_character(
    project: Path, harness_: Harness, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    monkeypatch.setenv("DB_PASSWORD", HARD)
    body = {"image": "postgres:16", "environment": {"POSTGRES_PASSWORD": written, "POSTGRES_USER": "o'shop"}}
    probes, _ = described(harness_, project, {"pg": body})
    access = probes["pg_answers"]
    assert (access.url, access.username, access.password) == ("postgresql://pg:5432/o'shop", "o'shop", HARD)


def test_a_dollar_sign_stays_one(project: Path, harness_: Harness) -> None:
    services = {
        "pg": {"image": "postgres:16", "environment": {"POSTGRES_PASSWORD": "a$$b"}},
        "cache": {"image": "redis:7", "command": "redis-server --requirepass x$$y"},
    }
    probes, _ = described(harness_, project, services)
    assert probes["pg_answers"].password == "a$b"
    assert probes["cache_keys"].password == "x$y"


def test_the_names_that_bitnami_gives(project: Path, harness_: Harness) -> None:
    given = {"POSTGRESQL_USERNAME": "ml", "POSTGRESQL_PASSWORD": HARD, "POSTGRESQL_DATABASE": "runs"}
    probes, _ = described(harness_, project, {"pg": {"image": "bitnami/postgresql:15", "environment": given}})
    access = probes["pg_answers"]
    assert (access.url, access.username, access.password) == ("postgresql://pg:5432/runs", "ml", HARD)


def test_a_url_of_another_service_is_taken_only_if_it_names_the_database(project: Path, harness_: Harness) -> None:
    database = {"image": "postgres:16", "environment": {"POSTGRES_PASSWORD": HARD}}
    quoted = {"image": "x", "environment": {"URL": "postgresql://u:p%40ss@pg:5432/runs"}}
    raw = {"image": "x", "environment": {"URL": "postgresql://u:p/w@pg:5432/runs"}}
    probes, _ = described(harness_, project, {"pg": database, "web": quoted})
    assert probes["pg_answers"].url == "postgresql://u:p%40ss@pg:5432/runs"
    probes, _ = described(harness_, project, {"pg": database, "web": raw})
    assert (probes["pg_answers"].url, probes["pg_answers"].password) == ("postgresql://pg:5432/postgres", HARD)


@pytest.mark.parametrize(
    ("command", "password"),
    [
        ('redis-server --requirepass "a b"', "a b"),
        ("redis-server --requirepass 'a\"b' --appendonly yes", 'a"b'),
        (["redis-server", "--requirepass", "a b"], "a b"),
        (["sh", "-c", "exec redis-server --requirepass 'a b'"], "a b"),
        ('sh -c "redis-server --requirepass plain"', "plain"),
        ("redis-server --requirepass ${PW:?set it first}", HARD),
        ('redis-server --requirepass "${PW}" --port 6379', HARD),
        (["sh", "-c", 'redis-server --requirepass "$$SECRET"'], "from the environment"),
        ("sh -c 'redis-server --requirepass $${SECRET}'", "from the environment"),
        ("redis-server", None),
    ],
)
def test_a_password_of_redis(
    project: Path, harness_: Harness, monkeypatch: pytest.MonkeyPatch, command: Any, password: str | None
) -> None:
    monkeypatch.setenv("PW", HARD)
    body = {"image": "redis:7", "command": command, "environment": {"SECRET": "from the environment"}}
    probes, out = described(harness_, project, {"cache": body})
    assert probes["cache_keys"].password == password
    assert "so no probe looks into it" not in out


KEPT = {"image": "x", "environment": {"REDIS": "redis:6379", "PG": "pg:5432", "S3_BUCKET": "models"}}


@pytest.mark.parametrize(
    ("name", "body", "why"),
    [
        ("pg", {"image": "postgres:16", "environment": {"POSTGRES_PASSWORD_FILE": "/run/secrets/pw"}},
         "what POSTGRES_PASSWORD_FILE names is read in the container only"),
        ("pg", {"image": "postgres:16", "environment": {"POSTGRES_PASSWORD": "x", "POSTGRES_USER_FILE": "/run/u"}},
         "what POSTGRES_USER_FILE names"),
        ("redis", {"image": "bitnami/redis", "environment": {"REDIS_PASSWORD_FILE": "/run/pw"}},
         "what REDIS_PASSWORD_FILE names"),
        ("redis", {"image": "redis:7", "command": ["sh", "-c", "redis-server --requirepass $$(cat /run/pw)"]},
         "the shell in its container makes the value of --requirepass, so"),
        ("redis", {"image": "redis:7", "command": "redis-server /r.conf", "volumes": ["./redis.conf:/r.conf"]},
         "redis.conf sets requirepass"),
        ("minio", {"image": "minio/minio", "environment": {"MINIO_ROOT_PASSWORD_FILE": "/run/pw"}},
         "what MINIO_ROOT_PASSWORD_FILE names"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_left_out_and_said(
    project: Path, harness_: Harness, name: str, body: dict[str, Any], why: str
) -> None:
    (project / "redis.conf").write_text('requirepass "a b"\n')
    probes, out = described(harness_, project, {name: body, "app": KEPT})
    assert not [one for one in probes.values() if type(one).__name__ in ("SqlProbe", "RedisProbe", "S3Probe")]
    assert f"note: {name}: {why}" in out
    assert "so no probe looks into it" in out


def test_a_password_in_a_file_that_a_url_has_too(project: Path, harness_: Harness) -> None:
    database = {"image": "postgres:16", "environment": {"POSTGRES_PASSWORD_FILE": "/run/secrets/pw"}}
    web = {"image": "x", "environment": {"URL": "postgresql://u:pw@pg:5432/runs"}}
    probes, out = described(harness_, project, {"pg": database, "web": web})
    assert probes["pg_answers"].url == "postgresql://u:pw@pg:5432/runs"
    assert "so no probe looks into it" not in out


def test_the_name_of_a_database_may_have_a_blank(project: Path, harness_: Harness) -> None:
    body = {"image": "postgres:16", "environment": {"POSTGRES_PASSWORD": "x", "POSTGRES_DB": "my db"}}
    probes, _ = described(harness_, project, {"pg": body})
    assert probes["pg_answers"].url == "postgresql://pg:5432/my%20db"
