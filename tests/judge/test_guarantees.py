"""Integrity: nothing lost, doubled or poisoned, nothing older promoted, everything restorable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from journals import Run

from harness.journal.records import parse
from harness.judge import judge
from harness.model.verdict import ClauseResult

HOUR = 3600
EXAMPLES, CHECKPOINTS, PROMOTIONS, POISON = (
    "examples_exactly_once",
    "checkpoints_restorable",
    "promotion_monotonic",
    "nothing_poisoned",
)


def run_of(check: str, **how: Any) -> Run:
    fault = how.pop("fault", {})
    return Run(guarantees=[check], **how).gate().fault(**fault).end()


def version(number: int, *keys: str, parent: int | None = None, promoted: bool = True, **more: Any) -> dict[str, Any]:
    parts = [{"key": key, "digest": f"sha256:{key}", "rows": 1, **more} for key in keys]
    return {"version": number, "parent": parent, "promoted": promoted, "trained_on": parts}


# examples


def served(run: Run, name: str, outcome_at: int | None = 10, **changes: Any) -> Run:
    body = {"id": name, "at_event": 0, "due_s": 6.0, "sent_s": 6.0, "done_s": 6.1, "ok": True, "outcome_at": outcome_at}
    return run.add(6.1, "answer", **(body | changes))


def examples(
    training: dict[str, list[str]], *versions: dict[str, Any], settled: int | None = 9 * HOUR, **more: Any
) -> Run:
    run = run_of(EXAMPLES).evidence("examples", training=training, settled_until=settled, **more)
    return run.evidence("lineage", versions=list(versions), poisoned={})


def test_every_example_once_passes() -> None:
    run = served(served(examples({"t1": ["a"]}, version(1, "t1"), quarantine={"q1": ["b"]}), "a"), "b")
    found = run.clause(EXAMPLES)
    assert found.value == "pass"
    assert len(found.cites) == 2


def test_a_lost_example_fails() -> None:
    found = served(served(examples({"t1": ["a"]}), "a"), "b").clause(EXAMPLES)
    assert found.value == "fail"
    assert "such as b" in found.reason


def test_a_doubled_example_fails() -> None:
    assert served(examples({"t1": ["a"], "t2": ["a"]}), "a").clause(EXAMPLES).value == "fail"
    assert served(examples({"t1": ["a"]}, quarantine={"q": ["a"]}), "a").clause(EXAMPLES).value == "fail"


@pytest.mark.parametrize(
    "changes",
    [{"ok": False}, {"flagged": "stale"}, {"outcome_at": None}, {"outcome_at": 8 * HOUR}, {"at_event": 8 * HOUR}],
)
def test_what_need_not_be_there_is_not_missed(changes: dict[str, Any]) -> None:
    found = served(examples({"t1": []}), "a", **changes).clause(EXAMPLES)
    assert found.value == "unknown"
    assert "not exercised" in found.reason


def test_nothing_settled_is_not_exercised() -> None:
    assert served(examples({}, settled=None), "a").clause(EXAMPLES).value == "unknown"


def test_a_partition_learned_twice_fails() -> None:
    run = served(examples({"t1": ["a"]}, version(1, "t1"), version(2, "t1", parent=1)), "a")
    assert "both learned t1" in run.clause(EXAMPLES).reason


def test_a_rolled_back_version_s_partitions_may_be_learned_again() -> None:
    branch = (version(1, "t1"), version(2, "t2", parent=1), version(3, "t2", "t3", parent=1))
    found = served(examples({"t1": ["a"], "t2": ["b"], "t3": ["c"]}, *branch), "a").clause(EXAMPLES)
    assert found.value == "pass"


def test_a_candidate_that_was_not_promoted_has_learned_nothing() -> None:
    both = (version(1, "t1", promoted=False), version(2, "t1"))
    assert served(examples({"t1": ["a"]}, *both), "a").clause(EXAMPLES).value == "pass"


def silent(number: int, *keys: str, **more: Any) -> dict[str, Any]:
    """A version of which nothing says whether it was promoted."""
    return {key: value for key, value in version(number, *keys, **more).items() if key != "promoted"}


@pytest.mark.parametrize(("promoted", "value"), [(None, "unknown"), (False, "pass"), (True, "fail")])
def test_a_version_that_is_not_said_to_be_promoted_may_have_been(promoted: bool | None, value: str) -> None:
    twice = silent(1, "t1", "t1") | ({} if promoted is None else {"promoted": promoted})
    found = served(examples({"t1": ["a"]}, twice, version(2, "t1")), "a").clause(EXAMPLES)
    assert found.value == value
    assert ("nothing tells whether version 1 was promoted" in found.reason) is (value == "unknown")


def test_without_promotions_two_versions_that_learned_the_same_are_unknown() -> None:
    both = (silent(1, "t1"), silent(2, "t1", parent=1))
    assert served(examples({"t1": ["a"]}, *both), "a").clause(EXAMPLES).value == "unknown"
    apart = (silent(1, "t1"), silent(2, "t2", parent=1))
    found = served(examples({"t1": ["a"], "t2": ["b"]}, *apart), "a").clause(EXAMPLES)
    assert found.value == "pass", "whichever was promoted"


def test_what_a_version_was_made_from_must_be_recorded() -> None:
    orphan = version(3, "t3", parent=2)
    found = served(examples({"t3": ["a"]}, orphan), "a").clause(EXAMPLES)
    assert (found.value, "nothing about version 2" in found.reason) == ("unknown", True)
    run = examples({"t2": ["b"], "t3": ["a"], "t4": ["c"]}, orphan, version(4, "t4", parent=3))
    assert served(run, "a").clause(EXAMPLES).value == "unknown", "t2 may have been learned by version 2"


def test_a_number_of_the_ledger_that_is_not_finite_is_no_evidence() -> None:
    run = served(examples({"t1": ["a"]}, version(1, "t1"), settled=123_456), "a")
    assert run.clause(EXAMPLES).value == "pass"
    found = judge(parse([line.replace("123456", "1e999") for line in run.text()])).clauses
    assert [(c.value, "not of the documented form" in c.reason) for c in found if c.id == EXAMPLES] == [
        ("unknown", True)
    ]


def test_a_partition_skipped_by_the_chain_that_serves_fails() -> None:
    parts = {"t1": ["a"], "t2": ["b"], "t3": ["c"]}
    found = served(examples(parts, version(1, "t1"), version(3, "t3", parent=1)), "a").clause(EXAMPLES)
    assert "t2 was never learned" in found.reason
    rolled_back = (version(1, "t1"), version(2, "t2", parent=1), version(3, "t3", parent=1))
    assert served(examples(parts, *rolled_back), "a").clause(EXAMPLES).value == "fail"


def test_keys_are_ordered_by_their_numbers_and_not_by_their_spelling() -> None:
    def value(*keys: str, unlearned: str, **more: Any) -> str:
        chain = [version(n, key, parent=n - 1 or None) for n, key in enumerate(keys, start=1)]
        parts = {key: [key] for key in keys} | {unlearned: ["z"]}
        return served(examples(parts, *chain, **more), keys[0]).clause(EXAMPLES).value

    assert value("part-8", "part-9", unlearned="part-10") == "pass", "it is newer, and not learned yet"
    assert value("part-8", "part-10", unlearned="part-9") == "fail"
    assert value("part-8", "part-12", "part-11", unlearned="part-10") == "unknown", "they do not come by their numbers"
    assert value("a/9", "b/9", "a/10", unlearned="b/10") == "pass", "each writer has keys of its own"
    assert value("a/8", "b/9", "a/10", unlearned="a/9") == "fail"
    assert value("f3x", "0cc", unlearned="a9b") == "unknown", "no two of them are of one series"
    hours = {"f3x": 8.0 * HOUR, "0cc": 9.0 * HOUR}
    assert value("f3x", "0cc", unlearned="a9b", matured=hours | {"a9b": 10.0 * HOUR}) == "pass"
    assert value("f3x", "0cc", unlearned="a9b", matured=hours | {"a9b": 8.5 * HOUR}) == "unknown"
    assert value("s2/8", unlearned="s1/9") == "unknown", "one version shows no order"
    assert value("p1", "p3", unlearned="p2", matured={"p1": 1.0, "p2": 5.0, "p3": 3.0}) == "unknown", (
        "its examples are newer than those of the newer partition"
    )


def test_what_was_skipped_is_known_only_where_it_is_known_which_chain_serves() -> None:
    parts = {"t1": ["a"], "t2": ["b"], "t3": ["c"], "t4": ["d"]}
    chain = (version(1, "t1"), version(3, "t3", parent=1))
    after = silent(4, "t4", parent=3), silent(4, "t2", "t4", parent=3)
    assert served(examples(parts, *chain, after[0]), "a").clause(EXAMPLES).value == "fail", "either way"
    assert served(examples(parts, *chain, after[1]), "a").clause(EXAMPLES).value == "unknown"


def test_a_partition_that_the_fault_had_changed_may_have_been_passed_over() -> None:
    parts = {"t1": ["a"], "t2": ["b"], "t3": ["c"]}
    run = examples(parts, version(1, "t1"), version(3, "t3", parent=1))
    run.hit(6.0, {"object": "t2", "entity": "JFK", "event_time": None, "field": "temp", "digest": "sha256:bad"})
    found = served(run, "a").clause(EXAMPLES)
    assert (found.value, "the fault had changed it" in found.reason) == ("unknown", True)


def test_where_nothing_was_promoted_nothing_was_skipped() -> None:
    candidates = (version(1, "t1", promoted=False), version(2, "t3", promoted=False))
    run = examples({"t1": ["a"], "t2": ["b"], "t3": ["c"]}, *candidates)
    assert served(run, "a").clause(EXAMPLES).value == "pass"


def test_lineage_without_parents_is_one_chain() -> None:
    def bare(number: int, key: str) -> dict[str, Any]:
        return {k: v for k, v in version(number, key).items() if k != "parent"}

    found = served(examples({"t1": ["a"]}, bare(1, "t1"), bare(2, "t1")), "a").clause(EXAMPLES)
    assert found.value == "fail"


def test_a_partition_changed_after_it_was_learned_fails() -> None:
    run = served(examples({"t1": ["a"]}, version(1, "t1", digest_now="sha256:other")), "a")
    assert "changed after" in run.clause(EXAMPLES).reason
    same = served(examples({"t1": ["a"]}, version(1, "t1", digest_now="sha256:t1")), "a")
    assert same.clause(EXAMPLES).value == "pass"


@pytest.mark.parametrize("digest", [None, "t1", "md5:t1"])
def test_digests_are_compared_only_where_there_are_two_of_one_kind(digest: str | None) -> None:
    run = examples({"t1": ["a"]}, version(1, "t1", digest=digest, digest_now="sha256:other"))
    assert served(run, "a").clause(EXAMPLES).value == "pass"


def hit_partition(key: str, digest: str | None = "sha256:bad") -> dict[str, Any]:
    row = {"object": key, "entity": "JFK", "event_time": None, "field": "temp"}
    return row | ({"digest": digest} if digest is not None else {})


@pytest.mark.parametrize(
    ("learned", "now", "value"),
    [
        ("sha256:bad", "sha256:t1", "pass"),  # the fault put it back, after a version had learned what it wrote
        ("sha256:t1", "sha256:bad", "pass"),
        ("sha256:t1", "sha256:other", "fail"),
    ],
)
def test_what_the_fault_wrote_and_put_back_was_not_changed_by_the_stack(learned: str, now: str, value: str) -> None:
    run = examples({"t1": ["a"]}, version(1, "t1", digest=learned, digest_now=now)).hit(6.0, hit_partition("t1"))
    assert served(run, "a").clause(EXAMPLES).value == value


@pytest.mark.parametrize("untold", [{"rows": [hit_partition("t1", None)]}, {"rows": [], "untold": "nobody knows"}])
def test_a_partition_that_the_fault_may_have_changed_is_unknown(untold: dict[str, Any]) -> None:
    run = examples({"t1": ["a"]}, version(1, "t1", digest_now="sha256:other")).add(6.0, "hit", fault="slow", **untold)
    found = served(run, "a").clause(EXAMPLES)
    assert (found.value, "perhaps by the fault" in found.reason) == ("unknown", True)


@pytest.mark.parametrize(("due_until", "value"), [(8 * HOUR, "unknown"), (9 * HOUR, "fail")])
def test_what_is_due_goes_by_the_stack_s_clock_and_not_by_other_partitions(due_until: int, value: str) -> None:
    run = examples({"a/12": ["x"]}, version(1, "a/12"), settled=12 * HOUR, due_until=due_until)
    assert served(run, "b", outcome_at=9 * HOUR).clause(EXAMPLES).value == value


@pytest.mark.parametrize(("written", "value"), [(["x", "b"], "pass"), (["x"], "unknown")])
def test_a_short_run_is_exercised_by_what_is_there_before_it_is_due(written: list[str], value: str) -> None:
    run = examples({"a/12": written}, version(1, "a/12"), settled=12 * HOUR, due_until=8 * HOUR)
    found = served(run, "b", outcome_at=9 * HOUR).clause(EXAMPLES)
    assert found.value == value
    assert ("newer ones are, and these are not due yet" in found.reason) is (value == "unknown")


@pytest.mark.parametrize(("from_s", "value"), [(24.9, "unknown"), (25.1, "pass")])
def test_answers_that_the_harness_may_have_missed_may_be_in_no_partition(from_s: float, value: str) -> None:
    run = served(examples({"t1": ["a"]}, version(1, "t1")), "a").gap("workload", from_s, 30.0)
    found = run.clause(EXAMPLES)
    assert found.value == value
    assert ("workload was not measured from 24.90 to 30.00 s" in found.reason) is (value == "unknown")


@pytest.mark.parametrize("part", ["examples", "lineage"])
def test_unreadable_evidence_is_unknown(part: str) -> None:
    run = served(examples({"t1": ["a"]}), "a").evidence(part, error="timed out")
    found = run.clause(EXAMPLES)
    assert found.value == "unknown"
    assert "timed out" in found.reason


def test_evidence_that_was_never_read_is_unknown() -> None:
    for check in (EXAMPLES, CHECKPOINTS, PROMOTIONS, POISON):
        assert "never read" in run_of(check).clause(check).reason


def test_a_fault_in_doubt_makes_guarantees_unknown() -> None:
    run = run_of(CHECKPOINTS, fault={"confirmed": None}).evidence(
        "checkpoints", checkpoints=[{"key": "c", "ok": False}]
    )
    assert run.clause(CHECKPOINTS).value == "unknown"


def test_only_the_guarantees_that_are_asked_for_are_checked() -> None:
    run = Run({"integrity": []}, guarantees=[POISON]).gate().fault().end()
    assert {c.id for c in run.judged().clauses} == {"expectations", "collateral"}


# checkpoints


def checkpoints(*ok: bool) -> ClauseResult:
    found = [{"key": f"c{k}", "ok": good, "error": None if good else "truncated"} for k, good in enumerate(ok)]
    return run_of(CHECKPOINTS).evidence("checkpoints", checkpoints=found).clause(CHECKPOINTS)


def test_checkpoints_must_all_be_restored() -> None:
    assert checkpoints(True, True).value == "pass"
    assert checkpoints(True, False).reason == "checkpoints_restorable: c1 cannot be restored: truncated"
    assert checkpoints(True, False).value == "fail"
    assert checkpoints().value == "unknown"


# promotions


def promotions(
    *history: tuple[str, int], served: Callable[[float], float | None] | float | None = None
) -> ClauseResult:
    run = run_of(PROMOTIONS)
    entries = [{"seq": k, "action": action, "version": v} for k, (action, v) in enumerate(history)]
    run.evidence("promotions", history=entries[::-1])
    if served is not None:
        run.readings("promoted_version", served)
    return run.clause(PROMOTIONS)


def test_promotions_only_go_forward() -> None:
    assert promotions(("promote", 1), ("reject", 2), ("promote", 3)).value == "pass"
    assert promotions(("promote", 3), ("promote", 2)).value == "fail"
    assert promotions(("promote", 3), ("reject", 5), ("promote", 4)).value == "pass", (
        "what was rejected counts for nothing"
    )


def test_a_roll_back_may_go_back() -> None:
    assert promotions(("promote", 3), ("rollback", 2), ("promote", 4)).value == "pass"
    rolled = promotions(("promote", 3), ("rollback", 2), served=lambda t: 3.0 if t < 9 else 2.0)
    assert rolled.value == "pass"


def test_a_pointer_that_went_back_fails_whatever_the_history_says() -> None:
    found = promotions(("promote", 2), ("promote", 3), served=lambda t: 3.0 if t < 9 else None if t < 10 else 2.0)
    assert found.value == "fail"
    assert "from 3 to 2" in found.reason


P, B = "promote", "rollback"


@pytest.mark.parametrize(
    ("history", "pointer", "value"),
    [
        # A roll-back explains one fall, and no other.
        (((P, 1), (P, 2), (B, 1), (P, 3)), ((0, 1), (6, 2), (8, 1), (10, 3)), "pass"),
        (((P, 1), (P, 2), (B, 1), (P, 3)), ((0, 1), (6, 2), (8, 1), (10, 3), (16, 1)), "fail"),
        # What was rolled back before the run explains nothing in it.
        (((P, 2), (B, 1), (P, 3)), ((0, 3), (9, 1)), "fail"),
        # Between two readings the pointer may have gone back and forward again.
        (((P, 1), (P, 3), (B, 1), (P, 2)), ((0, 3), (9, 2)), "pass"),
        (((P, 1), (P, 2), (B, 1), (P, 2), (B, 1)), ((0, 2), (6, 1), (8, 2), (10, 1)), "pass"),
        # The registry may forget: a rise that it does not know is no fall.
        (((P, 1),), ((0, 1), (9, 7)), "pass"),
    ],
)
def test_each_fall_of_the_pointer_needs_its_own_roll_back(
    history: tuple[tuple[str, int], ...], pointer: tuple[tuple[float, float], ...], value: str
) -> None:
    found = promotions(*history, served=steps(*pointer))
    assert found.value == value, found.reason


def test_a_pass_says_whether_the_pointer_went_back() -> None:
    assert promotions((P, 1), (P, 2)).reason.endswith("the promoted version only went forward, to 2")
    rolled = promotions((P, 1), (P, 2), (B, 1))
    assert rolled.reason.endswith("the promoted version went back by roll-backs alone, and is 1")


def test_a_declared_pointer_that_was_never_read_may_have_gone_back() -> None:
    run = run_of(PROMOTIONS).evidence("promotions", history=[{"seq": 0, "action": P, "version": 1}])
    assert run.clause(PROMOTIONS).value == "pass", "this stack has no such probe"
    run.plan["stack"]["probe_every_s"] = {"promoted_version": 0.5}
    assert run.clause(PROMOTIONS).reason.endswith("promoted_version was not read from 1.00 to 25.00 s")
    assert run.clause(PROMOTIONS).value == "unknown"


@pytest.mark.parametrize(("from_s", "value"), [(24.9, "unknown"), (25.1, "pass")])
def test_a_pointer_that_the_harness_did_not_read_may_have_gone_back(from_s: float, value: str) -> None:
    run = run_of(PROMOTIONS).evidence("promotions", history=[{"seq": 0, "action": "promote", "version": 1}])
    found = run.gap("promoted_version", from_s, 30.0).clause(PROMOTIONS)
    assert found.value == value
    assert ("promoted_version was not read" in found.reason) is (value == "unknown")


def test_nothing_promoted_was_not_exercised() -> None:
    assert promotions().value == "unknown"


# poison


def poison(
    *versions: dict[str, Any],
    pointer: Callable[[float], float | None],
    hit: dict[str, list[str]] | None = None,
    rows: int = 1,
    **how: Any,
) -> ClauseResult:
    run = run_of(POISON, **how).readings("promoted_version", pointer)
    if rows:
        run.hit(6.0, *({"entity": "JFK", "event_time": k, "field": "temp"} for k in range(rows)))
    return run.evidence("lineage", versions=list(versions), poisoned=hit or {}).clause(POISON)


def steps(*at: tuple[float, float]) -> Callable[[float], float]:
    """Return a pointer that goes to a version at a time."""
    return lambda t_s: max((t, v) for t, v in at if t <= t_s)[1]


CHAIN = (version(1, "t1"), version(2, "t2", parent=1), version(3, "t3", parent=2))


def test_clean_versions_after_revert_pass() -> None:
    assert poison(*CHAIN, pointer=steps((0, 1), (8, 2), (14, 3))).value == "pass"


def test_a_poisoned_version_promoted_after_revert_fails() -> None:
    found = poison(*CHAIN, pointer=steps((0, 1), (8, 2), (14, 3)), hit={"t3": ["a"]})
    assert found.value == "fail"
    assert "version 3" in found.reason


def test_poison_is_inherited_from_a_parent() -> None:
    pointer = steps((0, 1), (8, 2), (14, 3))
    assert poison(*CHAIN, pointer=pointer, hit={"t2": ["a"]}).value == "fail"
    branched = (*CHAIN[:2], version(3, "t3", parent=1))
    assert poison(*branched, pointer=pointer, hit={"t2": ["a"]}).value == "pass"


def test_poison_promoted_and_gone_before_revert_passes() -> None:
    branched = (*CHAIN[:2], version(3, "t3", parent=1))
    assert poison(*branched, pointer=steps((0, 1), (6, 2), (8, 1), (14, 3)), hit={"t2": ["a"]}).value == "pass"


def test_a_roll_back_onto_a_poisoned_version_fails() -> None:
    branched = (*CHAIN[:2], version(3, "t3", parent=1))
    assert poison(*branched, pointer=steps((0, 1), (6, 2), (8, 3), (14, 2)), hit={"t2": ["a"]}).value == "fail"


def test_a_poisoned_version_between_two_readings_fails() -> None:
    last = version(4, "t4", parent=2)
    found = poison(*CHAIN, last, pointer=steps((0, 1), (8, 2), (14, 4)), hit={"t3": ["a"]})
    assert found.value == "fail"
    rejected = (*CHAIN[:2], version(3, "t3", parent=2, promoted=False), last)
    assert poison(*rejected, pointer=steps((0, 1), (8, 2), (14, 4)), hit={"t3": ["a"]}).value == "pass"


def test_a_poisoned_version_that_was_promoted_unseen_is_unknown() -> None:
    assert poison(*CHAIN, pointer=steps((0, 1), (14, 2)), hit={"t3": ["a"]}).value == "unknown"


def test_a_poisoned_version_promoted_around_revert_is_unknown() -> None:
    found = poison(*CHAIN, pointer=steps((0, 1), (8, 2), (12.0, 3)), hit={"t3": ["a"]})
    assert found.value == "unknown"
    assert "around revert" in found.reason


@pytest.mark.parametrize(
    ("promoted_s", "value"),
    [
        (11.0, "pass"),
        (12.0, "pass"),
        (12.1, "unknown"),
        (15.05, "unknown"),  # it was read as the revert ended, and was another then
        (15.15, "fail"),
    ],
)
def test_a_revert_that_took_a_while_leaves_open_what_was_promoted_meanwhile(promoted_s: float, value: str) -> None:
    branched = (*CHAIN[:2], version(3, "t3", parent=1))
    pointer = steps((0, 1), (promoted_s, 2), (17, 3))
    found = poison(*branched, pointer=pointer, hit={"t2": ["a"]}, fault={"reverted": (12.01, 15.0)})
    assert found.value == value, found.reason


@pytest.mark.parametrize(("hit", "value"), [({"t2": ["a"]}, "unknown"), ({}, "pass")])
def test_a_poisoned_version_may_have_come_back_while_the_pointer_was_not_read(
    hit: dict[str, list[str]], value: str
) -> None:
    branched = (*CHAIN[:2], version(3, "t3", parent=1))
    run = run_of(POISON).readings("promoted_version", steps((0, 1), (6, 2), (8, 1), (14, 3)))
    run.hit(6.0, {"entity": "JFK", "event_time": 1, "field": "temp"}).gap("promoted_version", 18.0, 19.0)
    found = run.evidence("lineage", versions=list(branched), poisoned=hit).clause(POISON)
    assert found.value == value, found.reason


ALL_THREE = steps((0, 1), (8, 2), (14, 3))


def traced(
    *versions: dict[str, Any],
    hits: tuple[dict[str, Any], ...] = (),
    pointer: Callable[[float], float] = ALL_THREE,
    **lineage: Any,
) -> ClauseResult:
    run = run_of(POISON).readings("promoted_version", pointer).hit(6.0, *hits)
    return run.evidence("lineage", versions=list(versions), **({"poisoned": {}} | lineage)).clause(POISON)


ROW = {"entity": "JFK", "event_time": 1, "field": "temp"}


@pytest.mark.parametrize("missing", ["entity", "event_time", "field"])
def test_a_row_that_would_not_be_known_again_cannot_be_traced(missing: str) -> None:
    found = traced(*CHAIN, hits=(ROW, ROW | {missing: None}))
    assert (found.value, "1 of the rows hit" in found.reason) == ("unknown", True)
    assert traced(*CHAIN, hits=(ROW,)).value == "pass"


@pytest.mark.parametrize("poisoned", [{}, None])
def test_what_the_ledger_could_not_trace_is_unknown(poisoned: dict[str, Any] | None) -> None:
    found = traced(*CHAIN, hits=(ROW,), poisoned=poisoned, untraced="the examples have no column temp")
    assert (found.value, "no column temp" in found.reason) == ("unknown", True)


def test_what_was_traced_fails_whatever_was_not() -> None:
    found = traced(*CHAIN, hits=(ROW,), poisoned={"t3": ["a"]}, untraced="the examples have no column temp")
    assert found.value == "fail"


def test_a_fault_that_does_not_report_its_rows_may_have_hit_any() -> None:
    run = run_of(POISON).readings("promoted_version", ALL_THREE)
    run.add(5.0, "hit", fault="slow", rows=[], untold="the fault command does not report what data it changed")
    found = run.evidence("lineage", versions=list(CHAIN), poisoned={}).clause(POISON)
    assert (found.value, "does not report" in found.reason) == ("unknown", True)


@pytest.mark.parametrize(
    ("digest", "value"),
    [("sha256:bad", "fail"), ("SHA256:BAD", "fail"), ("sha256:t3", "pass"), (None, "unknown"), ("md5:t3", "unknown")],
)
def test_who_learned_a_partition_as_the_fault_had_written_it_is_told_by_its_digest(
    digest: str | None, value: str
) -> None:
    last = version(3, "t3", parent=2, digest=digest, digest_now="sha256:t3")
    found = traced(*CHAIN[:2], last, hits=(hit_partition("t3"),))
    assert found.value == value, found.reason


def test_what_was_learned_before_the_fault_is_not_the_fault_s() -> None:
    # Version 1 was promoted before the injection; it comes back after revert, and its partition is another by now.
    pointer = steps((0, 1), (8, 2), (14, 1), (16, 4))
    later = version(4, "t4", parent=1)
    first = version(1, "t1", digest=None, digest_now="sha256:t1")
    chain = (first, CHAIN[1], later)
    assert traced(*chain, hits=(ROW, hit_partition("t1")), pointer=pointer).value == "pass"
    assert traced(*chain, hits=(ROW,), poisoned={"t1": ["a"]}, pointer=pointer).value == "pass"
    assert traced(*chain, hits=(ROW, hit_partition("t4")), pointer=pointer).value == "pass"
    assert traced(CHAIN[1], later, hits=(ROW,), pointer=pointer).value == "pass", "version 1 needs no record"


def test_rows_are_traced_in_what_was_learned_and_not_in_what_it_became() -> None:
    def value(poisoned: dict[str, Any], **digests: Any) -> str:
        last = version(3, "t3", parent=2, **digests)
        return traced(*CHAIN[:2], last, hits=(ROW,), poisoned=poisoned).value

    assert value({}, digest_now="sha256:t3") == "pass"
    assert value({"t3": ["a"]}, digest_now="sha256:t3") == "fail"
    for poisoned in ({}, {"t3": ["a"]}):
        assert value(poisoned, digest_now="sha256:other") == "unknown"
        assert value(poisoned, digest=None, digest_now="sha256:t3") == "unknown"


def test_a_version_without_a_record_may_have_learned_anything() -> None:
    found = traced(CHAIN[0], CHAIN[2], hits=(ROW,))
    assert (found.value, "nothing about version 2" in found.reason) == ("unknown", True)
    found = traced(*CHAIN[:2], hits=(ROW,))
    assert (found.value, "version 3 was promoted" in found.reason) == ("unknown", True)


def test_a_version_promoted_while_the_ledger_is_read_need_not_be_in_it() -> None:
    later = steps((0, 1), (8, 2), (14, 3), (25.1, 4))
    found = traced(*CHAIN, hits=(ROW,), pointer=later)
    assert found.value == "pass", found.reason


@pytest.mark.parametrize(("promoted", "value"), [(True, "fail"), (None, "unknown"), (False, "pass")])
def test_a_pointer_that_stepped_over_a_version_may_have_promoted_it(promoted: bool | None, value: str) -> None:
    between = {k: v for k, v in version(3, "t3", parent=2).items() if k != "promoted"}
    between |= {} if promoted is None else {"promoted": promoted}
    found = traced(
        *CHAIN[:2], between, version(4, "t4", parent=2), hits=(ROW,), poisoned={"t3": ["a"]},
        pointer=steps((0, 1), (8, 2), (14, 4)),
    )  # fmt: skip
    assert found.value == value, found.reason


def test_no_promotion_after_revert_was_not_exercised() -> None:
    assert poison(*CHAIN, pointer=steps((0, 1), (8, 2))).value == "unknown"
    unread = poison(*CHAIN, pointer=lambda t: None)
    assert unread.value == "unknown"


def test_a_fault_that_hit_no_row_poisons_nothing() -> None:
    assert poison(*CHAIN, pointer=lambda t: 1.0, rows=0).value == "pass"


def test_a_repaired_row_is_no_poison() -> None:
    assert poison(*CHAIN, pointer=steps((0, 1), (14, 3)), hit={"t3": []}).value == "pass"


def test_poison_needs_the_fault_to_be_seen_gone() -> None:
    found = poison(*CHAIN, pointer=steps((0, 1), (14, 3)), fault={"reverted": None})
    assert found.value == "unknown"
    assert "gone" in found.reason


def test_a_control_has_nothing_to_poison() -> None:
    run = Run(guarantees=[POISON], twin="control").gate().readings("promoted_version", 1.0).alerts().end()
    run.evidence("lineage", versions=list(CHAIN), poisoned={})
    assert run.clause(POISON).value == "pass"


def test_a_pointer_that_does_not_answer_for_a_while_is_read_on_afterwards() -> None:
    silent = steps((0, 1), (8, 2), (14, 3))
    for hit, value in (({"t3": ["a"]}, "fail"), ({}, "pass")):
        found = poison(*CHAIN, pointer=lambda t: None if 9 < t < 13 else silent(t), hit=hit)
        assert found.value == value
