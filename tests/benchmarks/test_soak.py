"""The soak's rule: what grows from quarter to quarter is named, and what only goes up and down is not."""

from __future__ import annotations

from benchmarks.soak import Sample, grown


def samples(files: int = 0, memory: float = 0.0, temporary: int = 0, on_engine: int = 0) -> list[Sample]:
    """Return the samples of forty runs, with so much more after each."""
    return [
        Sample(
            runs=run,
            files={"suite": 10, "worker": 12 + run % 3 + files * run},
            memory_mib={"suite": 50.0, "worker": 60.0 + run % 2 + memory * run},
            processes=3 + run % 2,
            temporary=2 + run % 2 + temporary * run,
            on_engine=on_engine * run,
        )
        for run in range(41)
    ]


def test_what_goes_up_and_down_is_no_growth() -> None:
    assert grown(samples()) == []


def test_each_growth_is_named() -> None:
    assert [text.split(":")[0] for text in grown(samples(files=1))] == ["open files of the worker"]
    assert [text.split(":")[0] for text in grown(samples(memory=2.0))] == ["memory of the worker"]
    assert [text.split(":")[0] for text in grown(samples(temporary=1))] == ["temporary"]
    assert [text.split(":")[0] for text in grown(samples(on_engine=1))] == ["on_engine"]


def test_a_few_runs_show_nothing() -> None:
    assert grown(samples(files=5)[:6]) == []
