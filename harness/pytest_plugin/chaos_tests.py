"""A test function with the `chaos` fixture, from its marker to its verdict.

The verdict belongs to the test's call: the run comes to its end when the function returns, and is held to everything
that was expected. An exception of the test itself heals and stops the stack, and is reported as itself.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.description.stackfile import resolve_stack
from harness.model.errors import HarnessError, ScenarioError, StackError
from harness.pytest_plugin.chaos import Chaos
from harness.pytest_plugin.failure_text import error_text, last_logs, note_run, passes, verdict_text
from harness.pytest_plugin.session_runner import Finished, session_runner_of
from harness.runner.catalogue import Catalogue, Faults
from harness.runner.draft import Draft
from harness.runner.session import RunEndedError

FIELDS = ("start_at", "seed", "steady_state", "may_die", "gate_timeout")
OTHERS = ("links", "integrity")
HARNESS_ERROR_KEY: pytest.StashKey[bool] = pytest.StashKey()
_UNSAFE = re.compile(r"[^\w.-]+", re.ASCII)


def chaos_for(item: pytest.Function) -> Chaos:
    """Make the fixture of one test. A marker that cannot be used is an error of its set-up."""
    __tracebackhide__ = True
    try:
        name, settings = _marked(item)
        catalogue = Catalogue(resolve_stack(_seen_from(item, name)), Faults())
        bench = session_runner_of(item.config)
        links = settings.pop("links", None)
        draft = Draft(
            _run_name(item),
            _scenario(item, name, settings),
            catalogue,
            seed=bench.settings.seed,
            twin=bench.settings.twin,
            backend=bench.settings.backend,
            file=str(item.path),
        )
        draft.plan_links(links if links is not None else ())
    except HarnessError as error:
        refused = str(error)
    else:
        return Chaos(bench, draft, catalogue, links)
    pytest.fail(refused, pytrace=False)


def _marked(item: pytest.Function) -> tuple[str, dict[str, Any]]:
    mark = item.get_closest_marker("stack")
    if mark is None:
        remedy = 'mark it with @pytest.mark.stack("reference")'
        raise ScenarioError("the test uses `chaos` and names no stack", file=str(item.path), remedy=remedy)
    from harness.model.nearest import did_you_mean

    named = dict(mark.kwargs)
    name = named.pop("name", None) if not mark.args else mark.args[0]
    if not isinstance(name, str) or len(mark.args) > 1:
        raise ScenarioError("one stack is needed", file="@pytest.mark.stack", remedy="give its name, then keywords")
    for field in named:
        if field not in (*FIELDS, *OTHERS):
            remedy = did_you_mean(field, (*FIELDS, *OTHERS))
            raise ScenarioError(f"unknown setting {field!r}", file="@pytest.mark.stack", field=field, remedy=remedy)
    return name, named


def _scenario(item: pytest.Function, stack: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the test as the fields of a scenario file."""
    summary = (inspect.getdoc(item.function) or item.name).strip().splitlines()[0]
    raw: dict[str, Any] = {"scenario": _run_name(item), "summary": summary, "stack": stack}
    raw |= {name: value for name, value in settings.items() if name in FIELDS and value is not None}
    bounds = raw.get("steady_state")
    if isinstance(bounds, list | tuple):
        raw["steady_state"] = [_with_id(bound, k) for k, bound in enumerate(bounds)]
    if settings.get("integrity") is not None:
        raw["expect"] = {"integrity": list(settings["integrity"])}
    return raw


def _with_id(bound: Any, k: int) -> Any:
    if isinstance(bound, Mapping):
        return {"id": f"steady-{k + 1}-{bound.get('probe', '')}", **bound}
    return bound


def _run_name(item: pytest.Function) -> str:
    name = _UNSAFE.sub("-", item.name).strip("-.")[:120]
    return name or "test"


def _seen_from(item: pytest.Function, stack: str) -> str:
    is_path = "/" in stack or Path(stack).suffix in (".yaml", ".yml")
    return str((item.path.parent / stack).resolve()) if is_path else stack


@contextmanager
def judged(item: pytest.Function, chaos: Chaos) -> Iterator[None]:
    """Hold a test to the verdict on its run, when its function has returned."""
    __tracebackhide__ = True
    try:
        yield
    except RunEndedError:
        finished = chaos.conclude()  # the gate was not met: that is a verdict, and no exception of the test
    except BaseException as error:
        _note(item, chaos.fail(error))
        raise
    else:
        finished = chaos.conclude()
    _note(item, finished)
    reason = _reason(item, finished)
    if reason is not None:
        raise pytest.fail.Exception(reason, pytrace=False) from None


def _reason(item: pytest.Function, finished: Finished | None) -> str | None:
    """Return why a test does not pass, None where it does."""
    if finished is None:
        return f"{item.name}: UNKNOWN: the test put no fault in, so nothing was shown"
    if finished.error is not None:
        item.stash[HARNESS_ERROR_KEY] = True
        return error_text(finished)
    assert finished.verdict is not None
    return None if passes(finished.verdict) else verdict_text(finished)


def _note(item: pytest.Function, finished: Finished | None) -> None:
    if finished is None:
        return
    note_run(item, finished)
    if finished.told:
        item.add_report_section("call", "harness", "\n".join(finished.told))
    logs = last_logs(finished) if finished.error is not None else []
    if logs:
        item.add_report_section("call", "harness logs", "\n".join(logs))


def is_harness_error(item: pytest.Item, error: BaseException) -> bool:
    """Whether what ended a test is the harness's own failure: no finding, and no mistake of the test either."""
    if item.stash.get(HARNESS_ERROR_KEY, False):
        return True
    return isinstance(error, HarnessError) and not isinstance(error, ScenarioError | StackError)
