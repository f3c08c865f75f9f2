"""What `harness init` says of its files: which were written or kept, what is new in those kept, and what comes next."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.terminal import echo
from harness.model.errors import ScenarioError, StackError

if TYPE_CHECKING:
    from harness.onboarding.discovery.comparison import Comparison
    from harness.onboarding.discovery.output import Discovery
    from harness.onboarding.discovery.writing import FileOutcome, State

_SAYS: Mapping[State, tuple[str, str]] = {
    "new": ("new", ""),
    "updated": ("updated", ""),
    "unchanged": ("unchanged", ""),
    "edited": ("kept", "edited since init wrote it"),
    "overwritten": ("overwritten", "what was edited in it is lost"),
    "deleted": ("left out", "deleted since init wrote it; --force writes it again"),
    "old": ("kept", "init would not write it now, and nobody edited it; --prune removes it"),
    "edited-old": ("kept", "not one that init would write now, and edited since"),
    "removed": ("removed", "init would not write it now, and nobody edited it"),
}
"""Of each state, a word, and a remark."""
_OLD_FOR_NOW = "init would not write it now, and nobody edited it; paste the lines below and call init again first"
"""Of an old file, where the stack's file lacks what it may need."""
_UNEDITED = ("new", "updated", "unchanged", "overwritten")


def show_files(found: Discovery, target: Path, outcomes: Sequence[FileOutcome]) -> list[Path]:
    """Print what became of each file, and what is new in those that were kept. Returns those with lines to paste."""
    from harness.onboarding.discovery.writing import RECORD

    if all(one.state == "new" for one in outcomes):
        echo("\nwritten:")
        for path in [*(one.path for one in outcomes), target / RECORD]:
            echo(f"  {path}")
        return []
    from harness.onboarding.discovery.rendering import ENDING, STACK_FILE

    compared = {one.path: _compared(found, one) for one in outcomes if one.state == "edited"}
    news = {path: one for path, one in compared.items() if not isinstance(one, StackError)}
    lacking = [path for path, one in news.items() if one.additions]
    echo("\nfiles:")
    longest = max(len(str(one.path)) for one in outcomes if _SAYS[one.state][1] or one is outcomes[0])
    for one in outcomes:
        word, remark = _SAYS[one.state]
        if one.state == "old" and target / STACK_FILE in lacking:
            remark = _OLD_FOR_NOW
        echo(f"  {word:11} {one.path!s:{longest}}  {remark}".rstrip())
    for path, told in compared.items():
        if isinstance(told, StackError):
            echo(f"\n{path} cannot be compared with what init would write: {told}")
        else:
            # The values of a scenario are its author's: a different one is no news.
            _show(path, told, with_values=not path.name.endswith(ENDING))
    return lacking


def _compared(found: Discovery, one: FileOutcome) -> Comparison | StackError:
    from harness.onboarding.discovery.comparison import compare

    known = {*found.project.services, *found.project.left_out}
    try:
        return compare(one.before or "", found.files[one.name], str(one.path), known)
    except StackError as error:
        return error


def _show(path: Path, news: Comparison, *, with_values: bool) -> None:
    from harness.onboarding.secret_forms import HIDDEN

    for addition in news.additions:
        place = "in place of the empty value in" if addition.replaces else "after"
        echo(f"\n{path}: {addition.field} lacks what init would write; paste {place} line {addition.after_line}:")
        for line in addition.lines:
            echo(line)
        if any(HIDDEN in line for line in addition.lines):
            echo(f"\n{HIDDEN} stands for a secret, which is not shown: write it there, or $${{secret:NAME}}")
    if news.gone:
        echo(f"\n{path}: no longer in the compose project:")
    for gone in news.gone:
        lines = f"{gone.first_line}" + (f"–{gone.last_line}" if gone.last_line != gone.first_line else "")
        echo(f"  line {lines}: {gone.what}")
    if news.differences and with_values:
        echo(f"\n{path}: values that differ from what init would write; yours are kept:")
        for value in news.differences:
            echo(f"  line {value.line}: {value.field} is {value.value}; init would write {value.found}")


def show_next(
    found: Discovery, target: Path, scenarios: Path, outcomes: Sequence[FileOutcome], lacking: Sequence[Path]
) -> None:
    """Print the commands that come next, with the scenarios that are valid; say first what the others lack.

    `lacking` are the files into which lines were shown to paste.
    """
    from harness.onboarding.discovery.output import compose_project
    from harness.onboarding.discovery.rendering import STACK_FILE

    stack = target / STACK_FILE
    there = {str(one.path): one.state for one in outcomes if one.path != stack}
    there = {path: state for path, state in there.items() if state not in ("deleted", "removed")}
    problems = {} if all(one.state == "new" for one in outcomes) else _problems(map(Path, there))
    _show_problems(problems, there, stack, lines_shown=stack in lacking)
    usable = not any(file not in there for file in problems)  # else the stack's own file is not
    valid = [path for path in there if path not in problems] if usable else []
    named = [str(scenarios)] if valid and not problems else valid
    echo(f"\nnext: read {stack}, then")
    if named:
        echo(f"  {shlex.join(['harness', 'check', *named])}")
    if usable:
        examined = shlex.join(["harness", "doctor", str(stack), *named])
        echo(
            f"  {examined} --attach {compose_project(found.project)}   # while it runs; else --backend compose --start"
        )


def _show_problems(
    problems: Mapping[str, Sequence[ScenarioError]], there: Mapping[str, State], stack: Path, *, lines_shown: bool
) -> None:
    """Say what is not valid now: what lacks the lines shown, what can be removed, and what somebody has to repair."""
    ours = [path for path in there if path in problems and there[path] in _UNEDITED]
    if ours and lines_shown:
        echo(f"\nnot valid until {stack} has the lines above: {', '.join(ours)}")
    old = [path for path in there if path in problems and there[path] == "old"]
    if old:
        when = f"now; call init again once {stack} has the lines above" if lines_shown else "any more"
        echo(f"\nnot valid {when}: {', '.join(old)}")
    shown = [*old, *(ours if lines_shown else ())]
    theirs = [path for path in problems if path not in shown]
    if theirs:
        echo("\nto repair:")
    for path in theirs:
        more = f" (and {len(problems[path]) - 1} more)" if len(problems[path]) > 1 else ""
        echo(f"  {problems[path][0]}{more}")


def _problems(paths: Iterable[Path]) -> dict[str, list[ScenarioError]]:
    """Return what `harness check` finds wrong, by file."""
    from harness.runner.checking.stacks import validated
    from harness.runner.loading.explain import problems_of

    found: dict[str, list[ScenarioError]] = {}
    given = list(paths)
    try:
        _ = given and validated(given)
    except ScenarioError as error:
        for problem in problems_of(error):
            found.setdefault(problem.file or "", []).append(problem)
    return found
