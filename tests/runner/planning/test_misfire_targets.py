"""Where a misfire puts the faults: declared, found by what the stack says of itself, or nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario_files import GOOD, STACK, changed, check_problems, line_of, loaded

from harness.description.stackfile import load_stack
from harness.model.plan import Plan
from harness.runner.planning.plan import make_plans

TARGET = "target: {link: trainer -> object-store}"
DECLARED = "    for: 12s\n    misfire: {target: {link: server -> online}}\n"
IDLE = """\
  idle:
    environment: {STORE: "idle-store:7000"}
    x-harness: {node: d, port: 7001, local: {command: [python, -m, idle]}}
  idle-store:
    x-harness: {node: e, port: 7000, local: {command: [python, -m, store]}}
  idle-too:
    environment: {STORE: "idle-store:7000"}
    x-harness: {node: f, local: {command: [python, -m, idle]}}
"""
SPARE = (
    ("  keyspaces:\n", '  keyspaces:\n    spare-keys: {service: idle-store, prefix: "s:"}\n'),
    ("  datasets:\n", "  datasets:\n    spare-rows: {service: idle-store, bucket: b, prefix: s/}\n"),
)


def planned(folder: Path, text: str, *changes: tuple[str, str], idle: str = IDLE) -> Plan:
    """Return the misfire of a scenario on the small stack, with idle services and changes of its file."""
    stack = STACK.read_text("utf-8") + idle
    for old, new in changes:
        stack = changed(old, new, stack)
    file = folder / "stack.compose.yaml"
    file.write_text(stack, "utf-8")
    [plan] = make_plans(loaded(folder, text), load_stack(file), twin="misfire")
    return plan


def fault(kind: str, target: str, more: str = "") -> str:
    """Return the good scenario with another fault."""
    before, _, rest = GOOD.partition("  - id: slow\n")
    after = rest[rest.index("expect:\n") :]
    return f"{before}  - {{id: slow, at: 5s, fault: {kind}, target: {{{target}}}{more}, for: 12s}}\n{after}"


# Declared


def test_a_declared_target_takes_the_place_of_the_one_that_is_meant(tmp_path: Path) -> None:
    plan = planned(tmp_path, changed("    for: 12s\n", DECLARED))
    assert (plan.run, plan.twin, plan.unaimed, plan.faults_on) == ("slow-store~misfire", "misfire", None, True)
    [step] = plan.scenario.timeline
    assert str(step.target) == "link server -> online"
    assert (step.parameters, step.at, step.duration) == ({"latency": "800ms", "jitter": "100ms"}, 5, 12)
    [meant] = plan.meant
    assert (meant.fault, str(meant.target), meant.how) == ("slow", "link trainer -> object-store", "declared")
    assert plan.meant_by(step) == meant.target
    # What is meant goes through the fault proxy as well, so that only the target differs.
    assert [link.name for link in plan.links] == ["trainer -> object-store", "server -> online"]


def test_parameters_that_must_differ_there_are_given_with_it(tmp_path: Path) -> None:
    declared = "    for: 12s\n    misfire: {target: {link: server -> online}, with: {jitter: 50ms}}\n"
    [step] = planned(tmp_path, changed("    for: 12s\n", declared)).scenario.timeline
    assert step.parameters == {"latency": "800ms", "jitter": "50ms"}


def test_the_plan_of_a_misfire_reads_back_from_a_journal(tmp_path: Path) -> None:
    for text in (GOOD, changed("    for: 12s\n", DECLARED)):
        plan = planned(tmp_path, text)
        assert Plan.model_validate_json(plan.model_dump_json(by_alias=True)) == plan
        assert Plan.model_validate_json(plan.model_dump_json(by_alias=True, exclude_defaults=True)) == plan


def test_nothing_but_the_target_is_different(tmp_path: Path) -> None:
    text = changed("    for: 12s\n", DECLARED)
    misfire = planned(tmp_path, text)
    [plan] = make_plans(loaded(tmp_path, text), load_stack(tmp_path / "stack.compose.yaml"))
    same = {"run", "twin", "meant", "links", "scenario"}
    assert misfire.model_dump(exclude=same) == plan.model_dump(exclude=same)
    assert misfire.scenario.model_dump(exclude={"timeline"}) == plan.scenario.model_dump(exclude={"timeline"})
    assert plan.meant == ()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("{link: server -> onlin}", "unknown link 'server -> onlin'"),
        ("{node: a}", "network.latency does not act on a node"),
        ("{link: trainer -> object-store}", "both targets have link trainer -> object-store in common"),
        ("{service: object-store}", "both targets have link trainer -> object-store in common"),
        ("{links: [server -> online, trainer -> object-store]}", "have link trainer -> object-store in common"),
    ],
)
def test_a_declared_target_is_checked(tmp_path: Path, target: str, message: str) -> None:
    text = changed("    for: 12s\n", f"    for: 12s\n    misfire: {{target: {target}}}\n")
    [problem] = check_problems(tmp_path, text)
    assert message in problem.message
    assert (problem.field or "").startswith("timeline.0.misfire.target")
    assert problem.line == line_of(text, "misfire:")


@pytest.mark.parametrize(
    ("kind", "meant", "other", "shared"),
    [
        ("container.kill", "service: server", "services: [trainer, server]", "service server"),
        ("node.loss", "node: a", "node: a", "link"),
        ("command", "keyspace: live-features", "service: online", "service online"),
        ("command", "dataset: training", "node: a", "service object-store"),
        ("command", "dataset: training", "dataset: training", "dataset training"),
    ],
)
def test_a_target_that_holds_what_is_meant_is_refused(
    tmp_path: Path, kind: str, meant: str, other: str, shared: str
) -> None:
    commands = "" if kind != "command" else ", with: {inject: [a], confirm: [a], revert: [a]}"
    problems = check_problems(tmp_path, fault(kind, meant, f"{commands}, misfire: {{target: {{{other}}}}}"))
    assert [p.message for p in problems if "in common" in p.message and shared in p.message]


@pytest.mark.parametrize(("prefix", "refused"), [("f:a", True), ("", True), ("g:", False)])
def test_keys_inside_the_meant_ones_are_no_other_target(tmp_path: Path, prefix: str, refused: bool) -> None:
    spaces = ("  keyspaces:\n", f'  keyspaces:\n    part: {{service: online, prefix: "{prefix}"}}\n')
    stack = changed(*spaces, STACK.read_text("utf-8"))
    (tmp_path / "stack.yaml").write_text(stack, "utf-8")
    text = fault("data.stale", "keyspace: live-features", ", with: {mode: replay}, misfire: {target: {keyspace: part}}")
    text = changed("stack: small", "stack: ./stack.yaml", text)
    from harness.runner.checking.check import check_all
    from harness.runner.checking.stacks import with_stacks

    problems = check_all(with_stacks(loaded(tmp_path, text))[0])
    assert [p.message for p in problems] == (
        ["the fault matters here too: both targets have keys under " + max(prefix, "f:", key=len) + " in common"]
        if refused
        else []
    )


def test_parameters_of_a_misfire_are_checked(tmp_path: Path) -> None:
    declared = "    for: 12s\n    misfire: {target: {link: server -> online}, with: {jiter: 50ms}}\n"
    [problem] = check_problems(tmp_path, changed("    for: 12s\n", declared))
    assert "jiter" in problem.message
    assert problem.field == "timeline.0.misfire.with.jiter"


# Found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (GOOD, "link idle -> idle-store"),
        (changed(TARGET, "target: {service: object-store}"), "service idle-store"),
        (changed(TARGET, "target: {links: [trainer -> object-store, server -> online]}"),
         "links idle, idle-too -> idle-store"),
        (fault("container.kill", "service: server"), "service idle"),
        (fault("container.kill", "services: [server, trainer]"), "services idle, idle-store"),
        (fault("node.loss", "node: c"), "node d"),
        (fault("data.stale", "keyspace: live-features", ", with: {mode: replay}"), "keyspace spare-keys"),
        (fault("command", "dataset: training", ", with: {inject: [a], confirm: [a], revert: [a]}"),
         "dataset spare-rows"),
    ],
    ids=lambda value: value if len(value) < 60 else "scenario",
)  # fmt: skip
def test_a_target_of_the_same_sort_is_found_where_nothing_judged_is_tied_to_it(
    tmp_path: Path, text: str, found: str
) -> None:
    plan = planned(tmp_path, text, *SPARE)
    assert plan.unaimed is None
    [step] = plan.scenario.timeline
    assert str(step.target) == found
    assert [one.how for one in plan.meant] == ["found"]


def test_without_anything_idle_none_is_found_and_the_remedy_is_said(tmp_path: Path) -> None:
    plan = planned(tmp_path, GOOD, idle="")
    assert plan.twin == "misfire"
    assert plan.meant == ()
    assert [str(step.target) for step in plan.scenario.timeline] == ["link trainer -> object-store"]
    assert plan.unaimed == (
        "slow: no other link of the stack 'small' is proven not to matter: "
        "declare one in the timeline, `misfire: {target: {link: …}}`"
    )


WEB = 'environment: {STORE: "http://object-store:18900", ONLINE: "online:18379"}'
IDLE_ENV = '  idle:\n    environment: {STORE: "idle-store:7000"}\n'


@pytest.mark.parametrize(
    "tie",
    [
        (IDLE_ENV, '  idle:\n    environment: {STORE: "idle-store:7000", OTHER: "object-store:18900"}\n'),
        (IDLE_ENV, '  idle:\n    environment: {STORE: "idle-store:7000", OTHER_HOST: online}\n'),
        (IDLE_ENV, IDLE_ENV + "    depends_on: [trainer]\n"),
        (IDLE_ENV, IDLE_ENV + '    network_mode: "service:server"\n'),
        (IDLE_ENV, IDLE_ENV + "    volumes_from: [server]\n"),
        (WEB, WEB[:-1] + ", IDLE: idle}"),
        (WEB, WEB + "\n    depends_on: {idle-store: {condition: service_started}}"),
        ("{node: d, port: 7001", "{node: c, port: 7001"),
        ("url: \"http://server:18001/history\"", "url: \"http://idle:7001/history\""),
        ('replicas_up: {metric: {url: "http://server:18001', 'replicas_up: {metric: {url: "http://idle:7001'),
        ('[{kind: prometheus, url: "http://server:18001"}]', '[{kind: prometheus, url: "http://prometheus.example.org:9090"}]'),
        ('store_latency: {metric: {url: "http://server:18001', 'store_latency: {metric: {url: "http://store.example.org:18001'),
        ('"http://server:18001/metrics", name: store_seconds}',
         '"http://store.example.org/metrics", name: store_seconds}, summary: How long server waits'),
        ("recoveries:\n", "links: [server -> idle]\n  recoveries:\n"),
        ("retries: {off: {service: trainer", "retries: {off: {service: idle"),
    ],
)  # fmt: skip
def test_none_is_found_where_something_may_depend_on_it(tmp_path: Path, tie: tuple[str, str]) -> None:
    plan = planned(tmp_path, GOOD, tie)
    assert plan.unaimed is not None
    assert plan.meant == ()


def test_an_address_that_nobody_uses_is_no_tie(tmp_path: Path) -> None:
    named = (IDLE_ENV, '  idle:\n    environment: {STORE: "idle-store:7000", OTHER: "object-store:18900"}\n')
    unused = ("  schema: 1\n", "  schema: 1\n  unused_links: [idle -> object-store]\n")
    assert planned(tmp_path, GOOD, named).unaimed is not None
    assert planned(tmp_path, GOOD, named, unused).unaimed is None
    waits = (named[0], f"{named[1]}    depends_on: [object-store]\n")
    assert planned(tmp_path, GOOD, waits, unused).unaimed is not None, "it starts only after the store"


def test_a_volume_in_common_is_a_store_in_common(tmp_path: Path) -> None:
    mount = WEB + "\n    volumes: ['data:/data']"
    short = IDLE_ENV + "    volumes: ['data:/elsewhere:ro']\n"
    long = IDLE_ENV + "    volumes: [{type: volume, source: data, target: /x}]\n"
    own = IDLE_ENV + "    volumes: ['other:/data', /data]\n"
    assert planned(tmp_path, GOOD, (WEB, mount), (IDLE_ENV, short)).unaimed is not None
    assert planned(tmp_path, GOOD, (WEB, mount), (IDLE_ENV, long)).unaimed is not None
    assert planned(tmp_path, GOOD, (WEB, mount), (IDLE_ENV, own)).unaimed is None


NAMED = [
    "container_name: spare",
    "hostname: spare",
    "networks: {default: {aliases: [other, spare]}}",
    "container_name: ${NOT_SET:-spare}",
]


@pytest.mark.parametrize("name", NAMED)
def test_a_service_goes_by_every_name_that_others_reach_it_by(tmp_path: Path, name: str) -> None:
    named = (IDLE_ENV, f"{IDLE_ENV}    {name}\n")
    killed = fault("container.kill", "service: server")
    assert str(planned(tmp_path, killed, named).scenario.timeline[0].target) == "service idle"
    for tie in (
        (WEB, WEB[:-1] + ', IDLE: "spare:7001"}'),
        (WEB, WEB[:-1] + ', IDLE: "${NOT_SET:-spare}:7001"}'),
    ):
        assert planned(tmp_path, killed, named, tie).unaimed is not None, tie
    labelled = changed("labels: {service: trainer}", "labels: {instance: spare:7001}")
    assert planned(tmp_path, labelled, named).unaimed is not None


def test_an_address_in_a_network_is_a_name_too(tmp_path: Path) -> None:
    fixed = (IDLE_ENV, IDLE_ENV + "    networks: {default: {ipv4_address: 172.28.0.5}}\n")
    for text, unaimed in (("172.28.0.5:7001", True), ("172.28.0.50:7001", False)):
        plan = planned(tmp_path, GOOD, fixed, (WEB, WEB[:-1] + f', IDLE: "{text}"}}'))
        assert (plan.unaimed is not None) is unaimed


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("./d:/a", "./d/:/b", True),
        ("./d:/a", "./d/x:/b", True),
        ("./d/x/../y:/a", "./d/y/z:/b", True),
        (".:/a", "./d:/b", True),
        ("{type: bind, source: d, target: /a}", "./d/x:/b", True),
        ("./d:/a", "./dd:/b", False),
        ("./d/x:/a", "./d/y:/b", False),
        ("d:/a", "./d:/b", False),
        ("one:/a", "two:/b", True),
        ("one:/a", "three:/b", False),
        ("of-d:/a", "./d/x:/b", True),
    ],
)
def test_folders_are_in_common_where_one_lies_inside_the_other(
    tmp_path: Path, one: str, other: str, shared: bool
) -> None:
    volumes = "volumes: {one: {name: same}, two: {name: same}, three: , of-d: {driver_opts: {o: bind, device: ./d}}}\n"
    ties = ((WEB, f"{WEB}\n    volumes: [{one}]"), (IDLE_ENV, f"{IDLE_ENV}    volumes: [{other}]\n"))
    assert (planned(tmp_path, GOOD, *ties, idle=IDLE + volumes).unaimed is not None) is shared
    assert (planned(tmp_path, GOOD, *ties[::-1], idle=IDLE + volumes).unaimed is not None) is shared


def test_the_whole_path_counts_and_not_how_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for source in (str(tmp_path / "real"), "./link/x"):
        ties = ((WEB, WEB + "\n    volumes: ['./real:/a']"), (IDLE_ENV, f"{IDLE_ENV}    volumes: ['{source}:/b']\n"))
        assert planned(tmp_path, GOOD, *ties).unaimed is not None


@pytest.mark.parametrize(
    "text",
    [
        changed("labels: {service: trainer}", "labels: {service: idle}"),
        changed("may_die: [server]", "may_die: [idle]"),
        changed("  quiet: others", "  quiet: others\n  churn_at_most: [{id: calm, service: idle, at_most: 1}]"),
        fault("command", "service: server", ", with: {inject: [touch, idle], confirm: [a], revert: [a]}"),
        fault("data.stale", "service: server", ", with: {mode: stop, keyspace: live-features}"),
    ],
    ids=["label", "may_die", "churn", "parameter", "a parameter that would have to be aimed too"],
)
def test_none_is_found_where_the_scenario_is_about_it(tmp_path: Path, text: str) -> None:
    assert planned(tmp_path, text).unaimed is not None


def test_what_the_scenario_tells_people_is_no_tie(tmp_path: Path) -> None:
    assert planned(tmp_path, changed("The object store answers late.", "It is not about idle.")).unaimed is None


def two(first: str, second: str, *, when: str = "at: 5s") -> str:
    """Return a scenario with two faults on links."""
    rest = fault("network.latency", "link: trainer -> object-store", f", with: {{latency: 1s}}{first}")
    more = f"  - {{id: more, {when}, fault: network.reset, target: {{link: server -> online}}{second}, for: 2s}}\n"
    return rest.replace("expect:\n", more + "expect:\n", 1)


def test_each_of_several_faults_gets_a_target_of_its_own(tmp_path: Path) -> None:
    plan = planned(tmp_path, two("", ""))
    assert [str(step.target) for step in plan.scenario.timeline] == [
        "link idle -> idle-store",
        "link idle-too -> idle-store",
    ]
    assert [one.fault for one in plan.meant] == ["slow", "more"]


def test_one_fault_without_a_target_leaves_the_whole_misfire_without(tmp_path: Path) -> None:
    declared = ", misfire: {target: {link: server -> object-store}}"
    plan = planned(tmp_path, two(declared, ""), idle="")
    assert plan.unaimed is not None
    assert plan.unaimed.startswith("more: no other link")
    assert [str(step.target) for step in plan.scenario.timeline] == [
        "link trainer -> object-store",
        "link server -> online",
    ]


def test_two_faults_that_would_meet_at_one_target_are_not_put_there(tmp_path: Path) -> None:
    declared = ", misfire: {target: {link: server -> object-store}}"
    assert planned(tmp_path, two(declared, declared), idle="").unaimed == (
        "'more' overlaps 'slow' in time, and both act on link server -> object-store"
    )
    after = two(declared, declared, when="after: {event: slow.reverted}")
    assert planned(tmp_path, after, idle="").unaimed is None


def test_a_matrix_has_a_misfire_for_each_of_its_runs(tmp_path: Path) -> None:
    text = changed("vars: {latency: 800ms, share: 0.5}", "matrix: {latency: [1s, 2s]}")
    text = changed("    for: 12s\n", DECLARED, text)
    made: Any = make_plans(loaded(tmp_path, text), load_stack(STACK), twin="misfire")
    assert [plan.run for plan in made] == ["slow-store@latency=1s~misfire", "slow-store@latency=2s~misfire"]
