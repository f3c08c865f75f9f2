from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from refstack.leases import LeaseTable


def opened(*shards: str, expiry: bool = True) -> LeaseTable:
    table = LeaseTable(ttl_s=1.5, expiry=expiry)
    table.open(list(shards))
    return table


def test_an_expired_lease_goes_to_the_next_and_the_late_result_is_refused() -> None:
    table = opened("a")
    first = table.acquire("worker-1", 0.0)
    assert first is not None
    assert table.acquire("worker-2", 1.0) is None
    second = table.acquire("worker-2", 1.6)
    assert second is not None
    assert second.token > first.token
    assert not table.complete("a", first.token, "late", 1.7)
    assert table.complete("a", second.token, "good", 1.8)
    assert (table.results, table.done, table.expired) == ({"a": "good"}, True, 1)


def test_a_renewed_lease_holds_on() -> None:
    table = opened("a")
    lease = table.acquire("worker-1", 0.0)
    assert lease is not None
    assert table.renew("a", lease.token, 1.0)
    assert table.acquire("worker-2", 2.0) is None
    assert not table.renew("a", lease.token, 3.0)


def test_without_expiry_a_lost_worker_keeps_its_shard() -> None:
    table = opened("a", expiry=False)
    assert table.acquire("worker-1", 0.0) is not None
    assert table.acquire("worker-2", 1e6) is None
    assert not table.done


def test_a_shard_given_up_is_waiting_again() -> None:
    table = opened("a")
    lease = table.acquire("worker-1", 0.0)
    assert lease is not None
    assert table.give_up("a", lease.token)
    assert not table.give_up("a", lease.token)
    again = table.acquire("worker-2", 0.1)
    assert again is not None
    assert again.shard == "a"


def test_results_of_the_last_job_are_worth_nothing_in_the_next() -> None:
    table = opened("a")
    lease = table.acquire("worker-1", 0.0)
    assert lease is not None
    table.open(["a"])
    assert not table.complete("a", lease.token, "old", 0.1)


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["take", "bring", "lose"]), st.floats(0, 1)), max_size=60))
def test_every_shard_is_counted_once_whatever_workers_do(steps: list[tuple[int, str, float]]) -> None:
    table = opened("a", "b", "c")
    held: dict[int, list[tuple[str, int]]] = {0: [], 1: [], 2: []}
    taken: list[str] = []
    now = 0.0
    for worker, action, passed in steps:
        now += passed
        if action == "take" and (lease := table.acquire(f"worker-{worker}", now)):
            held[worker].append((lease.shard, lease.token))
        elif action == "bring" and held[worker]:
            shard, token = held[worker].pop()
            if table.complete(shard, token, worker, now):
                taken.append(shard)
        elif action == "lose":
            held[worker].clear()
    assert len(taken) == len(set(taken)) == len(table.results)
    while (lease := table.acquire("last", now + 10)) is not None:
        table.complete(lease.shard, lease.token, "last", now + 10)
    assert set(table.results) == {"a", "b", "c"}
    assert table.done
