"""A stack description is read whole or refused with file, line, field and the nearest valid name."""

from __future__ import annotations

import importlib.metadata
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from harness.description.findings import field_names
from harness.description.stackfile import load_stack, resolve_stack
from harness.model.errors import StackError, problems_of_stack
from harness.model.stack import StackFields
from harness.model.units import Quantity, Unit

WHOLE = """\
name: shop
x-defaults: &defaults
  restart: always
  environment: {LEVEL: info, TRIES: 3, FAST: true, NAME: "${NAME:-nobody}"}
x-harness:
  schema: 1
  stack: shop-v2
  ready_within: 12s
  event_clock: {url: "http://web:8080/clock"}
  workload:
    make: [python, -m, shop.workload, --hours, 3]
    url: http://web:${WEB_PORT:-8080}/predict
    timeout: 2s
  freshness: {prices: 90min event, stock: 5s}
  probes:
    lag: {json: {url: "http://web:8080/lag", path: until, as: event_age}, summary: how far behind}
    errors: {metric: {url: "http://web:8080/metrics", name: errors_total, labels: {code: 500}, agg: max}, unit: count}
  alert_sources:
    - {kind: prometheus, url: "http://web:8080", heartbeat: rounds_total}
  alerts: {Late: {summary: it is late, off: {service: web, env: {RULES_OFF: Late}}}, Down: {}}
  recoveries: {retry: {off: {service: db, env: {RETRY: "off"}}}}
  datasets: {rows: {service: db, bucket: ml, prefix: rows/}}
  keyspaces: {live: {service: db, prefix: "live:", db: 2}}
  integrity:
    store: {service: db, bucket: ml}
    examples: {prefix: training/}
    checkpoints: {command: [python, -m, shop.restore]}
  data: {command: [python, -m, shop.prepare]}
services:
  db:
    image: postgres
    build: .
    command: serve --listen "0.0.0.0:5432" --cost $$5
    x-harness:
      port: 5432
      health: {tcp: true}
  tools: {profiles: [debug], image: busybox}
  web:
    <<: *defaults
    depends_on: {db: {condition: service_healthy, required: true}}
    command: [web, --db, "db:5432", --workers, 2]
    labels: {anything: goes}
    x-harness:
      node: front
      roles: [server]
      port: ${WEB_PORT:-8080}
      health: {http: /healthz}
      local:
        command: [python, -m, shop.web, --data, "{data}"]
        environment: {BIND: "{address}", WORKERS: 2}
        preload: [shop.web]
"""
SMALL = "x-harness: {schema: 1}\nservices:\n  web: {command: sleep 9}\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "compose.yaml"
    path.write_text(text)
    return path


def test_a_variable_that_says_who_may_call_is_no_link(tmp_path: Path) -> None:
    text = """\
x-harness: {schema: 1}
services:
  web: {image: x}
  api: {image: x, environment: {CORS_ORIGINS: "http://web:3000", ALLOWED_HOSTS: "web:3000"}}
  job: {image: x, environment: {TARGET: "web:3000"}}
"""
    assert [link.name for link in load_stack(write(tmp_path, text), variables={}).links] == ["job -> web"]


SHARED = """\
x-harness: {{schema: 1, {fields}}}
x-env: &env {{DB: "db:5432", CACHE: "cache:6379"}}
services:
  db: {{image: x}}
  cache: {{image: x}}
  job: {{image: x, environment: *env}}
  api: {{image: x, environment: *env}}
"""


def test_a_link_that_nobody_uses_is_taken_away(tmp_path: Path) -> None:
    text = SHARED.format(fields='unused_links: ["api -> db"]')
    stack = load_stack(write(tmp_path, text), variables={})
    assert [link.name for link in stack.links] == ["job -> db", "job -> cache", "api -> cache"]
    assert stack.may_use["api"] == ("cache",)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("unused_links: [api -> bd]", "no link 'api -> bd' that could be taken away — did you mean 'api -> db'?"),
        ("unused_links: [db -> api]", "no link 'db -> api' that could be taken away — did you mean 'api -> db'?"),
        ("unused_links: [api]", "'api' is not a link"),
        ("unused_links: [api -> db], links: [api -> db]", "the link 'api -> db' is in x-harness.links, too — take"),
        ("unused_links: [api -> db], never_touch: [api -> db]", "no fault touches the link 'api -> db': x-harness."),
    ],
)  # fmt: skip
def test_only_a_link_that_is_shown_can_be_taken_away(tmp_path: Path, fields: str, said: str) -> None:
    with pytest.raises(StackError) as caught:
        load_stack(write(tmp_path, SHARED.format(fields=fields)), variables={})
    assert said in str(caught.value)
    assert (caught.value.file or "").endswith("compose.yaml")
    assert caught.value.line == 1


def test_a_whole_description(tmp_path: Path) -> None:
    stack = load_stack(write(tmp_path, WHOLE), variables={"WEB_PORT": "8081"})
    assert (stack.name, stack.file, stack.ready_within_s) == ("shop-v2", str(tmp_path / "compose.yaml"), 12.0)
    assert stack.ownership == "owned"
    web, db = stack.services["web"], stack.services["db"]
    assert list(stack.services) == ["db", "web"], "a service behind a profile is left out"
    assert (db.index, web.index) == (0, 1)
    assert stack.nodes == {"db": ("db",), "front": ("web",)}
    assert web.environment == {"LEVEL": "info", "TRIES": "3", "FAST": "true", "NAME": "nobody"}
    assert web.depends_on == {"db": "service_healthy"}
    assert (web.restart, db.restart) == ("always", "no")
    assert web.port == 8081
    assert web.command == ("web", "--db", "db:5432", "--workers", "2")
    assert web.local.environment == {"BIND": "{address}", "WORKERS": "2"}
    assert web.local_command == ("python", "-m", "shop.web", "--data", "{data}")
    assert db.local_command == ("serve", "--listen", "0.0.0.0:5432", "--cost", "$5")
    assert [link.name for link in stack.links] == ["web -> db"]
    assert stack.workload is not None
    assert stack.workload.url == "http://web:8081/predict"
    assert stack.workload.make == ("python", "-m", "shop.workload", "--hours", "3")
    assert (stack.workload.timeout_s, stack.workload.slow_s) == (2.0, 0.25)
    assert stack.freshness == {"prices": Quantity(5400.0, Unit.EVENT), "stock": Quantity(5.0, Unit.WALL)}
    assert stack.probes["lag"].unit is Unit.EVENT
    assert stack.probes["errors"].unit is Unit.COUNT
    assert stack.probes["errors"].settings.model_dump()["labels"] == {"code": "500"}
    assert stack.alerts["Down"].off is None
    assert stack.keyspaces["live"].db == 2
    assert stack.integrity.examples is not None
    assert stack.integrity.examples.id == "id"


# What is written instead of what, the words that the line of the mistake holds, its field, and a part of the message.
MISTAKES = {
    "unknown field": ("  ready_within:", "  ready_witin:", "ready_witin", "x-harness.ready_witin", "'ready_within'"),
    "unknown field of a service": ("      roles:", "      rolls:", "rolls", "services.web.x-harness.rolls", "'roles'"),
    "unknown field deep inside": (
        "heartbeat:", "hartbeat:", "hartbeat", "x-harness.alert_sources.0.hartbeat", "'heartbeat'"
    ),
    "wrong type": ("port: 5432", "port: many", "many", "services.db.x-harness.port", "a whole number"),
    "missing field": ("bucket: ml, prefix: rows/", "bucket: ml", "rows:", "x-harness.datasets.rows.prefix", "missing"),
    "impossible duration": ("within: 12s", "within: 0s", "0s", "x-harness.ready_within", "zero"),
    "duration without a unit": ("within: 12s", "within: 12", "within", "x-harness.ready_within", "unit"),
    "bare age": ("stock: 5s", "stock: 5", "stock", "x-harness.freshness.stock", "90min event"),
    "unknown ownership": ("stack: shop-v2", "ownership: ownd", "ownd", "x-harness.ownership", "did you mean 'owned'"),
    "unknown kind of probe": ("{json: {url", "{jsn: {url", "jsn", "x-harness.probes.lag", "'json'"),
    "two kinds of probe": ("summary: how", "metric: {}, summary: how", "how", "x-harness.probes.lag", "exactly one"),
    "field of a probe": ("path: until", "pth: until", "pth", "x-harness.probes.lag.json.pth", "'path'"),
    "unit of a probe": ("unit: count", "unit: cuont", "cuont", "x-harness.probes.errors.unit", ": ratio, count"),
    "service in a URL": ("web:8080/clock", "wbe:8080/clock", "wbe", "x-harness.event_clock.url", "'web'"),
    "service in a probe": ("web:8080/lag", "wbe:8080/lag", "wbe", "x-harness.probes.lag.json.url", "'web'"),
    "service in a switch": ("service: web,", "service: wep,", "wep", "x-harness.alerts.Late.off.service", "'web'"),
    "unknown dependency": ("{db: {cond", "{bd: {cond", "bd:", "services.web.depends_on.bd", "'db'"),
    "unknown condition": (
        "service_healthy", "service_heathy", "heathy", "services.web.depends_on.db.condition", "'service_healthy'"
    ),
    "no health to wait for": ("      health: {tcp: true}\n", "", "{db: {", "services.web.depends_on.db", "no health"),
    "unknown restart policy": ("restart: always", "restart: allways", "allways", "services.web.restart", "'always'"),
    "unknown placeholder": (
        "{address}", "{adress}", "adress", "services.web.x-harness.local.environment.BIND", "'address'"
    ),
    "data not described": (
        "  data: {command", "  x-data: {command", "x-data", "x-harness.x-data", "'data'"
    ),
    "data missing": (
        "  data: {command: [python, -m, shop.prepare]}\n",
        "",
        "shop.web, --data",
        "services.web.x-harness.local.command.4",
        "x-harness.data is missing",
    ),
    "not a URL": ("http://web:${WEB_PORT:-8080}/", "web:8080/", "url: web", "x-harness.workload.url", "not a URL"),
    "key twice": ("    build: .\n", "    image: mysql\n", "mysql", "services.db", "duplicate key 'image'"),
    "broken variable": ("${NAME:-nobody}", "${NAME", "${NAME", "services.web.environment.NAME", "not closed"),
    "health without a port": ("      port: 5432\n", "", "x-harness:\n      health", "services.db.x-harness", "port"),
    "two ways of health": ("{tcp: true}", "{tcp: true, http: /x}", "/x", "services.db.x-harness.health", "exactly one"),
    "name that is no name": ("{rows:", '{"a b":', "a b", "x-harness.datasets.a b", "not a name"),
    "text for a command": (
        "[python, -m, shop.workload, --hours, 3]", "shop", "make: shop", "x-harness.workload.make", "list of words"
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named_with_their_place(tmp_path: Path, mistake: str) -> None:
    old, new, at, field, hint = MISTAKES[mistake]
    assert WHOLE.count(old) == 1
    text = WHOLE.replace(old, new)
    with pytest.raises(StackError) as caught:
        load_stack(write(tmp_path, text), variables={})
    error = caught.value
    assert hint in str(error)
    assert error.field == field
    assert error.line == text[: text.index(at)].count("\n") + 1
    assert error.file == str(tmp_path / "compose.yaml")


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    text = WHOLE
    for mistake in ("unknown field", "unknown field deep inside", "missing field", "bare age", "unknown kind of probe",
                    "wrong type", "unknown field of a service"):  # fmt: skip
        old, new, *_ = MISTAKES[mistake]
        text = text.replace(old, new)
    text = text.replace("profiles: [debug], image: busybox", "profiles: [debug], x-harness: {prt: 1}")
    with pytest.raises(StackError) as caught:
        load_stack(write(tmp_path, text), variables={})
    found = problems_of_stack(caught.value)
    assert [problem.field for problem in found] == [
        "x-harness.ready_witin",
        "x-harness.freshness.stock",
        "x-harness.probes.lag",
        "x-harness.alert_sources.0.hartbeat",
        "x-harness.datasets.rows.prefix",
        "services.db.x-harness.port",
        "services.web.x-harness.rolls",
    ], "but not those of a service that is off"
    assert str(caught.value).splitlines() == [str(problem) for problem in found]
    assert pickle.loads(pickle.dumps(caught.value)).problems[1].field == "x-harness.freshness.stock"


def test_a_service_with_capitals_is_found_in_urls_and_addresses(tmp_path: Path) -> None:
    text = "x-harness:\n  schema: 1\n  stack: toy\n  probes:\n    up: {http: {url: 'http://Web:8000/', read: status}}\n"
    text += "    open: {tcp: {address: 'Web:8000'}}\nservices:\n  Web: {image: web, expose: [8000]}\n"
    assert set(load_stack(write(tmp_path, text)).probes) == {"up", "open"}


def test_all_names_that_are_no_services_are_named_at_once(tmp_path: Path) -> None:
    text = WHOLE.replace("off: {service: web", "off: {service: wep").replace(
        '"http://web:8080/lag"', '"http://wob/lag"'
    )
    text = text.replace("keyspaces: {live: {service: db", "keyspaces: {live: {service: dv")
    with pytest.raises(StackError) as caught:
        load_stack(write(tmp_path, text), variables={})
    messages = [problem.message for problem in problems_of_stack(caught.value)]
    assert sorted(messages) == ["unknown service 'dv'", "unknown service 'wep'", "unknown service 'wob'"]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "a compose file with services is needed"),
        ("- a\n- b\n", "a compose file with services is needed"),
        ("services: {web: {}}\n", "the top-level field 'x-harness' is missing"),
        ("x-harness: {schema: 1}\n", "services"),
        ("x-harness: {schema: 1}\nservices: {}\n", "there are no services"),
        ("x-harness: {schema: 1, links: [web]}\nservices: {web: {}}\n", "'web' is not a link — write it as"),
        ("x-harness: {schema: 1, links: [web -> bd]}\nservices: {web: {}, db: {}}\n", "did you mean 'db'"),
        ("x-harness: {schema: 1}\nservices: [web]\n", "a mapping of names is needed"),
        ("x-harness: {schema: 1}\nservices: {web: 3}\n", "a mapping of names is needed"),
        ("x-harness: {schema: 2}\nservices: {web: {}}\n", "schema"),
        ("x-harness: 3\nservices: {web: {}}\n", "a mapping of names is needed"),
        ('x-harness: {schema: 1}\nservices: {"a b": {command: x}}\n', "not a name"),
        ("x-harness: {schema: 1}\nservices: {a: {depends_on: [b]}, b: {depends_on: [a]}}\n", "a -> b -> a"),
        ("x-harness: {schema: 1}\nservices: {a: {environment: {X: [1]}}}\n", "a text or a number"),
        ("x-harness: {schema: 1}\nservices: {a: {command: {x: 1}}}\n", "a text or a list of words"),
        ('x-harness: {schema: 1}\nservices: {a: {command: "echo \'"}}\n', "a text or a list of words"),
        ("x-harness: {schema: 1}\nservices:\n" + "".join(f"  s{n}: {{}}\n" for n in range(101)), "101 services"),
    ],
)  # fmt: skip
def test_files_that_are_no_description(tmp_path: Path, text: str, hint: str) -> None:
    with pytest.raises(StackError, match=hint.replace("(", "\\(")):
        load_stack(write(tmp_path, text), variables={})


ALL_KINDS = """\
x-harness:
  schema: 1
  workload: {requests: r.jsonl, rate: 30/min, repeat: true, method: get, flagged: meta.fallback, url: "http://web:80"}
  probes:
    a: {http: {url: "http://web:80/x", headers: {X-N: 5}, expect: {status: 200, json: {a: {approx: 1}}}}, every: 2s}
    b: {promql: {url: "http://web:80", query: "up{job=\\"x\\"}", token: "${secret:TOKEN}"}}
    c: {log: {service: web, pattern: "ERROR"}}
    d: {redis: {url: "redis://:$${secret:PW}@db:6379/1", keys: "f:*", read: count}}
    e: {s3: {service: db, bucket: b, prefix: ""}}
    f: {sql: {url: "postgresql://u:${secret:PW}@db/x", query: "select 1"}, timeout: 2s}
    g: {sql: {url: "sqlite:///x.db", query: "select 1"}}
    h: {file: {path: "models/*.onnx"}}
    i: {command: [check, -n, 5]}
    j: {command: {argv: [check, 5], read: success}}
    k: {container: {service: web, read: restarts}}
    l: {mlflow: {url: "http://web:80", model: m, alias: champion}}
    m: {feast: {service: db, project: p, view: v}}
    n: {airflow: {url: "http://web:80", dag: d, is: [running, success]}}
    o: {sql: {url: "${secret:URL}", query: "select 1"}}
    p: {tcp: {address: "db:6380"}}
    r: {kafka_lag: {bootstrap: "broker.example:9092, db:29092", group: g, topic: t}}
    s: {mongo: {url: "mongodb://db:27017/shop", collection: c, filter: {at: {$gt: {$date: 0}}}, read: count}}
    q: {grpc: {service: web, port: 8001, name: shop.Ranker, tls: true}}
  alert_sources:
    - {kind: prometheus, url: "http://web:80", watchdog: [Watchdog]}
    - {kind: alertmanager, url: "http://web:80", suppressed: true}
    - {kind: grafana, url: "http://web:80", token: "${secret:GRAFANA}"}
    - {kind: webhook, listen: "0.0.0.0:19093", watchdog: [Watchdog], watchdog_every: 2min}
services:
  web: {command: x, environment: {PLAIN: "$${secret:NOT_OURS}"}, x-harness: {port: 80, health: {grpc: ""}}}
  db: {command: x, x-harness: {port: 6379}}
"""


def test_every_kind_of_probe_and_source_in_a_file(tmp_path: Path) -> None:
    stack = load_stack(write(tmp_path, ALL_KINDS), variables={"TOKEN": "t", "PW": "p", "URL": "u", "GRAFANA": "g"})
    settings = {name: probe.settings.model_dump() for name, probe in stack.probes.items()}
    assert settings["b"]["token"] == "${secret:TOKEN}", "a secret is filled in when it is used, and not before"
    assert settings["d"]["url"] == "redis://:${secret:PW}@db:6379/1", "as compose itself can take it"
    assert (settings["i"]["argv"], settings["j"]["argv"]) == (("check", "-n", "5"), ("check", "5"))
    assert settings["a"]["headers"] == {"X-N": "5"}
    assert (stack.probes["a"].every_s, stack.probes["f"].deadline_s) == (2.0, 2.0)
    assert stack.probes["e"].unit is Unit.WALL
    assert stack.workload is not None
    assert (stack.workload.rate, stack.workload.method, stack.workload.repeat) == (0.5, "GET", True)
    names = [source.name for source in stack.alert_sources]
    assert names == [*["http://web:80"] * 3, "webhook 0.0.0.0:19093"]


@pytest.mark.parametrize(
    ("old", "new", "field", "hint"),
    [
        ("service: web, pattern", "service: wep, pattern", "probes.c.log.service", "did you mean 'web'?"),
        ("@db:6379", "@bd:6379", "probes.d.redis.url", "did you mean 'db'?"),
        ("@db/x", "@bd/x", "probes.f.sql.url", "did you mean 'db'?"),
        ("{service: db, bucket", "{service: bd, bucket", "probes.e.s3.service", "did you mean 'db'?"),
        ("alias: champion", "alais: champion", "probes.l.mlflow.alais", "did you mean 'alias'?"),
        ("status: 200", "stauts: 200", "probes.a.http.expect.stauts", "did you mean 'status'?"),
        ("{approx: 1}", "{aprox: 1}", "probes.a.http.expect.json", "did you mean 'approx'?"),
        ("view: v}", "view: v, read: event_age}", "probes.m.feast.read", "has no event clock"),
        ("${secret:TOKEN}", "${secret TOKEN}", "probes.b.promql.token", "is not a variable"),
        ('"db:6380"', '"bd:6380"', "probes.p.tcp.address", "did you mean 'db'?"),
        ('"db:6380"', '"db"', "probes.p.tcp.address", "is not an address such as broker:9092"),
        ("mongodb://db:", "mongodb://bd:", "probes.s.mongo.url", "did you mean 'db'?"),
        ("mongodb://db:", "mongodb+srv://db:", "probes.s.mongo.url", "is not a URL of one server"),
        ("27017/shop", "27017", "probes.s.mongo", "needs a database in the `url`"),
        ("{at: {$gt: {$date: 0}}}", "[at]", "probes.s.mongo.filter", "a mapping of names is needed"),
        ("db:29092", "bd:29092", "probes.r.kafka_lag.bootstrap", "did you mean 'db'?"),
        ("service: web, port", "service: wep, port", "probes.q.grpc.service", "did you mean 'web'?"),
        ("rate: 30/min", "rate: fast", "workload.rate", "write one such as 50/s"),
        ("rate: 30/min", "make: [x]", "workload", "exactly one of `make` (a command) and `requests`"),
        ("requests: r.jsonl", "make: [x]", "workload", "says how a file of `requests` is sent"),
        ("suppressed: true", "heartbeat: x", "alert_sources.1", "`heartbeat` is not for a source of kind alertmanager"),
        ('listen: "0.0.0.0:19093"', 'listen: "19093"', "alert_sources.3.listen", "not an address to listen on"),
        ("kind: webhook", "kind: webhok", "alert_sources.3.kind", "did you mean 'webhook'?"),
        ("every: 2s", "every: 1ms", "probes.a.every", "0.1 to 600 s"),
    ],
)
def test_mistakes_in_kinds_are_named_with_their_place(
    tmp_path: Path, old: str, new: str, field: str, hint: str
) -> None:
    assert ALL_KINDS.count(old) == 1, old
    text = ALL_KINDS.replace(old, new)
    with pytest.raises(StackError) as caught:
        load_stack(write(tmp_path, text), variables={})
    assert hint in str(caught.value)
    assert caught.value.field == f"x-harness.{field}"
    assert caught.value.line is not None


def test_short_forms_of_compose(tmp_path: Path) -> None:
    text = (
        "x-harness: {schema: 1}\nservices:\n  web:\n    environment: [A=1, B, C=x=y, GONE]\n    depends_on: [db]\n"
        "    restart: on-failure:3\n  db: {restart: false}\n"
    )
    stack = load_stack(write(tmp_path, text), variables={"B": "from outside"})
    assert stack.name == tmp_path.name
    assert stack.services["web"].environment == {"A": "1", "B": "from outside", "C": "x=y"}
    assert stack.services["web"].depends_on == {"db": "service_started"}
    assert stack.services["web"].restart == "on-failure:3"
    assert stack.services["db"].restart == "no"


def test_further_kinds_of_probes(tmp_path: Path) -> None:
    class Ask(BaseModel):
        query: str

    text = SMALL.replace("schema: 1", "schema: 1, probes: {rows: {oracle: {query: x}, unit: count, every: 2s}}")
    stack = load_stack(write(tmp_path, text), variables={}, probe_kinds={"oracle": Ask})
    assert stack.probes["rows"].kind == "oracle"
    assert stack.probes["rows"].settings == Ask(query="x")
    assert stack.probes["rows"].every_s == 2.0


def test_resolve_by_path_and_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, SMALL)
    assert resolve_stack(str(path)).file == str(path)
    with pytest.raises(StackError, match="cannot be read: No such file"):
        resolve_stack(str(tmp_path / "other.yaml"))

    package = tmp_path / "shoppackage"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('a package is not imported to find its file')")
    monkeypatch.syspath_prepend(str(tmp_path))

    class Entry:
        def __init__(self, name: str, value: str) -> None:
            self.name, self.value = name, value

    offered = [Entry("shop", "shoppackage:compose.yaml"), Entry("gone", "shoppackage:missing.yaml")]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: offered)
    assert resolve_stack("shop").file == str(path), "beside the package"
    inside = package / "compose.yaml"
    inside.write_text(SMALL)
    assert resolve_stack("shop").file == str(inside), "in the package"
    assert "shoppackage" not in sys.modules
    with pytest.raises(StackError, match=r"unknown stack 'shpo' — did you mean 'shop'\?"):
        resolve_stack("shpo")
    with pytest.raises(StackError, match="of the stack 'gone' does not exist"):
        resolve_stack("gone")


def test_the_reference_stack_is_found_by_its_name() -> None:
    # In a process of its own: other tests import the stack.
    found = "from harness.description.stackfile import resolve_stack; name = resolve_stack('reference').name"
    asked = f"import sys; {found}; print(name, *sys.modules)"
    name, *modules = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()
    assert name == "reference"
    assert "refstack" not in modules


def test_field_names_are_those_of_the_file() -> None:
    assert {"schema", "ready_within"} <= set(field_names(StackFields))


@pytest.mark.parametrize(
    ("written", "replicas"),
    [
        ("deploy: {replicas: 3}", 3), ("scale: 2", 2), ('scale: "${SCORERS:-4}"', 4), ("deploy: {replicas: 0}", 0),
        ("deploy: {mode: replicated}", 1), ("restart: always", 1),
    ],
)  # fmt: skip
def test_how_many_containers_a_service_has(tmp_path: Path, written: str, replicas: int) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(f"x-harness: {{schema: 1, stack: a}}\nservices:\n  web:\n    image: x\n    {written}\n")
    assert load_stack(file).services["web"].replicas == replicas


@pytest.mark.parametrize(
    ("written", "place"), [("deploy: {replicas: many}", "deploy.replicas"), ("scale: -1", "scale")]
)
def test_what_is_no_number_of_containers(tmp_path: Path, written: str, place: str) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(f"x-harness: {{schema: 1, stack: a}}\nservices:\n  web:\n    image: x\n    {written}\n")
    with pytest.raises(StackError, match="is no number of replicas; write a whole number") as caught:
        load_stack(file)
    assert (caught.value.line, caught.value.field) == (5, f"services.web.{place}")
