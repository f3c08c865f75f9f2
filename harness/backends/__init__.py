"""Backends start, stop, kill, pause and inspect a stack that `harness.description` has read."""
