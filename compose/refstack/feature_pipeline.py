"""Keeps the rolling features: online in hashes with their stamps, offline in hourly partitions.

Position, features and watermark are written in one transaction. After a restart the rolling state is rebuilt
from the stream, which is longer than any window; what had been written already is not written again. With
MAX_BACKLOG set (event minutes) a longer backlog is skipped: faster, and wrong for two event hours.
"""

from __future__ import annotations

from typing import Any

import redis
from prometheus_client import Counter, Gauge

from refstack.eventtime import SLOT_S, active, event_at, hour_end, hour_of, iso
from refstack.objects import ObjectStore
from refstack.online import (
    EVENTS,
    PARTITIONED,
    POSITION,
    WATERMARK,
    Entry,
    OnlineError,
    StreamReader,
    connect,
    features_key,
    slot_of_id,
)
from refstack.partitions import FEATURE_ROWS, Row, encode
from refstack.partitions import features_key as partition_key
from refstack.schema import ENTITIES, WEATHER, stamp_field
from refstack.service import ServiceProcess, number
from refstack.sourceview import SourceView
from refstack.uploads import Uploads


def skip_backlog(entries: list[Entry], max_backlog_s: int) -> list[Entry]:
    """All entries, or only the newest where they span more event time than allowed."""
    if not max_backlog_s or not entries:
        return entries
    newest = slot_of_id(entries[-1][0])
    floor = event_at(active(newest) - SLOT_S)
    if active(newest) - active(slot_of_id(entries[0][0])) <= max_backlog_s:
        return entries
    return [entry for entry in entries if slot_of_id(entry[0]) > floor]


def online_fields(current: dict[str, tuple[int, dict[str, float]]]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for group, (stamp, values) in current.items():
        fields.update({name: repr(value) for name, value in values.items()})
        fields[stamp_field(group)] = str(stamp)
    return fields


class Partitions:
    """Collects offline rows and hands each hour on when it has closed."""

    def __init__(self, written: int) -> None:
        self.written = written
        self._rows: dict[int, list[Row]] = {}
        self._weather: set[tuple[str, int]] = set()

    def add(self, entity: str, current: dict[str, tuple[int, dict[str, float]]]) -> None:
        for group, (stamp, values) in current.items():
            if group == WEATHER:
                if (entity, stamp) in self._weather:
                    continue
                self._weather.add((entity, stamp))
            if (hour := hour_of(stamp)) > self.written:
                row = {"entity": entity, "group": group, "event_time": stamp, **values}
                self._rows.setdefault(hour, []).append(row)

    def closed(self, watermark: int) -> list[tuple[int, list[Row]]]:
        hours = sorted(hour for hour in self._rows if hour_end(hour) <= watermark)
        return [(hour, self._rows.pop(hour)) for hour in hours]


class Pipeline:
    def __init__(self, service: ServiceProcess, client: redis.Redis, uploads: Uploads) -> None:
        self._service, self._client, self._uploads = service, client, uploads
        self._max_backlog_s = int(number("MAX_BACKLOG", 0) * 60)
        self._view = SourceView()
        self._reader = StreamReader(client, {EVENTS: "0"})
        self._done = 0
        self._live = False
        self._partitions: Partitions | None = None
        metrics = service.metrics
        self._rows = Counter("pipeline_rows_total", "Online rows written", registry=metrics)
        self._skipped = Counter("pipeline_skipped_events_total", "Events skipped as backlog", registry=metrics)
        gauge = Gauge("pipeline_watermark", "Event time up to which features are online", registry=metrics)
        gauge.set_function(lambda: self._done)

    def _begin(self) -> Partitions:
        position: Any = self._client.get(POSITION)
        written: Any = self._client.get(PARTITIONED)
        self._done = max(self._done, int(position or 0))
        return Partitions(int(written or 0))

    def step(self) -> None:
        if self._partitions is None:
            self._partitions = self._begin()
        entries = self._reader.read().get(EVENTS, [])
        if not entries:
            self._live = self._view.watermark > 0
            return
        if self._live:
            kept = skip_backlog(entries, self._max_backlog_s)
            self._skipped.inc(len(entries) - len(kept))
            entries = kept
        current = {}
        for _, entry in entries:
            self._view.apply(entry)
            if entry["kind"] == "watermark":
                for entity in ENTITIES:
                    if found := self._view.current(entity):
                        current[entity] = found
                        self._partitions.add(entity, found)
        self._hand_on(self._partitions)
        if current and self._view.watermark > self._done:
            self._write(current)

    def _write(self, current: dict[str, dict[str, tuple[int, dict[str, float]]]]) -> None:
        watermark = self._view.watermark
        while not self._service.stop.is_set():
            try:
                pipe = self._client.pipeline(transaction=True)
                for entity, found in current.items():
                    fields: Any = online_fields(found)
                    pipe.hset(features_key(entity), mapping=fields)
                pipe.set(WATERMARK, watermark)
                pipe.set(POSITION, watermark)
                pipe.execute()
            except OnlineError as error:
                self._service.log.warning("features of %s not written yet: %s", iso(watermark), error)
                self._service.stop.wait(0.05)
                continue
            self._done = watermark
            self._rows.inc(len(current))
            return

    def _hand_on(self, partitions: Partitions) -> None:
        for hour, rows in partitions.closed(self._view.watermark):
            data = encode(rows, FEATURE_ROWS)

            def done(hour: int = hour) -> None:
                try:
                    connect().set(PARTITIONED, hour)
                except OnlineError as error:
                    # The partition will be written once more, with the same rows, after a restart.
                    self._service.log.warning("position of partitions not kept: %s", error)

            self._uploads.put(partition_key(hour), data, done)

    def run(self) -> None:
        troubled = False
        while not self._service.stop.is_set():
            try:
                self.step()
                if troubled:
                    self._service.log.info("the online store is back")
                troubled = False
            except OnlineError as error:
                if not troubled:
                    self._service.log.warning("cannot read the event stream: %s", error)
                troubled = True
                self._service.stop.wait(0.03)


def main() -> None:
    service = ServiceProcess("feature-pipeline")
    client = connect()
    uploads = Uploads(service, ObjectStore(service.metrics))
    pipeline = Pipeline(service, client, uploads)
    service.serve()
    pipeline.run()
    service.leave()


if __name__ == "__main__":
    main()
