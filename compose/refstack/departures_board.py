"""A departures board for people: the delay at each airport, and how many versions of the model there are.

It reads what others keep and writes its own lines, `board:<airport>:departures`, which nothing else reads. So it can
fail in any way without anything else noticing.
"""

from __future__ import annotations

from typing import Any

import redis

from refstack.objects import ObjectStore, StoreError
from refstack.online import OnlineError, board_key, connect, features_key
from refstack.schema import DELAY, ENTITIES, stamp_field
from refstack.service import Answer, ServiceProcess

EVERY_S = 0.25
COUNT_EVERY = 4
"""How often the lines are written before the versions are counted again."""


class Board:
    def __init__(self, service: ServiceProcess, client: redis.Redis, store: ObjectStore) -> None:
        self._service, self._client, self._store = service, client, store
        self._lines: dict[str, dict[str, str]] = {}
        self._versions = 0

    def answer(self, _: object) -> Answer:
        return 200, {"lines": self._lines, "versions": self._versions}

    def write(self) -> None:
        """Takes over the delays that are online now."""
        read = self._client.pipeline(transaction=False)
        for entity in ENTITIES:
            read.hmget(features_key(entity), DELAY, stamp_field(DELAY))
        found: list[Any] = read.execute()
        pairs = zip(ENTITIES, found, strict=True)
        lines = {entity: {DELAY: value, stamp_field(DELAY): at} for entity, (value, at) in pairs if value and at}
        write = self._client.pipeline(transaction=True)
        for entity, line in lines.items():
            fields: Any = line
            write.hset(board_key(entity), mapping=fields)
        write.execute()
        self._lines = lines

    def count(self) -> None:
        self._versions = len(self._store.keys("models/"))

    def run(self) -> None:
        passes = 0
        while not self._service.stop.is_set():
            try:
                self.write()
            except OnlineError as error:
                self._service.log.warning("the board is not up to date: %s", error)
            try:
                if passes % COUNT_EVERY == 0:
                    self.count()
            except StoreError as error:
                self._service.log.warning("the versions are not counted: %s", error)
            passes += 1
            self._service.stop.wait(EVERY_S)


def main() -> None:
    service = ServiceProcess("departures-board")
    board = Board(service, connect(), ObjectStore(service.metrics))
    service.routes[("GET", "/board")] = board.answer
    service.serve()
    board.run()
    service.leave()


if __name__ == "__main__":
    main()
