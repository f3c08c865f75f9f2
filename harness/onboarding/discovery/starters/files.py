"""The files of scenarios: chosen, written down, and each asked of `harness check` before it counts."""

from __future__ import annotations

from harness.model.stack import StackDescription
from harness.onboarding.discovery.rendering import ENDING, MARK, SCENARIOS, STACK_FILE, render
from harness.onboarding.discovery.starters.accepted import refusal
from harness.onboarding.discovery.starters.context import Context
from harness.onboarding.discovery.starters.starter import Missing
from harness.onboarding.discovery.starters.suite import first_scenarios, standard_suite
from harness.runner.planning.catalogue import Catalogue


def scenario_files(
    context: Context, stack: StackDescription | None, *, standard: bool
) -> tuple[dict[str, str], list[Missing]]:
    """Return each file with its text, and what is not written. Without a stack, nothing can be checked."""
    suite = standard_suite(context) if standard else first_scenarios(context)
    catalogue = Catalogue(stack, context.faults) if stack is not None else None
    files: dict[str, str] = {}
    missing = list(suite.missing)
    for name, written in suite.files.items():
        file = f"{SCENARIOS}/{name}{ENDING}"
        beside = f"{'../' * file.count('/')}{STACK_FILE}"
        text = render("scenario.yaml.j2", mark=MARK, written=written, stack=beside)
        why = refusal(text, file, catalogue) if catalogue is not None else None
        if why is None:
            files[file] = text
        else:
            missing.append(Missing(written.starter.condition, written.starter.subject, why))
    return files, missing
