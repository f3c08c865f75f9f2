"""A machine that nobody watched for a while: no value changes, and the verdict says so."""

from __future__ import annotations

import pytest
from journals import OBSERVED_S, Run, good_run

NOTE = "note: the machine was not watched for {} s, first at {} s (the harness was busy): "


@pytest.mark.parametrize(
    ("gaps", "lost", "first"),
    [
        ([(6.0, 8.0)], "2.0", "6.0"), ([(6.0, 1e9)], "19.0", "6.0"), ([(9.0, 10.0), (3.0, 4.5)], "2.5", "3.0"),
        ([(3.0, 6.0), (4.0, 5.0)], "3.0", "3.0"),
    ],
)  # fmt: skip
def test_a_verdict_says_when_the_machine_was_not_watched(
    gaps: list[tuple[float, float]], lost: str, first: str
) -> None:
    run = good_run().machine()
    assert run.judged().reasons == ()
    for from_s, to_s in gaps:
        run.add(from_s, "gap", probe="machine", from_s=from_s, to_s=to_s, why="the harness was busy")
    verdict = run.judged()
    assert verdict.value == "pass"
    (reason,) = verdict.reasons
    assert reason.startswith(NOTE.format(lost, first))


def test_the_note_follows_the_reasons_of_a_failure() -> None:
    run = Run({"quiet": "others"}).gate().fault().alerts(("Stale", 7.0, 8.0)).gap("machine", 6.0, 9.0).end()
    verdict = run.judged()
    assert verdict.value == "fail"
    assert [reason.split()[0] for reason in verdict.reasons] == ["Stale{}", "note:"]


def test_what_is_not_watched_after_the_end_is_no_loss() -> None:
    assert good_run().gap("machine", OBSERVED_S + 0.1, OBSERVED_S + 1.0).judged().reasons == ()
