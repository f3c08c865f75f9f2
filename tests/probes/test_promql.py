"""Queries to a Prometheus server: what they give, which series they select, and how old a sample may be."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from real_probes import Probing
from servers import serving

from harness.model.readings import Gap, Reading
from harness.probes.promql import samples
from harness.probes.reader import NoAnswerError
from harness.probes.selectors import selectors

pytestmark = pytest.mark.slow


def vector(*values: str, at_s: float = 1.0) -> dict[str, Any]:
    result = [{"metric": {"n": str(k)}, "value": [at_s, value]} for k, value in enumerate(values)]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


async def asked_and_read(folder: Path, query: str, said: Any, ages: dict[str, Any], **settings: Any) -> Any:
    """Return what a server was asked, as (query, time), and what came of it; `ages` has what it says to a selector."""
    asked = []

    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.path == "/prom/api/v1/query"
        asked.append((request.query["query"], request.query.get("time")))
        if request.query["query"] == query:
            return web.json_response(said)
        named = re.fullmatch(r"max\(time\(\) - \(?timestamp\((.+?)\)( or .+)?\)", request.query["query"])
        assert named is not None
        answer = ages[named[1]]
        return web.Response(status=answer) if isinstance(answer, int) else web.json_response(answer)

    async with serving(handler) as url:
        probes = {"p": {"promql": {"url": f"{url}/prom/", "query": query, **settings}}}
        async with Probing(folder, probes) as probing:
            await probing.pollers[0].once(0.0)
            (found,) = probing.told
    return asked, found


SUM = 'sum(up{job="a b"})'
FRESH = {'up{job="a b"}': vector("14.9")}


@pytest.mark.parametrize(
    ("said", "settings", "value", "why"),
    [
        (vector("2"), {}, 2.0, None), (vector("2", "3"), {"agg": "max"}, 3.0, None),
        (vector("2", "3"), {}, None, "2 series; say `agg`"), (vector(), {}, None, "no series"),
        (vector(), {"empty": 0}, 0.0, None), (vector("NaN"), {}, None, "nan"), (vector("+Inf"), {}, None, "inf"),
        ({"data": {"resultType": "scalar", "result": [1.0, "7"]}}, {}, 7.0, None),
        ({"data": {"resultType": "matrix", "result": []}}, {}, None, "gives a matrix"),
        ({"data": 3}, {}, None, "not Prometheus' form"), ([], {}, None, "not Prometheus' form"),
    ],
)  # fmt: skip
async def test_queries(tmp_path: Path, said: Any, settings: Any, value: float | None, why: str | None) -> None:
    asked, found = await asked_and_read(tmp_path, SUM, said, FRESH, **settings)
    assert asked[0] == (SUM, None), "the query of the stack is asked as it is written"
    assert isinstance(found, Reading)
    assert found.value == value
    assert (why or "") in (found.down or "")


async def test_a_sample_from_too_long_ago_is_no_reading_of_the_present(tmp_path: Path) -> None:
    ages = {"a": vector("3.25"), "b": vector("77.5")}
    asked, found = await asked_and_read(tmp_path, "a - b", vector("2", at_s=1.7e9), ages)
    assert set(asked[1:]) == {(f"max(time() - timestamp({name}))", "1700000000.000") for name in "ab"}
    assert isinstance(found, Gap), "neither a good reading nor a bad one"
    assert found.why == "a sample of b is 77.5 s old, older than `max_age` (20 s)"


@pytest.mark.parametrize(
    ("age", "settings", "kind"),
    [
        ("20", {}, Reading), ("20.1", {}, Gap), ("20.1", {"max_age": "1min"}, Reading),
        ("61", {"max_age": "1min"}, Gap), ("NaN", {}, Gap), ("299", {"max_age": "any"}, Reading),
    ],
)  # fmt: skip
async def test_the_limit_is_declared(tmp_path: Path, age: str, settings: dict[str, str], kind: type) -> None:
    _, found = await asked_and_read(tmp_path, "x", vector("1"), {"x": vector(age)}, **settings)
    assert type(found) is kind


async def test_nothing_and_a_bad_value_may_rest_on_old_samples_as_well(tmp_path: Path) -> None:
    for said, settings in ((vector(), {"empty": 0}), (vector(), {}), (vector("NaN"), {})):
        _, found = await asked_and_read(tmp_path, "x > 5", said, {"x": vector("200")}, **settings)
        assert isinstance(found, Gap), said


@pytest.mark.parametrize("answer", [422, {"data": 3}])
async def test_an_age_that_the_server_does_not_tell_is_unknown(tmp_path: Path, answer: Any) -> None:
    _, found = await asked_and_read(tmp_path, '{__name__=~"a|b"}', vector("1"), {'{__name__=~"a|b"}': answer})
    assert isinstance(found, Gap)
    assert found.why.startswith('how old the samples of {__name__=~"a|b"} are cannot be told: ')


async def test_what_selects_nothing_has_no_age(tmp_path: Path) -> None:
    asked, found = await asked_and_read(tmp_path, "vector(1) + time()", vector("1"), {})
    assert len(asked) == 1
    assert isinstance(found, Reading)
    _, found = await asked_and_read(tmp_path, "absent(x)", vector("1"), {"x": vector()})
    assert isinstance(found, Reading)


async def test_a_server_that_refuses_the_query_is_down(tmp_path: Path) -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(status=400)

    async with serving(handler) as url, Probing(tmp_path, {"p": {"promql": {"url": url, "query": "x{"}}}) as probing:
        assert (await probing.once())["p"].down == "status 400"


async def slowly(folder: Path, value_s: float, age_s: float, within: str) -> Any:
    """Return what comes of a reading where the value and its age take so long to be answered."""

    async def handler(request: web.Request) -> web.StreamResponse:
        of_age = request.query["query"].startswith("max(")
        await asyncio.sleep(age_s if of_age else value_s)
        return web.json_response(vector("3" if of_age else "1"))

    probes = {"p": {"promql": {"url": "", "query": "x"}, "timeout": within}}
    async with serving(handler) as url:
        probes["p"]["promql"]["url"] = url  # type: ignore[index]
        async with Probing(folder, probes) as probing:
            await probing.pollers[0].once(0.0)
            (found,) = probing.told
    return found


async def test_each_answer_has_the_deadline_for_itself(tmp_path: Path) -> None:
    found = await slowly(tmp_path, 0.6, 0.6, "1s")
    assert isinstance(found, Reading)
    assert (found.value, found.down) == (1.0, None)


async def test_an_age_that_does_not_come_in_time_is_no_breach_by_the_stack(tmp_path: Path) -> None:
    found = await slowly(tmp_path, 0.0, 30.0, "300ms")
    assert isinstance(found, Gap)
    assert found.why == "how old the samples of x are cannot be told: no answer within 0.3 s"


async def test_a_value_that_does_not_come_in_time_is_a_reading(tmp_path: Path) -> None:
    found = await slowly(tmp_path, 30.0, 0.0, "300ms")
    assert isinstance(found, Reading)
    assert (found.value, found.down) == (None, "no answer within 0.3 s")


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(
    st.sampled_from(["data", "resultType", "result", "value"]), x), max_leaves=10))  # fmt: skip
def test_any_answer_to_a_query_is_numbers_or_none(said: Any) -> None:
    with contextlib.suppress(NoAnswerError):
        found = samples(json.dumps(said).encode())
        assert all(isinstance(value, float) for value in found.values)
        assert found.at_s is None or math.isfinite(found.at_s)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("up", ["up"]), ('up{job="a b"}', ['up{job="a b"}']), ("up {}", ["up {}"]),
        ('{__name__="up"}', ['{__name__="up"}']),
        ("sum by (job, up) (rate(x_total[5m]))", ["x_total"]), ("sum(x) without (y)", ["x"]),
        ("histogram_quantile(0.99, rate(latency_bucket[1m]))", ["latency_bucket"]),
        ("a / on(k) group_left(l) b", ["a", "b"]), ("a and b unless c or a", ["a", "b", "c"]),
        ("a > bool 1e3", ["a"]), ("a * 0x1F + .5 + Inf - NaN", ["a"]), ("-x ^ 2", ["x"]),
        ('label_replace(m, "a", "$1 or x", \'b\', "(.*)")', ["m"]),
        ('m{a="}", b=~"x|{y"} + n', ['m{a="}", b=~"x|{y"}', "n"]),
        ("m # or n\n + o", ["m", "o"]), ("m{a=`\\`}", ["m{a=`\\`}"]), ('m{a="\\"}"}', ['m{a="\\"}"}']),
        ("max_over_time(rate(m[5m])[10m:1m])", ["m"]), ("job:x:rate5m", ["job:x:rate5m"]),
        ("m - m offset 1h", ["m"]), ("m offset 1h", []), ("rate(m[5m] offset 1h)", []), ("m @ 1700000000", []),
        ("m{a='b'} OFFSET 5m + n", ["n"]), ("time() - timestamp(m)", ["m"]), ("vector(1)", []), ("topk(3, m)", ["m"]),
        ("count by (x) (m)", ["m"]), ("sum BY (x) (m)", ["m"]), ("by", []), ("m{", ["m{"]), ("", []),
    ],
)  # fmt: skip
def test_the_selectors_of_a_query(query: str, found: list[str]) -> None:
    assert [one.text for one in selectors(query)] == found


@pytest.mark.parametrize(
    ("query", "over", "newest"),
    [
        ("m", None, "timestamp(m)"),
        ("rate(m[5m])", "5m", "(timestamp(m) or max_over_time(timestamp(m)[5m:5s]))"),
        ('sum(increase(m{a="]"}[ 1h30m ]))', "1h30m", None),
        ("max_over_time(m[10m:1m])", "10m", None),
        ("m[", None, "timestamp(m)"),
    ],
)
def test_a_range_holds_samples_of_series_that_have_ended(query: str, over: str | None, newest: str | None) -> None:
    (found,) = selectors(query)
    assert found.over == over
    assert newest in (None, found.newest)


@given(st.text(alphabet="ab{}[]()\"'`#@, \n=~offsetby1.", max_size=40))
def test_any_text_has_selectors_that_stand_in_it(query: str) -> None:
    assert all(one.text and one.text in query and (one.over or "") in query for one in selectors(query))
