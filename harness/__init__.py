"""Chaos and fault-injection tests for machine-learning systems.

`docs/architecture.md` is a tour of the packages; import-linter checks which may import which. Importing this package
costs nothing: each front end imports what it needs when it is called.
"""

__version__ = "0.1.0"
