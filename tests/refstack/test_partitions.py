from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from refstack.eventtime import hour_of, parse
from refstack.label_joiner import guard_of, written_hours
from refstack.partitions import (
    FEATURE_ROWS,
    QUARANTINE_ROWS,
    TRAINING_ROWS,
    PartitionError,
    decode,
    encode,
    features_key,
    hour_of_key,
    quarantine_key,
    training_key,
)
from refstack.schema import DEFAULTS, DELAY, GROUPS, WEATHER, stamp_field
from refstack.sourceview import SourceView
from refstack.worker import columns_of

HOUR = hour_of(parse("2013-06-14T07:00"))

COMPOSE = Path(__file__).parents[2] / "compose"


def row(key: str, **changes: object) -> dict[str, object]:
    return {
        "id": key,
        "label": 1,
        "matured_at": 5,
        "entity": "JFK",
        "carrier": "UA",
        "distance": 100.0,
        "hour": 7,
        "weekday": 4,
        **DEFAULTS,
        **{stamp_field(group): 4 for group in GROUPS},
        "model_version": 1,
        **changes,
    }


def test_rows_come_back_as_they_were() -> None:
    rows = [row("a"), row("b", label=0)]
    assert decode(encode(rows, TRAINING_ROWS), TRAINING_ROWS) == rows
    assert decode(encode([], TRAINING_ROWS), TRAINING_ROWS) == []


def test_keys_name_the_hour() -> None:
    assert training_key(HOUR) == "training/2013-06-14T07.parquet"
    assert hour_of_key(features_key(HOUR)) == hour_of_key(quarantine_key(HOUR)) == HOUR


@pytest.mark.parametrize("how", ["value", "dropped row", "dropped column", "cut", "not parquet"])
def test_changed_partitions_are_refused(how: str) -> None:
    data = encode([row("a"), row("b")], TRAINING_ROWS)
    table = pq.read_table(io.BytesIO(data))
    if how == "value":
        values = table.column(DELAY).to_pylist()
        table = table.set_column(
            table.schema.get_field_index(DELAY), table.schema.field(DELAY), [[values[0] * 60, 1.0]]
        )
    elif how == "dropped row":
        table = table.slice(0, 1)
    elif how == "dropped column":
        table = table.drop_columns(["temp"])
    sink = io.BytesIO()
    pq.write_table(table, sink)
    changed = {"cut": data[:100], "not parquet": b"hello"}.get(how, sink.getvalue())
    with pytest.raises(PartitionError):
        decode(changed, TRAINING_ROWS)


def test_an_hour_is_written_when_its_training_partition_is(store) -> None:
    kept_out = {**row("q"), "reason": "r"}
    store.put(training_key(HOUR), encode([row("a")], TRAINING_ROWS))
    store.put(quarantine_key(HOUR), encode([kept_out], QUARANTINE_ROWS))
    store.put(quarantine_key(HOUR + 1), encode([kept_out], QUARANTINE_ROWS))
    assert written_hours(store) == {HOUR: {"a", "q"}}
    store.put(training_key(HOUR + 1), b"torn")
    assert written_hours(store)[HOUR + 1] == {"q"}


def test_the_guard_recomputes_every_group() -> None:
    view = SourceView()
    start = parse("2013-06-14T07:00")
    view.apply({"kind": "watermark", "at": str(start)})
    view.apply({"kind": "departure", "id": "x", "origin": "JFK", "at": str(start + 60), "delay": "30"})
    weather = {name: DEFAULTS[name] for name in GROUPS[WEATHER]}
    view.apply({"kind": "weather", "origin": "JFK", "at": str(start + 3600), "values": json.dumps(weather)})
    view.apply({"kind": "watermark", "at": str(start + 7200)})
    stamps = {stamp_field(DELAY): start + 7200, stamp_field(WEATHER): start + 3600}
    check = guard_of(view)
    assert check(row("a", **stamps, **{DELAY: 30.0})) is None
    assert "dep_delay_2h: is not" in str(check(row("a", **stamps, **{DELAY: 1800.0})))
    assert "weather: is not" in str(check(row("a", **stamps, **{DELAY: 30.0, "temp": 1.0})))
    assert "cannot be recomputed" in str(check(row("a", **{**stamps, stamp_field(DELAY): start + 7500})))


def test_a_feature_row_has_only_its_own_groups_values() -> None:
    rows = [{"entity": "JFK", "group": DELAY, "event_time": 5, DELAY: 1.5}]
    (found,) = decode(encode(rows, FEATURE_ROWS), FEATURE_ROWS)
    assert found[DELAY] == 1.5
    assert found["temp"] is None


def test_the_workers_columns_are_the_models_inputs() -> None:
    columns = columns_of([row("a")])
    assert columns["origin"] == ["JFK"]
    assert columns["distance"] == [100.0]


def test_partitions_are_written_and_read_without_pandas() -> None:
    code = (
        "import os, sys; from refstack.partitions import FEATURE_ROWS, decode, encode; "
        "row = {'entity': 'JFK', 'group': 'weather', 'event_time': 1, 'temp': 1.0}; "
        "assert decode(encode([row], FEATURE_ROWS), FEATURE_ROWS)[0]['temp'] == 1.0; "
        "print('pandas' in sys.modules, flush=True); "
        # Arrow's threads may abort a process that ends in good order on a busy machine.
        "os._exit(0)"
    )
    environment = {**os.environ, "PYTHONPATH": str(COMPOSE)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "False"
