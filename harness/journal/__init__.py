"""The journal: one append-only file per run, and the judge's only input.

`records` is pure, and the judge reads it; `writer` has the clock and the file.
"""
