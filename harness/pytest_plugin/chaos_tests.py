"""A test function with the `chaos` fixture, from its marker to its verdict.

The run ends when the function returns, and its verdict is that of the test's call. An exception of the test itself
heals and stops the stack, and is reported as itself. In a paired session the function is called a second time, for the
control.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.description.stackfile import resolve_stack
from harness.faults.installed import Faults
from harness.model.errors import HarnessError, ScenarioError, StackError
from harness.pytest_plugin.chaos import Chaos
from harness.pytest_plugin.failure_text import errors, failures, last_logs, note_run
from harness.pytest_plugin.session_runner import EndedRun, Finished, session_runner_of
from harness.runner.execution.draft import Draft
from harness.runner.execution.session import RunEndedError
from harness.runner.planning.catalogue import Catalogue

FIELDS = ("start_at", "seed", "steady_state", "may_die", "gate_timeout", "abort_if", "limits")
OTHERS = ("links", "integrity")
HARNESS_ERROR_KEY: pytest.StashKey[bool] = pytest.StashKey()
_UNSAFE = re.compile(r"[^\w.-]+", re.ASCII)


def chaos_for(item: pytest.Function) -> Chaos:
    """Make the fixture of one test. A marker that cannot be used is an error of its set-up."""
    __tracebackhide__ = True
    try:
        name, settings = _marked(item)
        catalogue = Catalogue(resolve_stack(_seen_from(item, name)), Faults())
        runner = session_runner_of(item.config)
        links = settings.pop("links", None)
        fields = _scenario(item, name, settings)

        def new_draft(control_of: str | None = None) -> Draft:
            """Return the draft of the test's run, or of that run's control."""
            draft = Draft(
                control_of or _run_name(item),
                fields,
                catalogue,
                seed=runner.settings.seed,
                twin="control" if control_of is not None else runner.settings.twin,
                backend=runner.settings.backend,
                attach=runner.settings.attach,
                paired=runner.settings.paired,
                file=str(item.path),
            )
            draft.plan_links(links if links is not None else ())
            return draft

        return Chaos(runner, new_draft, catalogue, links)
    except HarnessError as error:
        refused = str(error)
    pytest.fail(refused, pytrace=False)


def _marked(item: pytest.Function) -> tuple[str, dict[str, Any]]:
    mark = item.get_closest_marker("stack")
    if mark is None:
        remedy = 'mark it with @pytest.mark.stack("reference")'
        raise ScenarioError("the test uses `chaos` and names no stack", file=str(item.path), remedy=remedy)
    from harness.model.errors import did_you_mean

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
    """Fail a test whose run does not pass, when its function has returned."""
    __tracebackhide__ = True
    with _to_its_end(item, chaos):
        yield
    runner = session_runner_of(item.config)
    run, control = chaos.ended, None
    if run is not None and runner.wants_control(run):
        control = _control(item, chaos, run)
    finished = runner.conclude(run, control) if run is not None else []
    for one in finished:
        _note(item, one)
    reason = _reason(item, finished)
    if reason is not None:
        raise pytest.fail.Exception(reason, pytrace=False) from None


@contextmanager
def _to_its_end(item: pytest.Function, chaos: Chaos) -> Iterator[None]:
    """End a run when the test function has returned; heal and stop where it raised."""
    __tracebackhide__ = True
    try:
        yield
    except RunEndedError:
        chaos.end()  # the gate was not met: that is a verdict, and no exception of the test
    except BaseException as error:
        ended = chaos.fail(error)
        for one in session_runner_of(item.config).conclude(ended) if ended is not None else ():
            _note(item, one)
        if ended is not None and isinstance(error, pytest.skip.Exception):
            # A run that was never judged must not look like one that nobody wanted.
            text = (
                f"{item.name}: UNKNOWN: the test skipped itself during its run ({error}); skip before the first fault"
            )
            raise pytest.fail.Exception(text, pytrace=False) from None
        raise
    else:
        chaos.end()


def _control(item: pytest.Function, chaos: Chaos, run: EndedRun) -> EndedRun | None:
    """Call the function again for the control of its run. The same `chaos` is used: other fixtures may hold it."""
    __tracebackhide__ = True
    chaos.begin_control(run.plan.run)
    names = item._fixtureinfo.argnames
    try:
        with _to_its_end(item, chaos):
            item.obj(**{name: item.funcargs[name] for name in names})
    except BaseException:
        for one in session_runner_of(item.config).conclude(run):
            _note(item, one)
        raise
    return chaos.ended


def _reason(item: pytest.Function, finished: Sequence[Finished]) -> str | None:
    """Return why a test does not pass; None where it does."""
    if not finished:
        return f"{item.name}: UNKNOWN: the test injected no fault"
    if texts := errors(finished):
        item.stash[HARNESS_ERROR_KEY] = True
        return "\n\n".join(texts)
    return "\n\n".join(failures(finished)) or None


def _note(item: pytest.Function, finished: Finished) -> None:
    note_run(item, finished)
    if finished.progress:
        item.add_report_section("call", f"harness {finished.plan.run}", "\n".join(finished.progress))
    logs = last_logs(finished) if finished.error is not None else []
    if logs:
        item.add_report_section("call", "harness logs", "\n".join(logs))


def is_harness_error(item: pytest.Item, error: BaseException) -> bool:
    """Whether a test ended with a failure of the harness: neither a finding nor a mistake of the test."""
    if item.stash.get(HARNESS_ERROR_KEY, False):
        return True
    return isinstance(error, HarnessError) and not isinstance(error, ScenarioError | StackError)
