"""Scenario files as test items: one for each combination of a file's matrix, or for each twin the session asks for.

An invalid file is an error of its collection, and nothing is started. The run (with `--harness-paired`, its control's
too) is the set-up of its item and the verdict is the test, so that a failure of the harness counts as an error and a
finding about the stack as a failure.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.model.errors import HarnessError
from harness.model.plan import Plan
from harness.model.stack import StackDescription
from harness.pytest_plugin.failure_text import errors, failures, note_run
from harness.pytest_plugin.session_runner import Finished, session_runner_of
from harness.pytest_plugin.settings import read_settings
from harness.runner.checking.check import check_all
from harness.runner.checking.stacks import with_stacks
from harness.runner.loading.explain import RefusedError
from harness.runner.loading.load import Loaded, load_file
from harness.runner.planning.plan import control_of, make_plans

NAMES_KEY: pytest.StashKey[dict[str, Path]] = pytest.StashKey()


class ScenarioFile(pytest.File):
    """A `*.scenario.yaml` file."""

    def collect(self) -> Iterator[ScenarioItem]:
        """Yield an item a run."""
        try:
            found = self._runs()
        except HarnessError as error:
            raise self.CollectError(str(error)) from None
        for loaded, plan, stack in found:
            item: ScenarioItem = ScenarioItem.from_parent(
                self, name=_item_name(loaded, plan), loaded=loaded, plan=plan, stack=stack
            )
            yield item

    def _runs(self) -> list[tuple[Loaded, Plan, StackDescription]]:
        settings = read_settings(self.config)
        loaded, wrong = with_stacks(load_file(_relative(self.path)))
        wrong += check_all(loaded)
        if not wrong:
            wrong += self._known_elsewhere(loaded[0][0])
        if wrong:
            raise RefusedError(wrong)
        return [
            (item, plan, catalogue.stack)
            for item, catalogue in loaded
            for plan in make_plans(
                [item],
                catalogue.stack,
                seed=settings.seed,
                twin=settings.twin,
                backend=settings.backend,
                attach=settings.attach,
            )
        ]

    def _known_elsewhere(self, loaded: Loaded) -> Iterator[Any]:
        names = self.config.stash.setdefault(NAMES_KEY, {})
        name = loaded.scenario.scenario
        other = names.setdefault(name, self.path)
        if other != self.path:
            message = f"the scenario {name!r} is also in {_relative(other)}"
            remedy = "names are the keys of history: give each scenario its own"
            yield loaded.source.problem(("scenario",), message, remedy)


class ScenarioItem(pytest.Item):
    """One run of one scenario."""

    def __init__(self, *, loaded: Loaded, plan: Plan, stack: StackDescription, **more: Any) -> None:
        super().__init__(**more)
        self.plan = plan
        self._stack = stack
        self._line = (loaded.source.line(("scenario",)) or 1) - 1
        self._finished: list[Finished] = []
        self.extra_keyword_matches.update(plan.scenario.tags)

    def setup(self) -> None:
        """Do the run, and that of its control in a paired session."""
        if self.config.getoption("setuponly", default=False):
            return
        runner = session_runner_of(self.config)
        run, control = runner.run(self.plan, self._stack), None
        if runner.wants_control(run):
            control = runner.run(control_of(run.plan), self._stack)
        finished = runner.conclude(run, control)
        for one in finished:
            note_run(self, one)
            if one.progress:
                self.add_report_section("setup", f"harness {one.plan.run}", "\n".join(one.progress))
        if texts := errors(finished):
            pytest.fail("\n\n".join(texts), pytrace=False)
        self._finished = finished

    def runtest(self) -> None:
        """Fail unless every run passes."""
        finished, self._finished = self._finished, []
        assert finished
        if texts := failures(finished):
            pytest.fail("\n\n".join(texts), pytrace=False)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return the file, the line and the name of the item."""
        return self.path, self._line, self.name


def _item_name(loaded: Loaded, plan: Plan) -> str:
    _, twin, which = plan.run.rpartition("~")
    return f"{loaded.name}~{which}" if twin and plan.twin is not None else loaded.name


def _relative(path: Path) -> Path:
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else Path(relative)
