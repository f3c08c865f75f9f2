"""The pages as text: self-contained, harmless whatever a journal says, every citation leading somewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from made_runs import ALL, passing

from harness.journal.records import Journal
from harness.judge import judge
from harness.model.readings import Abort, Closed, Line
from harness.model.verdict import ClauseResult, Value
from harness.report import write_run
from harness.report.run_page import MOST_LINES

PAGES = [f"{name}/report.html" for name in ALL] + ["index.html"]
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Reader(HTMLParser):
    """Collects tags, attributes and text, and checks that tags are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    assert not reader.open
    return reader


@pytest.fixture(scope="module")
def out(made_suite: Path) -> Path:
    return made_suite


@pytest.mark.parametrize("page", PAGES)
def test_a_page_asks_for_nothing_and_runs_nothing(out: Path, page: str) -> None:
    html = (out / page).read_text(encoding="utf-8")
    assert len(html.encode()) < 1_000_000
    seen = read(html)
    for tag, attributes in seen.tags:
        assert tag not in ("script", "img", "iframe", "object", "embed", "link", "base", "form", "foreignobject")
        assert not [a for a in attributes if a.startswith("on") or a in ("style", "src", "srcset", "action")]
        for link in ("href", "xlink:href"):
            assert not re.match(r"[a-z]+:|//", attributes.get(link) or "")
    assert "url(http" not in html
    assert "@import" not in html


@pytest.mark.parametrize("page", PAGES)
def test_its_policy_allows_its_own_style_and_no_more(out: Path, page: str) -> None:
    html = (out / page).read_text(encoding="utf-8")
    style = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    assert len(style) == 1
    digest = base64.b64encode(hashlib.sha256(style[0].encode()).digest()).decode()
    policy = next(a["content"] for t, a in read(html).tags if t == "meta" and "http-equiv" in a)
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


@pytest.mark.parametrize("page", PAGES)
def test_ids_are_unique_and_every_anchor_leads_somewhere(out: Path, page: str) -> None:
    seen = read((out / page).read_text(encoding="utf-8"))
    ids = [a["id"] for _, a in seen.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for _, attributes in seen.tags:
        for link in ("href", "xlink:href"):
            target = attributes.get(link) or ""
            if target.startswith("#"):
                assert target[1:] in ids
        for described in (attributes.get("aria-labelledby") or "").split():
            assert described in ids


def test_text_of_a_journal_stays_text(out: Path) -> None:
    seen = read((out / "fail" / "report.html").read_text(encoding="utf-8"))
    assert "<script>alert('x')</script><img src=http://evil.test/x> | $5 & `more`" in seen.text


def test_the_verdict_and_its_reasons_come_first(out: Path) -> None:
    text = read((out / "fail" / "report.html").read_text(encoding="utf-8")).text
    assert text.index("FeaturesStale fired too late") < text.index("Timeline")
    assert text.index("server-2 died by signal 11") < text.index("Timeline")


def test_a_pass_without_reasons_names_its_clauses(out: Path) -> None:
    assert "all 7 clauses met: seen, quiet" in read((out / "pass" / "report.html").read_text(encoding="utf-8")).text


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ("interrupted", "the run was killed"),
        ("never-started", "The harness itself failed. server-1 did not become healthy"),
        ("no-answers", "The run ended at the gate"),
        ("control", "This is a control"),
        ("sabotage", "The harness caught the sabotage: alert FeaturesStale was switched off"),
        ("misfire", "The scenario proves nothing: what it expects of the faults happened"),
        ("misfire", "keyspace board instead of keyspace online-features"),
        ("misfire", "FeaturesStale does not fire"),
        ("unaimed", "no other keyspace of the stack 'reference' is proven not to matter"),
        ("unknown", "No evidence that it took effect"),
        ("fail", "Known weakness"),
        ("fail", "rows changed2"),
    ],
)
def test_what_the_page_of_each_run_says_of_it(out: Path, run: str, said: str) -> None:
    assert said in read((out / run / "report.html").read_text(encoding="utf-8")).text


def test_a_run_that_a_guardrail_ended_says_so_once(tmp_path: Path) -> None:
    journal, _ = passing()
    *lines, end = journal.lines
    rule = {"rule": "availability at most 0.5 over 2s", "why": "probe", "from_s": 30.0, "at_s": 32.0, "lines": []}
    crossed = Line(end.n, 33.0, Abort.model_validate({**rule, "measured": "0.12"}))
    closed = Line(end.n + 1, end.t_s, Closed(reason="aborted"))
    aborted = Journal(journal.header, (*lines, crossed, closed))
    write_run(tmp_path, aborted, judge(aborted))
    text = read((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert text.count("A guardrail was crossed: all faults were reverted at once") == 1
    assert text.index("aborted by guardrail: availability at most 0.5") < text.index("Timeline")


def test_a_share_says_what_would_have_shown(tmp_path: Path) -> None:
    journal, _ = passing()
    write_run(tmp_path, journal, judge(journal))
    text = read((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert re.search(r"worst 9[\d.]+ % \d+ of [\d,]+ answers beyond it; more than [\d.]+ % would have shown", text)


def test_cited_lines_stand_on_the_page(out: Path) -> None:
    seen = read((out / "pass" / "report.html").read_text(encoding="utf-8"))
    cites = {a["href"] for t, a in seen.tags if t == "a" and (a.get("href") or "").startswith("#line-")}
    assert len(cites) == 4
    assert '"source": "monitor"' in seen.text


def test_many_citations_are_cut_and_those_of_a_fail_are_kept(tmp_path: Path) -> None:
    journal, verdict = passing()
    every = tuple(line.n for line in journal.lines)
    stayed = {"probe": "p", "limit": "at most 5"}
    good = ClauseResult(id="a", kind="stays", value=Value.PASS, reason="", cites=every, measured=stayed)
    bad = ClauseResult(id="b", kind="stays", value=Value.FAIL, reason="", cites=(*every[-2:], 10**6), measured=stayed)
    write_run(tmp_path, journal, verdict.model_copy(update={"clauses": (good, bad)}))
    seen = read((tmp_path / "report.html").read_text(encoding="utf-8"))
    shown = {a["id"] for _, a in seen.tags if (a.get("id") or "").startswith("line-")}
    assert len(shown) == MOST_LINES
    assert {f"line-{n}" for n in every[-2:]} <= shown


def test_logs_are_linked_whatever_they_are_called(out: Path) -> None:
    seen = read((out / "pass" / "report.html").read_text(encoding="utf-8"))
    assert "logs/odd%20%22name%22%20%231.log" in [a.get("href") for _, a in seen.tags]


def test_the_index_links_every_run(out: Path) -> None:
    seen = read((out / "index.html").read_text(encoding="utf-8"))
    links = [a.get("href") for t, a in seen.tags if t == "a"]
    for name in ALL:
        assert f"{name}/report.html" in links
        assert (out / name / "report.html").is_file()


@pytest.mark.slow
def test_a_very_long_run_is_still_small(tmp_path: Path) -> None:
    journal, verdict = passing()
    lines = [line for shift in range(8) for line in _shifted(journal, shift * 35.0)]
    write_run(tmp_path, Journal(journal.header, tuple(lines)), verdict)
    assert (tmp_path / "report.html").stat().st_size < 1_000_000


def _shifted(journal: Journal, by_s: float) -> list[object]:
    from dataclasses import replace

    found: list[object] = []
    for line in journal.lines:
        times = {k: v + by_s for k, v in line.body if k.endswith("_s") and isinstance(v, float)}
        found.append(replace(line, t_s=line.t_s + by_s, body=line.body.model_copy(update=times)))
    return found
