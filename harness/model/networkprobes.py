"""Settings of the probes that ask a server by its own protocol: a TCP connection, gRPC's health, Kafka's offsets."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from harness.model.fields import Frozen, GrpcName, Name, Port
from harness.model.httpprobes import Text
from harness.model.units import Unit

_ADDRESS = re.compile(r"(?P<host>[^\s:/@\[\],]+|\[[0-9a-fA-F:.]+\]):(?P<port>\d{1,5})")


def parse_address(value: str) -> tuple[str, int]:
    """Return host and port of `host:port`. Raises ValueError."""
    match = _ADDRESS.fullmatch(value)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise ValueError(f"{value!r} is not an address such as broker:9092")
    return match["host"].strip("[]"), int(match["port"])


def parse_addresses(value: str) -> list[tuple[str, int]]:
    """Return host and port of each address in `host:port,host:port`. Raises ValueError."""
    return [parse_address(part.strip()) for part in value.split(",")]


def _address(value: str) -> str:
    parse_address(value)
    return value


def _addresses(value: str) -> str:
    parse_addresses(value)
    return value


class Place(Frozen):
    """Where a server listens: a service of the stack by name, on its own port or another one, or any address."""

    service: Name | None = None
    port: Port | None = None
    address: Annotated[str, AfterValidator(_address)] | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Place:
        if (self.service is None) == (self.address is None):
            raise ValueError("exactly one of `service` and `address` (host:port) is needed")
        if self.address is not None and self.port is not None:
            raise ValueError("an `address` has its port itself: host:port")
        return self


class TcpProbe(Place):
    """Whether a port takes connections, or how long that takes."""

    EVERY_S: ClassVar[float] = 0.1
    asks_health: ClassVar[bool] = True

    read: Literal["up", "latency"] = "up"

    @property
    def usual_unit(self) -> Unit:
        """What the reading is, unless the stack says otherwise."""
        return Unit.WALL if self.read == "latency" else Unit.NUMBER


class GrpcProbe(Place):
    """The standard health check of gRPC servers (grpc.health.v1): whether one serves, or how long its answer takes."""

    EVERY_S: ClassVar[float] = 0.1
    asks_health: ClassVar[bool] = True

    name: GrpcName = ""
    tls: bool = False
    ca: Text | None = None
    read: Literal["up", "status", "latency"] = "up"

    @model_validator(mode="after")
    def _ca_needs_tls(self) -> GrpcProbe:
        if self.ca is not None and not self.tls:
            raise ValueError("`ca` is a file of certificates, and goes with `tls: true`")
        return self

    @property
    def usual_unit(self) -> Unit:
        """What the reading is, unless the stack says otherwise."""
        return Unit.WALL if self.read == "latency" else Unit.NUMBER


class KafkaLagProbe(Frozen):
    """How many messages of a topic a consumer group has not committed yet, over all partitions."""

    EVERY_S: ClassVar[float] = 1.0
    DEADLINE_S: ClassVar[float] = 5.0

    bootstrap: Annotated[str, AfterValidator(_addresses)]
    group: Text
    topic: Text
    agg: Literal["sum", "max"] = "sum"
    auto_offset_reset: Literal["earliest"] | None = Field(
        None, description="a partition without a commit counts from its first message"
    )

    @property
    def usual_unit(self) -> Unit:
        """What the reading is, unless the stack says otherwise."""
        return Unit.COUNT
