"""What a stack, a scenario or a file says must not act on who reads it: pushed through a stored run to every output."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from calling import Harness, Runner

import harness
from harness.journal.records import parse
from harness.model.cleaned import cleaned, escaped_json, for_terminal, forbidden
from harness.model.errors import BackendError, HarnessError
from harness.runner.progress import Progress

GOLDEN = Path(__file__).parents[1] / "judge" / "golden" / "v1"
READABLE = "é漢字👍👩\u200d🔬"
OBEYED = "\x1b]0;title\x07\x1b[31m\x9b2J\x7f\x85\u200b\u200f\u202e\u2066\u2028\ufeff\xad\U000e0041"
MARKUP = "<script>alert(1)</script>\" onload='x' [a](javascript:alert(1)) ![i](http://evil.test) | `c` $x$ @you ]]>"
HOSTILE = f"{READABLE}{OBEYED}{MARKUP}\n::error file=a::owned\n  ::warning::b\n##[group]c\r\n##vso[task.x]d"
COMMAND = re.compile(r"^\s*::|##(vso|teamcity)?\[", re.MULTILINE)
STORED = ("control-pass", "fail-poisoned", "misfire-fail", "sabotage-caught", "unknown-unconfirmed")
SAFE_KEYS = {"kind", "started", "n", "t"}


def hostile(path: Path, to: Path) -> set[str]:
    """Store a run with HOSTILE in every text that a journal may hold it in; return the fields that hold it."""
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    lines[0]["plan"]["scenario"] |= {"owner": "a", "runbook": "javascript:alert(1)//"}
    if lines[-1]["kind"] == "closed" and path.stem == "fail-poisoned":
        lines[-1] |= {"reason": "error", "error": "e"}
    keys = sorted({key for line in lines for key in names(line)} - SAFE_KEYS)
    taken = set()
    for key in keys:
        changed = [spoilt(line, key) for line in lines]
        text = [json.dumps(line) + "\n" for line in changed]
        try:
            parse(text)
        except HarnessError:
            continue
        lines = changed
        taken.add(key)
    to.mkdir(parents=True)
    (to / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return taken


def names(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inside in value.items():
            if isinstance(inside, str) or (isinstance(inside, list) and any(isinstance(one, str) for one in inside)):
                yield key
            yield from names(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from names(inside)


def spoilt(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return {
            name: inside + HOSTILE
            if name == key and isinstance(inside, str)
            else [one + HOSTILE if isinstance(one, str) else one for one in inside]
            if name == key and isinstance(inside, list)
            else spoilt(inside, key)
            for name, inside in value.items()
        }
    return [spoilt(one, key) for one in value] if isinstance(value, list) else value


def quoted(text: str) -> str:
    """The text as YAML has it in one line."""
    return str(yaml.safe_dump(text, default_style='"', width=10**6)).strip()


def check_terminal(text: str) -> None:
    assert forbidden(text) is None
    assert COMMAND.search(text) is None


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stored suite of hostile runs, with one that left no journal, and an error of the harness."""
    folder = tmp_path_factory.mktemp("stored") / "suite"
    taken: set[str] = set()
    for name in STORED:
        taken |= hostile(GOLDEN / f"{name}.jsonl", folder / name)
    assert {"summary", "owner", "runbook", "service", "error", "name"} <= taken
    (folder / "control-pass" / "logs").mkdir()
    (folder / "control-pass" / "logs" / f"{OBEYED}<b>.log").write_text(HOSTILE, "utf-8")
    gone = {"run_dir": f"gone{HOSTILE.replace('/', '')}", "error": f"{HOSTILE}\udc80"}
    before = {"suite": HOSTILE, "backend": HOSTILE, "started": HOSTILE, "scenarios": [gone]}
    (folder / "suite.json").write_text(json.dumps(before), "utf-8")
    return folder


def test_every_output_of_a_stored_suite(suite: Path, harness_: Harness) -> None:
    shown = harness_("report", suite)
    check_terminal(shown.out + shown.err)
    assert READABLE in shown.out
    as_json = harness_("report", suite, "--json")
    assert forbidden(as_json.out) is None
    assert HOSTILE in json.loads(as_json.out)["suite"], "for programs nothing is lost"
    margins = harness_("margins", suite)
    check_terminal(margins.out + margins.err)
    for run in sorted(suite.iterdir()):
        if not run.is_dir():
            continue
        judged = harness_("judge", run)
        check_terminal(judged.out + judged.err)
        data = harness_("judge", run, "--json")
        assert forbidden(data.out) is None
        assert json.loads(data.out)["scenario"]


def test_every_file_of_a_report(suite: Path, harness_: Harness) -> None:
    harness_("report", suite)
    pages = sorted(suite.glob("**/*.html"))
    written = [*pages, suite / "summary.md", suite / "junit.xml", *suite.glob("**/*.json")]
    assert len(written) > 12
    for file in written:
        assert forbidden(file.read_text("utf-8")) is None, file
    assert READABLE in (suite / "junit.xml").read_text("utf-8")
    for file in pages:
        text = file.read_text("utf-8")
        assert READABLE in text
        assert not re.search(
            r"<script|<img|\son\w+\s*=\s*['\"]|href=\"\s*javascript", without_text(text), re.IGNORECASE
        )
    ET.parse(suite / "junit.xml")
    for file in suite.glob("**/*.json"):
        json.loads(file.read_text("utf-8"))
    journal = (suite / "control-pass" / "journal.jsonl").read_text("utf-8")
    assert json.dumps(OBEYED)[1:-1] in journal, "the journal keeps what was said"


def without_text(page: str) -> str:
    """The tags of a page alone, attributes without their values but for links."""
    tags = re.findall(r"<[^>]*>", page)
    return "\n".join(re.sub(r'(?<!href)="[^"]*"', "", tag) for tag in tags)


def test_a_summary_holds_no_markup_of_others(suite: Path, harness_: Harness) -> None:
    harness_("report", suite)
    text = (suite / "summary.md").read_text("utf-8")
    bare = re.sub(r"\\.", "", text)
    assert not re.search(r"[<`$@~]|\]\(|!\[|http://", bare)
    rows = [line for line in bare.split("\n") if line.startswith("|")]
    assert len({row.count("|") for row in rows}) == 1


def test_lists_and_checks(good: Path, harness_: Harness) -> None:
    stack, scenario = good / "stack.compose.yaml", good / "scenarios" / "good.scenario.yaml"
    text = quoted(HOSTILE.replace("$", "$$"))
    stack.write_text(re.sub(r"summary: [^,}\n]+", lambda _: f"summary: {text}", stack.read_text("utf-8")), "utf-8")
    scenario.write_text(
        re.sub(r"(?m)^owner: .*", lambda _: f"owner: {quoted('a' + OBEYED)}", scenario.read_text("utf-8"))
    )
    for arguments in (("alerts",), ("probes",)):
        shown = harness_("list", *arguments, "--stack", stack)
        assert shown.code == 0
        check_terminal(shown.out)
        assert forbidden(harness_("list", *arguments, "--stack", stack, "--json").out) is None
    refused = harness_("check")
    assert refused.code == 2
    assert "scenarios/good.scenario.yaml:5: owner: the text contains U+001B" in refused.err
    check_terminal(refused.err)


@pytest.mark.parametrize("sign", ["\u202e", "\x9b", "\u200b", "\x7f"])
def test_a_scenario_with_text_that_does_not_show_is_refused(good: Path, harness_: Harness, sign: str) -> None:
    file = good / "scenarios" / "good.scenario.yaml"
    text = quoted(f"a{sign}b")
    file.write_text(re.sub(r"(?m)^owner: .*", lambda _: f"owner: {text}", file.read_text("utf-8")), "utf-8")
    refused = harness_("check")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert f"owner: the text contains U+{ord(sign):04X}" in refused.err


@pytest.mark.parametrize("mode", [(), ("--json",)])
def test_progress_and_errors_of_a_run(
    good: Path, harness_: Harness, runner: Runner, monkeypatch: pytest.MonkeyPatch, mode: tuple[str, ...]
) -> None:
    runner.error = BackendError(f"did not start; its last log lines: {HOSTILE}\udc80", field=HOSTILE, remedy=HOSTILE)
    told = Runner._one

    def one(self: Runner, number: int, request: Any, on_progress: Any) -> Any:
        on_progress(Progress("slow-store", 1.0, "alert", HOSTILE, {"alert": HOSTILE}))
        return told(self, number, request, on_progress)

    monkeypatch.setattr(Runner, "_one", one)
    shown = harness_("run", *mode)
    assert forbidden(shown.out + shown.err) is None
    assert mode or READABLE in shown.err
    if not mode:
        check_terminal(shown.out + shown.err)
    for file in (good / "reports").glob("**/*"):
        if file.is_file() and file.suffix != ".jsonl":
            assert forbidden(file.read_text("utf-8")) is None, file


def test_names_given_on_the_command_line(good: Path, harness_: Harness) -> None:
    for arguments in (["check", f"a{OBEYED}"], ["judge", f"a{OBEYED}"], [f"a{OBEYED}"], ["run", "-k", OBEYED]):
        refused = harness_(*arguments)
        assert refused.code == 2
        check_terminal(refused.err)


def test_what_is_readable_stays(harness_: Harness) -> None:
    plain = f"{READABLE} a\tb\n中文, ελληνικά, עברית, 🏳️\u200d🌈, x::y, 1 # [2]"
    assert cleaned(plain) == for_terminal(plain) == escaped_json(plain) == plain
    assert cleaned("a\r\nb\rc") == "a\nb\ufffdc"
    assert for_terminal("\n::error::x\n##[y]") == "\n: :error::x\n# #[y]"
    whole = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x11000)))) + "\U000e0041"
    assert json.loads(escaped_json(json.dumps(whole, ensure_ascii=False))) == whole


def test_nothing_but_the_terminal_module_writes_to_a_terminal() -> None:

    folder = Path(harness.__file__).parent
    found = [
        f"{file.relative_to(folder)}: {call}"
        for package in ("cli", "pytest_plugin", "suite", "report", "onboarding")
        for file in sorted((folder / package).rglob("*.py"))
        for call in re.findall(r"click\.s?echo\(|(?<![\w.])print\(|std(?:out|err)\.write\(", file.read_text("utf-8"))
    ]
    known = ["cli/__init__.py: stderr.write(", "cli/terminal.py: click.echo(", "cli/terminal.py: click.echo("]
    assert found == known
