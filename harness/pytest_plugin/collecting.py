"""Scenario files as test items: one for each combination of a file's matrix, and for each twin that was asked for.

What is wrong with a file is an error of its collection: the one clear message, and nothing is started. The run is the
set-up of its item and the verdict is the test, so that a failure of the harness counts as an error and a finding about
the stack as a failure.
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
from harness.pytest_plugin.failure_text import error_text, note_run, passes, verdict_text
from harness.pytest_plugin.session_runner import Finished, session_runner_of
from harness.pytest_plugin.settings import read_settings
from harness.runner.check import check_all
from harness.runner.load import Loaded, load_file
from harness.runner.plan import make_plans
from harness.runner.source import RefusedError
from harness.runner.stacks import with_stacks

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
        loaded, wrong = with_stacks(load_file(_as_seen_from_here(self.path)))
        wrong += check_all(loaded)
        if not wrong:
            wrong += self._known_elsewhere(loaded[0][0])
        if wrong:
            raise RefusedError(wrong)
        return [
            (item, plan, catalogue.stack)
            for item, catalogue in loaded
            for plan in make_plans(
                [item], catalogue.stack, seed=settings.seed, twin=settings.twin, backend=settings.backend
            )
        ]

    def _known_elsewhere(self, loaded: Loaded) -> Iterator[Any]:
        names = self.config.stash.setdefault(NAMES_KEY, {})
        name = loaded.scenario.scenario
        other = names.setdefault(name, self.path)
        if other != self.path:
            message = f"the scenario {name!r} is also in {_as_seen_from_here(other)}"
            remedy = "names are the keys of history: give each scenario its own"
            yield loaded.source.problem(("scenario",), message, remedy)


class ScenarioItem(pytest.Item):
    """One run of one scenario."""

    def __init__(self, *, loaded: Loaded, plan: Plan, stack: StackDescription, **more: Any) -> None:
        super().__init__(**more)
        self.plan = plan
        self._stack = stack
        self._line = (loaded.source.line(("scenario",)) or 1) - 1
        self._finished: Finished | None = None
        self.extra_keyword_matches.update(plan.scenario.tags)

    def setup(self) -> None:
        """Do the run."""
        if self.config.getoption("setuponly", default=False):
            return
        finished = session_runner_of(self.config).run(self.plan, self._stack)
        note_run(self, finished)
        if finished.told:
            self.add_report_section("setup", "harness", "\n".join(finished.told))
        if finished.error is not None:
            pytest.fail(error_text(finished), pytrace=False)
        self._finished = finished

    def runtest(self) -> None:
        """Hold the run to its verdict."""
        finished, self._finished = self._finished, None
        assert finished is not None
        assert finished.verdict is not None
        if not passes(finished.verdict):
            pytest.fail(verdict_text(finished), pytrace=False)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return where the item is and what it is called."""
        return self.path, self._line, self.name


def _item_name(loaded: Loaded, plan: Plan) -> str:
    _, twin, which = plan.run.rpartition("~")
    return f"{loaded.name}~{which}" if twin and plan.twin is not None else loaded.name


def _as_seen_from_here(path: Path) -> Path:
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else Path(relative)
