"""Backends start, stop, kill, pause and inspect a stack; `stackfile` reads what both of them start from."""
