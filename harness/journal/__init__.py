"""The journal: one append-only file per run, and the judge's only input.

`records` is pure, and the judge reads it; `writer` has the clock and the file. Beside the journal, and read without it,
are the undo of the run's faults (`undo`, `undo_folder`) and who owns the run (`owner`).
"""
