"""Benchmarks: what a run costs, how exactly it keeps to its plan, and how that compares. See docs/benchmarks.md."""
