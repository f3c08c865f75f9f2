"""What the files of init demand of a stack: nothing that is only guessed, nothing that a fault must break."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.faults.installed import Faults
from harness.model.errors import HarnessError
from harness.onboarding.discovery.output import Discovery, discover
from harness.onboarding.discovery.project import read_project
from harness.onboarding.discovery.rendering import STACK_FILE, flow


def found(folder: Path, services: dict[str, Any], files: dict[str, str] | None = None) -> Discovery:
    for name, text in (files or {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "compose.yaml").write_text(f"services: {flow(services)}\n")
    return discover(read_project(folder, ask_engine=False), folder, Faults())


def stack(discovery: Discovery) -> dict[str, Any]:
    return dict(yaml.safe_load(discovery.files[STACK_FILE]))


def scenario(discovery: Discovery, name: str) -> dict[str, Any]:
    return dict(yaml.safe_load(discovery.files[f"scenarios/{name}.scenario.yaml"]))


def probes(clauses: list[dict[str, Any]] | None) -> set[str]:
    return {clause["probe"] for clause in clauses or ()}


CHECKED = {"test": ["CMD", "curl", "-f", "http://localhost:8000/ok"]}
SHOP = {
    "db": {"image": "postgres:16", "expose": [5432]},
    "web": {"image": "x", "expose": [8000], "healthcheck": CHECKED, "environment": {"DB": "postgresql://db:5432/x"}},
    "mlflow": {"image": "x", "command": "mlflow server", "environment": {"DB": "postgresql://db:5432/x"}},
    "bento": {"image": "bentoml/shop", "expose": [3000], "environment": {"WEB": "http://web:8000"}},
    "bento2": {"image": "bentoml/other", "expose": [3000]},
    "kafka_events": {"image": "x", "command": "python producer.py"},
}


def test_no_start_waits_for_a_guess(tmp_path: Path) -> None:
    services = {
        "kafka": {"image": "team/broker"},
        "bento": {"image": "bentoml/shop", "expose": [3000]},
        "web": {"image": "x", "expose": [8000], "healthcheck": CHECKED},
        "db": {"image": "postgres:16"},
    }
    discovery = found(tmp_path, services)
    fields = {name: body["x-harness"] for name, body in stack(discovery)["services"].items()}
    assert fields["kafka"] == {}
    assert fields["bento"] == {"roles": ["bentoml"], "port": 3000, "health": {"tcp": True}}
    assert fields["web"] == {"port": 8000, "health": {"http": "/ok"}}
    assert fields["db"] == {"roles": ["postgres"], "port": 5432}
    text = discovery.files[STACK_FILE]
    assert "# roles: [kafka]  # guess: its name sounds like it" in text
    assert "# port: 9092  # guess: usual for kafka; nothing here names it" in text
    assert "# health: {http: /readyz}  # guess: usual for bentoml" in text


def test_the_gate_demands_what_is_sure_or_concerns_the_target(tmp_path: Path) -> None:
    discovery = found(tmp_path, SHOP)
    assert probes(stack(discovery)["x-harness"]["steady_state"]) == {"web_up"}, "every scenario waits for what is sure"
    gate = probes(scenario(discovery, "slow-db")["steady_state"])
    needs = {"db_answers", "mlflow_up", "mlflow_finds", "bento_up"}
    assert gate == needs, "bento needs web, which needs db; bento2 needs nothing of it"
    assert probes(scenario(discovery, "crashed-bento2")["steady_state"]) == {"bento2_up"}
    for name, text in discovery.files.items():
        assert name == STACK_FILE or "kafka_events" not in text


def test_who_watches_everything_concerns_nothing(tmp_path: Path) -> None:
    watch = {
        "console": {"image": "rediscommander/redis-commander", "environment": {"AT": "db:5432", "PORT": "8081"}},
        "grafana": {"image": "grafana/grafana", "expose": [3000], "environment": {"AT": "postgresql://db:5432/x"}},
    }
    discovery = found(tmp_path, {"db": SHOP["db"], "mlflow": SHOP["mlflow"], **watch})
    lost = scenario(discovery, "lost-db")
    assert probes(stack(discovery)["x-harness"]["steady_state"]) == {"console_runs"}
    assert probes(lost["steady_state"]) == {"db_answers", "mlflow_up", "mlflow_finds"}
    assert probes(lost["expect"]["stays"]) == {"mlflow_finds"}


def test_nobody_uses_what_only_a_console_watches(tmp_path: Path) -> None:
    console = {"image": "rediscommander/redis-commander", "environment": {"AT": "store:6379", "PORT": "8081"}}
    discovery = found(tmp_path, {"store": {"image": "redis:7"}, "console": console})
    assert not any("store" in name for name in discovery.files)
    assert (
        "no lost-store, hung-store: nothing here shows that anybody uses it; to get it, declare "
        "x-harness.links, as in `consumer -> service`" in discovery.not_written
    )


TARGETS = """\
scrape_configs:
  - job_name: web.main
    static_configs: [{targets: ["web:8000", "http://localhost:9090"]}]
"""
OUTSIDE = '  - {job_name: machine, static_configs: [{targets: ["host.docker.internal:9999"]}]}\n'
FOUND = "  - {job_name: cloud, ec2_sd_configs: [{region: x}]}\n"


@pytest.mark.parametrize(
    ("text", "query"),
    [
        (TARGETS, "min(up)"),
        (TARGETS + OUTSIDE, r'min(up{job=~"web\\.main"})'),
        (TARGETS + FOUND, r'min(up{job=~"web\\.main"})'),
        ("scrape_configs:\n" + OUTSIDE, None),
        ("scrape_configs:\n" + FOUND, None),
        ("global: {}\n", None),
    ],
)
def test_a_target_outside_of_the_stack_is_not_demanded(tmp_path: Path, text: str, query: str | None) -> None:
    watch = {"image": "prom/prometheus", "expose": [9090], "volumes": ["./prometheus.yml:/etc/prometheus/p.yml"]}
    discovery = found(tmp_path, {"web": SHOP["web"], "prometheus": watch}, {"prometheus.yml": text})
    assert stack(discovery)["x-harness"]["probes"]["targets_up"]["promql"]["query"] == (query or "min(up)")
    assert ("targets_up" in probes(stack(discovery)["x-harness"]["steady_state"])) is (query is not None)
    assert probes(scenario(discovery, "crashed-web")["expect"]["recovered"]) == {"web_up"}


STORE = {
    "image": "minio/minio",
    "expose": [9000],
    "environment": {"MINIO_ROOT_USER": "u", "MINIO_ROOT_PASSWORD": "p"},
}
WRITER = {"S3": "http://minio:9000", "BUCKET": "features", "WRITE_EVERY_S": "10"}


def test_a_pause_of_the_writer_is_felt_by_the_age_of_what_it_writes(tmp_path: Path) -> None:
    writer = SHOP["web"] | {"environment": WRITER, "restart": "always"}
    runs = {"image": "x", "restart": "always"}
    discovery = found(tmp_path, {"minio": STORE, "ingest": writer, "other": runs})
    stale = scenario(discovery, "stale-features-age")
    assert stale["timeline"][0]["target"] == {"service": "ingest"}
    assert stale["timeline"][0]["for"] == "45s", "longer than the age that is too old"
    recovered = {clause["probe"]: clause for clause in stale["expect"]["recovered"]}
    assert recovered.keys() == {"ingest_up", "features_age"}
    assert recovered["features_age"]["at_most"] == "35s"
    assert "stays" not in stale["expect"], "nobody else needs what is paused"
    text = discovery.files["scenarios/stale-features-age.scenario.yaml"]
    assert "guess: WRITE_EVERY_S says that it writes every 10 s" in text


@pytest.mark.parametrize(
    ("environment", "more", "why"),
    [
        ({"WRITE_EVERY_S": "10"}, {"etl": ({"S3": "http://minio:9000"})}, "ingest, etl may"),
        ({"WRITE_INTERVAL": "10"}, {}, "no file tells how old features_age may be"),
        ({"SCRAPE_INTERVAL": "10s"}, {}, "no file tells how old features_age may be"),
        ({"WRITE_EVERY_MINUTES": "60"}, {}, "a pause that shows would last 10815 s"),
    ],
)
def test_a_writer_or_an_age_that_is_not_known_is_told_of(
    tmp_path: Path, environment: dict[str, str], more: dict[str, dict[str, str]], why: str
) -> None:
    base = {key: value for key, value in WRITER.items() if key != "WRITE_EVERY_S"}
    others = {name: {"image": "x", "restart": "always", "environment": body} for name, body in more.items()}
    writer = {"image": "x", "restart": "always", "environment": base | environment}
    discovery = found(tmp_path, {"minio": STORE, "ingest": writer, **others})
    assert not any("stale-" in name for name in discovery.files)
    assert any(line.startswith("no stale-features-age: ") and why in line for line in discovery.not_written)


def test_what_shares_a_lost_node_need_not_stay(tmp_path: Path) -> None:
    place = {"deploy": {"placement": {"constraints": ["node.hostname == one"]}}}
    discovery = found(tmp_path, {"db": SHOP["db"] | place, "mlflow": SHOP["mlflow"], "web": SHOP["web"] | place})
    lost = scenario(discovery, "lost-db")
    assert lost["timeline"][0]["target"] == {"node": "one"}
    assert probes(lost["expect"]["stays"]) == {"mlflow_finds"}
    assert probes(lost["expect"]["recovered"]) == {"db_answers", "web_up"}


def test_a_job_may_end_while_the_fault_is_in(tmp_path: Path) -> None:
    jobs = {
        "load": {"image": "x", "command": "python load_features.py", "environment": {"DB": "postgresql://db:5432/x"}},
        "seed": {"image": "x"},
    }
    web = SHOP["web"] | {"depends_on": {"seed": {"condition": "service_completed_successfully"}}, "restart": "always"}
    discovery = found(tmp_path, {"db": SHOP["db"], "web": web, "mlflow": SHOP["mlflow"], **jobs})
    assert scenario(discovery, "crashed-web")["may_die"] == ["load"], "seed is done before web starts"
    assert scenario(discovery, "lost-db")["may_die"] == ["load", "web"]


def test_a_materialize_loop_without_an_age_is_told_of(tmp_path: Path) -> None:
    services = {
        "cache": {"image": "redis:7"},
        "materialize": {"image": "x", "restart": "always", "environment": {"REDIS_URL": "redis://cache:6379"}},
    }
    discovery = found(tmp_path, services)
    assert (
        "no stale-cache: materialize seems to write into cache, but no probe tells how old that is; to get it, add one "
        "in x-harness.probes, and a scenario that pauses materialize" in discovery.not_written
    )
    assert "scenarios/crashed-materialize.scenario.yaml" in discovery.files, "a kill needs no port"


@pytest.mark.parametrize("how", [{"deploy": {"replicas": 0}}, {"network_mode": "host"}])
def test_init_goes_on_without_a_service_that_has_no_address(tmp_path: Path, how: dict[str, Any]) -> None:
    discovery = found(tmp_path, {"db": SHOP["db"], "mlflow": SHOP["mlflow"], "web": SHOP["web"] | how})
    why = next(line for line in discovery.not_written if line.startswith("web "))
    assert why.startswith("web has no address of its own (")
    assert stack(discovery)["services"]["web"]["x-harness"] == {}
    assert "web_up" not in stack(discovery)["x-harness"]["probes"]
    assert "scenarios/lost-db.scenario.yaml" in discovery.files
    assert not any("-web." in name for name in discovery.files)


def test_of_several_replicas_one_is_crashed_and_all_are_asked(tmp_path: Path) -> None:
    services = {"db": SHOP["db"], "web": SHOP["web"] | {"deploy": {"replicas": 3}, "restart": "always"}}
    discovery = found(tmp_path, services)
    assert not any(line.startswith("web ") for line in discovery.not_written)
    assert stack(discovery)["x-harness"]["probes"]["web_up"]["http"]["url"] == "http://web:8000/ok"
    crashed = scenario(discovery, "crashed-web")
    assert crashed["timeline"][0]["target"] == {"service": "web", "replica": 1}
    assert crashed["summary"].startswith("The process of one of the 3 replicas of web (")
    assert probes(crashed["expect"]["recovered"]) == {"web_up"}


def test_a_service_of_no_kind_that_is_known_is_crashed_and_hung(tmp_path: Path) -> None:
    services = {
        "thing": {"image": "x", "expose": [7777]},
        "web": SHOP["web"] | {"environment": {"AT": "http://thing:7777"}},
    }
    discovery = found(tmp_path, services)
    names = {name.removeprefix("scenarios/").removesuffix(".scenario.yaml") for name in discovery.files}
    assert {"crashed-thing", "crashed-web", "hung-web"} <= names
    assert "hung-thing" not in names, "the health page of web may answer all the same"


def test_the_workload_is_offered_for_a_server_that_is_known(tmp_path: Path) -> None:
    services = {
        "serving": {"image": "x", "expose": [1000]},
        "model": {"image": "tensorflow/serving", "expose": [8501]},
        "artifacts": {"image": "rclone/rclone", "command": "serve s3 --addr :9000 /data"},
    }
    assert "#   url: http://model:8501/v1/models/M:predict" in found(tmp_path, services).files[STACK_FILE]


RULES = """\
groups:
  - name: shop
    rules:
      - {alert: WebDown, expr: 'up{job="web"} == 0', for: 10s}
      - {alert: WebDownLong, expr: 'up{job="web"} == 0', for: 5m}
      - {alert: OtherDown, expr: 'up{job="other"} == 0', for: 10s}
      - {alert: Strange, expr: 'strange_value > 3', for: 30s}
"""
SCRAPES = """\
global: {scrape_interval: 5s, evaluation_interval: 5s}
scrape_configs:
  - {job_name: web, static_configs: [{targets: ["web:8000"]}]}
  - {job_name: other, static_configs: [{targets: ["other:8001"]}]}
"""


def test_only_a_rule_that_may_concern_what_is_hit_is_waited_for(tmp_path: Path) -> None:
    watch = {"image": "prom/prometheus", "expose": [9090], "volumes": ["./p.yml:/p.yml", "./r.yml:/r.yml"]}
    services = {"web": SHOP["web"], "other": {"image": "x", "expose": [8001]}, "prometheus": watch}
    discovery = found(tmp_path, services, {"p.yml": SCRAPES, "r.yml": RULES})
    text = discovery.files["scenarios/crashed-web.scenario.yaml"]
    assert "#   - {id: seen-WebDown, alert: WebDown, within: 30s}" in text
    slower = "  # These take longer than the fault lasts. For them, write `for: 320s` above:\n"
    assert slower + "  #   - {id: seen-WebDownLong, alert: WebDownLong, within: 320s}" in text
    assert "OtherDown" not in text
    assert "Strange" not in text, "nothing tells what it is about"
    assert scenario(discovery, "crashed-web")["timeline"][0]["for"] == "40s", "so long that it is seen to heal itself"
    assert scenario(discovery, "hung-web")["timeline"][0]["for"] == "35s", (
        "a scrape of what hangs ends with its time-out"
    )
    plain = found(tmp_path, services, {"p.yml": SCRAPES, "r.yml": "groups: []"})
    assert scenario(plain, "hung-web")["timeline"][0]["for"] == "20s"


def test_text_of_a_rule_stays_in_its_comment(tmp_path: Path) -> None:
    watch = {"image": "prom/prometheus", "expose": [9090], "volumes": ["./p.yml:/p.yml", "./r.yml:/r.yml"]}
    rules = yaml.safe_load(RULES)
    rules["groups"][0]["rules"][0]["annotations"] = {"summary": "web is\nstack: ../mine.yaml\x1b[2J"}
    services = {"web": SHOP["web"], "prometheus": watch}
    discovery = found(tmp_path, services, {"p.yml": SCRAPES, "r.yml": yaml.safe_dump(rules)})
    text = discovery.files["scenarios/crashed-web.scenario.yaml"]
    assert "within: 30s}  # web is stack: ../mine.yaml" in text
    assert "\x1b" not in text
    assert scenario(discovery, "crashed-web")["stack"] == "../compose.harness.yaml"


def test_a_variable_that_is_not_set_keeps_no_scenario_from_being_checked(tmp_path: Path) -> None:
    db = SHOP["db"] | {"environment": {"POSTGRES_PASSWORD": "${DB_PASSWORD:?set it}"}}
    mlflow = SHOP["mlflow"] | {"environment": {"DB": "postgresql://u:${DB_PASSWORD:?set it}@db:5432/x"}}
    discovery = found(tmp_path, {"db": db, "mlflow": mlflow})
    assert "scenarios/slow-db.scenario.yaml" in discovery.files
    assert not any("no scenario could be checked" in line for line in discovery.not_written)


def test_a_stack_that_cannot_be_read_still_has_first_scenarios(tmp_path: Path) -> None:
    db = SHOP["db"] | {"environment": {"POSTGRES_PASSWORD": "${DB_PASSWORD:?set it}"}}
    mlflow = SHOP["mlflow"] | {"environment": {"DB": "postgresql://u:${DB_PASSWORD:?set it}@db:5432/x"}}
    more = {f"job-{n}": {"image": "x"} for n in range(100)}
    discovery = found(tmp_path, {"db": db, "mlflow": mlflow, **more})
    assert any("no scenario could be checked" in line for line in discovery.not_written)
    assert "scenarios/slow-db.scenario.yaml" in discovery.files


def test_no_file_is_written_elsewhere_for_a_service_with_an_odd_name(tmp_path: Path) -> None:
    discovery = found(tmp_path, {"../../web": SHOP["web"]})
    assert not any(".." in name for name in discovery.files)
    assert any("characters that the name of a scenario cannot have" in line for line in discovery.not_written)


@pytest.mark.parametrize("odd", [{"command": 5}, {"tmpfs": 5}, {"volumes": 5}, {"entrypoint": True}])
def test_a_value_of_an_odd_type_is_no_crash(tmp_path: Path, odd: dict[str, Any]) -> None:
    (tmp_path / "compose.yaml").write_text(f"services: {flow({'web': SHOP['web'] | odd})}\n")
    with suppress(HarnessError):  # a message is right
        discover(read_project(tmp_path, ask_engine=False), tmp_path, Faults(), standard=True)


def test_scenarios_are_written_unchecked_where_the_stack_cannot_be_read(tmp_path: Path) -> None:
    discovery = found(tmp_path, {"web": SHOP["web"] | {"restart": "sometimes"}})
    assert "scenarios/crashed-web.scenario.yaml" in discovery.files
    (told,) = (line for line in discovery.not_written if "no scenario could be checked" in line)
    assert "sometimes" in told
