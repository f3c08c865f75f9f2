"""The documents: every link leads somewhere, every path exists, and no phrase that a reader has to decode."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest
from pydantic import BaseModel

from harness.cli.app import app
from harness.description.stackfile import load_stack
from harness.model.alertsources import AlertSource
from harness.model.datasets import DatasetSpec, Integrity, KeyspaceSpec
from harness.model.probekinds import PROBE_KINDS
from harness.model.stack import LocalCommand, ServiceFields, StackFields
from harness.probes.request_file import read_requests
from harness.pytest_plugin.chaos import Chaos

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
PHRASES = (
    "a field a ",
    "a file a ",
    "a folder a ",
    "a line a ",
    "a row a ",
    "and none for",
    "as of the stamps",
    "be taken for",
    "behind its back",
    "cannot be had",
    "front door",
    "goes in and out",
    "gone through",
    "held against",
    "is taken for",
    "is to be had",
    "makes no sense",
    "map of the rooms",
    "never heard of",
    "no ground for",
    "none the wiser",
    "put right",
    "puts right",
    "putting right",
    "seen to be",
    "the ground of",
    "the rooms",
    "was told",
    "were told",
    "who asks",
    "who may import whom",
)
"""Phrases that a reader has to decode. Write the field's term instead, in pages, scenarios and texts of the harness."""


def found(*patterns: str) -> list[Path]:
    return sorted(path for pattern in patterns for path in ROOT.glob(pattern))


PAGES = found("*.md", "docs/*.md", "compose/*.md", "examples/*/*.md", "reports/*.md")
SCENARIOS = found("scenarios/**/*.scenario.yaml", "examples/*/scenarios/*.scenario.yaml")


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors that GitHub gives to the headings of a page."""
    given: list[str] = []
    for heading in re.findall(r"^#+ +(.*?) *$", FENCE.sub("", page.read_text("utf-8")), re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)).lower().replace(" ", "-")
        given.append(f"{anchor}-{count}" if (count := given.count(anchor)) else anchor)
    return frozenset(given)


def links(page: Path) -> Iterator[str]:
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text("utf-8")))
    yield from (link for link in LINK.findall(text) if "://" not in link)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_path_in_the_architecture_page_exists() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    paths = {path for path in re.findall(r"`([\w./-]+)`", text) if "/" in path and not path.startswith(("/", "."))}
    assert len(paths) > 30
    assert sorted(path for path in paths if not (ROOT / path).exists()) == []


def test_every_name_after_a_path_in_the_architecture_page_exists() -> None:
    """`harness/judge/verdict.py` (`judge`): the module has that name."""
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    named = re.findall(r"`(harness/[\w/]+\.py)` \(((?:`[\w.]+`(?:, )?)+)\)", text)
    assert named
    missing = []
    for path, names in named:
        source = ast.parse((ROOT / path).read_text("utf-8"))
        for name in re.findall(r"`([\w.]+)`", names):
            scope: ast.AST | None = source
            for part in name.split("."):
                scope = next(
                    (
                        one
                        for one in getattr(scope, "body", ())
                        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and one.name == part
                    ),
                    None,
                )
            if scope is None:
                missing.append(f"{path} {name}")
    assert missing == []


def commands(page: Path) -> Iterator[list[str]]:
    """The words of every `harness` command in the page's examples."""
    for block in re.findall(r"^```(?:sh|console)\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            words = line.partition("#")[0].removeprefix("$ ").split()
            if words[:1] == ["harness"]:
                yield words[1:]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_an_example_exists_with_its_options(page: Path) -> None:
    wrong = []
    for words in commands(page):
        command = app.get_command(click.Context(app), words[0])
        if isinstance(command, click.Group):
            command = command.get_command(click.Context(command), words[1])
        known = {option for one in (command.params if command else ()) for option in one.opts}
        wrong += [" ".join(words)] if command is None else []
        wrong += [f"{words[0]} {word}" for word in words if word.startswith("-") and word not in known]
    assert wrong == []


def examples(page: str, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", (ROOT / "docs" / page).read_text("utf-8"), re.MULTILINE | re.DOTALL
    )


STACK = """\
name: shop
services: {{{services}}}
x-harness:
  schema: 1
  event_clock: {{url: "http://registry:18020/clock"}}
"""
SERVICES = (
    "airflow",
    "db",
    "minio",
    "mlflow",
    "model",
    "monitor",
    "online",
    "prometheus",
    "redis",
    "registry",
    "documents",
    "trainer",
)


@pytest.mark.parametrize("page", ["stack-description.md", "probes.md"])
def test_every_example_of_a_stack_description_is_valid(page: str, tmp_path: Path) -> None:
    services = ", ".join(f"{name}: {{command: [x], x-harness: {{port: 80}}}}" for name in SERVICES)
    blocks = examples(page, "yaml")
    assert blocks
    for block in blocks:
        whole = "services:" in block
        fields = textwrap.indent(textwrap.dedent(block.removeprefix("x-harness:\n")), "  ")
        text = block if whole else STACK.format(services=services) + fields
        file = tmp_path / "compose.yaml"
        file.write_text(re.sub(r"(?<!\$)\$\{secret", "$${secret", text), "utf-8")
        load_stack(file)


def field_names(model: type[BaseModel]) -> set[str]:
    """The names as a file has them."""
    return {field.alias or name for name, field in model.model_fields.items()}


def missing_on(page: str, fields: set[str]) -> list[str]:
    spelt = "".join(re.findall(r"`[^`]*`", (ROOT / "docs" / page).read_text("utf-8")))
    return sorted(name for name in fields if not re.search(rf"\b{name}\b", spelt))


@pytest.mark.parametrize(
    "model", [StackFields, ServiceFields, LocalCommand, Integrity, DatasetSpec, KeyspaceSpec, AlertSource]
)
def test_every_field_of_a_stack_description_is_on_its_page(model: type[BaseModel]) -> None:
    assert missing_on("stack-description.md", field_names(model)) == []


@pytest.mark.parametrize("kind", sorted(PROBE_KINDS))
def test_every_field_of_a_probe_is_on_its_page(kind: str) -> None:
    assert missing_on("probes.md", field_names(PROBE_KINDS[kind])) == []


def test_every_option_of_pytest_is_on_its_page(pytestconfig: pytest.Config) -> None:
    page = (ROOT / "docs" / "pytest.md").read_text("utf-8")
    declared = {name for name in vars(pytestconfig.option) if name.startswith("harness_")}
    assert declared
    assert declared == {f"harness_{name}" for name in re.findall(r"`--harness-(\w+)", page)}


def test_every_method_of_the_fixture_is_on_its_page() -> None:
    page = (ROOT / "docs" / "pytest.md").read_text("utf-8")
    internal = {"begin_control", "close", "end", "ended", "fail", "used"}
    public = {name for name in vars(Chaos) if not name.startswith("_")} - internal
    assert "expect_alert" in public
    assert sorted(name for name in public if not re.search(rf"\b(chaos\.)?{name}\b", page)) == []


def test_every_example_of_requests_is_valid(tmp_path: Path) -> None:
    (lines,) = examples("stack-description.md", "json")
    file = tmp_path / "requests.jsonl"
    file.write_text(lines, "utf-8")
    assert len(read_requests(file, rate=1.0).requests) == len(lines.splitlines())


def strings(source: Path) -> Iterator[str]:
    """The string literals of a module: messages, help texts and docstrings."""
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_no_phrase_of_the_old_dialect_comes_back() -> None:
    back = []
    for file in [*PAGES, *SCENARIOS, *found("harness/**/*.py")]:
        for text in strings(file) if file.suffix == ".py" else [file.read_text("utf-8")]:
            flat = " ".join(text.split()).lower()
            back += [f"{file.relative_to(ROOT)}: {phrase}" for phrase in PHRASES if phrase in flat]
    assert back == []
