"""The table of our own readers of probes, by kind. Other people's kinds come in by the entry points `harness.probes`.

An explicit table, and no registration on import. A reader's module is imported when a stack has a probe of its kind:
some need packages that a small installation does not have. Kinds that share a page (`json`, `metric`) are read by
`harness.probes.gauges`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from harness.model.errors import HarnessError, ProbeError
from harness.model.probekinds import ProbeSpec
from harness.probes.reader import ProbeContext, ProbeKind, Reader

READERS: Mapping[str, str] = {
    "http": "web:HttpReader",
    "promql": "promql:PromqlReader",
    "log": "host:LogReader",
    "redis": "redis_store:RedisReader",
    "s3": "s3_store:S3Reader",
    "sql": "database:SqlReader",
    "mongo": "mongo:MongoReader",
    "file": "host:FileReader",
    "command": "host:CommandReader",
    "container": "host:ContainerReader",
    "mlflow": "web:MlflowReader",
    "feast": "redis_store:FeastReader",
    "airflow": "web:AirflowReader",
    "tcp": "network:TcpReader",
    "grpc": "network:GrpcReader",
    "kafka_lag": "kafka_lag:KafkaLagReader",
}


def reader_for(spec: ProbeSpec, around: ProbeContext, offered: Mapping[str, ProbeKind] | None = None) -> Reader:
    """Return what reads a probe in one run. Raises HarnessError where it cannot be made ready."""
    if spec.kind in READERS:
        module, _, name = READERS[spec.kind].partition(":")
        made: Reader = getattr(import_module(f"harness.probes.{module}"), name)(spec.settings, around)
        return made
    if offered is None or spec.kind not in offered:
        raise ProbeError(f"nothing reads probes of the kind {spec.kind!r}", remedy="install the package that offers it")
    try:
        return offered[spec.kind].make(spec.settings, around)
    except HarnessError:
        raise
    except Exception as error:  # a mistake in somebody else's package
        raise ProbeError(f"the probe kind {spec.kind!r} failed: {type(error).__name__}: {error}") from error
