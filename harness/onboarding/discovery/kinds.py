"""The kinds of service that people run: how to tell them by command and image, and what is usual for each.

A table, to be added to: one line a kind. The command is looked at first, because one image runs many programs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServiceKind:
    """A kind of service. `what` groups kinds: store, queue, serving, tracking, pipeline, gateway, watch or job."""

    name: str
    what: str
    port: int | None = None
    http: str | None = None
    command: str | None = None
    image: str | None = None
    predict_path: str | None = None
    """The path of a request for a prediction, as the template of the stack description suggests it."""


SOUNDS = "sounds like it"
"""Ends the reason of a guess that has no better one than a name."""
UNKNOWN = ServiceKind("service", "other")

_REDIS = r"(^|/)(redis|valkey|keydb|dragonfly|redis-stack(-server)?)$"
_SERVES = r"serv(e|er|ing)|predict(or|ion)?|inference|scor(er|ing)|model-api"
_BEGINS = r"init|migrate|migrations?|bootstrap|seed|create-?buckets?|setup"

KINDS: tuple[ServiceKind, ...] = (
    ServiceKind("job", "job", command=r"^(alembic|flyway|liquibase)\b|\bmlflow db upgrade\b|\bairflow (db|version)\b"),
    ServiceKind("job", "job", image=r"(^|/)(minio/mc|mc|aws-cli|alpine/k8s|flyway)$"),
    ServiceKind(
        "mlflow-model", "serving", 5000, "/ping", command=r"\bmlflow models serve\b", predict_path="invocations"
    ),
    ServiceKind(
        "mlflow", "tracking", 5000, "/health", command=r"\bmlflow (server|ui)\b", image=r"(^|/)mlflow(-server)?$"
    ),
    ServiceKind("airflow-web", "pipeline", 8080, "/health", command=r"\b(airflow )?(webserver|api-server)$"),
    ServiceKind(
        "airflow", "pipeline", command=r"\bairflow (scheduler|triggerer|dag-proc|celery)", image=r"(^|/)airflow$"
    ),
    ServiceKind("bentoml", "serving", 3000, "/readyz", command=r"\bbentoml serve", image=r"(^|/)bentoml(/|$)"),
    ServiceKind("torchserve", "serving", 8080, "/ping", None, r"(^|/)torchserve", "predictions/M"),
    ServiceKind(
        "triton", "serving", 8000, "/v2/health/ready", r"\btritonserver\b", r"/tritonserver$", "v2/models/M/infer"
    ),
    ServiceKind(
        "tf-serving", "serving", 8501, None, r"tensorflow_model_server", r"tensorflow/serving", "v1/models/M:predict"
    ),
    ServiceKind(
        "mlserver", "serving", 8080, "/v2/health/ready", command=r"\bmlserver start", image=r"/?(mlserver|seldon)"
    ),
    ServiceKind("vllm", "serving", 8000, "/health", command=r"\bvllm\b", image=r"(^|/)vllm"),
    ServiceKind("text-generation", "serving", 80, "/health", image=r"(^|/)text-(generation|embeddings)-inference$"),
    ServiceKind("ollama", "serving", 11434, "/", image=r"(^|/)ollama$"),
    ServiceKind("ray", "serving", 8000, command=r"\bserve run\b", image=r"(^|/)ray(-ml|-llm)?$"),
    ServiceKind(
        "feast", "serving", 6566, "/health", command=r"\bfeast .*\bserve\b", image=r"(^|/)feast|feature-server$"
    ),
    ServiceKind("jupyter", "other", 8888, command=r"\bjupyter\b", image=r"(^|/)(jupyter/|.*-notebook$)"),
    ServiceKind("streamlit", "other", 8501, "/_stcore/health", command=r"\bstreamlit run\b"),
    ServiceKind("flower", "watch", 5555, command=r"\bcelery\b.*\bflower\b"),
    ServiceKind("celery", "pipeline", command=r"\bcelery\b"),
    ServiceKind("dagster", "pipeline", 3000, command=r"\bdagster(-webserver|-daemon)?\b", image=r"(^|/)dagster"),
    ServiceKind("prefect", "pipeline", 4200, "/api/health", command=r"\bprefect server\b"),
    ServiceKind("rclone", "store", 8080, command=r"\bserve s3\b"),
    ServiceKind("uvicorn", "serving", 8000, command=r"\b(uvicorn|fastapi run|hypercorn)\b"),
    ServiceKind("gunicorn", "serving", 8000, command=r"\b(gunicorn|waitress-serve)\b"),
    ServiceKind("flask", "serving", 5000, command=r"\bflask\b.* run\b"),
    ServiceKind("postgres", "store", 5432, image=r"(^|/)(postgres|postgresql|postgis|timescaledb(-ha)?|pgvector)$"),
    ServiceKind("pgbouncer", "gateway", 5432, image=r"(^|/)pgbouncer$"),
    ServiceKind("mysql", "store", 3306, image=r"(^|/)(mysql|mariadb|percona)$"),
    ServiceKind("mongo", "store", 27017, image=r"(^|/)mongo(db)?$"),
    ServiceKind("redis", "store", 6379, command=r"\b(redis|valkey|keydb)-server\b", image=_REDIS),
    ServiceKind("memcached", "store", 11211, image=r"(^|/)memcached$"),
    ServiceKind("minio", "store", 9000, "/minio/health/live", command=r"\bminio server\b", image=r"(^|/)minio$"),
    ServiceKind("localstack", "store", 4566, "/_localstack/health", image=r"(^|/)localstack(-pro)?$"),
    ServiceKind("seaweedfs", "store", 8333, image=r"(^|/)seaweedfs$"),
    ServiceKind("qdrant", "store", 6333, "/healthz", image=r"(^|/)qdrant$"),
    ServiceKind("weaviate", "store", 8080, "/v1/.well-known/ready", image=r"(^|/)weaviate$"),
    ServiceKind("milvus", "store", 19530, image=r"(^|/)milvus$"),
    ServiceKind("chroma", "store", 8000, "/api/v2/heartbeat", image=r"(^|/)chroma$"),
    ServiceKind("elasticsearch", "store", 9200, image=r"(^|/)(elasticsearch|opensearch)$"),
    ServiceKind("clickhouse", "store", 8123, "/ping", image=r"(^|/)clickhouse(-server)?$"),
    ServiceKind("cassandra", "store", 9042, image=r"(^|/)(cassandra|scylla)$"),
    ServiceKind("etcd", "store", 2379, "/health", image=r"(^|/)etcd$"),
    ServiceKind("kafka", "queue", 9092, image=r"(^|/)(cp-)?(kafka|redpanda)$"),
    ServiceKind("zookeeper", "queue", 2181, image=r"(^|/)(cp-)?zookeeper$"),
    ServiceKind("rabbitmq", "queue", 5672, image=r"(^|/)rabbitmq$"),
    ServiceKind("nats", "queue", 4222, image=r"(^|/)nats$"),
    ServiceKind("prometheus", "watch", 9090, "/-/healthy", image=r"(^|/)prometheus$"),
    ServiceKind("alertmanager", "watch", 9093, "/-/healthy", image=r"(^|/)alertmanager$"),
    ServiceKind("grafana", "watch", 3000, "/api/health", image=r"(^|/)grafana(-oss|-enterprise)?$"),
    ServiceKind("pushgateway", "watch", 9091, "/-/healthy", image=r"(^|/)pushgateway$"),
    ServiceKind("loki", "watch", 3100, "/ready", image=r"(^|/)loki$"),
    ServiceKind("exporter", "watch", image=r"exporter$"),
    ServiceKind("nginx", "gateway", 80, image=r"(^|/)nginx(-unprivileged)?$"),
    ServiceKind("caddy", "gateway", 80, image=r"(^|/)caddy$"),
    ServiceKind("traefik", "gateway", 80, image=r"(^|/)traefik$"),
    ServiceKind("haproxy", "gateway", 80, image=r"(^|/)haproxy$"),
    ServiceKind("envoy", "gateway", 10000, image=r"(^|/)envoy$"),
)  # fmt: skip

BY_NAME: tuple[ServiceKind, ...] = (
    ServiceKind("model-server", "serving", image=rf"(^|[-_./ ])({_SERVES})([-_./ ]|$)"),
    ServiceKind("trainer", "training", image=r"(^|[-_./ ])(re)?train(er|ing)?([-_./ ]|$)"),
    ServiceKind("job", "job", image=rf"(^|[-_./ ])({_BEGINS})([-_./ ]|$)"),
)  # fmt: skip
"""What a service's name, or that of its program, may mean where nothing better is known."""


def kind_of(words: Sequence[str], images: Sequence[str], service: str) -> tuple[ServiceKind, str]:
    """Return the kind of a service, and why: its command, its image, its name, or nothing that is known.

    `images` are the image, and others that may stand in its place, such as the usual one of a variable.
    """
    line = " ".join(" ".join(words).split())
    for kind in KINDS:
        if kind.command is not None and line and (match := re.search(kind.command, line)):
            return kind, f"its command is `{match[0].strip()}`"
    for name in (bare_image(image) for image in images if image):
        for kind in KINDS:
            if kind.image is not None and re.search(kind.image, name):
                return kind, f"its image is {name}"
    for kind in KINDS:
        if kind.image is not None and kind.name in re.split(r"[-_.\d]+", service):
            return kind, f"its name {SOUNDS}"
    for text, what in ((service, "its name"), (line, f"its command, `{line}`,")):
        for kind in BY_NAME:
            if kind.image is not None and text and re.search(kind.image, text):
                return kind, f"{what} {SOUNDS}"
    return UNKNOWN, ""


def usual_image(written: object) -> str:
    """Return the image that a variable stands for unless it is set: `postgres:16` of `${DB_IMAGE:-postgres:16}`."""
    match = re.fullmatch(r"\$\{\w+:?-([^${}]+)\}", str(written))
    return match[1] if match else ""


def bare_image(image: str) -> str:
    """Return an image's name without its tag and digest."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"
