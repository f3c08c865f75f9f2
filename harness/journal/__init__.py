"""The journal: one append-only file a run, and the only door between a run and its verdict.

`records` is pure and is what the judge reads; `writer` has the clock and the file.
"""
