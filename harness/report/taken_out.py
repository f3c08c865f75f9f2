"""What became of the faults of a run that was killed: who took them out, or that they may still be in."""

from __future__ import annotations

from pathlib import Path

from harness.guard.open_runs import must_be_healed
from harness.journal.undo import UndoFiles
from harness.journal.undo_folder import fault_of, heal_command
from harness.model.undo import Who

_BY: dict[Who, str] = {"run": "The run itself", "guard": "Its guard", "heal": "`harness heal`"}


def taken_out_text(run_dir: Path) -> str:
    """Return sentences that say it, from the undo of a run; an empty text where it has left none."""
    files = UndoFiles(run_dir)
    gone = [(name, files.gone(name)) for name in reversed(files.all())]
    sentences = []
    for by, who in _BY.items():
        faults = [fault_of(name) for name, absence in gone if absence is not None and absence.by == by]
        if faults:
            sentences.append(f"{who} took out {', '.join(faults)}, and measured that.")
    why = must_be_healed(run_dir)
    if why is not None:
        sentences.append(f"When this was written, {why}: run `{heal_command(run_dir)}`.")
    return " ".join(sentences)
