"""The kinds of service that people run: how to tell them by command and image, and what is usual for each.

A table, to be added to: one line a kind. What a service is comes before what it is called: its command is looked at
first, because one image runs many programs, then its image, then what others speak with it, and its name last.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from harness.onboarding.discovery.commands import CommandLine, command_line


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
    of: str | None = None
    """What the image or the name must be besides, where the command alone says too little."""
    besides: tuple[int, ...] = ()
    """Ports of it that are not the one its consumers use: of a console, of metrics, of a cluster's members."""
    base: bool = False
    """Whether the image is one that others run programs of their own in: a command says that it is something else."""


SOUNDS = "sounds like it"
"""Ends the reason of a guess that has no better one than a name."""
UNKNOWN = ServiceKind("service", "other")

_REDIS = r"(^|/)(redis|valkey|keydb|dragonfly|redis-stack(-server)?)$"
_MONGO = r"(^|/)(mongo|mongodb|mongodb-(community|enterprise)-server|percona-server-mongodb|ferretdb)$"
_SERVES = r"serv(e|ing)|(ai|ml|llm|model)[-_]server|predict(or|ion)?|inference|scor(er|ing)|model[-_]api"
_BEGINS = r"init|migrate|migrations?|bootstrap|seed|create-?buckets?|setup|load[-_](?!balanc|gen|test)\w+"
_MOVES = r"materiali[sz](e|er|ation)|ingest(er|ion|or)?|etl|refresh(er)?|stream(er|ing)?|sync"
_AIRFLOW_ONCE = "db|version|variables|connections|users|roles|pools|config|info|providers|sync-perm"
_CONSOLES = r"redis-commander|redisinsight|pgadmin4?|adminer|mongo-express|kafka-ui|kafdrop|akhq|redpandadata/console"

KINDS: tuple[ServiceKind, ...] = (
    ServiceKind("job", "job", command=r"^(alembic|flyway|liquibase)\b|\bmlflow db upgrade\b"),
    ServiceKind("job", "job", command=rf"\bairflow ({_AIRFLOW_ONCE})\b"),
    ServiceKind("job", "job", command=r"\bollama (pull|create)\b|\bfeast .*\b(apply|materialize(-incremental)?)\b"),
    ServiceKind("job", "job", command=r"\b(git|dvc) (clone|pull)\b"),
    ServiceKind("job", "job", image=r"(^|/)(minio/mc|mc|aws-cli|alpine/k8s|flyway)$"),
    ServiceKind(
        "mlflow-model", "serving", 5000, "/ping", command=r"\bmlflow models serve\b", predict_path="invocations"
    ),
    ServiceKind(
        "mlflow", "tracking", 5000, "/health", command=r"\bmlflow (server|ui)\b", image=r"(^|/)mlflow(-server)?$"
    ),
    ServiceKind("airflow-web", "pipeline", 8080, "/health", command=r"\bairflow (webserver|api-server)\b"),
    ServiceKind(
        "airflow-web", "pipeline", 8080, "/health", command=r"(^|\s)(webserver|api-server)$", of=r"airflow"
    ),
    ServiceKind(
        "airflow", "pipeline", command=r"\bairflow (scheduler|triggerer|dag-proc|celery)", image=r"(^|/)airflow$"
    ),
    ServiceKind("bentoml", "serving", 3000, "/readyz", command=r"\bbentoml serve", image=r"(^|/)bentoml(/|$)"),
    ServiceKind(
        "torchserve", "serving", 8080, "/ping", None, r"(^|/)torchserve", "predictions/M", besides=(8081, 8082)
    ),
    ServiceKind(
        "triton", "serving", 8000, "/v2/health/ready", r"\btritonserver\b", r"/tritonserver$", "v2/models/M/infer",
        besides=(8002,),
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
    ServiceKind("ray", "serving", 8000, command=r"\bserve (run|deploy|start)\b"),
    ServiceKind("ray-head", "other", 6379, command=r"\bray start\b.*--head\b"),
    ServiceKind("ray-worker", "other", command=r"\bray start\b"),
    ServiceKind("ray", "other", image=r"(^|/)ray(-ml|-llm)?$", base=True),
    ServiceKind(
        "feast", "serving", 6566, "/health", r"\bfeast .*\bserve\b", r"(^|/)feast|feature-server$",
        predict_path="get-online-features",
    ),
    ServiceKind(
        "jupyter", "other", 8888, None, r"\bjupyter(-lab)?\b|\bstart-notebook", r"(^|/)jupyter/|-notebook$", base=True
    ),
    ServiceKind("streamlit", "other", 8501, "/_stcore/health", command=r"\bstreamlit run\b"),
    ServiceKind("flower", "watch", 5555, command=r"\bcelery\b.*\bflower\b"),
    ServiceKind("celery", "pipeline", command=r"\bcelery\b"),
    ServiceKind("dagster", "pipeline", 3000, command=r"\bdagster(-webserver|-daemon)?\b", image=r"(^|/)dagster"),
    ServiceKind("prefect", "pipeline", 4200, "/api/health", command=r"\bprefect server\b"),
    ServiceKind("flink", "pipeline", 8081, "/overview", command=r"^(jobmanager|standalone-job)\b", of=r"flink"),
    ServiceKind("flink-worker", "pipeline", command=r"^taskmanager\b", of=r"flink"),
    ServiceKind("langfuse-worker", "pipeline", 3030, "/api/health", image=r"(^|/)langfuse-worker$"),
    ServiceKind("langfuse", "watch", 3000, "/api/public/health", image=r"(^|/)langfuse$"),
    ServiceKind("label-studio", "other", 8080, "/health", r"^label-studio\b", r"(^|/)label-studio$"),
    ServiceKind("rclone", "store", 8080, command=r"\bserve s3\b"),
    ServiceKind("uvicorn", "serving", 8000, command=r"\b(uvicorn|fastapi run|hypercorn)\b"),
    ServiceKind("gunicorn", "serving", 8000, command=r"\b(gunicorn|waitress-serve)\b"),
    ServiceKind("flask", "serving", 5000, command=r"\bflask\b.* run\b"),
    ServiceKind("console", "watch", image=rf"(^|/)({_CONSOLES})$"),
    ServiceKind(
        "kafka-connect", "pipeline", 8083, "/connectors", image=r"(^|/)((cp-)?kafka-connect(-base)?|debezium/connect)$"
    ),
    ServiceKind("schema-registry", "other", 8081, "/subjects", image=r"(^|/)(cp-)?schema-registry$"),
    ServiceKind("postgres", "store", 5432, image=r"(^|/)(postgres|postgresql|postgis|timescaledb(-ha)?|pgvector)$"),
    ServiceKind("pgbouncer", "gateway", 5432, image=r"(^|/)pgbouncer$"),
    ServiceKind("mysql", "store", 3306, image=r"(^|/)(mysql|mysql-server|mariadb|percona(-server)?)$"),
    ServiceKind("mongo", "store", 27017, image=_MONGO),
    ServiceKind("redis", "store", 6379, command=r"\b(redis|valkey|keydb)-server\b", image=_REDIS),
    ServiceKind("memcached", "store", 11211, image=r"(^|/)memcached$"),
    ServiceKind(
        "minio", "store", 9000, "/minio/health/live", r"\bminio server\b", r"(^|/)minio$", besides=(9001,)
    ),
    ServiceKind("localstack", "store", 4566, "/_localstack/health", image=r"(^|/)localstack(-pro)?$"),
    ServiceKind("seaweedfs", "store", 8333, image=r"(^|/)seaweedfs$"),
    ServiceKind("qdrant", "store", 6333, "/healthz", image=r"(^|/)qdrant$", besides=(6335,)),
    ServiceKind("weaviate", "store", 8080, "/v1/.well-known/ready", image=r"(^|/)weaviate$"),
    ServiceKind("milvus", "store", 19530, image=r"(^|/)milvus$", besides=(9091,)),
    ServiceKind("chroma", "store", 8000, "/api/v2/heartbeat", image=r"(^|/)chroma$"),
    ServiceKind("elasticsearch", "store", 9200, image=r"(^|/)(elasticsearch|opensearch)$", besides=(9300,)),
    ServiceKind("clickhouse", "store", 8123, "/ping", image=r"(^|/)clickhouse(-server)?$", besides=(9009, 9181, 9363)),
    ServiceKind("cassandra", "store", 9042, image=r"(^|/)(cassandra|scylla)$", besides=(7000, 7001, 7199)),
    ServiceKind("etcd", "store", 2379, "/health", image=r"(^|/)etcd$", besides=(2380,)),
    ServiceKind(
        "kafka", "queue", 9092, image=r"(^|/)((cp-)?(kafka|redpanda)|kafka-native|cp-server|confluent-local)$",
        besides=(9101, 9644, 9997),
    ),
    ServiceKind("zookeeper", "queue", 2181, image=r"(^|/)(cp-)?zookeeper$", besides=(2888, 3888)),
    ServiceKind("rabbitmq", "queue", 5672, image=r"(^|/)rabbitmq$", besides=(15672, 25672, 4369, 15692)),
    ServiceKind("nats", "queue", 4222, image=r"(^|/)nats$", besides=(8222, 6222)),
    ServiceKind("prometheus", "watch", 9090, "/-/healthy", image=r"(^|/)prometheus$"),
    ServiceKind("alertmanager", "watch", 9093, "/-/healthy", image=r"(^|/)alertmanager$"),
    ServiceKind("grafana", "watch", 3000, "/api/health", image=r"(^|/)grafana(-oss|-enterprise)?$"),
    ServiceKind("pushgateway", "watch", 9091, "/-/healthy", image=r"(^|/)pushgateway$"),
    ServiceKind("otel-collector", "watch", 4317, image=r"(^|/)opentelemetry-collector(-contrib|-k8s|-otlp)?$"),
    ServiceKind("loki", "watch", 3100, "/ready", image=r"(^|/)loki$"),
    ServiceKind("exporter", "watch", image=r"exporter$"),
    ServiceKind("nginx", "gateway", 80, image=r"(^|/)nginx(-unprivileged)?$"),
    ServiceKind("caddy", "gateway", 80, image=r"(^|/)caddy$"),
    ServiceKind("traefik", "gateway", 80, image=r"(^|/)traefik$", besides=(8080,)),
    ServiceKind("haproxy", "gateway", 80, image=r"(^|/)haproxy$", besides=(8404,)),
    ServiceKind("envoy", "gateway", 10000, image=r"(^|/)envoy$", besides=(9901,)),
)  # fmt: skip

BY_NAME: tuple[ServiceKind, ...] = (
    ServiceKind("model-server", "serving", image=rf"(^|[-_./ ])({_SERVES})([-_./ ]|$)"),
    ServiceKind("trainer", "training", image=r"(^|[-_./ ])(re)?train(er|ing)?([-_./ ]|$)"),
    ServiceKind("job", "job", image=rf"(^|[-_./ ])({_BEGINS})([-_./ ]|$)"),
    ServiceKind("exporter", "watch", image=r"exporter$"),
    ServiceKind("data-job", "pipeline", image=rf"(^|[-_./ ])({_MOVES})([-_./ ]|$)"),
)  # fmt: skip
"""What a service's name, or that of its program, may mean where nothing better is known."""
JOB = next(kind for kind in BY_NAME if kind.what == "job")

SPOKEN = {
    "postgres": "postgres", "postgresql": "postgres", "redis": "redis", "rediss": "redis", "valkey": "redis",
    "mongodb": "mongo", "mysql": "mysql", "mariadb": "mysql", "amqp": "rabbitmq", "amqps": "rabbitmq", "nats": "nats",
}  # fmt: skip
"""Which kind a service is that others ask by an URL of this scheme."""
_ALIASES = {"postgresql": "postgres", "mongodb": "mongo", "mariadb": "mysql", "valkey": "redis", "redpanda": "kafka"}
_NAME_ENDING = r"([-_]?(\d+|db|database|server|broker|store|main|primary|master))*"


@dataclass(frozen=True, slots=True)
class ServiceClues:
    """What is looked at to tell a kind.

    `images` are the image, and others that may stand in its place, such as the usual one of a variable. `ports` are
    those that are listed or named, `spoken` the schemes of the URLs by which others ask it. `goes_on` is whether it is
    meant to go on: it listens, or is started again whenever it ends.
    """

    name: str
    words: Sequence[str]
    images: Sequence[str]
    ports: Collection[int] = ()
    spoken: Sequence[str] = ()
    goes_on: bool = False


def kind_of(clues: ServiceClues) -> tuple[ServiceKind, str]:
    """Return the kind of a service, and why; UNKNOWN where nothing tells."""
    line = command_line(clues.words)
    found = (
        _by_command(clues, line)
        or _by_image(clues, line)
        or _by_scheme(clues)
        or _by_name_of_kind(clues, line)
        or _by_sound(clues, line)
    )
    return found or (UNKNOWN, "")


def _by_command(clues: ServiceClues, line: CommandLine) -> tuple[ServiceKind, str] | None:
    if line.runs_own_code:  # its arguments name many things that it is not
        return _job_by_sound(clues, line)
    found = _in_command(clues, " ".join(line.last), jobs=not line.endless and not clues.goes_on)
    if found is None and line.ends and not clues.goes_on:
        return JOB, f"`{line.program}` ends by itself"
    if found is None and not line.ends:
        found = _in_command(clues, line.whole, jobs=False)
    return found or _job_by_sound(clues, line)


def _in_command(clues: ServiceClues, text: str, *, jobs: bool) -> tuple[ServiceKind, str] | None:
    for kind in KINDS:
        if kind.command is None or not text or (kind.what == "job" and not jobs):
            continue
        match = re.search(rf"(?:{kind.command})(?![-:@])", text)  # `celery:5555` is somebody else's address
        besides = kind.of is None or any(re.search(kind.of, one) for one in (clues.name, *clues.images))
        if match and besides:
            return kind, f"its command is `{match[0].strip()}`"
    return None


def _job_by_sound(clues: ServiceClues, line: CommandLine) -> tuple[ServiceKind, str] | None:
    """A program of one's own in a service that is called a job: its image only lends the tools."""
    if not line.last or clues.goes_on or line.endless:
        return None
    if line.runs_own_code and re.search(str(JOB.image), line.script):
        return JOB, f"its program, `{line.script}`, {SOUNDS}"
    borrows = line.runs_own_code or line.runs_shell_script
    return (JOB, f"its name {SOUNDS}") if borrows and re.search(str(JOB.image), clues.name) else None


def _by_image(clues: ServiceClues, line: CommandLine) -> tuple[ServiceKind, str] | None:
    if line.runs_own_code or line.ends:
        return None
    for name in (bare_image(image) for image in clues.images if image):
        for kind in KINDS:
            if kind.image is None or (kind.base and line.last) or not re.search(kind.image, name):
                continue
            if kind.what != "job" or not (line.endless or clues.goes_on):
                return kind, f"its image is {name}"
    return None


def _by_scheme(clues: ServiceClues) -> tuple[ServiceKind, str] | None:
    for scheme in clues.spoken:
        if scheme in SPOKEN:
            return next(kind for kind in KINDS if kind.name == SPOKEN[scheme]), f"others ask it by {scheme}://"
    return None


def _by_name_of_kind(clues: ServiceClues, line: CommandLine) -> tuple[ServiceKind, str] | None:
    """Return the kind that a service is called after, where its ports do not say otherwise.

    The whole name is needed, `kafka` or `kafka-1` and not `kafka-ui`, or a part of it with the kind's own port.
    """
    if line.runs_own_code or line.ends:
        return None
    parts = re.split(r"[-_.\d]+", clues.name)
    for kind in KINDS:
        if kind.image is None or kind.what == "job":
            continue
        names = (kind.name, *(alias for alias, name in _ALIASES.items() if name == kind.name))
        whole = any(re.fullmatch(re.escape(name) + _NAME_ENDING, clues.name) for name in names)
        usual = kind.port in clues.ports
        if (whole and (usual or not clues.ports)) or (usual and any(name in parts for name in names)):
            return kind, f"its name {SOUNDS}"
    return None


def _by_sound(clues: ServiceClues, line: CommandLine) -> tuple[ServiceKind, str] | None:
    for text, what in ((clues.name, "its name"), (line.script, f"its program, `{line.script}`,")):
        for kind in BY_NAME:
            if kind.what == "job" and (clues.goes_on or (text is line.script and line.runs_shell_script)):
                continue
            if kind.image is not None and text and re.search(kind.image, text):
                return kind, f"{what} {SOUNDS}"
    return None


def usual_image(written: object) -> str:
    """Return the image that a variable stands for unless it is set: `postgres:16` of `${DB_IMAGE:-postgres:16}`."""
    match = re.fullmatch(r"\$\{\w+:?-([^${}]+)\}", str(written))
    return match[1] if match else ""


def bare_image(image: str) -> str:
    """Return an image's name without its tag and digest."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"
