"""Plans: what is decided before a run, the same each time."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_files import GOOD, STACK, changed, loaded

from harness.description.stackfile import load_stack
from harness.model.fields import Link
from harness.model.plan import Plan, Twin
from harness.model.stack import ComposeFields
from harness.model.units import Unit
from harness.runner.planning.plan import attached_project, control_of, make_plans, not_sabotaged

NAMES = "vars: {latency: 800ms, share: 0.5}"


def plans(folder: Path, text: str = GOOD, seed: int | None = None, twin: Twin | None = None) -> list[Plan]:
    return make_plans(loaded(folder, text), load_stack(STACK), seed=seed, twin=twin, backend="local")


def test_the_same_files_give_the_same_plans(tmp_path: Path) -> None:
    text = changed(NAMES, "matrix: {latency: [1s, 2s], b: [1, 2]}")
    first, again = plans(tmp_path, text), plans(tmp_path, text)
    assert [p.model_dump_json(by_alias=True) for p in first] == [p.model_dump_json(by_alias=True) for p in again]
    assert len({p.run for p in first}) == 4


def test_a_plan_reads_back_from_a_journal(tmp_path: Path) -> None:
    for plan in (*plans(tmp_path), *plans(tmp_path, twin="sabotage"), *plans(tmp_path, twin="control")):
        assert Plan.model_validate_json(plan.model_dump_json(by_alias=True)) == plan
        assert Plan.model_validate_json(plan.model_dump_json(by_alias=True, exclude_defaults=True)) == plan


def test_the_seed_of_the_command_line_beats_that_of_the_file(tmp_path: Path) -> None:
    assert plans(tmp_path)[0].seed == 7
    assert plans(tmp_path, seed=0)[0].seed == 0
    assert plans(tmp_path, changed("seed: 7\n", ""))[0].seed == 1


@pytest.mark.parametrize(
    ("value", "run"),
    [
        ("1s", "slow-store@latency=1s"),
        ("0.5", "slow-store@latency=0.5"),
        ("true", "slow-store@latency=true"),
        ("'2s'", "slow-store@latency=2s"),
    ],
)
def test_runs_of_a_matrix_are_named_by_their_values(tmp_path: Path, value: str, run: str) -> None:
    assert plans(tmp_path, changed(NAMES, f"matrix: {{latency: [{value}]}}"))[0].run == run


def test_names_of_runs_are_safe_as_folders_and_never_meet(tmp_path: Path) -> None:
    values = ["../../x", "a/b", "a b", "a*b", "", "x" * 300, "x" * 301, "$(x)", "ü", "~"]
    text = changed(NAMES, f"matrix: {{latency: {values!r}}}")
    names = [plan.run for plan in plans(tmp_path, text, twin="control")]
    assert len(set(names)) == len(values)
    for name in names:
        assert len(name.encode()) <= 180
        assert not set(name) & set("/\\ *?$()[]'\"\n\0:;&|<>")
        (tmp_path / "runs" / name).mkdir(parents=True)


def names(links: tuple[Link, ...]) -> tuple[str, ...]:
    return tuple(link.name for link in links)


def test_links_are_those_that_the_faults_disturb_in_the_order_of_the_stack(tmp_path: Path) -> None:
    assert names(plans(tmp_path)[0].links) == ("trainer -> object-store",)
    target = "target: {link: trainer -> object-store}"
    both = changed(target, "target: {links: [server -> online, trainer -> object-store]}")
    assert names(plans(tmp_path, both)[0].links) == ("trainer -> object-store", "server -> online")
    service = changed(target, "target: {service: object-store}")
    assert names(plans(tmp_path, service)[0].links) == ("trainer -> object-store", "server -> object-store")


def test_a_node_needs_every_link_that_touches_it(tmp_path: Path) -> None:
    lost = changed('    with: {latency: "${latency}", jitter: 100ms}\n', "", changed("network.latency", "node.loss"))
    target = "target: {link: trainer -> object-store}"
    every = ("trainer -> object-store", "server -> object-store", "server -> online")
    assert names(plans(tmp_path, changed(target, "target: {node: a}", lost))[0].links) == every
    assert names(plans(tmp_path, changed(target, "target: {node: b}", lost))[0].links) == every[:1]
    assert names(plans(tmp_path, changed(target, "target: {node: c}", lost))[0].links) == every[1:]


def test_a_fault_that_acts_on_no_link_needs_none(tmp_path: Path) -> None:
    text = changed("target: {link: trainer -> object-store}", "target: {service: object-store}")
    text = changed("network.latency", "data.stale", changed('{latency: "${latency}", jitter: 100ms}', "{}", text))
    assert names(plans(tmp_path, text)[0].links) == ()


def test_the_plan_names_the_project_that_it_attaches_to() -> None:
    owned = load_stack(STACK)
    compose = ComposeFields(project="shop")
    found = owned.model_copy(update={"ownership": "attached", "compose": compose})
    unnamed = found.model_copy(update={"compose": ComposeFields()})
    assert attached_project(owned, "compose", None) is None
    assert attached_project(owned, "compose", "given") == "given"
    assert attached_project(found, "compose", None) == "shop"
    assert attached_project(found, "compose", "given") == "given"
    assert attached_project(unnamed, "compose", None) == "small"
    assert attached_project(found, "local", None) is None


def test_the_control_is_the_same_run_without_the_fault(tmp_path: Path) -> None:
    (plan,) = plans(tmp_path)
    (control,) = plans(tmp_path, twin="control")
    assert control == control_of(plan)
    assert (control.run, control.twin, control.faults_on) == ("slow-store~control", "control", False)
    assert control.control_of == plan.run
    assert control.model_copy(update={"run": plan.run, "twin": None, "control_of": None}) == plan


def test_sabotage_twins_switch_off_one_thing_each(tmp_path: Path) -> None:
    text = changed("  quiet: others", "    - {id: again, alert: ObjectStoreSlow, within: 8s}\n"
                   "    - {id: old, alert: FeaturesStale, within: 8s}\n"
                   "    - {id: down, alert: ServiceDown, within: 8s}\n  quiet: others")  # fmt: skip
    twins = plans(tmp_path, text, twin="sabotage")
    assert [twin.run for twin in twins] == [
        "slow-store~sabotage-alert-ObjectStoreSlow",
        "slow-store~sabotage-alert-FeaturesStale",
        "slow-store~sabotage-recovery-retries",
    ]
    assert [twin.sabotage.breaks for twin in twins if twin.sabotage] == [("seen", "again"), ("old",), ("caught-up",)]
    last = twins[-1].sabotage
    assert last is not None
    assert (last.kind, last.service, last.env) == ("recovery", "trainer", {"RETRIES": "0"})
    assert all(twin.faults_on for twin in twins)
    (item,) = loaded(tmp_path, text)
    assert not_sabotaged(item.scenario, load_stack(STACK)) == ["ServiceDown"]


def test_the_facts_of_the_stack(tmp_path: Path) -> None:
    facts = plans(tmp_path)[0].stack
    assert facts.name == "small"
    assert facts.services == {"object-store": "a", "online": "a", "trainer": "b", "server": "c"}
    assert facts.alerts == ("ObjectStoreSlow", "FeaturesStale", "ServiceDown")
    assert facts.probe_units["training_lag"] is Unit.EVENT
    assert facts.probe_units["availability"] is Unit.RATIO
    assert facts.freshness_s == {"weather": 3 * 3600.0}
    assert facts.integrity == ("promotion_monotonic",)
    assert facts.slow_s == 0.25


def test_secrets_are_in_no_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hunter2")
    text = changed("jitter: 100ms", 'jitter: "${secret:TOKEN}"')
    written = plans(tmp_path, text)[0].model_dump_json()
    assert "${secret:TOKEN}" in written
    assert "hunter2" not in written


def test_the_run_of_a_sabotage_twin_has_a_name_that_a_folder_can_have(tmp_path: Path) -> None:
    long = ["A" * 250, "A" * 251]
    stack = tmp_path / "stack.compose.yaml"
    off = "{off: {service: server, env: {X: y}}}"
    rules = "".join(f"    {name}: {off}\n" for name in long)
    stack.write_text(STACK.read_text("utf-8").replace("  alerts:\n", f"  alerts:\n{rules}"), "utf-8")
    more = "".join(f"    - {{id: a{number}, alert: {name}, within: 8s}}\n" for number, name in enumerate(long))
    text = changed("  quiet: others", f"{more}  quiet: others")
    twins = make_plans(loaded(tmp_path, text), load_stack(stack), seed=1, twin="sabotage", backend="local")
    names = [twin.run for twin in twins]
    assert len(set(names)) == len(names) == 4
    assert max(len(name.encode()) for name in names) <= 240
