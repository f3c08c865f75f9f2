from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from refstack import eventtime as et
from refstack.dataset import CANCELLED, Dataset
from refstack.schema import FEATURES
from refstack.workload import main, request_at, write

START = et.parse("2013-06-14T06:00")


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_header_truth_requests_in_order_and_ids_unique(data: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "workload.jsonl"
    count = write(data, START, 30, out)
    header, *rest = lines_of(out)
    assert header["kind"] == "workload"
    assert (header["start"], set(header["features"])) == (START, set(FEATURES))
    truth = [line for line in rest if line["kind"] == "truth"]
    requests = [line for line in rest if line["kind"] == "request"]
    assert rest == truth + requests
    assert len(requests) == count
    assert len({line["id"] for line in requests}) == count
    for lines in (truth, requests):
        assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)
    assert et.age(START, truth[0]["at"]) >= 8 * 3600
    assert all(START <= line["at"] < header["end"] for line in requests)
    assert 40 * 30 < count < 65 * 30


def test_no_outcome_is_known_when_its_request_is_sent(data: Dataset) -> None:
    for index in range(0, len(data["flight_sched"]), 53):
        flight = data.flight(index)
        if flight.delay_min is not None:
            assert request_at(flight) < flight.sched + 60 * flight.delay_min


def test_outcomes_are_those_of_the_source(data: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "workload.jsonl"
    write(data, et.parse("2013-02-08T10:00"), 10, out)
    requests = [line for line in lines_of(out) if line["kind"] == "request"]
    flights = {
        data.flight(i).id: data.flight(i)
        for i in range(*data.between("flight_sched", et.parse("2013-02-08T00:00"), et.parse("2013-02-10T00:00")))
    }
    never = 0
    for line in requests:
        delay = flights[line["id"]].delay_min
        never += delay is None
        assert line["outcome"] == (None if delay is None else int(delay >= 15))
    assert never > 100  # the day of the blizzard


def test_all_flights_have_ids_of_their_own_and_8255_never_left(data: Dataset) -> None:
    assert int((data["flight_delay"] == CANCELLED).sum()) == 8255
    keys = zip(
        *(data[name].tolist() for name in ("flight_sched", "flight_carrier", "flight_number", "flight_origin")),
        strict=True,
    )
    assert len(set(keys)) == len(data["flight_sched"]) == 336_776


def test_eighty_hours_are_written_quickly(data: Dataset, tmp_path: Path) -> None:
    began = time.process_time()
    write(data, START, 80, tmp_path / "workload.jsonl")
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize(
    ("start", "message"), [("2013-06-14T02:00", "lies in the night"), ("2013-12-31T12:00", "beyond the data")]
)
def test_impossible_starts_are_refused(
    start: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["workload", "--start", start, "--hours", "5", "--out", str(tmp_path / "w")])
    with pytest.raises(SystemExit):
        main()
    assert message in capsys.readouterr().err
