"""Writes to the object store in order, off the main loop, trying again until each has succeeded.

What is waiting is lost with the process; every user rebuilds it from the streams at the next start.
"""

from __future__ import annotations

import queue
from collections.abc import Callable

from prometheus_client import Gauge

from refstack.objects import ObjectStore, StoreError
from refstack.service import ServiceProcess

RETRY_S = 0.1


class Uploads:
    def __init__(self, service: ServiceProcess, store: ObjectStore) -> None:
        self._service, self._store = service, store
        self._waiting: queue.Queue[tuple[str, bytes, Callable[[], None]]] = queue.Queue()
        gauge = Gauge("uploads_waiting", "Objects not yet written", registry=service.metrics)
        gauge.set_function(self._waiting.qsize)
        service.thread(self._run, "uploads")

    def put(self, key: str, data: bytes, done: Callable[[], None]) -> None:
        self._waiting.put((key, data, done))

    def _run(self) -> None:
        while True:
            key, data, done = self._waiting.get()
            failures = 0
            while True:
                try:
                    self._store.put(key, data)
                    break
                except StoreError as error:
                    if failures == 0:
                        self._service.log.warning("write of %s failed, trying again: %s", key, error)
                    failures += 1
                    self._service.stop.wait(RETRY_S)
            done()
