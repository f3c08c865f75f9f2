"""`harness init --standard`: what is written for what was found and declared, and what is listed instead."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from trying import NAMES, copied

from harness.faults.installed import Faults
from harness.onboarding.discovery.output import Discovery, discover
from harness.onboarding.discovery.project import read_project
from harness.onboarding.discovery.rendering import STACK_FILE
from harness.runner.checking.notes import notes
from harness.runner.checking.stacks import validated

COMPOSE = """\
services:
  minio: {image: minio/minio, expose: [9000], environment: {MINIO_ROOT_USER: u, MINIO_ROOT_PASSWORD: p}}
  feed:
    image: feed
    command: [python, feed.py]
    restart: always
    volumes: ["./feed.py:/feed.py"]
    environment: {S3: "http://minio:9000", BUCKET: landing}
  scorer:
    image: scorer
    command: uvicorn scorer:app --port 8000
    restart: always
    volumes: ["./scorer.py:/scorer.py"]
    environment: {S3: "http://minio:9000", PORT: "8000"}
    healthcheck: {test: [CMD, curl, "http://localhost:8000/ok"]}
  prometheus: {image: prom/prometheus, expose: [9090], volumes: ["./p.yml:/p.yml", "./r.yml:/r.yml"]}
"""
SCRAPES = """\
global: {scrape_interval: 5s, evaluation_interval: 5s}
scrape_configs:
  - {job_name: scorer, static_configs: [{targets: ["scorer:8000"]}]}
  - {job_name: feed, static_configs: [{targets: ["feed:9100"]}]}
"""
RULES = """\
groups:
  - name: shop
    rules:
      - {alert: ScorerDown, expr: 'up{job="scorer"} == 0', for: 10s}
      - {alert: ScorerSlow, expr: 'histogram_quantile(0.9, rate(score_latency_seconds_bucket[30s])) > 0.4'}
      - {alert: ScorerErrors, expr: 'rate(scored_total{code=~"5.."}[30s]) > 0.1'}
      - {alert: BatchOld, expr: 'time() - batch_written_timestamp_seconds > 60'}
      - {alert: BatchVeryOld, expr: 'time() - batch_written_timestamp_seconds > 7200'}
      - {alert: Drift, expr: 'abs(score_mean - 0.2) > 0.1'}
      - {alert: Watchdog, expr: vector(1)}
"""
SCORER = 'Counter("scored_total"); Histogram("score_latency_seconds"); Gauge("score_mean")\n'
FEED = 'Gauge("batch_written_timestamp_seconds")\n'
DECLARED = """\
  workload: {url: "http://scorer:8000/score", requests: requests.jsonl, rate: 20/s, repeat: true}
  datasets: {models: {service: minio, bucket: artefacts, prefix: models/, access_key: u, secret_key: p}}
  integrity:
    store: {service: minio, bucket: ledger, access_key: u, secret_key: p}
    examples: {prefix: examples/}
    lineage: {prefix: lineage/}
"""
REQUESTS = '{"path": "/score", "body": {"x": 1}, "expect": {"json": {"y": 2}}}\n'


def project(folder: Path) -> Path:
    files = {"compose.yaml": COMPOSE, "p.yml": SCRAPES, "r.yml": RULES, "scorer.py": SCORER, "feed.py": FEED}
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def standard(folder: Path, *, write: bool = False) -> Discovery:
    found = discover(read_project(folder, ask_engine=False), folder, Faults(), standard=True)
    for name, text in found.files.items() if write else ():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return found


def declare(folder: Path, text: str = DECLARED) -> None:
    """Add seams to the stack's file, as its owner does."""
    (folder / "requests.jsonl").write_text(REQUESTS)
    stack = folder / STACK_FILE
    stack.write_text(stack.read_text().replace("x-harness:\n", f"x-harness:\n{text}", 1))


def names(found: Discovery) -> set[str]:
    return {Path(name).name.removesuffix(".scenario.yaml") for name in found.files if name != STACK_FILE}


def scenario(found: Discovery, name: str) -> dict[str, Any]:
    text = next(text for file, text in found.files.items() if Path(file).name == f"{name}.scenario.yaml")
    return dict(yaml.safe_load(text))


@pytest.fixture
def bare(tmp_path: Path) -> Discovery:
    """Return what is found where nothing is declared."""
    return standard(project(tmp_path))


@pytest.fixture
def declared(tmp_path: Path) -> Discovery:
    """Return what is found where every seam is declared."""
    standard(project(tmp_path), write=True)
    declare(tmp_path)
    return standard(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_project_gets_a_suite_that_check_accepts(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY", "registry.example")
    folder = copied(name, tmp_path)
    found = standard(folder, write=True)
    assert all(file == STACK_FILE or file.startswith("scenarios/standard/") for file in found.files)
    if len(found.files) > 1:
        loaded = validated([folder / "scenarios"])
        assert len(loaded) == len(found.files) - 1
        assert notes(loaded) == [], "nothing is written that nothing could feel"


def test_what_needs_a_seam_is_listed_with_that_seam(bare: Discovery) -> None:
    listed = "\n".join(bare.not_written)
    assert "no slow-minio, hung-minio, lost-minio: no probe asks feed or scorer for work that needs minio" in listed
    assert "no full-minio: its data lie on the engine's disk" in listed
    assert (
        "no old-model-scorer, broken-model-scorer, flipped-model-scorer: the stack's file does not say where models lie"
        in listed
    )
    assert "declare x-harness.datasets, as in `models: {service: minio, bucket: …, prefix: …}`" in listed
    assert (
        "no twice-feed: nothing could tell that something was written twice; to get it, declare x-harness.inte"
        in listed
    )
    assert not names(bare) & {"store-slow-minio", "server-old-model-scorer", "producer-twice-feed"}


def test_each_rule_has_a_scenario_or_a_reason(bare: Discovery) -> None:
    listed = {
        rule.name: line for rule in bare.rules for line in bare.not_written if line.startswith(f"no fires-{rule.name}:")
    }
    fired = {rule.name for rule in bare.rules if f"alert-fires-{rule.name}" in names(bare)}
    assert fired == {"ScorerDown", "BatchOld"}
    assert listed.keys() == {rule.name for rule in bare.rules} - fired
    assert "nobody sends requests to scorer during a run" in listed["ScorerSlow"]
    assert "nobody sends requests to scorer during a run" in listed["ScorerErrors"]
    assert "it fires at an age of 7200 s: no run is that long" in listed["BatchVeryOld"]
    assert "its query has no form that is known (r.yml:9)" in listed["Drift"]
    assert "it fires always" in listed["Watchdog"]


def test_a_rule_is_fired_by_what_its_query_asks_for(declared: Discovery) -> None:
    down = scenario(declared, "alert-fires-ScorerDown")
    assert down["timeline"][0]["fault"] == "container.kill"
    assert down["timeline"][0]["target"] == {"service": "scorer"}
    assert down["timeline"][0]["with"] == {"restart": "none"}, "otherwise it is back before the rule fires"
    assert down["expect"]["detected"] == [{"id": "seen-ScorerDown", "alert": "ScorerDown", "within": "30s"}]
    slow = scenario(declared, "alert-fires-ScorerSlow")
    assert slow["timeline"][0]["target"] == {"links": ["scorer -> minio"]}
    assert slow["vars"] == {"latency": "800ms"}, "twice the limit"
    assert scenario(declared, "alert-fires-ScorerErrors")["timeline"][0]["target"] == {"service": "minio"}
    old = scenario(declared, "alert-fires-BatchOld")
    assert old["timeline"][0]["fault"] == "network.partition", "a writer that is paused exports no age either"
    assert old["timeline"][0]["target"] == {"service": "feed"}
    assert old["timeline"][0]["for"] == old["expect"]["detected"][0]["within"] == "80s"


@pytest.mark.parametrize(
    ("rules", "alerts"),
    [
        (RULES.replace("> 60'", "> 10'"), ["BatchOld"]),
        (RULES, []),  # it takes longer than a scenario of another purpose may last
        (RULES.replace("> 60'", "> 10'") + "      - {alert: FeedDown, expr: 'up{job=\"feed\"} == 0'}\n", ["FeedDown"]),
    ],
    ids=["on its results", "on its results, late", "on whether it is up"],
)
def test_some_rule_has_to_tell_of_a_producer_that_is_gone(tmp_path: Path, rules: str, alerts: list[str]) -> None:
    """Where none asks whether it is up, one on its results has to, though its metric is gone with it."""
    (project(tmp_path) / "r.yml").write_text(rules)
    standard(tmp_path, write=True)
    declare(tmp_path)
    found = standard(tmp_path)
    assert ("producer-stopped-feed" in names(found)) is bool(alerts), "nothing else here could feel it"
    if alerts:
        stopped = scenario(found, "producer-stopped-feed")
        assert [one["alert"] for one in stopped["expect"]["detected"]] == alerts


AGED = """\
  probes:
    fed_age: {s3: {service: minio, bucket: landing, prefix: feed/, access_key: u, secret_key: p, read: age}}
    kept_age: {sql: {url: "postgresql://u:p@db/feed", query: SELECT max(at) FROM feed, as: age}}
  steady_state:
    - {id: fed, probe: fed_age, at_most: 5s}
    - {id: kept, probe: kept_age, at_most: 5s}
"""


def test_a_rule_on_an_age_must_fire_for_runs_that_fail_at_once_too(tmp_path: Path) -> None:
    """A job may count a run that failed as a run. What it fails at is what it writes to."""
    found = standard(project(tmp_path))
    failing = scenario(found, "alert-fires-on-errors-BatchOld")
    assert failing["timeline"][0]["fault"] == "network.reset"
    assert failing["timeline"][0]["target"] == {"links": ["feed -> minio"]}
    assert failing["expect"]["detected"] == scenario(found, "alert-fires-BatchOld")["expect"]["detected"]
    assert "landing_age" not in {one["probe"] for one in failing["expect"].get("stays", ())}, "it has to grow old"
    (tmp_path / "compose.yaml").write_text(COMPOSE.replace(", BUCKET: landing", ""))
    assert "alert-fires-on-errors-BatchOld" not in names(standard(tmp_path)), "nothing tells where it writes"


def test_an_age_tells_of_its_only_writer_and_of_what_that_needs(tmp_path: Path) -> None:
    """The feed reads a database, and writes to an object store: both of them, and the feed, make what it wrote old."""
    compose = COMPOSE.replace("BUCKET: landing}", 'BUCKET: landing, DB: "postgresql://u:p@db:5432/feed"}')
    compose = compose.replace("  feed:\n", "  db: {image: postgres, expose: [5432]}\n  feed:\n", 1)
    (project(tmp_path) / "compose.yaml").write_text(compose)
    standard(tmp_path, write=True)
    stack = (tmp_path / STACK_FILE).read_text()
    head, _, rest = stack.partition("  steady_state:")
    probes, _, steady = AGED.partition("  steady_state:\n")
    text = head.replace("  probes:\n", probes, 1) + f"  steady_state:\n{steady}" + rest.partition("\n")[2]
    (tmp_path / STACK_FILE).write_text(text)
    found = standard(tmp_path)
    again = {
        name: {one["probe"] for one in scenario(found, name)["expect"].get("recovered", ())} & {"fed_age", "kept_age"}
        for name in ("store-lost-db", "store-lost-minio", "producer-stopped-feed")
    }
    assert again == {
        "store-lost-db": {"fed_age", "kept_age"},
        "store-lost-minio": {"fed_age", "kept_age"},
        "producer-stopped-feed": {"fed_age", "kept_age"},
    }


def test_what_is_declared_makes_scenarios(declared: Discovery) -> None:
    assert STACK_FILE not in declared.files, "a stack's file that is there stays as it is"
    assert {
        "store-slow-minio", "store-hung-minio", "store-lost-minio",
        "server-crashed-scorer", "server-hung-scorer", "server-old-model-scorer", "server-broken-model-scorer",
        "server-flipped-model-scorer",
        "producer-crashed-feed", "producer-twice-feed",
    } <= names(declared)  # fmt: skip
    broken = scenario(declared, "server-broken-model-scorer")
    assert broken["timeline"][0]["target"] == {"dataset": "models"}
    loads = [step["after"]["event"] for step in broken["timeline"][1:]]
    assert loads == ["server-broken-model-scorer.confirmed", "server-broken-model-scorer.reverted"]
    assert {step["fault"] for step in broken["timeline"][1:]} == {"container.stop"}, "what has ended cannot die"
    assert all("fault" not in one for one in broken["expect"]["recovered"]), "of all of them together"
    assert {one["probe"] for one in broken["expect"]["stays"]} == {"silent_wrong_answers"}
    assert "availability" in {one["probe"] for one in broken["expect"]["recovered"]}
    assert scenario(declared, "producer-twice-feed")["expect"]["integrity"] == ["examples_exactly_once"]
    crashed = scenario(declared, "server-crashed-scorer")["expect"]
    assert "availability" not in {one["probe"] for one in crashed["stays"]}, "nobody else can answer"
    hung = scenario(declared, "server-hung-scorer")
    assert "silent_wrong_answers" in {one["probe"] for one in hung["expect"]["stays"]}, "right, or none at all"
    assert hung["expect"]["detected"][0]["alert"] == "ScorerDown"
    assert hung["expect"]["cleared"][0]["alert"] == "ScorerDown"


def test_an_alert_whose_name_cannot_be_written_is_told(tmp_path: Path) -> None:
    (project(tmp_path) / "r.yml").write_text(RULES.replace("ScorerDown", "Scorer is down"))
    found = standard(tmp_path)
    assert "the alert 'Scorer is down' is left out" in "\n".join(found.not_written)
    assert "Scorer is down" not in found.files[STACK_FILE]


@pytest.mark.parametrize(("replicas", "must_stay"), [(1, False), (3, True)])
def test_requests_may_fail_while_the_only_one_who_can_answer_starts_anew(
    tmp_path: Path, replicas: int, must_stay: bool
) -> None:
    folder = project(tmp_path)
    more = "  gateway: {image: gateway, expose: [8080], environment: {SCORER: 'http://scorer:8000'}}\n"
    several = COMPOSE.replace("image: scorer\n", f"image: scorer\n    deploy: {{replicas: {replicas}}}\n")
    (folder / "compose.yaml").write_text(several + more)
    standard(folder, write=True)
    declare(folder, DECLARED.replace("http://scorer:8000/score", "http://gateway:8080/score"))
    stays = {one["probe"] for one in scenario(standard(folder), "server-crashed-scorer")["expect"]["stays"]}
    assert ("availability" in stays) is must_stay
    assert "silent_wrong_answers" in stays


def renamed(folder: Path, *changes: tuple[str, str]) -> None:
    compose = COMPOSE
    for old, new in changes:
        compose = compose.replace(old, new)
    (folder / "compose.yaml").write_text(compose)
    (folder / "p.yml").write_text(
        SCRAPES.replace("scorer:8000", "eta:8000").replace("job_name: scorer", "job_name: eta")
    )


def test_a_server_of_ones_own_loads_the_model_from_the_store_that_it_uses(tmp_path: Path) -> None:
    folder = project(tmp_path)
    renamed(
        folder, ("  scorer:\n", "  eta:\n"), ("image: scorer", "image: eta"), ("uvicorn scorer:app", "python eta.py")
    )
    standard(folder, write=True)
    declare(folder, DECLARED.replace("scorer:8000", "eta:8000"))
    found = standard(folder)
    assert {f"server-{how}-model-eta" for how in ("old", "broken", "flipped")} <= names(found)
    declare(folder, "  unused_links: [eta -> minio]\n")
    found = standard(folder)
    assert not any("-model-" in name for name in names(found))
    assert "nobody who answers requests is known to read them" in " ".join(found.not_written)


def test_an_age_that_must_stay_is_observed_until_it_could_have_grown(tmp_path: Path) -> None:
    folder = project(tmp_path)
    standard(folder, write=True)
    served = "  probes:\n    served_age: {http: {url: 'http://scorer:8000/score', read: json, path: made, as: age}}\n"
    text = (folder / STACK_FILE).read_text().replace("  probes:\n", served, 1)
    bound = "    - {id: served, probe: served_age, at_most: 45s}"
    (folder / STACK_FILE).write_text(re.sub(r"(?m)^(  steady_state:.*)$", rf"\1\n{bound}", text))
    declare(folder)
    lost = scenario(standard(folder), "store-lost-minio")
    assert "served_age" in {one["probe"] for one in lost["expect"]["stays"]}
    lasts_s = sum(int(str(value).removesuffix("s")) for value in (lost["timeline"][0]["for"], lost["observe"]))
    assert lasts_s > 45


def test_a_rule_on_all_targets_together_needs_all_of_them_down(tmp_path: Path) -> None:
    folder = project(tmp_path)
    (folder / "r.yml").write_text(RULES.replace('up{job="scorer"} == 0', "sum(up) == 0"))
    down = scenario(standard(folder), "alert-fires-ScorerDown")
    assert down["timeline"][0]["target"] == {"services": ["scorer", "feed"]}


def test_a_slow_rule_makes_no_scenario_longer_but_its_own(tmp_path: Path) -> None:
    folder = project(tmp_path)
    (folder / "r.yml").write_text(RULES.replace("== 0', for: 10s", "== 0', for: 2m"))
    standard(folder, write=True)
    declare(folder)
    found = standard(folder)
    assert scenario(found, "alert-fires-ScorerDown")["timeline"][0]["for"] == "140s"
    hung = scenario(found, "server-hung-scorer")
    assert "detected" not in hung["expect"]
    assert hung["timeline"][0]["for"] == "55s", "as long as the rules of at most 60 s need, which are offered"


def test_each_states_what_it_expects(declared: Discovery) -> None:
    for name in names(declared):
        one = scenario(declared, name)
        assert one["tags"] == ["standard"]
        assert one["expect"], name
        assert set(one["expect"]) & {"detected", "stays", "recovered", "integrity"}, name


def test_a_bound_that_the_stack_declares_on_an_age_is_used(tmp_path: Path) -> None:
    standard(project(tmp_path), write=True)
    s3 = '{service: minio, bucket: landing, prefix: "", access_key: u, secret_key: p, read: age}'
    stack = tmp_path / STACK_FILE
    stack.write_text(
        f"x-harness:\n  schema: 1\n  base: [compose.yaml]\n"
        f"  probes: {{batch_age: {{s3: {s3}}}}}\n"
        "  steady_state: [{id: fresh, probe: batch_age, at_most: 20s}]\n"
    )
    stale = scenario(standard(tmp_path), "producer-stale-batch-age")
    (bounded,) = (one for one in stale["expect"]["recovered"] if one["probe"] == "batch_age")
    assert bounded["at_most"] == "20s"
    assert stale["timeline"][0]["for"] == "40s"


def test_a_bound_in_event_time_does_not_tell_how_long_a_pause_must_be(tmp_path: Path) -> None:
    services = {"cache": "{image: redis:7}", "ingest": "{image: x, restart: always, environment: {AT: 'cache:6379'}}"}
    text = "".join(f"  {name}: {body}\n" for name, body in services.items())
    (tmp_path / "compose.yaml").write_text(f"services:\n{text}")
    (tmp_path / STACK_FILE).write_text(
        "x-harness:\n  schema: 1\n  base: [compose.yaml]\n"
        "  event_clock: {url: 'http://ingest:80/now'}\n"
        "  probes: {rows_age: {feast: {service: cache, project: p, view: v, read: event_age}}}\n"
        "  steady_state: [{id: fresh, probe: rows_age, at_most: 90min event}]\n"
    )
    found = standard(tmp_path)
    (why,) = (line for line in found.not_written if line.startswith("no stale-rows-age: "))
    assert "how long a pause makes rows_age break its bound is not known" in why


def test_a_store_in_memory_can_be_filled(tmp_path: Path) -> None:
    folder = project(tmp_path)
    text = COMPOSE.replace("minio/minio, expose", 'minio/minio, tmpfs: ["/data:size=64m", /tmp], expose')
    (folder / "compose.yaml").write_text(text)
    standard(folder, write=True)
    declare(folder)
    full = scenario(standard(folder), "store-full-minio")
    assert full["timeline"][0]["fault"] == "disk.full"
    assert full["timeline"][0]["with"] == {"path": "/data"}


def test_what_check_would_refuse_is_not_written(tmp_path: Path) -> None:
    standard(project(tmp_path), write=True)
    declare(tmp_path, f"  never_touch: [scorer]\n{DECLARED}")
    found = standard(tmp_path)
    assert not names(found) & {"server-crashed-scorer", "server-hung-scorer"}
    assert any("crashed-scorer" in line and "never" in line for line in found.not_written)


MODELS = """\
services:
  db: {image: "postgres:16", expose: [5432]}
  minio: {image: minio/minio, expose: [9000]}
  mlflow:
    image: tracking
    command: mlflow server
    environment: {DB: "postgresql://db:5432/x", S3: "http://minio:9000"}
"""
VERSION = """\
x-harness:
  schema: 1
  base: [compose.yaml]
  probes:
    mlflow_model_version: {json: {url: "http://mlflow:5000/search", path: version}}
  steady_state:
    - {id: there, probe: mlflow_model_version, at_least: 1}
services:
  mlflow: {x-harness: {roles: [mlflow], port: 5000}}
"""


def test_a_registry_of_models_feels_its_database_and_no_other_store(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(MODELS)
    (tmp_path / STACK_FILE).write_text(VERSION)
    found = standard(tmp_path)
    assert "scenarios/standard/stores/store-slow-db.scenario.yaml" in found.files
    assert "scenarios/standard/stores/store-slow-minio.scenario.yaml" not in found.files
    assert any("slow-minio" in line and "no probe asks mlflow for work" in line for line in found.not_written)


def test_a_probe_that_reads_another_thing_under_its_name_keeps_no_old_bound(tmp_path: Path) -> None:
    standard(project(tmp_path), write=True)
    declare(tmp_path)
    up = 'http: {url: "http://scorer:8000/ok"}'
    stack = tmp_path / STACK_FILE
    before = scenario(standard(tmp_path), "server-crashed-scorer")
    assert "scorer_up" in {one["probe"] for one in before["expect"]["recovered"]}
    text = stack.read_text()
    assert text.count(up) == 1
    stack.write_text(text.replace(up, up.replace("}", ", read: latency}")))
    after = scenario(standard(tmp_path), "server-crashed-scorer")
    bounds = (*after["expect"]["recovered"], *after.get("steady_state", ()))
    assert "scorer_up" not in {one["probe"] for one in bounds}


def with_rule(folder: Path, query: str) -> Path:
    """Return the project with one more alert rule, which is called Mine."""
    project(folder)
    (folder / "r.yml").write_text(f"{RULES}      - {{alert: Mine, expr: '{query}', for: 5s}}\n")
    return folder


def test_a_hint_gives_an_age_the_time_to_grow(tmp_path: Path) -> None:
    found = standard(with_rule(tmp_path, "time() - batch_written_timestamp_seconds > 25"))
    text = found.files["scenarios/standard/producers/producer-crashed-feed.scenario.yaml"]
    assert "#   - {id: seen-Mine, alert: Mine, within: 50s}" in text, "25 s until it is so old, 25 s until it fires"
    assert scenario(found, "producer-crashed-feed")["timeline"][0]["for"] == "50s"
    old = scenario(found, "alert-fires-Mine")
    assert old["timeline"][0]["for"] == old["expect"]["detected"][0]["within"] == "50s"
    assert old["expect"]["cleared"][0]["within"] == "55s", "it is over with the next that is written"


def test_a_hint_says_where_an_age_could_not_be_read(tmp_path: Path) -> None:
    (folder := with_rule(tmp_path, "batch_lag > 1000")).joinpath("feed.py").write_text('Gauge("batch_lag")\n')
    found = standard(folder)
    text = found.files["scenarios/standard/producers/producer-crashed-feed.scenario.yaml"]
    (line,) = (line for line in text.splitlines() if "alert: Mine" in line)
    assert "`within` lacks the age that it waits for" in line
    assert any(
        "Mine: nothing here can fire it by itself: it fires at an age of a time" in one for one in found.not_written
    )


@pytest.mark.parametrize("query", ["rate(fed_total[20s]) == 0", "sum(increase(fed_total[20s])) < 3"])
def test_a_counter_stands_still_without_what_its_service_uses(query: str, tmp_path: Path) -> None:
    (folder := with_rule(tmp_path, query)).joinpath("feed.py").write_text('Counter("fed")\n')
    found = standard(folder)
    (step,) = scenario(found, "alert-fires-Mine")["timeline"]
    assert step["fault"] == "network.partition", "whoever is gone exports no counter"
    assert (step["target"], step["with"]) == ({"service": "feed"}, {"apart_from": ["minio"]})
    assert scenario(found, "alert-fires-Mine")["expect"]["detected"][0]["within"] == "45s", "25 s, and its range"


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("rate(scored_total[20s]) == 0", "scorer may count requests, whatever becomes of them"),
        ("rate(nobodys_total[20s]) == 0", "it is not known who exports its metric"),
        ("rate(batch_written_timestamp_seconds[10m]) == 0", "it takes 625 s to fire"),
    ],
)
def test_a_counter_that_nothing_here_can_stop_is_told_of(query: str, why: str, tmp_path: Path) -> None:
    found = standard(with_rule(tmp_path, query))
    assert "alert-fires-Mine" not in names(found)
    assert any(f"no fires-Mine: nothing here can fire it by itself: {why}" in line for line in found.not_written)


def declared_timeout(folder: Path, timeout: str) -> Discovery:
    standard(project(folder), write=True)
    declare(folder, DECLARED.replace("repeat: true", f"repeat: true, timeout: {timeout}"))
    return standard(folder)


@pytest.mark.parametrize(
    ("timeout", "latency", "bears"),
    [("5s", "800ms", True), ("1s", "800ms", False), ("900ms", "650ms", False), ("700ms", "550ms", False)],
)
def test_a_latency_that_fires_a_rule_stays_below_the_timeout(
    timeout: str, latency: str, bears: bool, tmp_path: Path
) -> None:
    slow = scenario(declared_timeout(tmp_path, timeout), "alert-fires-ScorerSlow")
    assert slow["vars"] == {"latency": latency}, "the limit is 400 ms"
    stays = {one["probe"] for one in slow["expect"]["stays"]}
    assert ("availability" in stays) is bears, "a new connection takes several round trips, and each is late"
    assert "silent_wrong_answers" in stays


def test_no_latency_fits_between_a_limit_and_a_timeout_that_are_near(tmp_path: Path) -> None:
    found = declared_timeout(tmp_path, "450ms")
    assert "alert-fires-ScorerSlow" not in names(found)
    (line,) = (line for line in found.not_written if "fires-ScorerSlow" in line)
    assert "its limit of 0.4 s is too near to the workload's timeout of 0.45 s" in line
    assert "declare x-harness.workload.timeout above 1s" in line
    assert scenario(found, "store-slow-minio")["vars"] == {"latency": "150ms"}, "a slow store is no outage either"
