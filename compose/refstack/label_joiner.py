"""The label joiner: answers as the servers logged them, joined with departures, in hourly training partitions.

With TRAINING_GUARD=on every row's features are recomputed from the source events at the row's own stamps;
a row that disagrees goes to quarantine/ and is not learned from.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial

import redis
from prometheus_client import Gauge

from refstack.eventtime import HOUR_S, event_at, hour_end, hour_name, hour_of, parse
from refstack.joining import Guard, Hour, Joiner
from refstack.objects import ObjectStore, StoreError
from refstack.online import EVENTS, SERVED, OnlineError, StreamReader, connect
from refstack.partitions import (
    QUARANTINE_ROWS,
    TRAINING_ROWS,
    PartitionError,
    Row,
    decode,
    encode,
    hour_of_key,
    quarantine_key,
    training_key,
)
from refstack.schema import GROUPS, stamp_field
from refstack.service import ServiceProcess, setting, switch
from refstack.sourceview import SourceView, agrees
from refstack.uploads import Uploads

READ_EVERY_S = 0.04
"""Answers come one by one, forty a second; reading them one by one would cost a round trip each."""
RECALL_HOURS = 30
"""Hours whose ids are read again after a restart: more than the streams hold."""


def guard_of(view: SourceView) -> Guard:
    """Says why a row must not be learned from, or None."""

    def check(row: Row) -> str | None:
        for group in GROUPS:
            stamp = row[stamp_field(group)]
            true = None if stamp is None else view.truth(row["entity"], group, stamp)
            if true is None:
                return f"{group}: cannot be recomputed at {stamp}"
            if not agrees(group, row, true):
                return f"{group}: is not what the source events give at {stamp}"
        return None

    return check


def written_hours(store: ObjectStore) -> dict[int, set[str]]:
    """The hours in the store and the ids in them, of training and quarantine together."""
    found: dict[int, set[str]] = {}
    for prefix, schema in (("training/", TRAINING_ROWS), ("quarantine/", QUARANTINE_ROWS)):
        for key in store.keys(prefix)[-RECALL_HOURS:]:
            try:
                ids = {str(row["id"]) for row in decode(store.get(key), schema, verify=False)}
            except PartitionError:
                ids = set()
            hour = hour_of_key(key)
            # An hour counts as written by its training partition, which is put last.
            if prefix == "training/" or hour in found:
                found.setdefault(hour, set()).update(ids)
    return found


class LabelJoiner:
    def __init__(self, service: ServiceProcess, client: redis.Redis, store: ObjectStore) -> None:
        self._service, self._store = service, store
        self._view = SourceView()
        guard = guard_of(self._view) if switch("TRAINING_GUARD") else None
        self.joiner = Joiner(guard, first_hour=hour_of(parse(setting("START_AT"))))
        self._reader = StreamReader(client, {EVENTS: "0", SERVED: "0"})
        self._uploads = Uploads(service, store)
        self.recovered = False
        self.written_until = parse(setting("START_AT"))
        self._export()

    def _export(self) -> None:
        counts = self.joiner.counts
        for name in ("pairs", "quarantined", "flagged", "cancelled", "doubled"):
            gauge = Gauge(f"joiner_{name}", f"Answers {name} since the start", registry=self._service.metrics)
            gauge.set_function(partial(getattr, counts, name))
        for name, text, get in (
            ("joiner_backlog", "Answers that wait for their outcome", lambda: self.joiner.backlog),
            ("joiner_watermark", "The source's watermark, in event seconds", lambda: self._view.watermark),
            ("joiner_open_hour", "The first active hour not written yet", lambda: self.joiner.first_hour),
        ):
            Gauge(name, text, registry=self._service.metrics).set_function(get)
        self._due = Gauge("joiner_due", "Answers served for departures 2 to 6 h ago", registry=self._service.metrics)
        self._missing = Gauge("joiner_missing", "Those of them without outcome", registry=self._service.metrics)

    def recover(self) -> None:
        self.joiner.recover(written_hours(self._store).items())
        self.written_until = event_at(self.joiner.first_hour * HOUR_S)
        self.recovered = True
        self._service.log.info(
            "recovered: %d ids, open hour %s", len(self.joiner.committed), hour_name(self.joiner.first_hour)
        )

    def step(self) -> None:
        """Takes one consistent cut of both streams, answers first: an outcome never overtakes its answer."""
        found = self._reader.read()
        for _, entry in found.get(SERVED, ()):
            self.joiner.serve(json.loads(entry["answer"]))
        for _, entry in found.get(EVENTS, ()):
            departed = self._view.apply(entry)
            if departed is not None:
                self.joiner.depart(departed)
            elif entry["kind"] == "watermark":
                for closed in self.joiner.close(self._view.watermark):
                    self._upload(closed)

    def _upload(self, closed: Hour) -> None:
        """Quarantine first: the training partition is the mark that the hour is written."""
        due, missing = self.joiner.due(self._view.watermark)
        self._due.set(due)
        self._missing.set(missing)
        if closed.quarantine:
            data = encode(closed.quarantine, QUARANTINE_ROWS)
            self._uploads.put(quarantine_key(closed.hour), data, lambda: None)
            self._service.log.warning(
                "%d rows of %s kept out of training: %s",
                len(closed.quarantine),
                hour_name(closed.hour),
                closed.quarantine[0]["reason"],
            )

        def done() -> None:
            self.written_until = hour_end(closed.hour)

        self._uploads.put(training_key(closed.hour), encode(closed.training, TRAINING_ROWS), done)

    def status(self, _: object) -> tuple[int, object]:
        return 200, {
            "joined_until": self.written_until,
            "backlog": self.joiner.backlog,
            "watermark": self._view.watermark,
            **asdict(self.joiner.counts),
        }

    def run(self) -> None:
        troubled = False
        while not self._service.stop.is_set():
            try:
                if not self.recovered:
                    self.recover()
                self.step()
                self._service.stop.wait(READ_EVERY_S)
                if troubled:
                    self._service.log.info("streams and store answer again")
                troubled = False
            except (*OnlineError, StoreError) as error:
                if not troubled:
                    self._service.log.warning("cannot go on yet: %s", error)
                troubled = True
                self._service.stop.wait(0.03)


def main() -> None:
    service = ServiceProcess("label-joiner")
    worker = LabelJoiner(service, connect(), ObjectStore(service.metrics))
    service.ready = lambda: worker.recovered
    service.routes[("GET", "/status")] = worker.status
    service.serve()
    worker.run()
    service.leave()


if __name__ == "__main__":
    main()
