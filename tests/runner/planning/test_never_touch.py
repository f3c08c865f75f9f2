"""What must never be touched: no fault reaches it, directly or not, and no fault leaves the run's own stack."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_runs import SmallBackend
from scenario_files import STACK, changed, check_problems, line_of, written

from harness.description.stackfile import load_stack
from harness.faults.installed import Faults
from harness.model.errors import FaultError, ScenarioError, StackError
from harness.runner.checking.stacks import validated
from harness.runner.execution.backend_factory import ATTACH, backend_for, project_to_attach_to
from harness.runner.execution.draft import Draft
from harness.runner.loading.explain import problems_of
from harness.runner.planning.catalogue import Catalogue
from harness.runner.planning.misfire import aim
from harness.runner.planning.plan import make_plans
from harness.seams import Seams

STEP = """    fault: network.latency
    target: {link: trainer -> object-store}
    with: {latency: "${latency}", jitter: 100ms}
"""
MORE = (
    '  keyspaces:\n    more-features: {service: online, prefix: "f:more"}\n    other: {service: online, prefix: "o:"}'
)


def stack_with(folder: Path, *never: str, old: str = "  keyspaces:", new: str = MORE) -> Path:
    listed = ", ".join(f'"{name}"' for name in never)
    text = STACK.read_text("utf-8").replace("  stack: small\n", f"  stack: small\n  never_touch: [{listed}]\n")
    assert old in text
    path = folder / "own.compose.yaml"
    path.write_text(text.replace(old, new), "utf-8")
    return path


def step_of(fault: str, target: str, more: str = "{}") -> str:
    return changed(STEP, f"    fault: {fault}\n    target: {target}\n    with: {more}\n")


def refused(folder: Path, text: str, *never: str, **stack: str) -> tuple[ScenarioError, ...]:
    try:
        validated([written(folder, text)], stack=str(stack_with(folder, *never, **stack)))
    except ScenarioError as error:
        return tuple(one for one in problems_of(error) if "touches the" in one.message)
    return ()


REPLAY = "{mode: replay}"
APART = "{apart_from: [server]}"
CASES = [
    ("network.latency", "{link: trainer -> object-store}", "{latency: 1s}", "trainer -> object-store", True),
    ("network.latency", "{link: trainer -> object-store}", "{latency: 1s}", "server -> object-store", False),
    ("network.latency", "{link: trainer -> object-store}", "{latency: 1s}", "object-store", True),
    ("network.latency", "{link: trainer -> object-store}", "{latency: 1s}", "trainer", True),
    ("network.latency", "{link: trainer -> object-store}", "{latency: 1s}", "server", False),
    ("network.latency", "{link: trainer -> object-store}", "{latency: 1s}", "b", True),
    ("network.latency", "{link: trainer -> object-store}", "{latency: 1s}", "c", False),
    ("network.latency", "{link: trainer -> object-store}", "{latency: 1s}", "training", True),
    ("network.latency", "{link: trainer -> object-store}", "{latency: 1s}", "live-features", False),
    ("network.latency", "{service: object-store}", "{latency: 1s}", "server -> object-store", True),
    ("network.latency", "{service: object-store}", "{latency: 1s}", "server", True),
    ("node.loss", "{node: a}", "{}", "online", True),
    ("node.loss", "{node: a}", "{}", "a", True),
    ("node.loss", "{node: a}", "{}", "live-features", True),
    ("node.loss", "{node: a}", "{}", "training", True),
    ("node.loss", "{node: a}", "{}", "server -> online", True),
    ("node.loss", "{node: a}", "{}", "server", False),
    ("node.loss", "{node: b}", "{}", "online", False),
    ("container.kill", "{service: online}", "{}", "live-features", True),
    ("container.kill", "{service: online}", "{}", "a", True),
    ("container.kill", "{services: [server, online]}", "{}", "online", True),
    ("container.kill", "{service: online}", "{}", "training", False),
    ("network.partition", "{service: trainer}", APART, "server", True),
    ("network.partition", "{service: trainer}", APART, "online", False),
    ("data.stale", "{keyspace: live-features}", REPLAY, "live-features", True),
    ("data.stale", "{keyspace: live-features}", REPLAY, "online", True),
    ("data.stale", "{keyspace: live-features}", REPLAY, "a", True),
    ("data.stale", "{keyspace: live-features}", REPLAY, "more-features", True),
    ("data.stale", "{keyspace: live-features}", REPLAY, "other", False),
    ("data.stale", "{keyspace: live-features}", REPLAY, "object-store", False),
    ("data.stale", "{service: server}", "{keyspace: live-features}", "live-features", True),
]


@pytest.mark.parametrize(("fault", "target", "more", "never", "hit"), CASES)
def test_a_fault_that_touches_it_is_refused(
    tmp_path: Path, fault: str, target: str, more: str, never: str, hit: bool
) -> None:
    text = step_of(fault, target, more)
    found = refused(tmp_path, text, never)
    assert [problem.field for problem in found] == (["timeline.0.target"] if hit else [])
    for problem in found:
        assert problem.line == line_of(text, f"target: {target}")
        assert repr(never) in problem.message
        assert problem.message.startswith(f"{fault} touches the ")
        assert "x-harness.never_touch" in str(problem.remedy)


def test_how_it_is_touched_is_told(tmp_path: Path) -> None:
    [problem] = refused(tmp_path, step_of("node.loss", "{node: a}"), "live-features")
    told = "'slow' acts on the node a, and it is on the node 'a', and 'online' holds it"
    assert problem.message == f"node.loss touches the key space 'live-features': {told}"


def test_a_shared_volume_is_touched_by_a_full_disk(tmp_path: Path) -> None:
    mounts = {
        "old": "  trainer:\n    environment:",
        "new": "  trainer:\n    volumes: [shared:/data]\n    environment:",
    }
    text = step_of("disk.full", "{service: trainer}", "{path: /data, at_most: 1MB}")
    assert refused(tmp_path, text, "server", **mounts) == ()
    stack = tmp_path / "own.compose.yaml"
    own = stack.read_text("utf-8").replace(
        "  server:\n    environment:", "  server:\n    volumes: [shared:/s]\n    environment:"
    )
    stack.write_text(own + "volumes: {shared: {}}\n", "utf-8")
    with pytest.raises(ScenarioError, match="shares a volume with it"):
        validated([written(tmp_path, text)], stack=str(stack))


@pytest.mark.parametrize(
    ("word", "never", "what"),
    [
        ("online", "online", "service"),
        ("shop-online-1", "online", "service"),
        ("docker stop shop_online_1", "online", "service"),
        ("http://online:18379/flush", "online", "service"),
        ("trainer -> object-store", "trainer -> object-store", "link"),
        ("online-2", "online", None),
        ("offline", "online", None),
        ("b", "b", None),  # the name of a node is no word that a command needs for it
    ],
)
def test_commands_that_name_it_are_refused(tmp_path: Path, word: str, never: str, what: str | None) -> None:
    more = f'{{inject: [do, a], confirm: [b], revert: [undo, "{word}"]}}'
    text = step_of("command", "{service: server}", more)
    found = refused(tmp_path, text, never)
    assert [problem.field for problem in found] == (["timeline.0.with.revert.1"] if what else [])
    for problem in found:
        told = f"command touches the {what} {never!r}: 'slow' names it in its command `revert`"
        assert problem.message == told
        assert problem.line == line_of(text, "revert")


@pytest.mark.parametrize(
    ("target", "never"),
    [("{service: online}", "online"), ("{node: a}", "a"), ("{keyspace: live-features}", "live-features")],
)
def test_commands_that_are_aimed_at_it_are_refused(tmp_path: Path, target: str, never: str) -> None:
    [problem] = refused(tmp_path, step_of("command", target, "{inject: [x], confirm: [y], revert: [z]}"), never)
    assert problem.message.endswith(f"{never!r}: it is the target of 'slow'")
    assert (problem.field or "").startswith("timeline.0.target.")


def test_what_commands_do_not_name_is_let_through(tmp_path: Path) -> None:
    more = "{inject: [x], confirm: [y], revert: [a]}"
    assert refused(tmp_path, step_of("command", "{service: server}", more), "online", "a", "training") == ()


@pytest.mark.parametrize(("target", "never"), [("{node: c}", "server"), ("{service: server}", "c")])
def test_commands_touch_what_their_target_does(tmp_path: Path, target: str, never: str) -> None:
    [problem] = refused(tmp_path, step_of("command", target, "{inject: [x], confirm: [y], revert: [z]}"), never)
    assert problem.message.startswith("command touches the ")
    assert "'server'" in problem.message
    assert (problem.field or "").startswith("timeline.0.target.")


def test_a_misfire_that_is_declared_is_refused_at_its_own_place(tmp_path: Path) -> None:
    text = changed("    for: 12s\n", "    for: 12s\n    misfire: {target: {link: server -> online}}\n")
    [problem] = refused(tmp_path, text, "live-features")
    assert problem.field == "timeline.0.misfire.target"
    assert problem.line == line_of(text, "misfire:")


def test_a_misfire_that_is_found_goes_elsewhere(tmp_path: Path) -> None:
    idle = "services:\n  idle-1: {x-harness: {node: x}}\n  idle-2: {x-harness: {node: y}}\n"
    for never, found in ((), "x"), (("x",), "y"), (("idle-1", "y"), None):
        stack = stack_with(tmp_path, *never, old="services:\n", new=idle)
        text = changed(STEP, "    fault: node.loss\n    target: {node: b}\n")
        [(item, catalogue)] = validated([written(tmp_path, text)], stack=str(stack))
        aimed = aim(item.scenario, catalogue)
        assert [str(target) for target in aimed.targets] == ([f"node {found}"] if found else [])
        [plan] = make_plans([item], catalogue.stack, twin="misfire")
        assert (plan.unaimed is None) is (found is not None)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("onlin", "online"),
        ("server -> onlin", "server -> online"),
        ("trainin", "training"),
        ("live-feature", "live-features"),
    ],
)
def test_a_name_that_protects_nothing_is_refused(tmp_path: Path, name: str, nearest: str) -> None:
    path = stack_with(tmp_path, "b", name)
    with pytest.raises(StackError) as wrong:
        load_stack(path)
    assert str(wrong.value).startswith(
        f"{path}:{line_of(path.read_text('utf-8'), 'never_touch')}: x-harness.never_touch.1"
    )
    assert f"did you mean {nearest!r}?" in str(wrong.value)


def test_the_python_form_refuses_it_at_the_call(tmp_path: Path) -> None:
    catalogue = Catalogue(load_stack(stack_with(tmp_path, "online")), Faults())
    draft = Draft("test", {"scenario": "test", "summary": "s", "stack": "small"}, catalogue)
    with pytest.raises(ScenarioError, match="touches the service 'online'"):
        draft.fault("node.loss", {"node": "a"}, {}, None, planned=False)
    draft.fault("node.loss", {"node": "b"}, {}, None, planned=False)


@pytest.mark.parametrize(
    "target",
    [
        "{service: billing}",
        "{services: [server, billing]}",
        "{node: billing}",
        "{keyspace: billing}",
        "{dataset: billing}",
        "{link: server -> billing}",
        "{links: [billing -> online]}",
    ],
)
def test_what_is_not_of_the_run_s_own_stack_is_no_target(tmp_path: Path, target: str) -> None:
    """Another stack on the same machine, or in the same engine, cannot be named."""
    kinds = {"node": "node.loss", "keyspace": "data.stale", "dataset": "features.corrupt", "link": "network.latency"}
    fault = next((kind for word, kind in kinds.items() if target.startswith("{" + word)), "container.kill")
    problems = check_problems(tmp_path, step_of(fault, target))
    assert any("unknown " in problem.message and "billing" in problem.message for problem in problems)


def test_the_seams_of_a_run_reach_its_own_stack_alone() -> None:
    seams = Seams(SmallBackend(), load_stack(STACK))
    for call in (seams.service, seams.link, seams.keyspace_spec, seams.dataset_spec):
        with pytest.raises(FaultError, match="billing"):
            call("billing")


def test_a_running_stack_is_attached_to_on_purpose_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ATTACH, raising=False)
    assert project_to_attach_to(None, "compose") is None
    assert project_to_attach_to("shop", "compose") == "shop"
    monkeypatch.setenv(ATTACH, "shop")
    assert project_to_attach_to(None, "compose") == "shop"
    assert project_to_attach_to(None, "local") is None
    [(item, catalogue)] = validated([written(tmp_path)], stack=str(STACK))
    [plan] = make_plans([item], catalogue.stack, backend="compose")
    assert plan.attach is None, "a stack that the run owns is a project of its own"
    kinds = {attach: type(backend_for(catalogue.stack, "compose", attach=attach)).__name__ for attach in (None, "shop")}
    assert kinds == {None: "ComposeBackend", "shop": "AttachedBackend"}


@pytest.mark.parametrize(
    ("tie", "fault"),
    [
        ('network_mode: "service:server"', "container.stop"),
        ('pid: "service:server"', "container.kill"),
        ('ipc: "service:server"', "container.pause"),
        ("volumes_from: [server]", "container.stop"),
        ('volumes_from: ["server:ro"]', "container.stop"),
    ],
)
@pytest.mark.parametrize("hit", ["side", "server"])
def test_who_shares_a_network_processes_or_volumes_is_touched_too(
    tmp_path: Path, tie: str, fault: str, hit: str
) -> None:
    other = {"side": "server", "server": "side"}[hit]
    more = {"old": "\nservices:\n", "new": f"\nservices:\n  side:\n    image: x\n    {tie}\n"}
    text = step_of(fault, f"{{service: {hit}}}")
    assert refused(tmp_path, text, other, **more)
    assert not refused(tmp_path, text, other, old="\nservices:\n", new="\nservices:\n  side:\n    image: x\n")


@pytest.mark.parametrize(
    ("mode", "fault", "parameters", "is_refused"),
    [
        ("network_mode", "container.stop", "{}", True),
        ("pid", "container.kill", "{}", True),
        ("network_mode", "container.pause", "{}", False),
        ("network_mode", "volume.read_only", "{path: /data, how: recreate}", True),
        ("network_mode", "volume.read_only", "{path: /data, how: remount}", False),
        ("volumes_from", "container.stop", "{}", False),
    ],
)
def test_what_would_leave_others_without_their_network_is_refused(
    tmp_path: Path, mode: str, fault: str, parameters: str, is_refused: bool
) -> None:
    """They stay in the network of the container that ended, and no revert brings them out of it."""
    value = "[server]" if mode == "volumes_from" else '"service:server"'
    text = STACK.read_text("utf-8").replace("  online:\n", f"  online:\n    {mode}: {value}\n", 1)
    stack = tmp_path / "own.compose.yaml"
    stack.write_text(text, "utf-8")
    scenario = written(tmp_path, step_of(fault, "{service: server}", parameters))
    if not is_refused:
        validated([scenario], stack=str(stack))
        return
    with pytest.raises(ScenarioError, match=f"{fault} starts 'server' again, and 'online' in its network"):
        validated([scenario], stack=str(stack))


def test_two_services_in_the_network_of_a_third_are_tied(tmp_path: Path) -> None:
    text = STACK.read_text("utf-8")
    for name in ("online", "server"):
        text = text.replace(f"  {name}:\n", f'  {name}:\n    network_mode: "service:trainer"\n', 1)
    text = text.replace("  stack: small\n", "  stack: small\n  never_touch: [online]\n")
    stack = tmp_path / "own.compose.yaml"
    stack.write_text(text, "utf-8")
    with pytest.raises(ScenarioError, match="touches the service 'online'"):
        validated([written(tmp_path, step_of("container.pause", "{service: server}"))], stack=str(stack))


def test_both_sides_of_a_partition_are_hit(tmp_path: Path) -> None:
    second = """
  - id: changed
    at: 6s
    fault: container.environment
    target: {service: server}
    with: {set: {A: b}}
    for: 2s
"""
    text = step_of("network.partition", "{service: trainer}", APART)
    text = text.replace("\nexpect:", f"{second}\nexpect:", 1)
    with pytest.raises(ScenarioError, match="both act on service server"):
        validated([written(tmp_path, text)], stack=str(stack_with(tmp_path)))
