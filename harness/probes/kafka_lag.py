"""The probe of Kafka's consumer lag: how many messages of a topic a consumer group has not committed yet.

By kafka-python's admin client, in a thread. Brokers tell their clients the names under which the clients are to connect
(`advertised.listeners`), and those mean something in the stack's own network: a name of a service is replaced by where
that service can be reached, as everywhere. After any failure the next reading connects anew, so that none waits for a
client's own pause between tries.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
from typing import Any

from harness.model.errors import HarnessError
from harness.model.networkprobes import KafkaLagProbe, parse_addresses
from harness.probes.reader import NoAnswerError, OwnThread, ProbeContext, failing
from harness.probes.redis_store import missing

NEVER = -1
"""The offset that a broker gives for a partition of which the group has committed nothing."""
_numbers = itertools.count()


class KafkaLagReader:
    """Reads a `kafka_lag` probe."""

    def __init__(self, settings: KafkaLagProbe, around: ProbeContext) -> None:
        try:
            import kafka  # noqa: F401
        except ImportError as error:
            raise missing("kafka", error) from error
        self._settings = settings
        self._around = around
        self._brokers = parse_addresses(settings.bootstrap)
        self._config = {
            "client_id": "harness",
            "bootstrap_servers": [f"{host}:{port}" for host, port in self._brokers],
            "bootstrap_timeout_ms": round(around.deadline_s * 1e3),
            "request_timeout_ms": round(around.deadline_s * 1e3),
            "proxy_url": _found_by(around),
        }
        self._client: Any = None
        self._thread = OwnThread("kafka probe")

    async def read(self) -> float:
        """Return the lag over all partitions, or that of the partition where it is greatest."""
        return await self._thread.call(self._lag)

    def _lag(self) -> float:
        from kafka.errors import KafkaError

        try:
            if self._client is None:
                self._client = self._connected()
            lags = [self._lag_of(*one) for one in self._offsets().items()]
        except (KafkaError, OSError, KeyError) as error:
            self._drop()
            raise failing(error) from None
        except NoAnswerError:
            raise
        except Exception:  # the library's own, perhaps with a broken connection behind it
            self._drop()
            raise
        return float(max(lags) if self._settings.agg == "max" else sum(lags))

    def _connected(self) -> Any:
        from kafka.admin import KafkaAdminClient
        from kafka.net.compat import KafkaNetClient

        self._try_brokers()
        began: list[Any] = []

        def begin(**config: Any) -> Any:
            began.append(KafkaNetClient(**config))
            return began[0]

        try:
            return KafkaAdminClient(**self._config, kafka_client=begin)
        except BaseException:
            # Its thread has begun, and nobody but us would end it: there is no client to be closed.
            for one in began:
                one.close()
                one._net.stop()
            raise

    def _try_brokers(self) -> None:
        """Raise NoAnswerError where no broker takes a connection: the client would only say that it found none."""
        why: Exception = NoAnswerError("no broker is named")
        for host, port in self._brokers:
            try:
                socket.create_connection(_place(host, port, self._around), self._around.deadline_s).close()
            except (OSError, HarnessError) as error:
                why = error
            else:
                return
        raise failing(why) from None

    def _offsets(self) -> dict[int, tuple[int, int, int]]:
        """Return for each partition what is committed, its end, and its beginning.

        What is committed is asked for before the end, which only grows: a lag is never less than none.
        """
        from kafka.admin import OffsetSpec
        from kafka.structs import TopicPartition

        settings = self._settings
        partitions = [TopicPartition(settings.topic, number) for number in self._partitions()]
        committed = self._committed(partitions)
        at = {one: committed[one].offset if one in committed else NEVER for one in partitions}
        if all(offset == NEVER for offset in at.values()) and settings.auto_offset_reset is None:
            raise NoAnswerError(f"the group {settings.group!r} has committed no offset of {settings.topic!r}")
        ends = self._client.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST))
        new = [one for one in partitions if at[one] == NEVER]
        begins = self._client.list_partition_offsets(dict.fromkeys(new, OffsetSpec.EARLIEST)) if new else {}
        return {
            one.partition: (at[one], ends[one].offset, begins[one].offset if one in begins else 0) for one in partitions
        }

    def _committed(self, partitions: list[Any]) -> dict[Any, Any]:
        """Return what the group has committed. Of a group that is not there, some brokers say that, some nothing."""
        from kafka.errors import GroupIdNotFoundError

        group = self._settings.group
        try:
            found: dict[Any, Any] = self._client.list_group_offsets({group: partitions})[group]
        except GroupIdNotFoundError:
            return {}
        return found

    def _partitions(self) -> list[int]:
        from kafka.errors import for_code

        topic = self._settings.topic
        for described in self._client.describe_topics([topic]):
            if described["name"] == topic and described["error_code"]:
                raise NoAnswerError(f"the topic {topic!r}: {for_code(described['error_code']).__name__}")
            if described["name"] == topic and described["partitions"]:
                return sorted(one["partition_index"] for one in described["partitions"])
        raise NoAnswerError(f"there is no topic {topic!r}")

    def _lag_of(self, partition: int, offsets: tuple[int, int, int]) -> int:
        committed, end, begin = offsets
        where = f"partition {partition} of {self._settings.topic!r}"
        if committed == NEVER and self._settings.auto_offset_reset is None and end > begin:
            held = f"{where}, which holds {end - begin} messages"
            raise NoAnswerError(f"the group {self._settings.group!r} has committed no offset of {held}")
        if committed > end:
            raise NoAnswerError(f"the group is at {committed} in {where}, which ends at {end}: messages were lost")
        return end - (begin if committed == NEVER else committed)

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):  # a client that failed may fail to close as well
                client.close()

    async def close(self) -> None:
        """Close the connections, unless a call still hangs in them."""
        with contextlib.suppress(NoAnswerError):
            await self._thread.call(self._drop)


def _found_by(around: ProbeContext) -> str:
    """Return what makes the client look up brokers here: a way to connect, as the client knows them by URL schemes."""
    from kafka.net.inet import KafkaNetSocket

    scheme = f"harness-{next(_numbers)}"

    class Found(KafkaNetSocket):  # type: ignore[misc]
        """Connects to where services of the stack are."""

        SCHEMES = (scheme,)

        def dns_lookup(self, host: str, port: int, raise_error: bool = False) -> Any:  # noqa: ARG002
            try:
                return socket.getaddrinfo(*_place(host, port, around), socket.AF_UNSPEC, socket.SOCK_STREAM)
            except (HarnessError, OSError) as error:
                raise OSError(f"the broker calls itself {host}:{port}, which is not to be found: {error}") from error

    return f"{scheme}://"


def _place(host: str, port: int, around: ProbeContext) -> tuple[str, int]:
    """Return where a host is, which may be a service by its name in the stack's network, or by an alias."""
    aliases = (name for name, spec in around.stack.services.items() if host in spec.aliases)
    service = around.service_of(host) or next(aliases, None)
    return around.place(service, port) if service is not None else (host, port)
