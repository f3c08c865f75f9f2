"""Records of kills, made by hand: each promise that one of them breaks is a finding, and the campaign ends with 1."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.kill_everywhere.__main__ import RECORDS, main
from tests.kill_everywhere.cases import WHOM
from tests.kill_everywhere.findings import findings

GOOD: dict[str, Any] = {
    "id": "a", "where": "attached", "kind": "disk.full", "whom": "worker", "killed": ["worker"], "guard": "seen",
    "last_stage": "confirmed", "next": "worked", "restored": True, "restored_s": 1.5, "left_after_15_s": [],
    "left": [], "scratch_left": 0, "healed": "not asked",
}  # fmt: skip
HEALED = {
    "healed": "needed", "heal_code": 0, "left_after_heal": [], "second_heal_code": 0, "second_heal_changed": False,
}  # fmt: skip
LATE = {"restored": False, "restored_s": None, "left_after_15_s": ["/files: 1", "/files: 2"], "left": ["/files: 2"]}
MISSED = {"id": "m", "where": "local", "missed": "the run was over first"}
BROKEN = {"id": "e", "where": "local", "whom": "worker", "error": "no engine"}


@pytest.mark.parametrize(
    "record",
    [
        GOOD,
        GOOD | {"next": "refused, command named"},
        GOOD | HEALED | {"healed": "for nothing"},
        GOOD | LATE | HEALED | {"whom": "all"},
        GOOD | LATE | {"whom": "all", "healed": "left to the next run"},
        GOOD | {"scratch_left": -1},  # this run swept away what an earlier one had left
    ],
)
def test_what_keeps_every_promise_is_no_finding(record: dict[str, Any]) -> None:
    assert findings([record, MISSED]) == []


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        ({"next": "refused, no command named"}, "refused, no command named"),
        ({"next": "refused although healed"}, "refused although healed"),
        ({"next": "a word that nobody knows"}, "a word that nobody knows"),
        ({"scratch_left": 2}, "scratch left behind: 2"),
        (HEALED | {"heal_code": 4}, "heal ended with 4, and nothing was left"),
        (HEALED | {"left_after_heal": ["/rows: 3"]}, "still in after heal: /rows: 3"),
        (HEALED | {"second_heal_code": 4}, "a second heal ended with 4"),
        (HEALED | {"second_heal_changed": True}, "a second heal changed something"),
    ],
)
@pytest.mark.parametrize("whom", WHOM)
def test_a_promise_that_is_broken_is_named_whoever_was_killed(broken: dict[str, Any], what: str, whom: str) -> None:
    assert findings([GOOD, GOOD | {"id": "b", "whom": whom} | broken]) == [f"b: {what}"]


def test_a_heal_that_leaves_something_and_says_so_is_two_findings() -> None:
    found = findings([GOOD | HEALED | {"whom": "all", "left_after_heal": ["/rows: 3"], "heal_code": 4}])
    assert found == ["a: still in after heal: /rows: 3", "a: heal ended with 4"]


@pytest.mark.parametrize("whom", [whom for whom in WHOM if whom != "all"])
def test_whoever_is_left_must_restore_the_state_and_in_time(whom: str) -> None:
    late = ["a: left after 15 s: /files: 1"]
    assert findings([GOOD | {"whom": whom} | LATE]) == ["a: not restored: /files: 2", *late]
    assert findings([GOOD | {"whom": whom} | LATE | {"restored": True, "restored_s": 17.0}]) == late
    # The state was that of before again and again, and never for long enough.
    assert findings([GOOD | {"whom": whom} | LATE | {"left_after_15_s": [], "left": []}]) == ["a: not restored"]


def test_a_campaign_that_shows_nothing_says_why() -> None:
    assert findings([]) == findings([MISSED]) == ["no trial was made"]
    assert findings([MISSED, BROKEN]) == ["no trial was made", "e: not run: no engine"]
    assert findings([GOOD, BROKEN]) == ["e: not run: no engine"]
    assert findings([GOOD | {"whom": "guard", "killed": []}, MISSED]) == ["nobody was killed"]


@pytest.mark.parametrize(("record", "code"), [(GOOD, 0), (GOOD | {"next": "refused, no command named"}, 1)])
def test_the_program_ends_with_1_where_there_is_a_finding(
    tmp_path: Path, record: dict[str, Any], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / RECORDS).write_text(json.dumps(record) + "\n", encoding="utf-8")
    assert main(["--table", "--out", str(tmp_path)]) == code
    assert ("a: refused, no command named" in capsys.readouterr().out) == bool(code)
