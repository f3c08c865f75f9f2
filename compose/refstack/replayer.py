"""Publishes the past as if it happened now: schedule, weather, departures and watermarks in event-time order.

One transaction a slot of five event minutes, its watermark last: who has read the watermark has read all
before it. The clock survives a restart in a file; after a pause the missed slots are published in a burst,
and after the online store has lost its data the history is published again under the same ids.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import redis
from prometheus_client import Gauge

from refstack.dataset import Dataset, default_dir
from refstack.eventtime import ACTIVE_DAY_S, HOUR_S, SKIP, SLOT_S, active, event_at, iso, parse
from refstack.online import EVENTS, SCHEDULE, OnlineError, connect, slot_of_id
from refstack.schema import ENTITIES, GROUPS, WEATHER
from refstack.service import ServiceProcess, number, setting
from refstack.sourceview import Departed, departure_entry, watermark_entry, weather_entry

RETAIN_S = int(1.5 * ACTIVE_DAY_S)
LEAD_S = 2 * HOUR_S


@dataclass(frozen=True)
class SlotClock:
    start_event: int
    start_unix: float
    speed: float

    def slot(self, now_unix: float) -> int:
        """The last watermark that is due."""
        passed = int((now_unix - self.start_unix) * self.speed)
        return event_at((active(self.start_event) + passed) // SLOT_S * SLOT_S)

    def due_unix(self, slot: int) -> float:
        return self.start_unix + (active(slot) - active(self.start_event)) / self.speed


def entries(data: Dataset, slot: int) -> list[dict[str, str]]:
    """What is published under one watermark, in order of event time."""
    before = event_at(active(slot) - SLOT_S)
    found: list[tuple[int, dict[str, str]]] = []
    low, high = data.between("departure_at", before, slot)
    for row in range(low, high):
        flight = data.flight(int(data["departure_flight"][row]))
        at = int(data["departure_at"][row])
        found.append((at, departure_entry(Departed(flight.id, flight.origin, at, flight.delay_min or 0))))
    low, high = data.between("weather_at", before, slot)
    for row in range(low, high):
        at = int(data["weather_at"][row])
        if event_at(active(at)) != at:
            continue  # an observation of the night
        for number_, origin in enumerate(ENTITIES):
            values = dict(zip(GROUPS[WEATHER], data["weather_values"][row, number_].tolist(), strict=True))
            found.append((at, weather_entry(origin, at, values)))
    found.sort(key=lambda item: item[0])
    return [*(entry for _, entry in found), watermark_entry(slot)]


def schedule_entry(data: Dataset, slot: int) -> dict[str, str]:
    """The flights whose scheduled departure has come within two hours."""
    until = active(slot) + LEAD_S
    low, high = data.between("flight_sched", event_at(until - SLOT_S), event_at(until))
    flights = [data.flight(index) for index in range(low, high)]
    return {"at": str(slot), "flights": json.dumps([[f.id, f.origin, f.sched] for f in flights])}


class Replayer:
    def __init__(self, service: ServiceProcess, data: Dataset, client: redis.Redis) -> None:
        self._service, self._data, self._client = service, data, client
        self._file = Path(setting("STATE_DIR", ".")) / "clock.json"
        self._start = parse(setting("START_AT"))
        self._history_s = int(number("HISTORY_HOURS", 4) * HOUR_S)
        self.clock: SlotClock | None = None
        self.watermark = 0
        self._published: int | None = None
        gauge = Gauge("replayer_watermark", "Event time up to which all is published", registry=service.metrics)
        gauge.set_function(lambda: self.watermark)

    def answer_clock(self, _: object) -> tuple[int, Any]:
        if self.clock is None:
            return 503, {"error": "the event clock has not started"}
        return 200, {**asdict(self.clock), "skip": SKIP, "watermark": self.watermark}

    def _last_published(self) -> int | None:
        last: Any = self._client.xrevrange(EVENTS, count=1)
        return slot_of_id(last[0][0]) if last else None

    def _publish(self, slots: list[int]) -> None:
        pipe = self._client.pipeline(transaction=True)
        for slot in slots:
            floor = event_at(active(slot) - RETAIN_S)
            for index, entry in enumerate(entries(self._data, slot)):
                pipe.xadd(EVENTS, entry, id=f"{slot}-{index}", minid=f"{floor}-0", approximate=True)  # type: ignore[arg-type]
            pipe.xadd(SCHEDULE, schedule_entry(self._data, slot), id=f"{slot}-0", minid=f"{floor}-0", approximate=True)  # type: ignore[arg-type]
        pipe.execute()
        self.watermark = self._published = slots[-1]

    def _slots(self, after: int, until: int) -> list[int]:
        return [event_at(a) for a in range(active(after) + SLOT_S, active(until) + 1, SLOT_S)]

    def _begin(self) -> None:
        """Starts the clock, or takes it up again after a restart."""
        if self._file.exists():
            self.clock = SlotClock(**json.loads(self._file.read_text()))
            return
        self._client.ping()
        last = self._last_published()
        since = event_at(active(self._start) - self._history_s)
        self._publish(self._slots(since if last is None else last, self._start))
        clock = SlotClock(self._start, time.time(), number("SPEED", 3600.0))
        partial = self._file.with_suffix(".part")
        partial.write_text(json.dumps(asdict(clock)))
        partial.replace(self._file)
        self.clock = clock
        self._service.log.info("event clock starts at %s", iso(self._start))

    def step(self) -> float:
        """Publishes what is due; gives the seconds until the next slot is."""
        if self.clock is None:
            self._begin()
        assert self.clock is not None
        now = self.clock.slot(time.time())
        last = self._published or self._last_published()
        if last is None:
            last = event_at(active(now) - max(self._history_s, 4 * HOUR_S))
        self.watermark = max(self.watermark, last)
        if due := self._slots(last, now):
            self._publish(due[:60])
        follows = event_at(active(self._published or last) + SLOT_S)
        return self.clock.due_unix(follows) - time.time()

    def run(self) -> None:
        troubled = False
        while not self._service.stop.is_set():
            try:
                wait_s = self.step()
                if troubled:
                    self._service.log.info("the online store is back")
                troubled = False
            except OnlineError as error:
                if not troubled:
                    self._service.log.warning("cannot publish: %s", error)
                # What was written is not known now: ask the store before going on.
                troubled, self._published, wait_s = True, None, 0.03
            self._service.stop.wait(min(max(wait_s, 0.0), 0.5))


def main() -> None:
    service = ServiceProcess("replayer")
    replayer = Replayer(service, Dataset(default_dir()), connect())
    service.routes[("GET", "/clock")] = replayer.answer_clock
    service.serve()
    replayer.run()
    service.leave()


if __name__ == "__main__":
    main()
