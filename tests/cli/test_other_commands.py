"""check, list, judge, report, schema, up, heal, proxy; and how soon the command line is there."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from calling import Harness, Runner

import harness.runner.keeping.up
from harness.cli.app import COMMANDS
from harness.faults.table import FAULTS
from harness.model.errors import BackendError
from harness.model.fields import Link
from harness.runner.progress import OnProgress, Progress


def test_check_says_what_is_valid(good: Path, harness_: Harness) -> None:
    assert harness_("check").out == "1 scenario: valid\n"
    result = harness_("check", "scenarios", "--json")
    assert json.loads(result.out) == {"valid": True, "runs": ["slow-store"], "problems": [], "notes": []}


def test_check_gives_problems_as_json(good: Path, harness_: Harness) -> None:
    path = good / "scenarios/good.scenario.yaml"
    path.write_text(path.read_text("utf-8").replace("owner:", "ownr:"), "utf-8")
    result = harness_("check", "--json")
    assert result.code == 2
    (problem,) = json.loads(result.out)["problems"]
    assert (problem["line"], problem["field"], problem["remedy"]) == (5, "ownr", "did you mean 'owner'?")


def test_all_secrets_that_are_missing_are_named_before_a_run(
    good: Path, harness_: Harness, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STORE_KEY", "CACHE_KEY", "FAULT_KEY"):
        monkeypatch.delenv(name, raising=False)
    stack, file = good / "stack.compose.yaml", good / "scenarios" / "good.scenario.yaml"
    text = stack.read_text("utf-8").replace('prefix: "f:"}', 'prefix: "f:", password: "$${secret:CACHE_KEY}"}')
    text = text.replace("prefix: training/}\n  key", "prefix: training/, access_key: a, "
                        'secret_key: "$${secret:STORE_KEY}"}\n  key')  # fmt: skip
    stack.write_text(text, "utf-8")
    text = file.read_text("utf-8").replace("fault: network.latency", "fault: command")
    own = '{inject: [put, "${secret:FAULT_KEY}"], confirm: ["true"], revert: ["true"]}'
    text = text.replace("target: {link: trainer -> object-store}", "target: {service: trainer}")
    file.write_text(re.sub(r"with: .*", f"with: {own}", text), "utf-8")
    checked = harness_("check")
    assert checked.code == 0, "a check may be made where no secret is"
    where = {
        "STORE_KEY": (stack, "x-harness.datasets.training.secret_key"),
        "CACHE_KEY": (stack, "x-harness.keyspaces.live-features.password"),
        "FAULT_KEY": (file, "timeline.0.with.inject.1"),
    }
    for name, (of, field) in where.items():
        (line,) = (n for n, text in enumerate(of.read_text("utf-8").splitlines(), 1) if name in text)
        said = f"{of.name}:{line}: {field}: the secret '{name}' is not in the environment — export {name}=…"
        assert sum(text.startswith("note: ") and text.endswith(said) for text in checked.out.splitlines()) == 1
    ran = harness_("run", "--name", "x")
    assert (ran.code, ran.out, runner.requests) == (2, "", [])
    assert all(f"the secret '{name}' is not in the environment" in ran.err for name in where)
    assert harness_("run", "--dry-run").code == 0
    for name in where:
        monkeypatch.setenv(name, "k")
    assert "secret" not in harness_("check").out
    harness_("run", "--name", "x")
    assert len(runner.requests) == 1


def test_lists(good: Path, harness_: Harness) -> None:
    stack = ("--stack", "stack.compose.yaml")
    assert [row["name"] for row in json.loads(harness_("list", "scenarios", "--json").out)] == ["slow-store"]
    file = good / "scenarios" / "good.scenario.yaml"
    assert json.loads(harness_("list", "scenarios", "--json").out)[0]["misfire"] == []
    aimed = "for: 12s\n    misfire: {target: {link: server -> online}}"
    file.write_text(file.read_text("utf-8").replace("for: 12s", aimed), "utf-8")
    assert json.loads(harness_("list", "scenarios", "--json").out)[0]["misfire"] == ["link server -> online"]
    assert {row["fault"] for row in json.loads(harness_("list", "faults", "--json").out)} >= set(FAULTS)
    probes = {row["probe"]: row for row in json.loads(harness_("list", "probes", *stack, "--json").out)}
    assert probes["availability"]["of"] == "answers"
    assert (probes["training_lag"]["unit"], probes["training_lag"]["of"]) == ("event", "small")
    alerts = {row["alert"]: row["sabotage"] for row in json.loads(harness_("list", "alerts", *stack, "--json").out)}
    assert alerts == {"ObjectStoreSlow": True, "FeaturesStale": True, "ServiceDown": False}


def test_lists_for_people_are_aligned(good: Path, harness_: Harness) -> None:
    head, *rows = harness_("list", "probes", "--stack", "stack.compose.yaml").out.splitlines()
    column = head.index("unit")
    assert all(row[column - 1] == " " and row[column] != " " for row in rows)
    assert "nightly, demo" in harness_("list", "scenarios").out


def test_judging_again_and_reporting_again(good: Path, harness_: Harness, runner: Runner) -> None:
    code = harness_("run").code
    first = harness_("judge", "reports/latest/slow-store", "--json")
    again = harness_("judge", "reports/latest/slow-store/journal.jsonl", "--json")
    assert first.out == again.out
    assert first.code == code == 3
    assert json.loads(first.out)["value"] == "unknown"
    assert "unknown" in harness_("judge", "reports/latest/slow-store").out.splitlines()[0]
    suite = good / "reports/latest/suite.json"
    before = suite.read_text("utf-8")
    suite.write_text(before.replace('"unknown"', '"pass"'), "utf-8")
    assert harness_("report", "reports/latest").code == 3
    assert suite.read_text("utf-8") == before


def test_a_journal_that_cannot_be_read(good: Path, harness_: Harness, runner: Runner) -> None:
    harness_("run")
    journal = good / "reports/latest/slow-store/journal.jsonl"
    journal.write_text(journal.read_text("utf-8") + "nonsense\n", "utf-8")
    result = harness_("judge", "reports/latest/slow-store")
    assert result.code == 2
    assert "journal.jsonl:3: not a journal line" in result.err


def test_the_schema_is_printed(harness_: Harness) -> None:
    published = Path(__file__).parents[2] / "schema/scenario.schema.json"
    assert json.loads(harness_("schema").out)["properties"] == json.loads(published.read_text("utf-8"))["properties"]


def test_up_runs_the_links_that_are_asked_for(good: Path, harness_: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, tuple[str, ...], int]] = []

    def up(
        stack: object, links: tuple[Link, ...], backend: str, seed: int, on_progress: OnProgress, name: str | None
    ) -> None:
        seen.append((getattr(stack, "name", ""), tuple(link.name for link in links), seed))
        on_progress(Progress("small", 0.0, "note", "up in 1.0 s"))

    monkeypatch.setattr(harness.runner.keeping.up, "up", up)
    assert harness_("up", "stack.compose.yaml", "--link", "server -> online").out == "up in 1.0 s\n"
    harness_("up", "stack.compose.yaml", "--links", "all", "--seed", "7")
    every = ("trainer -> object-store", "server -> object-store", "server -> online")
    assert seen == [("small", ("server -> online",), 1), ("small", every, 7)]


def test_a_stack_that_does_not_come_up(good: Path, harness_: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    def up(*_: object) -> None:
        raise BackendError("server will not start", remedy="see its log")

    monkeypatch.setattr(harness.runner.keeping.up, "up", up)
    result = harness_("up", "stack.compose.yaml")
    assert (result.code, result.err) == (4, "server will not start — see its log\n")


def test_heal(good: Path, harness_: Harness, runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    harness_("run")
    assert harness_("heal").out.endswith("checked, 0 left\n")
    assert harness_("heal", "reports/latest/slow-store").code == 0


def test_the_proxy_reads_its_own_arguments(harness_: Harness) -> None:
    result = harness_("proxy", "serve", "--help")
    assert result.code == 0
    assert "--config" in result.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(harness_: Harness, command: str) -> None:
    result = harness_(command, "--help")
    assert result.code == 0
    assert "harness" in result.out


def test_help_imports_no_more_than_it_needs() -> None:
    heavy = "pydantic", "rich", "yaml", "aiohttp", "matplotlib", "jinja2", "asyncio"
    code = (
        f"import sys; from harness.cli import main; main(['--help']); print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "Exit codes: 0 pass" in done.stdout


def test_version(harness_: Harness) -> None:
    assert harness_("--version").out.startswith("harness, version ")


def test_the_package_is_a_program_too() -> None:
    command = [sys.executable, "-m", "harness", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout.split(",")[0]) == (0, "harness")


def test_an_old_python_gets_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 12, "final", 0))
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(Path(harness.__file__).with_name("__main__.py")), run_name="__main__")
    assert "Python 3.11 or later is needed" in str(caught.value.code)
    assert "make install PYTHON=python3.11" in str(caught.value.code)
