"""Tests of the runner."""

# Scenario files that the tests read, and that no stack here can run.
collect_ignore = ["data"]
