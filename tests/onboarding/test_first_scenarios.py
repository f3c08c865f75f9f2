"""What the files of init demand of a stack: nothing that is only guessed, nothing that a fault must break."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.faults.installed import Faults
from harness.onboarding.discovery.output import STACK_FILE, Discovery, discover, flow
from harness.onboarding.discovery.project import read_project


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


CHECKED = {"test": ["CMD", "curl", "http://localhost:8000/ok"]}
SHOP = {
    "db": {"image": "postgres:16", "expose": [5432]},
    "web": {"image": "x", "expose": [8000], "healthcheck": CHECKED, "environment": {"DB": "postgresql://db:5432/x"}},
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
    gate = probes(scenario(discovery, "slow-db")["steady_state"])
    assert gate == {"db_answers", "web_up", "bento_up"}, "bento needs web, which needs db; bento2 needs nothing of it"
    assert probes(scenario(discovery, "crashed-bento2")["steady_state"]) == {"web_up", "bento2_up"}
    for name, text in discovery.files.items():
        assert name == STACK_FILE or "kafka_events" not in text


def test_who_watches_everything_concerns_nothing(tmp_path: Path) -> None:
    watch = {
        "console": {"image": "rediscommander/redis-commander", "environment": {"AT": "store:6379", "PORT": "8081"}},
        "grafana": {"image": "grafana/grafana", "expose": [3000], "environment": {"AT": "redis://store:6379"}},
    }
    discovery = found(tmp_path, {"store": {"image": "redis:7"}, **watch})
    assert probes(scenario(discovery, "lost-store")["steady_state"]) == {"store_keys", "console_runs"}


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
    assert ("targets_up" in probes(scenario(discovery, "crashed-web")["steady_state"])) is (query is not None)
    assert probes(scenario(discovery, "crashed-web")["expect"]["recovered"]) == {"web_up"}


def test_what_a_pause_of_the_writer_breaks_need_not_stay(tmp_path: Path) -> None:
    store = {
        "image": "minio/minio",
        "expose": [9000],
        "environment": {"MINIO_ROOT_USER": "u", "MINIO_ROOT_PASSWORD": "p"},
    }
    writer = SHOP["web"] | {"environment": {"S3": "http://minio:9000", "BUCKET": "features"}, "restart": "always"}
    runs = {"image": "x", "restart": "always"}
    discovery = found(tmp_path, {"minio": store, "writer": writer, "other": runs})
    expect = scenario(discovery, "stale-features-age")["expect"]
    assert probes(expect["stays"]) == {"other_runs"}
    assert probes(expect["recovered"]) == {"writer_up"}


def test_what_shares_a_lost_node_need_not_stay(tmp_path: Path) -> None:
    place = {"deploy": {"placement": {"constraints": ["node.hostname == one"]}}}
    discovery = found(tmp_path, {"db": SHOP["db"] | place, "web": SHOP["web"] | place})
    lost = scenario(discovery, "lost-db")
    assert lost["timeline"][0]["target"] == {"node": "one"}
    assert "stays" not in lost["expect"]
    assert probes(lost["expect"]["recovered"]) == {"db_answers", "web_up"}


def test_a_job_may_end_while_the_fault_is_in(tmp_path: Path) -> None:
    jobs = {
        "load": {"image": "x", "command": "python load_features.py", "environment": {"DB": "postgresql://db:5432/x"}},
        "seed": {"image": "x"},
    }
    web = SHOP["web"] | {"depends_on": {"seed": {"condition": "service_completed_successfully"}}, "restart": "always"}
    discovery = found(tmp_path, {"db": SHOP["db"], "web": web, **jobs})
    assert scenario(discovery, "crashed-web")["may_die"] == ["load"], "seed is done before web starts"
    assert scenario(discovery, "lost-db")["may_die"] == ["load", "web"]


def test_a_materialize_loop_without_an_age_is_told_of(tmp_path: Path) -> None:
    services = {
        "cache": {"image": "redis:7"},
        "materialize": {"image": "x", "restart": "always", "environment": {"REDIS_URL": "redis://cache:6379"}},
    }
    discovery = found(tmp_path, services)
    assert discovery.not_written == (
        "no stale-cache was written: materialize seems to write into cache, but no probe tells how old that is; "
        "add one to the stack, and a scenario that pauses materialize",
    )
    assert "scenarios/crashed-materialize.scenario.yaml" in discovery.files, "a kill needs no port"


@pytest.mark.parametrize("how", [{"deploy": {"replicas": 3}}, {"network_mode": "host"}])
def test_init_goes_on_without_a_service_that_has_no_address(tmp_path: Path, how: dict[str, Any]) -> None:
    discovery = found(tmp_path, {"db": SHOP["db"], "web": SHOP["web"] | how})
    (why,) = discovery.not_written
    assert why.startswith("web has no address of its own (")
    assert stack(discovery)["services"]["web"]["x-harness"] == {}
    assert "web_up" not in stack(discovery)["x-harness"]["probes"]
    assert "scenarios/lost-db.scenario.yaml" in discovery.files
    assert not any("-web." in name for name in discovery.files)


def test_a_service_of_no_kind_that_is_known_is_crashed_and_hung(tmp_path: Path) -> None:
    services = {
        "thing": {"image": "x", "expose": [7777]},
        "web": SHOP["web"] | {"environment": {"AT": "http://thing:7777"}},
    }
    names = set(found(tmp_path, services).files)
    assert {f"scenarios/{how}-{who}.scenario.yaml" for how in ("crashed", "hung") for who in services} <= names


def test_the_workload_is_offered_for_a_server_that_is_known(tmp_path: Path) -> None:
    services = {
        "serving": {"image": "x", "expose": [1000]},
        "model": {"image": "tensorflow/serving", "expose": [8501]},
        "artifacts": {"image": "rclone/rclone", "command": "serve s3 --addr :9000 /data"},
    }
    assert "#   url: http://model:8501/v1/models/M:predict" in found(tmp_path, services).files[STACK_FILE]
