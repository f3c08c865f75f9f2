"""Whether a scenario that init is about to write would pass `harness check`, without a note that it can show nothing.

The check itself is asked, on the text as it would be written, so that the two never disagree.
"""

from __future__ import annotations

from pathlib import Path

from harness.description.installed_probes import InstalledSettings
from harness.description.stackfile import load_stack
from harness.description.unset import names_unset
from harness.description.yamltree import parse_tree
from harness.model.errors import HarnessError, ScenarioError
from harness.model.stack import StackDescription
from harness.onboarding.discovery.project import Project
from harness.runner.checking.check import check
from harness.runner.checking.notes import notes
from harness.runner.loading.explain import problems_of
from harness.runner.loading.load import load_tree
from harness.runner.planning.catalogue import Catalogue

STAND_IN = "set"
"""What a variable holds that must be set and is not: the stack's file can be read all the same."""


def stack_of(project: Project, file: Path, text: str | None) -> StackDescription:
    """Read a stack's file, or the text that it is going to hold. Raises StackError."""
    variables = dict(project.composed.variables)
    variables |= dict.fromkeys(names_unset(project.composed.tree.value, variables), STAND_IN)
    return load_stack(file, variables, InstalledSettings(), text=text)


def refusal(text: str, file: str, catalogue: Catalogue) -> str | None:
    """Return why a scenario is not to be written; None where nothing speaks against it."""
    try:
        loaded = load_tree(parse_tree(text, file))
        problems: list[ScenarioError] = [one for item in loaded for one in check(item, catalogue)]
        problems += notes([(item, catalogue) for item in loaded])
    except ScenarioError as error:
        problems = list(problems_of(error))
    except HarnessError as error:
        return error.message
    if not problems:
        return None
    first = problems[0]
    return f"{first.message} ({first.remedy})" if first.remedy else first.message
