"""`harness init` where it wrote before: what was edited or deleted stays so, and what is new is shown."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from calling import Called, Harness

COMPOSE = """\
services:
  store: {image: "postgres:16", environment: {POSTGRES_PASSWORD: secret}, volumes: ["data:/data"]}
  web: {image: web, command: mlflow server --port 8000, environment: {STORE: "store:5432"}, restart: always}
volumes: {data: {}}
"""
GROWN = """\
services:
  store: {image: "postgres:16", environment: {POSTGRES_PASSWORD: secret}, volumes: ["data:/data"]}
  cache: {image: "postgres:16", environment: {POSTGRES_PASSWORD: secret}}
  web:
    image: web
    command: mlflow server --port 9000
    environment: {STORE: "store:5432", CACHE: "postgresql://cache:5432"}
    restart: always
volumes: {data: {}}
"""
SHRUNK = """\
services:
  web: {image: web, command: mlflow server --port 8000, environment: {CACHE: "cache:5432"}, restart: always}
  cache: {image: "postgres:16", environment: {POSTGRES_PASSWORD: secret}}
"""
STACK = "compose.harness.yaml"
SLOW = "scenarios/slow-store.scenario.yaml"
HUNG = "scenarios/hung-store.scenario.yaml"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harness_: Harness) -> Path:
    """Return a folder in which init was run once, which is made the working directory."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "compose.yaml").write_text(COMPOSE)
    monkeypatch.chdir(folder)
    assert again(harness_).code == 0
    return folder


def again(harness_: Harness, *options: str) -> Called:
    return harness_("init", "--no-engine", *options)


def states(result: Called) -> dict[str, str]:
    """Return what init says of each file, by its path."""
    lines = result.out.split("\nfiles:\n")[1].split("\n\n")[0].splitlines()
    words = [line.replace("left out", "left-out").split() for line in lines]
    return {path: state for state, path, *_ in words}


def texts(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def edit(path: Path, old: str, new: str) -> str:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path.read_text()


def suggested(result: Called) -> list[str]:
    """Return the check that init suggests, as arguments."""
    line = next(line for line in result.out.splitlines() if line.startswith("  harness check"))
    return shlex.split(line)[1:]


def test_nothing_changes_where_nothing_did(project: Path, harness_: Harness) -> None:
    before = texts(project)
    result = again(harness_)
    assert result.code == 0
    assert set(states(result).values()) == {"unchanged"}
    assert texts(project) == before


def test_unedited_files_follow_the_project(project: Path, harness_: Harness) -> None:
    (project / "compose.yaml").write_text(GROWN)
    result = again(harness_)
    assert result.code == 0
    said = states(result)
    assert said[STACK] == "updated"
    assert said["scenarios/slow-cache.scenario.yaml"] == "new"
    assert "cache:" in (project / STACK).read_text()
    assert harness_(*suggested(result)).code == 0


def test_an_edited_file_is_kept_and_what_is_new_is_shown(project: Path, harness_: Harness) -> None:
    mine = edit(project / STACK, "ready_within: 180s", "ready_within: 20s")
    (project / "compose.yaml").write_text(GROWN)
    result = again(harness_)
    assert result.code == 0
    assert states(result)[STACK] == "kept"
    assert (project / STACK).read_text() == mine
    for shown in (
        "x-harness.probes lacks what init would write; paste after line",
        '\n    cache_answers:\n      sql: {url: "postgresql://cache:5432/postgres"',
        "services lacks what init would write; paste after line",
        "\n  cache:\n    # postgres",
        "x-harness.compose is {ready_within: 20s}; init would write {ready_within: 180s}",
        "services.web.x-harness.port is 8000; init would write 9000",
    ):
        assert shown in result.out, shown
    assert "store_answers:" not in result.out, "what the edited file has is not shown"


def test_the_lines_shown_are_those_to_paste(project: Path, harness_: Harness) -> None:
    """Pasted where init says, nothing is left to show, and everything is valid."""
    edit(project / STACK, "ready_within: 180s", "ready_within: 20s")
    (project / "compose.yaml").write_text(GROWN)
    before = again(harness_)
    assert states(before)["scenarios/slow-cache.scenario.yaml"] == "new"
    assert harness_(*suggested(before)).code == 0, "what is written is valid without the lines"
    paste(project / STACK, before.out)
    after = again(harness_)
    assert "lacks what init would write" not in after.out
    assert "to repair" not in after.out
    assert suggested(after) == ["check", "scenarios"]
    assert harness_(*suggested(after)).code == 0


def paste(path: Path, shown: str) -> None:
    """Do what init says, in the order in which it does."""
    blocks = []
    for part in shown.split(f"\n{path.name}: ")[1:]:
        head, _, rest = part.partition("\n")
        if "paste after line" in head:
            blocks.append((int(head.rsplit(" ", 1)[1].rstrip(":")), rest.split("\n\n")[0].splitlines()))
    assert blocks
    lines = path.read_text().splitlines()
    for line, block in blocks:
        lines[line:line] = block
    path.write_text("\n".join(lines) + "\n")


def test_an_edited_scenario_shows_only_what_it_lacks(project: Path, harness_: Harness) -> None:
    edit(project / HUNG, "at: 5s", "at: 7s")
    result = again(harness_)
    assert states(result)[HUNG] == "kept"
    assert "lacks" not in result.out
    assert "init would write" not in result.out, "the values of a scenario are its author's"


SCRAPED = """\
rule_files: [rules.yml]
scrape_configs: [{job_name: web, static_configs: [{targets: ["web:8000"]}]}]
"""
RULES = """\
groups:
  - {name: shop, rules: [{alert: WebDown, expr: 'up{job="web"} == 0', for: 10s, annotations: {summary: web is down}}]}
"""


def test_a_new_rule_is_shown_to_an_edited_stack_and_an_edited_scenario(project: Path, harness_: Harness) -> None:
    edit(project / HUNG, "at: 5s", "at: 7s")
    edit(project / STACK, "ready_within: 180s", "ready_within: 20s")
    (project / "prom").mkdir()
    (project / "prom" / "prometheus.yml").write_text(SCRAPED)
    (project / "prom" / "rules.yml").write_text(RULES)
    (project / "compose.yaml").write_text(
        COMPOSE.replace("  web:", '  prom: {image: prom/prometheus, volumes: ["./prom:/etc/prometheus"]}\n  web:')
    )
    result = again(harness_)
    assert f"{HUNG}: expect.detected lacks what init would write" in result.out
    assert "  #   - {id: seen-WebDown, alert: WebDown, within: " in result.out
    assert f"{STACK}: x-harness lacks what init would write" in result.out
    assert "\n  alerts:\n    WebDown: {summary: web is down, rule: " in result.out
    paste(project / STACK, result.out)
    after = again(harness_)
    assert f"{STACK}: x-harness lacks" not in after.out
    assert harness_(*suggested(after)).code == 0


def test_a_scenario_with_the_edits_that_its_comments_ask_for_is_kept(project: Path, harness_: Harness) -> None:
    """The header asks for them, and who has done so takes it out."""
    lines = (project / HUNG).read_text().splitlines()
    mine = "\n".join(line for line in lines if not line.startswith("#")) + "\n"
    (project / HUNG).write_text(mine)
    result = again(harness_)
    assert (result.code, states(result)[HUNG]) == (0, "kept")
    assert (project / HUNG).read_text() == mine


def test_what_somebody_deleted_does_not_come_back(project: Path, harness_: Harness) -> None:
    (project / HUNG).unlink()
    (project / "compose.yaml").write_text(GROWN)
    result = again(harness_)
    assert states(result)[HUNG] == "left-out"
    assert "deleted since init wrote it; --force writes it again" in result.out
    assert not (project / HUNG).exists()
    assert states(again(harness_))[HUNG] == "left-out", "not the next time either"
    assert states(again(harness_, "--force"))[HUNG] == "new"
    assert (project / HUNG).exists()


def test_force_overwrites_what_was_edited(project: Path, harness_: Harness) -> None:
    first = (project / STACK).read_text()
    edit(project / STACK, "ready_within: 180s", "ready_within: 20s")
    result = again(harness_, "--force")
    assert (result.code, states(result)[STACK]) == (0, "overwritten")
    assert (project / STACK).read_text() == first


def test_a_scenario_that_is_no_longer_written_is_removed_on_demand(project: Path, harness_: Harness) -> None:
    edit(project / SLOW, "300ms", "500ms")
    (project / "compose.yaml").write_text(SHRUNK)
    result = again(harness_)
    assert result.code == 0
    assert states(result)[HUNG] == "kept"
    assert "--prune removes it" in result.out
    assert f"not valid any more: {HUNG}" in result.out
    assert f"to repair:\n  {SLOW}:" in result.out, "its target is gone"
    assert harness_(*suggested(result)).code == 0, "what is suggested works"
    pruned = again(harness_, "--prune")
    assert states(pruned)[HUNG] == "removed"
    assert not (project / HUNG).exists()
    assert states(pruned)[SLOW] == "kept", "what was edited is never removed"
    assert "500ms" in (project / SLOW).read_text()
    assert harness_(*suggested(pruned)).code == 0
    assert HUNG not in states(again(harness_))


def test_an_edited_stack_is_told_what_is_gone(project: Path, harness_: Harness) -> None:
    edit(project / STACK, "ready_within: 180s", "ready_within: 20s")
    (project / "compose.yaml").write_text(SHRUNK)
    result = again(harness_)
    numbered = dict(enumerate((project / STACK).read_text().splitlines(), 1))
    at = next(n for n, line in numbered.items() if line == "  store:")
    gone = result.out.split("no longer in the compose project:\n")[1].split("\n\n")[0]
    assert f"  line {at}–" in gone
    assert "the service 'store'" in gone
    assert "what the probe 'store_answers' asks" in gone
    assert "cache" not in gone


def test_a_copy_under_another_name_is_its_authors(project: Path, harness_: Harness) -> None:
    copy = project / "scenarios" / "mine.scenario.yaml"
    copy.write_text((project / HUNG).read_text())
    result = again(harness_, "--prune")
    assert "edited since" in result.out
    assert copy.exists()


def test_a_file_of_an_older_init_counts_as_edited(project: Path, harness_: Harness) -> None:
    (project / ".harness-init").unlink()
    older = edit(project / STACK, (project / STACK).read_text()[:46], "# Written by `harness init` ")
    result = again(harness_)
    assert (result.code, states(result)[STACK]) == (0, "kept")
    assert (project / STACK).read_text() == older


def test_line_endings_are_no_edit(project: Path, harness_: Harness) -> None:
    (project / HUNG).write_bytes((project / HUNG).read_bytes().replace(b"\n", b"\r\n"))
    assert states(again(harness_))[HUNG] == "unchanged"


def test_an_edited_file_that_is_no_yaml_is_kept(project: Path, harness_: Harness) -> None:
    mine = edit(project / STACK, "services:", "services: [")
    result = again(harness_)
    assert result.code == 0
    assert f"{STACK} cannot be compared with what init would write" in result.out
    assert (project / STACK).read_text() == mine


def test_another_folder_has_a_record_of_its_own(project: Path, harness_: Harness) -> None:
    assert again(harness_, "--out", "chaos").code == 0
    (project / "chaos" / HUNG).unlink()
    result = again(harness_, "--out", "chaos")
    assert states(result)[f"chaos/{HUNG}"] == "left-out"
    assert states(again(harness_))[HUNG] == "unchanged"


def test_a_record_that_leads_elsewhere_is_not_followed(project: Path, harness_: Harness, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("# mine\n")
    (project / ".harness-init").unlink()
    (project / ".harness-init").symlink_to(elsewhere)
    before = (project / STACK).read_text()
    result = again(harness_, "--force")
    assert result.code == 2
    assert ".harness-init: there is a file already" in result.err
    assert elsewhere.read_text() == "# mine\n"
    assert (project / STACK).read_text() == before


def test_an_edited_stack_without_scenarios_is_examined_next(project: Path, harness_: Harness) -> None:
    (project / "compose.yaml").write_text('services: {web: {image: "redis:7"}}\n')
    assert again(harness_, "--force", "--prune").code == 0
    edit(project / STACK, "ready_within: 180s", "ready_within: 20s")
    result = again(harness_)
    assert "to repair" not in result.out
    assert f"  harness doctor {STACK} --attach shop" in result.out


@pytest.mark.parametrize("broken", ["stack", "link"])
def test_no_lines_above_are_named_where_none_are(project: Path, harness_: Harness, broken: str) -> None:
    if broken == "stack":
        edit(project / STACK, "services:", "services: [")
    else:
        (project / "scenarios").rename(project / "elsewhere")
        (project / "scenarios").symlink_to("elsewhere")
    result = again(harness_)
    assert result.code == 0
    assert "lines above" not in result.out


def test_a_scenario_of_a_renamed_probe_waits_for_the_lines(project: Path, harness_: Harness) -> None:
    edit(project / STACK, "web_up:", "mine:")
    edit(project / STACK, "web_finds:", "found:")
    result = again(harness_)
    assert "x-harness.probes lacks what init would write; paste after line" in result.out
    old = [line for line in result.out.splitlines() if "init would not write it" in line]
    assert old
    assert all("paste the lines below" in line and "--prune" not in line for line in old)
    assert f"not valid now; call init again once {STACK} has the lines above" in result.out


def test_marks_of_a_merge_in_the_record_are_no_files(project: Path, harness_: Harness) -> None:
    record = project / ".harness-init"
    before = record.read_text()
    head, _, names = before.partition("\n")
    record.write_text(f"{head}\n<<<<<<< ours\n{names}=======\n{names}>>>>>>> theirs\n")
    (project / HUNG).unlink()
    assert states(again(harness_))[HUNG] == "left-out", "what the record lists counts all the same"
    assert record.read_text() == before


@pytest.mark.parametrize("kind", ["file", "link"])
def test_nothing_is_written_where_a_file_is_in_place_of_a_folder(project: Path, harness_: Harness, kind: str) -> None:
    (project / "chaos").mkdir()
    at = project / "chaos" / "scenarios"
    at.write_text("mine") if kind == "file" else at.symlink_to("nowhere")
    result = again(harness_, "--out", "chaos")
    assert result.code == 2
    assert "chaos/scenarios: there is a file already" in result.err
    assert [one.name for one in (project / "chaos").iterdir()] == ["scenarios"]


def test_an_updated_file_keeps_its_mode(project: Path, harness_: Harness) -> None:
    (project / STACK).chmod(0o640)
    (project / "compose.yaml").write_text(GROWN)
    assert states(again(harness_))[STACK] == "updated"
    assert (project / STACK).stat().st_mode & 0o777 == 0o640
