"""Compose files laid over one another, included, extended, and with their env files, read without an engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.description.composefile import read_compose
from harness.description.stackfile import load_stack
from harness.model.errors import StackError

BASE = """\
services:
  db:
    image: postgres:16
    environment: [A=1, B=2, C]
    command: [postgres, -c, fsync=off]
    ports: ["5432:5432"]
    volumes: ["./data:/var/lib/data", "named:/x"]
    healthcheck: {test: [CMD, pg_isready], interval: 5s}
  web:
    image: web:1
    depends_on: [db]
    environment: {DB: "db:5432"}
"""
OVER = """\
services:
  db:
    environment: {B: "3", D: "4"}
    command: [postgres]
    ports: ["5433:5433", "5432:5432"]
    volumes: ["./other:/var/lib/data"]
    healthcheck: {test: [CMD, "true"]}
  web:
    image: web:2
    depends_on: {cache: {condition: service_started}}
  cache: {image: redis}
"""


def files(folder: Path, **texts: str) -> list[Path]:
    found = []
    for name, text in texts.items():
        path = folder / (name.replace("__", "/") + ".yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        found.append(path)
    return found


def test_one_file_laid_over_another(tmp_path: Path) -> None:
    tree = read_compose(files(tmp_path, base=BASE, over=OVER), {}).tree
    db, web = tree.value["services"]["db"], tree.value["services"]["web"]
    assert db["environment"] == {"A": "1", "B": "3", "C": None, "D": "4"}
    assert db["command"] == ["postgres"]
    assert db["ports"] == ["5432:5432", "5433:5433"]
    assert db["volumes"] == ["./other:/var/lib/data", "named:/x"]
    assert db["healthcheck"] == {"test": ["CMD", "true"], "interval": "5s"}
    assert web["image"] == "web:2"
    assert list(web["depends_on"]) == ["db", "cache"]
    assert list(tree.value["services"]) == ["db", "web", "cache"]


def test_every_value_keeps_its_place(tmp_path: Path) -> None:
    tree = read_compose(files(tmp_path, base=BASE, over=OVER), {}).tree
    places = {
        ("services", "db", "environment", "A"): ("base.yaml", 4),
        ("services", "db", "environment", "B"): ("over.yaml", 3),
        ("services", "db", "ports", 1): ("over.yaml", 5),
        ("services", "db", "command", 0): ("over.yaml", 4),
        ("services", "web", "image"): ("over.yaml", 9),
        ("services", "web", "environment", "DB"): ("base.yaml", 12),
    }
    assert {path: (Path(tree.file_of(path)).name, tree.line(path)) for path in places} == places


def test_what_is_reset_and_what_is_put_in_its_place(tmp_path: Path) -> None:
    over = 'services: {db: {ports: !override ["1:1"], volumes: !reset [], environment: !reset null}}\n'
    db = read_compose(files(tmp_path, base=BASE, over=over), {}).tree.value["services"]["db"]
    assert db["ports"] == ["1:1"]
    assert "volumes" not in db
    assert "environment" not in db


def test_env_files_lie_beneath_the_environment(tmp_path: Path) -> None:
    (tmp_path / "a.env").write_text("# comment\nexport X='one'\nY=\"two ${Z}\"  # said\nW=$9.99\nA=file\nNONE\n")
    (tmp_path / "b.env").write_text("X=later\n")
    base = BASE.replace(
        "    image: postgres:16\n", "    image: postgres:16\n    env_file: [a.env, {path: b.env}, gone.env]\n"
    )
    composed = read_compose(files(tmp_path, base=base), {"Z": "z"})
    environment = composed.tree.value["services"]["db"]["environment"]
    assert environment == {"X": "later", "Y": "two z", "W": "$$9.99", "A": "1", "B": "2", "C": None}
    assert composed.notes == ["db: the env_file gone.env does not exist"]
    path = ("services", "db", "environment", "Y")
    assert (composed.tree.file_of(path), composed.tree.line(path)) == (str(tmp_path / "a.env"), 3)


def test_the_projects_env_file_fills_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("TAG=9\nNAME=file\n")
    monkeypatch.setenv("NAME", "environment")
    (path,) = files(
        tmp_path, base="x-harness: {schema: 1}\nservices: {web: {image: 'web:${TAG}', command: '${NAME}'}}\n"
    )
    service = load_stack(path).services["web"]
    assert (service.image, service.command) == ("web:9", ("environment",))


def test_services_that_extend_others(tmp_path: Path) -> None:
    common = (
        "services:\n  base: {image: worker, environment: {A: 1, B: 1}, env_file: w.env, volumes: ['./v:/v']}\n"
        "  middle: {extends: base, environment: {B: 2}}\n"
    )
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "w.env").write_text("FROM=file\n")
    main = "services: {web: {extends: {file: shared/common.yaml, service: middle}, environment: {C: 3}}}\n"
    _, path = files(tmp_path, shared__common=common, main=main)
    web = read_compose([path], {}).tree.value["services"]["web"]
    assert web["image"] == "worker"
    assert web["environment"] == {"A": 1, "B": 2, "C": 3, "FROM": "file"}
    assert web["volumes"] == [f"{tmp_path}/shared/v:/v"]
    assert "extends" not in web


def test_included_files(tmp_path: Path) -> None:
    (tmp_path / "stores").mkdir()
    (tmp_path / "stores" / ".env").write_text("TAG=7\n")
    inside = "services: {redis: {image: 'redis:${TAG}', volumes: ['./conf:/conf']}}\n"
    main = "include:\n  - stores/compose.yaml\n  - oci://example.org/x\nservices: {web: {image: web}}\n"
    _, path = files(tmp_path, stores__compose=inside, main=main)
    composed = read_compose([path], {})
    assert composed.tree.value["services"]["redis"] == {
        "image": "redis:7", "volumes": [f"{tmp_path}/stores/conf:/conf"]
    }  # fmt: skip
    assert [file.name for file in composed.files] == ["main.yaml", "compose.yaml"]
    assert "oci://example.org/x" in composed.notes[0]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("services: {a: {extends: b}, b: {extends: a}}\n", "extends itself"),
        ("services: {a: {extends: {service: b, file: gone.yaml}}}\n", "there is no file"),
        ("services: {a: {extends: bb}, b: {}}\n", "did you mean 'b'"),
        ("include: [main.yaml]\nservices: {a: {}}\n", "includes itself"),
        ("include: [gone.yaml]\nservices: {a: {}}\n", "there is no file"),
        ("include: ['${GONE:?say where}']\nservices: {a: {}}\n", "say where"),
    ],
)
def test_files_that_cannot_be_put_together(tmp_path: Path, text: str, hint: str) -> None:
    (path,) = files(tmp_path, main=text)
    with pytest.raises(StackError, match=hint) as caught:
        read_compose([path], {})
    assert caught.value.file == str(path)
    assert caught.value.line == 1


OVERRIDE = """\
x-harness:
  schema: 1
  base: [../base.yaml]
services:
  db: {x-harness: {port: 5432, node: data}}
"""


def test_a_stack_is_loaded_from_an_override(tmp_path: Path) -> None:
    base, over = files(tmp_path, base=BASE, chaos__over=OVERRIDE)
    stack = load_stack(over, variables={})
    assert stack.file == str(over)
    assert [Path(file).resolve() for file in stack.files] == [base, over]
    assert stack.services["db"].environment == {"A": "1", "B": "2"}
    assert stack.services["db"].node == "data"
    assert stack.services["db"].healthcheck
    assert [link.name for link in stack.links] == ["web -> db"]


def test_profiles_that_the_override_switches_on(tmp_path: Path) -> None:
    base = BASE + "  debug: {image: busybox, profiles: [tools]}\n"
    *_, over = files(tmp_path, base=base, chaos__over=OVERRIDE)
    assert "debug" not in load_stack(over, variables={}).services
    over.write_text(OVERRIDE.replace("schema: 1", "schema: 1\n  profiles: [tools]"), "utf-8")
    assert "debug" in load_stack(over, variables={}).services


@pytest.mark.parametrize(
    ("old", "new", "file", "line", "hint"),
    [
        ("[../base.yaml]", "[gone.yaml]", "over.yaml", 3, "there is no file"),
        ("[../base.yaml]", "../base.yaml", "over.yaml", 3, "a list of compose files"),
        ("[../base.yaml]", "[over.yaml]", "over.yaml", 3, "cannot override itself"),
        ("port: 5432", "prt: 5432", "over.yaml", 5, "did you mean 'port'"),
        ("db:5432", "${DB", "base.yaml", 12, "not closed"),
        ("  db: {x-harness", "  bd: {x-harness", "over.yaml", 5, "unknown service 'bd'.* did you mean 'db'"),
    ],
)
def test_mistakes_are_named_in_the_file_that_holds_them(
    tmp_path: Path, old: str, new: str, file: str, line: int, hint: str
) -> None:
    *_, over = files(tmp_path, base=BASE.replace(old, new), chaos__over=OVERRIDE.replace(old, new))
    with pytest.raises(StackError, match=hint) as caught:
        load_stack(over, variables={})
    assert (Path(str(caught.value.file)).name, caught.value.line) == (file, line)


@pytest.mark.parametrize(
    ("field", "needed", "place"),
    [
        ("profiles: [{x: 1}]", "a text or a number", "profiles.0"),
        ("profiles: p", "a list of texts", "profiles"),
        ("environment: '{{'", "a list of texts or a mapping of names", "environment"),
        ("ports: 80", "a list of texts", "ports"),
        ("ports: [[80]]", "a text or a mapping of names", "ports.0"),
        ("volumes: {a: /b}", "a list of texts", "volumes"),
        ("build: [.]", "a text or a mapping of names", "build"),
        ("build: {context: {}}", "a text or a number", "build.context"),
        ("healthcheck: true", "a mapping of names", "healthcheck"),
        ("networks: {a: {aliases: b}}", "a list of texts", "networks.a.aliases"),
        ("extends: [b]", "a text or a mapping of names", "extends"),
        ("env_file: [[a]]", "a text or a mapping of names", "env_file.0"),
        ("depends_on: {b: started}", "a mapping of names", "depends_on.b"),
    ],
)
def test_a_value_of_another_shape_is_refused_with_its_place(
    tmp_path: Path, field: str, needed: str, place: str
) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(f"services:\n  a:\n    image: x\n    {field}\n", "utf-8")
    with pytest.raises(StackError) as refused:
        read_compose([file], {})
    assert refused.value.message == f"{needed} is needed here"
    assert (refused.value.file, refused.value.line, refused.value.field) == (str(file), 4, f"services.a.{place}")


def test_a_value_that_is_reset_may_have_any_shape(tmp_path: Path) -> None:
    base, over = tmp_path / "compose.yaml", tmp_path / "over.yaml"
    base.write_text("services: {a: {image: x, ports: [80]}}\n", "utf-8")
    over.write_text("services: {a: {ports: !reset none}}\n", "utf-8")
    assert "ports" not in read_compose([base, over], {}).tree.value["services"]["a"]
